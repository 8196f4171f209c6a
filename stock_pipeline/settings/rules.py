"""Rules that a single setting cannot show: names that must exist, and settings that must differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stock_pipeline.lake.layout import SAFE_NAME
from stock_pipeline.settings.layers import KeyPath, did_you_mean
from stock_pipeline.sources.registry import SOURCES

if TYPE_CHECKING:
    from stock_pipeline.settings import FeedSettings, Settings

#: The setting that breaks a rule, and the sentence that says so.
Problem = tuple[KeyPath, str]


def feed_problems(feeds: Mapping[str, FeedSettings]) -> list[Problem]:
    """Rules between feeds, and between the settings of one feed."""
    problems: list[Problem] = []
    topics: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, feed in feeds.items():
        at = ("feeds", name)
        if not SAFE_NAME.match(name):
            problems.append(
                (
                    at,
                    f"feeds.{name}: a feed's name takes letters, digits, '_' and '-', at most 100.",
                )
            )
        if feed.topic in {".", ".."}:
            problems.append(
                ((*at, "topic"), f"feeds.{name}.topic cannot be {feed.topic!r} in Kafka.")
            )
        # Kafka itself refuses a topic that differs from another only in '.' and '_'.
        twin = topics.setdefault(feed.topic.replace(".", "_"), name)
        if twin != name:
            problems.append(
                ((*at, "topic"), f"feeds.{name}.topic is the topic of {twin}; one topic, one feed.")
            )
        twin = names.setdefault(name.replace("-", "_"), name)
        if twin != name:
            problems.append(
                (at, f"feeds.{name} differs from {twin} only in '-' and '_'; rename one of them.")
            )
        for low, high in (("min_records", "max_records"), ("max_message_bytes", "max_bytes")):
            if getattr(feed, low) > getattr(feed, high):
                problems.append(((*at, low), f"feeds.{name}.{low} must be at most its {high}."))
    return problems


def name_problems(settings: Settings) -> list[Problem]:
    """Names that must be the name of something else, and values that must differ."""
    problems: list[Problem] = []
    trades = sorted(name for name, feed in settings.feeds.items() if feed.format == "trade")
    if settings.simulator.enabled and settings.simulator.feed not in trades:
        near = did_you_mean(settings.simulator.feed, trades)
        known = ", ".join(trades) or "none yet"
        problems.append(
            (
                ("simulator", "feed"),
                f"simulator.feed is no feed of format trade{near}; such feeds: {known}.",
            )
        )
    for name in settings.sources:
        if name not in SOURCES:
            near, known = did_you_mean(name, list(SOURCES)), ", ".join(SOURCES)
            sentence = f"sources.{name} is no source{near}; sources: {known}."
            problems.append((("sources", name), sentence))
    # Bars name their vendor, and else are of their feed's source.
    sources = sorted({feed.source for feed in settings.feeds.values()} | set(SOURCES))
    for index, source in enumerate(settings.source_precedence):
        if source not in sources:
            near, known = did_you_mean(source, sources), ", ".join(sources)
            problems.append(
                (
                    ("source_precedence", str(index)),
                    f"source_precedence: no feed's source is {source}{near}; sources: {known}.",
                )
            )
    for path, values in (
        (("source_precedence",), settings.source_precedence),
        (("volatility", "windows"), settings.volatility.windows),
        (("simulator", "symbols"), settings.simulator.symbols),
        (("ports",), tuple(settings.ports.model_dump().values())),
    ):
        if len(set(values)) != len(values):
            problems.append((path, f"{'.'.join(path)} must not hold the same value twice."))
    return problems


def fetch_problems(settings: Settings) -> list[Problem]:
    """Rules of what is fetched unasked: its name, and the names of its source and feed."""
    problems: list[Problem] = []
    for section, fetches in (("polls", settings.polls), ("streams", settings.streams)):
        names: dict[str, str] = {}
        for name, fetch in fetches.items():
            at = (section, name)
            if not SAFE_NAME.match(name) or names.setdefault(name.replace("-", "_"), name) != name:
                sentence = (
                    f"{section}.{name}: a name takes letters, digits, '_' and '-', at most 100, and"
                    " differs from others in more than these two signs."
                )
                problems.append((at, sentence))
            for key, value, known in (
                ("source", fetch.source, SOURCES),
                ("feed", fetch.feed, settings.feeds),
            ):
                if value not in known:
                    near = did_you_mean(value, list(known))
                    sentence = (
                        f"{section}.{name}.{key} is no {key}{near}; {key}s: {', '.join(known)}."
                    )
                    problems.append(((*at, key), sentence))
    return problems
