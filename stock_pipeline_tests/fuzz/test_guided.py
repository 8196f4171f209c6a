from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import pytest

from stock_pipeline_tests.fuzz import guided

needs_atheris = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris has a wheel for Linux on x86-64 only"
)


@needs_atheris
@pytest.mark.timeout(240)
@pytest.mark.parametrize("target", ["trade", "settings"])
def test_the_guided_fuzzer_finds_nothing_in_seconds(
    target: str, at_the_end: Callable[[str], None]
) -> None:
    code, said = guided.outcome(target, seconds=2)
    at_the_end(f"{said}; long form: make fuzz-guided")
    assert code == 0, said
    assert "payloads 0," not in said


@needs_atheris
@pytest.mark.timeout(240)
def test_the_guided_fuzzer_keeps_an_input_that_breaks_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCK_PIPELINE_FUZZ_BREAK", "1")
    code, said = guided.outcome("settings", seconds=60)
    assert code == 1
    assert "The input: /" in said
