"""A real `dagster dev` with a storage of its own, and what a person does to it in the UI."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from stock_pipeline.ingest.documents import Commit
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.stack.children import dagster_process, ui_is_ready
from stock_pipeline.stack.code_location import reload_unreachable_locations
from stock_pipeline.stack.ports import free_port
from stock_pipeline.stack.processes import ProcessSpec
from stock_pipeline.stack.provision import ensure_bucket, ensure_topics
from stock_pipeline.stack.supervisor import Supervisor
from stock_pipeline_tests.support.fault_kinds import hook
from stock_pipeline_tests.support.proxy import FaultProxy
from stock_pipeline_tests.support.waiting import until

LOCATION = """{ workspaceOrError { ... on Workspace { locationEntries {
  locationOrLoadError { __typename } } } } }"""
TERMINATE = """mutation ($run: String!) { terminateRun(runId: $run) {
  __typename ... on TerminateRunFailure { message } } }"""
RELOAD = """mutation { reloadRepositoryLocation(repositoryLocationName: "stock_pipeline") {
  __typename } }"""

#: What the tests need faster or wider than people do.
INSTANCE = {
    "run_monitoring": {"poll_interval_seconds": 1},
    "concurrency": {
        "runs": {"max_concurrent_runs": 10},
        "pools": {"granularity": "run", "default_limit": 10},
    },
}


#: Dagster starts processes for whatever it does: on a busy machine that takes minutes.
patiently = partial(until, seconds=400)


@dataclass
class Hold:
    """A request that waits at the proxy: who sent it stands between two of its steps."""

    arrived: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def wait(self, _: object) -> None:
        """Called by the proxy."""
        self.arrived.set()
        self.let_go.wait(300)


def hold(proxy: FaultProxy, operation: str, key: str, *, after: bool = False) -> Hold:
    """Hold every such request, before or after the store has it: a client soon sends it again."""
    held = Hold()
    fault = hook(after=held.wait) if after else hook(before=held.wait)
    proxy.add(fault, operation=operation, key=key)
    return held


@contextmanager
def shared_settings(
    folder: Path, feeds: Mapping[str, Mapping[str, Any]], **sections: Any
) -> Iterator[Settings]:
    """Settings that several tests share, with the bucket and the topics that they name."""
    unique = folder.name.replace("_", "-")[-30:]
    data = {
        "feeds": {n: {"topic": f"{n}-{unique}", "source": n, **f} for n, f in feeds.items()},
        "aws": {"bucket": f"lake-{unique}"},
        "simulator": {"enabled": False, "feed": next(iter(feeds))},
        **sections,
    }
    config = folder / "app_config.yaml"
    config.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCK_PIPELINE_CONFIG", str(config))
        get_settings.cache_clear()
        settings = get_settings()
        ensure_bucket(settings.aws)
        topics = {f.topic: (f.partitions, f.retention_minutes) for f in settings.feeds.values()}
        ensure_topics(settings.kafka, topics)
        yield settings
    get_settings.cache_clear()


class RunningDagster:
    """`dagster dev` under the supervisor of `stock-pipeline dev`."""

    def __init__(self, folder: Path, settings: Settings, environment: Mapping[str, str]) -> None:
        """Describe it; `start` starts it.

        Args:
            folder: For its storage and logs.
            settings: Of its feeds.
            environment: Added to ours.
        """
        self.settings = settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.supervisor = Supervisor(folder / "logs", lambda _: None)
        # Beside other tests its code server takes its time.
        spec = dagster_process(folder, self.port, environment)
        self.spec: ProcessSpec = replace(spec, ready_seconds=400)
        self.home = folder / "dagster"
        config = self.home / "dagster.yaml"
        instance = yaml.safe_load(config.read_text(encoding="utf-8"))
        for section, changes in INSTANCE.items():
            instance[section] |= changes
        config.write_text(yaml.safe_dump(instance), encoding="utf-8")
        self.lake = Lake(settings.aws)
        self.logs = {name: OffsetLog(self.lake, name) for name in settings.feeds}

    def start(self) -> None:
        """Start it and wait until it has loaded our code."""
        self.supervisor.start(self.spec)
        patiently(self.code_is_loaded, "the code location")

    def stop(self) -> None:
        """Stop it and all that it has started."""
        self.supervisor.stop_all()

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the web server, as the UI does."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        assert found.get("data"), found
        return found["data"]

    def code_is_loaded(self) -> bool:
        """Whether the UI shows our code location without an error."""
        if not ui_is_ready(self.url):
            return False
        entries = self.graphql(LOCATION)["workspaceOrError"]["locationEntries"]
        kinds = [entry["locationOrLoadError"] for entry in entries]
        return kinds == [{"__typename": "RepositoryLocation"}]

    def keep_running(self) -> None:
        """What `stock-pipeline dev` does twice a second."""
        self.supervisor.check()
        reload_unreachable_locations(self.url)

    def terminate(self, run_id: str) -> None:
        """Press "Terminate"."""
        answer = self.graphql(TERMINATE, run=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def processes_of(self, command: str) -> list[int]:
        """The processes of this Dagster whose command line contains the text."""
        session = str(self.supervisor.child("dagster").pid)
        found = subprocess.run(["pgrep", "-s", session, "-f", command], capture_output=True)
        return [int(pid) for pid in found.stdout.split()]

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Its storage, as it is now."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def runs(self, **tags: str) -> list[dg.RunRecord]:
        """Runs with tags `stock_pipeline/...`, oldest first."""
        wanted = {f"stock_pipeline/{name}": value for name, value in tags.items()}
        with self.instance() as instance:
            return list(instance.get_run_records(dg.RunsFilter(tags=wanted), ascending=True))

    def status(self, run_id: str) -> str:
        """Status of a run, "" when the storage does not know it."""
        with self.instance() as instance:
            run = instance.get_run_by_id(run_id)
        return run.status.value if run else ""

    def pid_of(self, run_id: str) -> int:
        """Process of a run, as its events say."""
        with self.instance() as instance:
            for event in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
                pid = event.get_dagster_event().engine_event_data.metadata.get("pid")
                if pid is not None:
                    return int(str(pid.value))
        raise AssertionError(f"run {run_id} names no process")

    def said_of(self, run_id: str) -> str:
        """All messages of a run's events."""
        with self.instance() as instance:
            return "\n".join(event.message or "" for event in instance.all_logs(run_id))

    def is_drained(self, feed: str, records: int) -> bool:
        """Whether the feed's partition 0 is decided up to that offset, with nothing pending.

        Also does what the supervisor does meanwhile.
        """
        self.keep_running()
        state = self.logs[feed].state()
        return not state.pending and state.next_offsets.get(0, 0) >= records

    def commits(self, feed: str) -> list[Commit]:
        """The feed's index entries."""
        return list(OffsetLog(self.lake, feed).commits())

    def keys(self, prefix: str) -> list[str]:
        """Keys below a prefix."""
        return [entry.key for entry in self.lake.list(prefix)]


@contextmanager
def running_dagster(
    proxy: FaultProxy,
    environment: Mapping[str, str],
    folder: Path,
    feeds: Mapping[str, Mapping[str, Any]],
    **sections: Any,
) -> Iterator[RunningDagster]:
    """One that several tests share; its AWS emulator is behind the proxy."""
    changed = {"STOCK_PIPELINE_HOME": str(folder), "STOCK_PIPELINE__AWS__ENDPOINT_URL": proxy.url}
    with shared_settings(folder, feeds, **sections) as settings:
        dagster = RunningDagster(folder, settings, {**environment, **changed})
        try:
            dagster.start()
            yield dagster
        finally:
            dagster.stop()


def offsets_by_object(dagster: RunningDagster, feed: str) -> list[int]:
    """Offsets of partition 0 that readers of bronze and quarantine see."""
    keys = dagster.keys(f"bronze/{feed}/") + dagster.keys(f"quarantine/{feed}/")
    tables = [dagster.lake.read_table(key)[0] for key in keys]
    return sorted(offset for table in tables for offset in table["kafka_offset"].to_pylist())
