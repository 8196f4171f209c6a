"""Settings of sources: where a vendor is, its key, its quotas, and what is fetched from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from stock_pipeline.settings.section import Section

#: `sources/registry.py` has the module of each, in this order.
SOURCE_NAMES = ("alpha_vantage", "csv", "simulator", "yahoo", "massive", "finnhub")

What = Literal["trades", "bars", "quote", "news", "actions", "rows"]

#: Dagster names partitions by them.
Symbol = Annotated[
    str,
    Field(
        pattern=r"^[^\s\p{C}|,\[\]]([^\p{C}|,\[\]]{0,62}[^\s\p{C}|,\[\]])?$",
        description="1 to 64 characters that show, none of '|', ',', '[', ']', no space around",
    ),
]

#: A key goes over the network encrypted, or not over the network.
_LOOPBACK = r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?"
_REST = r"(/[^\s?#]*)?$"


class SourceSettings(Section):
    """One vendor; what is left out is as its module in `sources/` says.

    Quotas are kept across processes and restarts, by `$STOCK_PIPELINE_HOME/quotas.sqlite`.
    """

    base_url: str | None = Field(
        default=None,
        pattern=rf"^(https://[^/\s?#]+|http://{_LOOPBACK}){_REST}",
        description="https://host/path; http:// for this machine only",
    )
    stream_url: str | None = Field(
        default=None,
        pattern=rf"^(wss://[^/\s?#]+|ws://{_LOOPBACK})(/\S*)?$",
        description="wss://host/path; ws:// for this machine only",
    )
    api_key: SecretStr | None = None
    requests_per_second: int | None = Field(default=None, ge=1)
    requests_per_minute: int | None = Field(default=None, ge=1)
    #: Of the vendor's day, not ours.
    requests_per_day: int | None = Field(default=None, ge=1)
    connect_timeout_seconds: float = Field(default=10.0, gt=0)
    #: Until an answer has arrived as a whole.
    answer_timeout_seconds: float = Field(default=60.0, gt=0)
    #: How often one request is tried before it is given up.
    attempts: int = Field(default=5, ge=1, le=100)
    #: The pause after a failed try; it doubles with each, and the vendor's own word comes first.
    pause_seconds: float = Field(default=2.0, gt=0)
    longest_pause_seconds: float = Field(default=60.0, gt=0)


class FetchSettings(Section):
    """What is fetched from a source for a feed without anybody typing a command."""

    source: str
    feed: str
    #: As the source spells them.
    symbols: tuple[str, ...] = ()
    #: Kind of data; else the first of the source that fits the feed.
    what: What | None = None
    #: Length of a bar; else as the source chooses.
    bar: Literal["1m", "5m", "15m", "30m", "1h", "1d"] | None = None
    #: What only this source knows.
    options: dict[str, str] = Field(default_factory=dict)


class PollSettings(FetchSettings):
    """Rounds that Dagster starts in market hours: asset `polls/<name>`, schedule `poll_<name>`."""

    #: From tick to tick. Cron knows no seconds; `streams` do.
    every: Literal["1m", "2m", "3m", "5m", "10m", "15m", "20m", "30m", "1h"] = "5m"
    #: Also before the open and after the close, as long as `quality.extended_hours` says.
    extended_hours: bool = False

    @property
    def cron(self) -> str:
        """`every` as a cron expression."""
        return "0 * * * *" if self.every == "1h" else f"*/{self.every[:-1]} * * * *"

    @property
    def period(self) -> timedelta:
        """`every` as a time."""
        number = int(self.every[:-1])
        return timedelta(hours=number) if self.every.endswith("h") else timedelta(minutes=number)


class StreamSettings(FetchSettings):
    """A `stock-pipeline produce` that `dev` starts and keeps running."""

    #: From round to round of what is asked for; from row to row of a file. Trades just come.
    interval: str | None = Field(
        default=None, pattern=r"^[0-9]+(\.[0-9]+)?[smh]$", description="a time such as 30s, 5m, 1h"
    )


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
