"""Rules between settings: names that must exist, and values that must differ."""

from __future__ import annotations

from collections.abc import Mapping

from stock_pipeline.lib.plain_text import SAFE_NAME
from stock_pipeline.lib.words import did_you_mean
from stock_pipeline.settings.errors import Problem
from stock_pipeline.settings.sections.feeds import FeedSettings
from stock_pipeline.settings.sections.sources import (
    SOURCE_NAMES,
    FetchSettings,
    HistorySettings,
    PollSettings,
    SourceSettings,
    StreamSettings,
)


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


def source_problems(sources: Mapping[str, SourceSettings]) -> list[Problem]:
    """Sections of `sources` whose name is no source."""
    return [
        (("sources", name), no_source(f"sources.{name}", name))
        for name in sources
        if name not in SOURCE_NAMES
    ]


def fetch_problems(
    polls: Mapping[str, PollSettings],
    streams: Mapping[str, StreamSettings],
    feeds: Mapping[str, FeedSettings],
) -> list[Problem]:
    """Rules of polls and streams: their names, and the names of their source and feed."""
    problems: list[Problem] = []
    sections: tuple[tuple[str, Mapping[str, FetchSettings]], ...] = (
        ("polls", polls),
        ("streams", streams),
    )
    for section, fetches in sections:
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
                ("source", fetch.source, SOURCE_NAMES),
                ("feed", fetch.feed, feeds),
            ):
                if value not in known:
                    near = did_you_mean(value, known)
                    sentence = (
                        f"{section}.{name}.{key} is no {key}{near}; {key}s: {', '.join(known)}."
                    )
                    problems.append(((*at, key), sentence))
    return problems


def history_problems(
    history: Mapping[str, HistorySettings],
    trade_feeds: Mapping[str, str],
) -> list[Problem]:
    """Rules of history: the source exists, something is fetched, and no bars clash with trades.

    Args:
        history: The settings by source.
        trade_feeds: Name of the feed of trades by its source.
    """
    problems: list[Problem] = []
    for name, wanted in history.items():
        at = ("history", name)
        if name not in SOURCE_NAMES:
            problems.append((at, no_source(f"history.{name}", name)))
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


def no_source(what: str, name: str) -> str:
    """The sentence that says that a setting names no source."""
    near = did_you_mean(name, SOURCE_NAMES)
    return f"{what} is no source{near}; sources: {', '.join(SOURCE_NAMES)}."
