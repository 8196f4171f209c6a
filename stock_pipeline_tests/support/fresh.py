"""What a code server keeps for its life, and a test must not find."""

from __future__ import annotations

from stock_pipeline.defs.ingest import sensor


def forget_planner() -> None:
    """Let the planning sensor make its connections anew."""
    for cache in (sensor._planner, sensor._watch, sensor._store_problems):
        cache.cache_clear()
