"""The sources by name; the module of each defines `SOURCE`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from stock_pipeline.lib.words import did_you_mean
from stock_pipeline.sources.errors import BadKeyError, RequestError
from stock_pipeline.sources.source import SourceContext

if TYPE_CHECKING:
    from stock_pipeline.settings import Settings
    from stock_pipeline.settings.sections.sources import SourceSettings
    from stock_pipeline.sources.source import Notice, Source, SourceKind

#: By name, as in `settings.sources.SOURCE_NAMES`, the module. Imported only when used.
SOURCES: dict[str, str] = {
    "alpha_vantage": "stock_pipeline.sources.vendors.alpha_vantage",
    "csv": "stock_pipeline.sources.files.csv_rows",
    "simulator": "stock_pipeline.sources.market.simulated",
    "yahoo": "stock_pipeline.sources.vendors.yahoo",
    "massive": "stock_pipeline.sources.vendors.massive",
    "finnhub": "stock_pipeline.sources.vendors.finnhub",
}


def source_kind(name: str) -> SourceKind:
    """The source of this name.

    Raises:
        RequestError: There is none.
    """
    if name not in SOURCES:
        near = did_you_mean(name, SOURCES)
        raise RequestError(f"There is no source {name!r}{near}; sources: {', '.join(SOURCES)}.")
    kind: SourceKind = import_module(SOURCES[name]).SOURCE
    return kind


def source_settings(settings: Settings, name: str) -> SourceSettings:
    """The user's settings of a source over the defaults of its module.

    Raises:
        RequestError: There is no such source.
    """
    defaults, given = source_kind(name).defaults, settings.sources.get(name)
    if given is None:
        return defaults
    return defaults.model_copy(update={key: getattr(given, key) for key in given.model_fields_set})


def key_problem(settings: Settings, name: str) -> str | None:
    """The sentence that says that a source needs a key and none is set; None where all is well.

    Raises:
        RequestError: There is no such source.
    """
    chosen = source_settings(settings, name)
    if not source_kind(name).needs_key or (chosen.api_key and chosen.api_key.get_secret_value()):
        return None
    return (
        f"Source {name} needs a key and none is set; nothing was fetched. Set"
        f" STOCK_PIPELINE__SOURCES__{name.upper()}__API_KEY in .env; docs/sources.md says how"
        " to get one."
    )


def open_source(
    settings: Settings,
    name: str,
    *,
    notify: Callable[[Notice], None],
    stop: threading.Event,
) -> Source:
    """A source, ready to be asked.

    Raises:
        RequestError: There is no such source.
        BadKeyError: It needs a key, and none is set.
    """
    if problem := key_problem(settings, name):
        raise BadKeyError(problem)
    chosen = source_settings(settings, name)
    context = SourceContext(chosen, settings.home, notify, stop, settings.simulator)
    return source_kind(name).open(context)
