"""Settings of sources: where a vendor is, its key, its quotas, and what is fetched from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from stock_pipeline.settings.sections.section import Section

#: `sources/registry.py` has the module of each, in this order.
SOURCE_NAMES = ("alpha_vantage", "csv", "simulator", "yahoo", "massive", "finnhub")

What = Literal["trades", "bars", "quote", "news", "actions", "rows"]

#: A symbol names a Dagster partition, so it takes only what a partition's name takes.
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
    #: Pause after a failed try. It doubles with each; a pause that the vendor names comes first.
    pause_seconds: float = Field(default=2.0, gt=0)
    longest_pause_seconds: float = Field(default=60.0, gt=0)


class FetchSettings(Section):
    """What is fetched from a source into a feed by a schedule or by `dev`."""

    source: str
    feed: str
    #: As the source spells them.
    symbols: tuple[str, ...] = ()
    #: Kind of data; by default the first of the source that fits the feed.
    what: What | None = None
    #: Length of a bar; by default the source chooses.
    bar: Literal["1m", "5m", "15m", "30m", "1h", "1d"] | None = None
    #: Options that only this source has.
    options: dict[str, str] = Field(default_factory=dict)


class PollSettings(FetchSettings):
    """Rounds that Dagster starts in market hours: asset `polls/<name>`, schedule `poll_<name>`."""

    #: Time from tick to tick. Cron has no seconds; for less than a minute take a stream.
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
    """A `stock-pipeline produce` that `dev` starts, and starts again when it ends."""

    #: Time from round to round of requests, or from row to row of a file. A live stream has no
    #: rounds.
    interval: str | None = Field(
        default=None, pattern=r"^[0-9]+(\.[0-9]+)?[smh]$", description="a time such as 30s, 5m, 1h"
    )


class HistorySettings(Section):
    """History that is fetched from one source on request: one partition per symbol and period."""

    symbols: tuple[Symbol, ...] = Field(min_length=1)
    #: Whether there is the asset `landing/<source>_daily`, with a partition per year.
    daily: bool = True
    #: Length of the bars of `landing/<source>_intraday`, with a partition per month; without it
    #: there is no such asset.
    intraday: Literal["1m", "5m", "15m", "30m", "1h"] | None = None
    #: First year.
    since: int = Field(default=2000, ge=1960, le=2100)
    calendar: str | None = Field(default=None, description="Exchange calendar, else XNYS.")
    #: Options that only this source has, such as `adjusted: "true"`.
    options: dict[str, str] = Field(default_factory=dict)
