"""Feeds of the tests that share one Dagster: one for each case, so that none meets another."""

from __future__ import annotations

import os

#: Where a run is when it is cancelled: request and key, before or after the store.
ALL_STEPS = {
    "before-reading": ("(Get|Head)Object", "bronze/{feed}/", False),
    "before-rejects": ("PutObject", "_quarantine_attempts/{feed}/", False),
    "after-rejects": ("PutObject", "_quarantine_attempts/{feed}/", True),
    "before-decision": ("PutObject", "bronze/{feed}/", False),
    "after-decision": ("PutObject", "bronze/{feed}/", True),
    "before-showing": ("CopyObject", "quarantine/{feed}/", False),
    "after-showing": ("CopyObject", "quarantine/{feed}/", True),
    "before-commit": ("PutObject", "_offset_log/{feed}/commit/", False),
    "after-commit": ("PutObject", "_offset_log/{feed}/commit/", True),
}
#: After one request and before the next is the same place: the short form leaves these out.
LONG = {"after-rejects", "before-showing", "after-showing"}
ALL = os.environ.get("STOCK_PIPELINE_CANCEL_STEPS") == "all"
#: Where the batch is decided already.
DECIDED = list(ALL_STEPS)[list(ALL_STEPS).index("after-decision") :]
STEPS = {name: step for name, step in ALL_STEPS.items() if ALL or name not in LONG}
ENDED = ("refreshed", "deadline", "reloaded", "killed-server")
FEED = {
    "format": "trade",
    "calendar": "24/7",
    "min_records": 1,
    "max_wait_seconds": 0,
    "deadline_seconds": 120,
}
#: Of `make test`: one run, cancelled before its decision.
SMOKE = "smoke"
#: Of the tests of Dagster's storage.
STORED = ("locked", "deleted")
FEEDS = (
    dict.fromkeys((SMOKE, *STEPS, *ENDED), FEED)
    | {"deadline": FEED | {"deadline_seconds": 10}}
    | dict.fromkeys(STORED, FEED | {"deadline_seconds": 60})
)
