"""Settings of one feed: its topic, its message format, and when a batch is planned."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.settings.sections.one_of import OneOf
from stock_pipeline.settings.sections.section import Section


class FeedSettings(Section):
    """One Kafka topic and how to read it."""

    topic: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="letters, digits, '.', '_' and '-', as Kafka allows",
    )
    format: Annotated[str, OneOf(FORMATS)]
    #: Written to the `source` column of its bars.
    source: str = Field(
        pattern=r"^[^\s\p{C}]([^\p{C}]{0,62}[^\s\p{C}])?$",
        description="1 to 64 characters that show, no space around",
    )
    calendar: str | None = Field(default=None, description="Exchange calendar, else XNYS.")
    partitions: int = Field(default=1, ge=1, le=1000)
    retention_minutes: int = Field(default=7 * 24 * 60, ge=1)
    #: A check is red when unread records have less than this share of the retention left.
    loss_warning_share: float = Field(default=0.25, gt=0, lt=1)
    min_records: int = Field(default=50_000, ge=1)
    max_wait_seconds: float = Field(default=10.0, ge=0)
    max_records: int = Field(default=1_000_000, ge=1)
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1)
    max_message_bytes: int = Field(default=4 * 1024 * 1024, ge=1)
    max_batches_in_flight: int = Field(default=2, ge=1, le=100)
    deadline_seconds: int = Field(default=600, ge=10)
