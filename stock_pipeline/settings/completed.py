"""Settings that were built without their secrets, and the same with them."""

from __future__ import annotations

from typing import TypeVar

from stock_pipeline.settings.sections.section import Section

AnySection = TypeVar("AnySection", bound=Section)


def completed(mine: AnySection, built_from: AnySection, whole: AnySection) -> AnySection:
    """A section with what it lacks.

    Args:
        mine: As it is configured now.
        built_from: As the graph was built, without the values of Secrets Manager.
        whole: With them.

    Returns:
        `whole` where `mine` has no value or still the one that it was built from, else `mine`.
    """
    update = {}
    for name in type(mine).model_fields:
        value, before, now = (getattr(section, name) for section in (mine, built_from, whole))
        if isinstance(value, Section):
            update[name] = completed(value, before, now)
        elif value is None or value == before:
            update[name] = now
    return mine.model_copy(update=update)
