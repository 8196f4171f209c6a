"""The sensor tick with four feeds and nothing to do."""

from __future__ import annotations

import statistics
import time

from benchmarks.figures import figure, tell
from benchmarks.local_stack import local_stack

BUDGET_MILLISECONDS = 400


def main() -> list[dict[str, object]]:
    """Median of 20 ticks after the first, which connects and probes the store."""
    with local_stack():
        import dagster as dg

        from stock_pipeline.definitions import build_definitions
        from stock_pipeline.settings import get_settings

        definitions = build_definitions(get_settings())
        sensor = definitions.resolve_sensor_def("plan_batches")
        resources = definitions.resources or {}
        needed = {key: resources[key] for key in sensor.required_resource_keys}
        instance = dg.DagsterInstance.ephemeral()
        seconds: list[float] = []
        cursor = None
        for _ in range(21):
            started = time.perf_counter()
            # As Dagster does, a tick makes the resources anew.
            with dg.build_sensor_context(
                instance=instance, cursor=cursor, resources=needed
            ) as context:
                result = sensor(context)
            seconds.append(time.perf_counter() - started)
            cursor = getattr(result, "cursor", None)
    milliseconds = round(statistics.median(seconds[1:]) * 1000, 1)
    return [
        figure("sensor tick, 4 feeds, nothing to do", milliseconds, "ms", most=BUDGET_MILLISECONDS)
    ]


if __name__ == "__main__":
    tell(main())
