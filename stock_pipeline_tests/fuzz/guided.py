"""The coverage-guided fuzzer (atheris, libFuzzer): bytes that reach new code are mutated further.

`python -m stock_pipeline_tests.fuzz.guided --seconds 60` runs every target in a process of its own
and prints the figures; `--target trade` one of them. The package is installed where it has a wheel:
Linux on x86-64.

What guides it: the decoders work in DuckDB's C++, which is not instrumented, so for them coverage
is that of our Python, of Python's JSON parser reading the same bytes, and of the reason that the
decoder gave: the structure of messages, not DuckDB's own branches. The settings loader, PyYAML,
dotenv and the CSV replay are Python and instrumented as they are.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from stock_pipeline.lib.formats import FORMATS
from stock_pipeline_tests.fuzz.corpus import FOREIGN, KEYS, SEEDS, VALUES

TARGETS = (*sorted(FORMATS), "settings", "replay")
_ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run the targets one after the other; 1 when one of them crashed or hung."""
    parser = argparse.ArgumentParser(prog="python -m stock_pipeline_tests.fuzz.guided")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--inside", choices=TARGETS, help=argparse.SUPPRESS)
    given, rest = parser.parse_known_args()
    if given.inside:
        fuzz(given.inside, rest)
        return 0
    return max(run(target, given.seconds) for target in given.target or TARGETS)


def run(target: str, seconds: int) -> int:
    """One target in a process; prints its line.

    Returns:
        0, or 1 when an input broke it.
    """
    code, said = outcome(target, seconds)
    sys.stdout.write(f"{said}\n")
    return code


def outcome(target: str, seconds: int) -> tuple[int, str]:
    """Exit code and figures of a target; a broken one names the file that keeps the input."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(_seeds(target)):
        (corpus / f"seed{number}").write_bytes(seed)
    words = (f'"{_escaped(word)}"' for word in [*VALUES, *KEYS] if 0 < len(word) < 60)
    (folder / "words").write_text("\n".join(words), encoding="ascii")
    done = subprocess.run(
        [
            *(sys.executable, "-m", __spec__.name, "--inside", target, str(corpus)),
            *(f"-max_total_time={seconds}", "-timeout=60", "-rss_limit_mb=4096"),
            *("-print_final_stats=1", f"-dict={folder / 'words'}", "-max_len=20000"),
            f"-artifact_prefix={folder}/",
        ],
        cwd=_ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        errors="replace",
    )
    counted = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    said = (
        f"guided fuzz: {target}, payloads {int(counted[1]) if counted else 0:,}, crashes and hangs "
        f"{int(done.returncode != 0)}, {seconds} s"
    )
    if not done.returncode:
        shutil.rmtree(folder)
        return 0, said
    kept = ", ".join(str(p) for p in folder.glob("*-*"))
    return 1, f"{said}\n{done.stderr[-3000:]}\nThe input: {kept or 'none'}"


def fuzz(target: str, arguments: list[str]) -> None:
    """Hand a target to libFuzzer, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["stock_pipeline", "yaml", "dotenv"]):
        import dotenv.parser  # noqa: F401 - imported while it is instrumented
        import yaml  # noqa: F401

        from stock_pipeline_tests.fuzz.targets import decoder_target, replay_target, settings_target
    test: Callable[[bytes], None]
    if target == "settings":
        test = settings_target()
    elif target == "replay":
        test = replay_target()
    else:
        test = decoder_target(target)
    atheris.Setup([sys.argv[0], *arguments], test)
    atheris.Fuzz()


def _seeds(target: str) -> list[bytes]:
    if target == "settings":
        return [(_ROOT / "config" / "app_config.yaml").read_bytes(), b"feeds: {}\n"]
    if target == "replay":
        return [b"symbol,time,price,size\nIBM,2026-11-20T15:00:00Z,1.5,2\n", b'a,"b\n"\n']
    return [text.encode() for text in (*SEEDS[target], *FOREIGN)]


def _escaped(word: str) -> str:
    data = word.encode("utf-8", "surrogatepass")
    return "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in data)


if __name__ == "__main__":
    sys.exit(main())
