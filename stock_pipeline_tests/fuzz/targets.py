"""What the coverage-guided fuzzer calls with each input: it must return."""

from __future__ import annotations

import json
import json.decoder
import json.scanner
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stock_pipeline.ingest.decode import Decoded
from stock_pipeline.settings import SettingsError, load_settings
from stock_pipeline.sources.files.csv_replay import ReplayError, file_messages
from stock_pipeline_tests.fuzz.properties import BrokenError, Subject
from stock_pipeline_tests.support.records import VALID, records

Target = Callable[[bytes], None]
#: A variable that makes a target break: how the tests see that a finding is reported.
BREAK = "STOCK_PIPELINE_FUZZ_BREAK"


def decoder_target(format_: str) -> Target:
    """One record between two good ones."""
    import atheris

    subject, read, good = Subject(format_), _json_in_python(), VALID[format_]
    reasons: dict[str, Callable[[], None]] = {}

    def test(data: bytes) -> None:
        with suppress(ValueError, RecursionError):
            read(data.decode("utf-8", "replace"))
        payloads = [good, data, good]
        decoded = subject.decode(records(payloads))
        subject.judge_result(payloads, decoded)
        if not {0, 2} <= set(decoded.rows["kafka_offset"].to_pylist()):
            raise BrokenError("A good neighbour is gone.")
        for reason in _reasons(decoded):
            if reason not in reasons:
                # A function for each reason: calling a new one is new coverage.
                scope: dict[str, Any] = {}
                exec("def reached():\n    return None\n", scope)
                reasons[reason] = atheris.instrument_func(scope["reached"])
            reasons[reason]()

    return test


def settings_target() -> Target:
    """A settings file, then the same bytes as `.env`."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-settings-"))
    config, dotenv, good = folder / "config.yaml", folder / ".env", folder / "good.yaml"
    good.write_text("feeds: {a: {topic: a, format: trade, source: s}}\nsimulator: {feed: a}\n")

    def test(data: bytes) -> None:
        if BREAK in os.environ and b"feeds" in data:
            raise AssertionError("broken on purpose")
        config.write_bytes(data)
        dotenv.write_bytes(data)
        with suppress(SettingsError):
            load_settings(config, folder / "absent", {})
        with suppress(SettingsError):
            load_settings(good, dotenv, {})

    return test


def replay_target() -> Target:
    """A CSV file of trades and of daily rows, and a file of documents."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-replay-"))
    subject, path, lines = Subject("trade"), folder / "file.csv", folder / "file.jsonl"

    def test(data: bytes) -> None:
        path.write_bytes(data)
        lines.write_bytes(data)
        sent: list[bytes | None] = []
        for file, format_ in (
            (path, "trade"),
            (path, "index_daily"),
            (lines, "alpha_vantage_intraday"),
        ):
            with suppress(ReplayError):
                sent += [message.value for message in file_messages(file, format_)][:200]
        if sent:
            subject.decode(records(sent))

    return test


def _reasons(decoded: Decoded) -> set[str]:
    words = zip(
        decoded.rejects["reason"].to_pylist(), decoded.rejects["detail"].to_pylist(), strict=True
    )
    return {f"{reason} {' '.join(detail.split()[:3])}" for reason, detail in words}


def _json_in_python() -> Callable[[str], Any]:
    """Python's JSON parser in Python, instrumented: its branches are the structure of a message."""
    import atheris

    module: Any = json.decoder
    for name in ("py_scanstring", "JSONObject", "JSONArray"):
        setattr(module, name, atheris.instrument_func(getattr(module, name)))
    reader = json.JSONDecoder()
    reader.parse_string = module.py_scanstring
    reader.parse_object = module.JSONObject
    reader.parse_array = module.JSONArray
    make: Any = json.scanner
    reader.scan_once = atheris.instrument_func(make.py_make_scanner)(reader)
    return reader.decode
