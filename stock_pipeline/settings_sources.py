"""Settings of one source: where the vendor is, its key, and how often it may be asked."""

from __future__ import annotations

from pydantic import Field, SecretStr

from stock_pipeline.settings_base import Section

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
