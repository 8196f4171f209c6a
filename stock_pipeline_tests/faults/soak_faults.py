"""`make soak-faults`: the pipeline is killed, and its store fails, at random for an hour.

In epochs of a few minutes, each with a topic and a lake of its own: records keep coming while the
steps of the pipeline are killed before or after requests of theirs, and requests are refused, cut,
delayed or left without an answer. Then everything is mended, and every offset and every value are
compared with a run without faults. Writes docs/measurements/soak_faults.json after each epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from benchmarks.local_stack import local_stack
from benchmarks.machine import machine
from stock_pipeline.settings import Settings, project_root
from stock_pipeline.stack.provision import ensure_bucket, ensure_topics, ensure_workgroup
from stock_pipeline_tests.faults.killing import FEEDS, RandomKills, payloads, run_all
from stock_pipeline_tests.faults.load import repeating
from stock_pipeline_tests.faults.tally import TALLY
from stock_pipeline_tests.faults.truth import (
    assert_every_offset_once,
    assert_lost_and_doubled_nothing,
)
from stock_pipeline_tests.support.fault_kinds import PASSING
from stock_pipeline_tests.support.proxy import FaultProxy

ROOT = project_root()
TOPIC = "trades"


def main() -> int:
    """Run epochs until the time is over; exit code 1 when anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--epoch", type=float, default=5.0, help="minutes of an epoch (default 5)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "measurements")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    started = time.monotonic()
    ends = started + options.minutes * 60
    chance = random.Random(options.seed)
    errors: Counter[str] = Counter()
    problem = ""
    with (
        tempfile.TemporaryDirectory(prefix="stock_pipeline_soak_") as folder,
        faulty(folder) as base,
    ):
        for epoch in count():
            seconds = min(options.epoch * 60, ends - time.monotonic())
            if stop.is_set() or (epoch and seconds < 30):
                break
            try:
                errors += disturb(base, epoch, seconds, chance, stop, Path(folder))
            except AssertionError as error:
                problem = str(error) or "a check failed"
            minutes = (time.monotonic() - started) / 60
            write(options.output, minutes, epoch + 1, options.seed, errors, problem)
            sys.stdout.write(f"{minutes:.1f} min, {epoch + 1} epochs: {TALLY.sentence()}\n")
            sys.stdout.flush()
            if problem:
                break
    if problem:
        sys.stderr.write(f"seed {options.seed}: {problem}\n")
    return 1 if problem else 0


@contextmanager
def faulty(folder: str) -> Iterator[Settings]:
    """A local stack with one feed."""
    config = Path(folder) / "app_config.yaml"
    feeds = {"trades": FEEDS["trades"] | {"topic": TOPIC}}
    config.write_text(
        yaml.safe_dump({"feeds": feeds, "simulator": {"feed": "trades", "enabled": False}}),
        encoding="utf-8",
    )
    os.environ["STOCK_PIPELINE_CONFIG"] = str(config)
    with local_stack() as settings:
        yield settings


def disturb(
    base: Settings,
    epoch: int,
    seconds: float,
    chance: random.Random,
    stop: threading.Event,
    folder: Path,
) -> Counter[str]:
    """One epoch on a topic and a lake of its own; what failed stages said.

    Raises:
        AssertionError: Something was lost, doubled or is not as without faults.
    """
    feed = base.feeds["trades"].model_copy(update={"topic": f"{TOPIC}-{epoch}"})
    settings = base.model_copy(
        update={
            "feeds": {"trades": feed},
            "aws": base.aws.model_copy(
                update={"bucket": f"lake-{epoch}", "request_timeout_seconds": 5.0}
            ),
            "catalog": base.catalog.model_copy(
                update={"database": f"db_{epoch}", "method": "partitions"}
            ),
            "athena": base.athena.model_copy(update={"workgroup": f"wg_{epoch}"}),
        }
    )
    ensure_topics(settings.kafka, {feed.topic: (feed.partitions, feed.retention_minutes)})
    ensure_bucket(settings.aws)
    ensure_workgroup(settings)
    here = folder / str(epoch)
    here.mkdir()
    assert settings.aws.endpoint_url
    with FaultProxy(settings.aws.endpoint_url) as proxy:
        killer = RandomKills(settings, here, proxy, chance, PASSING.values())
        ends = time.monotonic() + seconds
        with producing(settings):
            for rounds in count(1):
                killer.round()
                if rounds % 10 == 0:
                    assert_every_offset_once(settings, drained=False)
                if time.monotonic() > ends or stop.is_set():
                    break
        run_all(settings, here, proxy)
    assert_lost_and_doubled_nothing(settings, here)
    return killer.errors


@contextmanager
def producing(settings: Settings) -> Iterator[None]:
    """About twenty records a second, a new trade date every few seconds."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    topic = settings.feeds["trades"].topic

    def send(number: int) -> None:
        for payload in payloads(number // 50 % 300, number, count=4):
            producer.produce(topic, payload, partition=number % 2)
        producer.poll(0)

    with repeating(send, seconds=0.4):
        yield
    producer.flush()


def write(
    output: Path, minutes: float, epochs: int, seed: int, errors: Counter[str], problem: str
) -> None:
    """The figures so far."""
    report: dict[str, Any] = {
        "machine": machine(),
        "minutes": round(minutes, 1),
        "epochs": epochs,
        "seed": seed,
        "kills": TALLY.kills,
        "faults": TALLY.faults,
        "records": TALLY.records,
        "lost": TALLY.lost,
        "doubled": TALLY.doubled,
        "runs_that_failed_and_said": dict(errors.most_common()),
        "problem": problem,
    }
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1) + "\n"
    (output / "soak_faults.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
