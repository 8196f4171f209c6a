"""The sensor, tick by tick, and the runs that it asks for: here or in processes of their own.

`python -m stock_pipeline_tests.faults.ticks <file>` is such a process: one run, as the file says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from stock_pipeline.defs.ingest.attempts import FEED_TAG
from stock_pipeline.settings import get_settings, project_root
from stock_pipeline_tests.support.location import location


@dataclass(frozen=True)
class Ended:
    """How a run's process ended, and the most memory that it held (bytes)."""

    code: int
    peak_bytes: int


class Ticks:
    """The sensor and the runs that it asks for, on an instance of their own."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        #: Lag of each topic at its last observation.
        self.lags: dict[str, int] = {}
        #: What the last tick said.
        self.sentence = ""
        #: Last result of each check of each topic, as the UI shows it.
        self.checks: dict[str, dict[str, dg.AssetCheckEvaluation]] = {}

    def tick(self) -> list[dg.RunRequest]:
        """One tick."""
        result = location().plan_batches(self.instance, self.cursor)
        self.cursor = result.cursor
        self.sentence = str(result.skip_reason.skip_message) if result.skip_reason else ""
        for event in result.asset_events:
            if isinstance(event, dg.AssetCheckEvaluation):
                self.checks.setdefault(event.asset_key.path[1], {})[event.check_name] = event
            elif isinstance(event, dg.AssetObservation):
                self.lags[event.asset_key.path[1]] = int(str(event.metadata["lag"].value))
        return list(result.run_requests or [])

    def run(self, request: dg.RunRequest) -> Any:
        """The run of a request."""
        name = request.tags[FEED_TAG]
        return location().ingest(
            name,
            instance=self.instance,
            run_config=request.run_config,
            tags=request.tags,
            raise_on_error=False,
        )

    def said(self, feed: str, check: str) -> str:
        """What a check of a feed's topic says; "" while it is green."""
        evaluation = self.checks[get_settings().feeds[feed].topic][check]
        assert evaluation.passed != bool(evaluation.description)
        return evaluation.description or ""

    def run_in_process(self, request: dg.RunRequest, folder: Path) -> Ended:
        """The run of a request in a process of its own; the instance must be one of a folder."""
        order = folder / f"{request.run_key}.json"
        what = {
            "home": self.instance.root_directory,
            "config": request.run_config,
            "tags": dict(request.tags),
        }
        order.write_text(json.dumps(what), encoding="utf-8")
        with order.with_suffix(".log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", __name__, str(order)],
                cwd=project_root(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return Ended(child.returncode, usage.ru_maxrss * 1024)


def main(order: Path) -> int:
    """One run; 0 when it succeeded."""
    what = json.loads(order.read_text(encoding="utf-8"))
    name = what["tags"][FEED_TAG]
    (order.with_suffix(".pid")).write_text(str(os.getpid()), encoding="utf-8")
    with dg.DagsterInstance.local_temp(what["home"]) as instance:
        result = location().ingest(
            name,
            instance=instance,
            run_config=what["config"],
            tags=what["tags"],
            raise_on_error=False,
        )
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
