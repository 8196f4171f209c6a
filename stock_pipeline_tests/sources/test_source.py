"""What every source keeps to: nothing that it is asked for is ignored in silence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stock_pipeline.settings.sections.sources import What
from stock_pipeline.sources.errors import RequestError
from stock_pipeline.sources.registry import SOURCES, source_kind
from stock_pipeline.sources.source import SourceRequest
from stock_pipeline_tests.sources.asking import context

DAY = datetime(2026, 1, 5, tzinfo=UTC)
SET: dict[str, dict[str, Any]] = {
    "bar": {"interval": "5m"},
    "start": {"start": DAY},
    "end": {"start": DAY, "end": DAY},
    "option 'none'": {"options": {"none": "1"}},
}
#: Every kind of data of every source, and what it does not take.
UNTAKEN = [
    (name, what, thing)
    for name in SOURCES
    for what in source_kind(name).formats
    for thing in SET
    if thing not in source_kind(name).taken(what)
]


def refused(home: Path, name: str, what: What, **given: Any) -> str:
    """The sentence with which the source refuses."""
    stopped = context(home)
    # Whoever does not refuse has an end.
    stopped.stop.set()
    source = source_kind(name).open(stopped)
    with pytest.raises(RequestError) as caught:
        list(source.fetch(SourceRequest(("IBM",), what, **given)))
    return str(caught.value)


@pytest.mark.parametrize(("name", "what", "thing"), UNTAKEN)
def test_no_source_ignores_what_it_does_not_take(
    tmp_path: Path, name: str, what: What, thing: str
) -> None:
    first = "start" if thing == "end" and (name, what, "start") in UNTAKEN else thing
    assert f" takes no {first} for {what}" in refused(tmp_path, name, what, **SET[thing])


def test_rows_quotes_and_simulated_trades_take_neither_bars_nor_times() -> None:
    for name, what in (("csv", "rows"), ("simulator", "trades"), ("yahoo", "quote")):
        assert {(name, what, thing) for thing in SET} <= set(UNTAKEN)


@pytest.mark.parametrize(
    ("name", "what", "given", "sentence"),
    [
        (
            "alpha_vantage",
            "bars",
            {"interval": "1d", "start": DAY, "end": DAY},
            "takes no end for bars of 1d; it takes bar, start, adjusted, outputsize, entitlement.",
        ),
        (
            "yahoo",
            "quote",
            {"options": {"prepost": "true"}},
            "Yahoo takes no option 'prepost' for quote; it takes symbols only.",
        ),
        ("yahoo", "bars", {"end": DAY}, "Yahoo takes an end with a start only."),
        ("alpha_vantage", "bars", {"end": DAY}, "Alpha Vantage takes an end with a start only."),
        ("csv", "bars", {}, "Source csv has no bars; it has rows. Nothing was fetched."),
        (
            "massive",
            "bars",
            {"options": {"stream": "true", "adjusted": "true"}},
            "Massive streams bars of 1m from now on",
        ),
        ("yahoo", "bars", {"options": {"prepost": "yes"}}, "prepost is true or false, not 'yes'"),
        ("massive", "bars", {"options": {"stream": "on"}}, "stream is true or false, not 'on'"),
        ("csv", "rows", {"options": {"file": "a", "seed": "1"}}, "takes a seed with sample only"),
        # An option is no bound of the request.
        ("yahoo", "bars", {"options": {"start": "2026"}}, "takes no option 'start'"),
    ],
)
def test_a_refusal_says_what_it_does_not_take_and_what_it_does(
    tmp_path: Path, name: str, what: What, given: dict[str, Any], sentence: str
) -> None:
    assert sentence in refused(tmp_path, name, what, **given)
