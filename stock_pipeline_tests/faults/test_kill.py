"""kill -9 of the run, the daemon and the code server at random, under load (I3, I4)."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from stock_pipeline.ingest.offsets import lag
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import project_root
from stock_pipeline.stack.ports import free_port
from stock_pipeline_tests.faults import killing
from stock_pipeline_tests.faults.load import repeating
from stock_pipeline_tests.faults.tally import TALLY
from stock_pipeline_tests.support.waiting import until

KILLS = int(os.environ.get("STOCK_PIPELINE_PROCESS_KILLS", "30"))
RECORDS_PER_SECOND = 100
FEEDS = {
    "trades": killing.FEEDS["trades"]
    | {
        "max_wait_seconds": 1,
        "min_records": 1000,
        "max_records": 2000,
        # A killed run is believed to live until its deadline.
        "deadline_seconds": 20,
    }
}


class Dagster:
    """A code server and a daemon, started again when they are gone, as the supervisor does."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.home = folder / "dagster"
        self.home.mkdir()
        config = (project_root() / "dagster.yaml").read_text(encoding="utf-8")
        (self.home / "dagster.yaml").write_text(config, encoding="utf-8")
        self.workspace = folder / "workspace.yaml"
        server = {"host": "localhost", "port": self.port, "location_name": "stock_pipeline"}
        self.workspace.write_text(
            yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8"
        )
        self.logs = (folder / "dagster.log").open("wb")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def keep_running(self) -> None:
        grpc = f"api grpc -m stock_pipeline.definitions -p {self.port} -h localhost"
        commands = {
            "code server": ["dagster", *grpc.split()],
            "daemon": ["dagster._daemon", "run", "-w", str(self.workspace)],
        }
        for name, (module, *arguments) in commands.items():
            if name not in self.processes or self.processes[name].poll() is not None:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", module, *arguments],
                    env=os.environ | {"DAGSTER_HOME": str(self.home)},
                    cwd=project_root(),
                    stdout=self.logs,
                    stderr=subprocess.STDOUT,
                )
                # A daemon that finds no code server looks again only after a minute.
                if name == "code server":
                    until(self._listens, "the code server", 120)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def run_workers(self) -> list[int]:
        """Processes of runs: children of the code server."""
        server = self.processes["code server"].pid
        # Listed by the thread that started them, and runs are started by gRPC's threads.
        pids: list[int] = []
        for children in Path(f"/proc/{server}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):  # A thread that has ended.
                pids += map(int, children.read_text().split())
        return [pid for pid in pids if b"spawn_main" in command_line(pid)]

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.kill()
            process.wait()
        self.logs.close()


def command_line(pid: int) -> bytes:
    """Command line of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.fixture
def dagster_processes(tmp_path: Path) -> Iterator[Dagster]:
    dagster = Dagster(tmp_path)
    yield dagster
    dagster.stop()


@pytest.mark.timeout(2700)
def test_killing_our_processes_at_random_loses_and_doubles_nothing(
    settings_for, lake: Lake, broker: str, dagster_processes: Dagster
):
    from confluent_kafka import Producer

    settings = settings_for(FEEDS, simulator={"feed": "trades", "enabled": False})
    topic = settings.feeds["trades"].topic
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 50})
    produced = 0

    def send(_: int) -> None:
        nonlocal produced
        for _ in range(RECORDS_PER_SECOND // 10):
            trade = {
                "symbol": "SIM-A",
                "time": int(time.time() * 1000),
                "price": 100,
                "size": 1,
                "trade_id": str(produced),
            }
            producer.produce(topic, json.dumps(trade), partition=produced % 2)
            produced += 1
        producer.poll(0)

    planner = Planner(settings)
    log = planner.logs["trades"]
    chance = random.Random(20261121)
    with repeating(send, seconds=0.1):
        dagster_processes.keep_running()
        until(lambda: log.state().decided_through >= 0, "a first decided batch", 300)
        killed = {"run": 0, "daemon": 0, "code server": 0}
        while sum(killed.values()) < KILLS:
            dagster_processes.keep_running()
            target = min(killed, key=lambda name: killed[name] + chance.random() * 4)
            if target == "run":
                until(lambda: bool(dagster_processes.run_workers()), "a run to kill", 300)
                # At any of its steps: a run lives about three seconds.
                time.sleep(chance.random() * 3)
                pids = dagster_processes.run_workers()
                if not pids:
                    continue
                try:
                    os.kill(chance.choice(pids), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            else:
                time.sleep(chance.random() * 3)
                dagster_processes.processes[target].kill()
                dagster_processes.processes[target].wait()
            killed[target] += 1
    producer.flush()
    dagster_processes.keep_running()

    def drained() -> bool:
        dagster_processes.keep_running()
        offsets = planner.poll()[topic]
        state = log.state()
        assert offsets is not None
        return not state.pending and not sum(lag(state, offsets).values())

    until(drained, "everything decided", 1800)
    seen: dict[int, list[int]] = {0: [], 1: []}
    trade_ids: list[str] = []
    for entry in lake_entries(lake, settings.aws.bucket, "bronze/trades/"):
        table = Lake(settings.aws).read_table(entry)[0]
        for partition, offset in zip(
            table["kafka_partition"].to_pylist(), table["kafka_offset"].to_pylist(), strict=True
        ):
            seen[partition].append(offset)
        trade_ids += table["trade_id"].to_pylist()
    offsets = planner.poll()[topic]
    assert offsets is not None
    for partition, found in seen.items():
        assert sorted(found) == list(range(offsets.partitions[partition].end))
    assert sorted(map(int, trade_ids)) == list(range(produced))
    TALLY.kills += sum(killed.values())
    TALLY.records += produced


def lake_entries(lake: Lake, bucket: str, prefix: str) -> list[str]:
    """Keys below a prefix of the test's bucket."""
    assert lake.bucket == bucket
    return [entry.key for entry in lake.list(prefix)]
