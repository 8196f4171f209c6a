"""What a Glue crawler makes of a listing: tables, partitions, and one schema out of many."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stock_pipeline.catalogue.shapes import crawled_name

#: Of two types with the same name the one that holds both.
_WIDER = {
    frozenset({"tinyint", "smallint"}): "smallint",
    frozenset({"tinyint", "int"}): "int",
    frozenset({"smallint", "int"}): "int",
    frozenset({"tinyint", "bigint"}): "bigint",
    frozenset({"smallint", "bigint"}): "bigint",
    frozenset({"int", "bigint"}): "bigint",
    frozenset({"float", "double"}): "double",
}


@dataclass(frozen=True)
class CrawlOptions:
    """What a crawler's definition asks for.

    Attributes:
        table_prefix: Put before a table's name.
        table_level: Number of path parts, the bucket's included, that make a table; None for the
            target itself.
    """

    table_prefix: str
    table_level: int | None

    @classmethod
    def of(cls, crawler: Mapping[str, Any]) -> CrawlOptions:
        """Read a crawler as GetCrawler answers it."""
        configuration = json.loads(crawler.get("Configuration") or "{}")
        level = configuration.get("Grouping", {}).get("TableLevelConfiguration")
        return cls(crawler.get("TablePrefix", ""), level)


@dataclass
class Found:
    """A table in a listing.

    Attributes:
        table: Its name in the catalogue.
        location: `s3://bucket/folder/`.
        partition_keys: (name, `string`) of its folder levels.
        partitions: Values of its folders.
        samples: (key, ETag) of the objects whose schema is read.
    """

    table: str
    location: str
    partition_keys: tuple[tuple[str, str], ...]
    partitions: frozenset[tuple[str, ...]] = frozenset()
    samples: list[tuple[str, str]] = field(default_factory=list)


def group(
    bucket: str,
    prefix: str,
    listed: Iterable[tuple[str, str]],
    target: Mapping[str, Any],
    options: CrawlOptions,
) -> list[Found]:
    """Tables below one target.

    Args:
        bucket: The target's bucket.
        prefix: The target's path in it.
        listed: (key, ETag) of the objects below the prefix, in key order.
        target: The S3 target: its `Exclusions` and `SampleSize` count.
        options: Of the crawler.
    """
    exclusions = target.get("Exclusions", [])
    folders: dict[tuple[str, ...], dict[tuple[str, ...], list[tuple[str, str]]]] = {}
    level = options.table_level - 1 if options.table_level else len(_parts(prefix))
    for key, etag in listed:
        if excluded(key.removeprefix(prefix), exclusions) or key.endswith("/"):
            continue
        parts = tuple(key.split("/"))
        if len(parts) <= level:
            continue
        root, below = parts[:level], parts[level:-1]
        folders.setdefault(root, {}).setdefault(below, []).append((key, etag))
    size = target.get("SampleSize")
    tables = []
    for root, leaves in folders.items():
        deepest = max(leaves, key=len)
        keys = tuple((_key_name(part, n), "string") for n, part in enumerate(deepest))
        partitions = frozenset(tuple(_value(p) for p in leaf) for leaf in leaves if leaf)
        tables.append(
            Found(
                options.table_prefix + crawled_name(root[-1]),
                f"s3://{bucket}/{'/'.join(root)}/",
                keys,
                partitions,
                [sample for leaf in leaves.values() for sample in leaf[-size if size else 0 :]],
            )
        )
    return tables


def excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path relative to the target matches one of Glue's glob patterns."""
    return any(_matches(path, pattern) for pattern in patterns)


def merge_columns(
    schemas: Iterable[tuple[tuple[str, str], ...]],
) -> tuple[tuple[str, str], ...]:
    """One schema that reads all: every column in order of appearance, with the wider type.

    Raises:
        ValueError: Two files have a column with types of which neither holds the other.
    """
    merged: dict[str, str] = {}
    for schema in schemas:
        for name, kind in schema:
            known = merged.setdefault(name, kind)
            if known != kind:
                wider = _WIDER.get(frozenset({known, kind}))
                if wider is None:
                    raise ValueError(f"column {name} is {known} in one file and {kind} in another.")
                merged[name] = wider
    return tuple(merged.items())


def _matches(path: str, pattern: str) -> bool:
    """Glob with `*` inside a folder and `**` across folders."""
    return _match_parts(path.split("/"), pattern.split("/"))


def _match_parts(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_match_parts(parts[n:], patterns[1:]) for n in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatch.fnmatchcase(parts[0], patterns[0])
        and _match_parts(parts[1:], patterns[1:])
    )


def _parts(prefix: str) -> list[str]:
    return [part for part in prefix.split("/") if part]


def _key_name(folder: str, level: int) -> str:
    return folder.split("=", 1)[0].lower() if "=" in folder else f"partition_{level}"


def _value(folder: str) -> str:
    return folder.split("=", 1)[1] if "=" in folder else folder
