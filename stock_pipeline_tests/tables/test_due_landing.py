"""The due rule with landed history among the inputs."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from stock_pipeline.lib.schemas import BARS_DAILY_TABLE, BARS_INTRADAY_TABLE, TABLES
from stock_pipeline.tables.due import Landing, Made, due, key_of
from stock_pipeline.tables.made_from import MadeFrom

DEFINITIONS = {table.name: "d1" for table in TABLES.values()}
PLACES = [
    (BARS_DAILY_TABLE.name, "2023"),
    (BARS_DAILY_TABLE.name, "2024"),
    (BARS_INTRADAY_TABLE.name, "2024-03-01"),
    (BARS_INTRADAY_TABLE.name, "2024-03-04"),
]
#: Per key the version and what it touches.
LANDED = st.dictionaries(
    st.sampled_from(["landing/a", "landing/b", "landing/c"]),
    st.tuples(st.integers(1, 3), st.frozensets(st.sampled_from(PLACES), min_size=1)),
)
VERSIONS = itertools.count()
Given = dict[str, tuple[int, frozenset[tuple[str, str]]]]


def landings(given_objects: Given) -> list[Landing]:
    return [
        Landing(key, f"{version}-{sorted(touches)}", touches)
        for key, (version, touches) in given_objects.items()
    ]


def make_all(given_objects: Given, objects: dict[str, Made]) -> set[tuple[str, str]]:
    """Make what is due, like a refresh run; what was made."""
    made = set()
    for table, partition, want in due([], objects, DEFINITIONS, None, landings(given_objects)):
        key = key_of(table, partition)
        made_from = MadeFrom(
            etags=dict(want.etags), state_before=want.state_before, definition=want.definition
        )
        objects[key] = Made(f"{key}-{next(VERSIONS)}", made_from)
        made.add((table.name, partition))
    return made


@given(LANDED)
def test_what_history_touches_is_made_once(landed: Given) -> None:
    objects: dict[str, Made] = {}
    touched = {place for _, touches in landed.values() for place in touches}
    assert touched <= make_all(landed, objects)
    assert make_all(landed, objects) == set()


@given(LANDED, LANDED)
def test_partitions_of_new_changed_and_deleted_objects_become_due_and_no_other_days(
    before: Given, after: Given
) -> None:
    objects: dict[str, Made] = {}
    make_all(before, objects)
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    touched = {
        place
        for world in (before, after)
        for key in changed & world.keys()
        for place in world[key][1]
    }
    made = make_all(after, objects)
    assert touched <= made
    days = {place for place in made if place[0] == BARS_INTRADAY_TABLE.name}
    assert days == {place for place in touched if place[0] == BARS_INTRADAY_TABLE.name}
    years = {partition for name, partition in made if name == BARS_DAILY_TABLE.name}
    assert years == {partition[:4] for _, partition in touched}
