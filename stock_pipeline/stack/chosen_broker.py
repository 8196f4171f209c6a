"""What depends on which broker the local profile runs on."""

from __future__ import annotations

from pathlib import Path

from stock_pipeline.settings import Settings
from stock_pipeline.stack.trim import Trimmer


def home_of(settings: Settings) -> Path:
    """Folder of this broker's topics and of all that was made from them.

    Offsets of one broker mean nothing to the other: a lake that was filled from one would take the
    other's topics for recreated ones. So Apache Kafka has a folder of its own.
    """
    home = settings.home.resolve()
    return home / "apache" if settings.broker == "apache" else home


def trimmer_of(settings: Settings) -> Trimmer | None:
    """What keeps the embedded broker small; None for Apache Kafka.

    That one keeps records on disk, as long as its topics say: nothing else may delete them.
    """
    return Trimmer(settings) if settings.broker == "embedded" else None
