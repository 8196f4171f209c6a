"""Settings of history: whose bars are fetched in batches, and how far back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import Field

from stock_pipeline.settings.layers import KeyPath, did_you_mean
from stock_pipeline.settings.section import Section

#: Dagster names partitions by them.
Symbol = Annotated[
    str,
    Field(
        pattern=r"^[^\s\p{C}|,\[\]]([^\p{C}|,\[\]]{0,62}[^\s\p{C}|,\[\]])?$",
        description="1 to 64 characters that show, none of '|', ',', '[', ']', no space around",
    ),
]


class HistorySettings(Section):
    """What is fetched of one source when asked for: one partition a symbol and period."""

    symbols: tuple[Symbol, ...] = Field(min_length=1)
    #: The asset `landing/<source>_daily`: a partition a year.
    daily: bool = True
    #: Length of the bars of `landing/<source>_intraday`, a partition a month; without it, no asset.
    intraday: Literal["1m", "5m", "15m", "30m", "1h"] | None = None
    #: First year.
    since: int = Field(default=2000, ge=1960, le=2100)
    calendar: str | None = Field(default=None, description="Exchange calendar, else XNYS.")
    #: What only this source knows, such as `adjusted: "true"`.
    options: dict[str, str] = Field(default_factory=dict)


def history_problems(
    history: Mapping[str, HistorySettings],
    sources: Collection[str],
    trade_feeds: Mapping[str, str],
) -> list[tuple[KeyPath, str]]:
    """Sources of history that there are not, that nothing is fetched of, or whose bars would clash.

    Args:
        history: The settings by source.
        sources: Those that there are.
        trade_feeds: Feeds of trades, source to name.
    """
    problems: list[tuple[KeyPath, str]] = []
    for name, wanted in history.items():
        at = ("history", name)
        if name not in sources:
            near, known = did_you_mean(name, list(sources)), ", ".join(sources)
            problems.append((at, f"history.{name} is no source{near}; sources: {known}."))
        if feed := trade_feeds.get(name):
            # The bars made from trades replace all that their source has in those minutes and days.
            sentence = (
                f"history.{name} would have the same rows as the bars made from the trades of feed"
                f" {feed}; give feeds.{feed}.source another name, such as {name}_trades."
            )
            problems.append((at, sentence))
        if not wanted.daily and not wanted.intraday:
            sentence = f"history.{name} has neither daily nor intraday bars; remove it."
            problems.append((at, sentence))
        if any("..." in symbol for symbol in wanted.symbols):
            sentence = f"history.{name}.symbols must not hold '...': no partition can be named so."
            problems.append(((*at, "symbols"), sentence))
        if len(set(wanted.symbols)) != len(wanted.symbols):
            sentence = f"history.{name}.symbols must not hold the same symbol twice."
            problems.append(((*at, "symbols"), sentence))
    return problems
