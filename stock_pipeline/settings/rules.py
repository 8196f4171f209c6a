"""Rules that a single setting cannot show: names that must exist, and settings that must differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stock_pipeline.lib.plain_text import SAFE_NAME
from stock_pipeline.settings.layers import KeyPath, did_you_mean
from stock_pipeline.sources.registry import SOURCES

if TYPE_CHECKING:
    from stock_pipeline.settings.feeds import FeedSettings
    from stock_pipeline.settings.model import Settings

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
