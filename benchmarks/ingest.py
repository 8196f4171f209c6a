"""Kafka to decided Parquet: records a second inside the run, and the peak memory of the run."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

from benchmarks.figures import figure
from benchmarks.local_stack import local_stack
from stock_pipeline.kafka.clients import librdkafka_options
from stock_pipeline.settings import KafkaSettings, get_settings
from stock_pipeline.stack.apache_jars import ApacheKafkaUnavailableError

FEED = "stock_live_feed"
RECORDS = 500_000
#: Name and least records a second, by the setting `broker`.
BROKERS = {"embedded": ("embedded broker", 200_000), "apache": ("Apache Kafka", 300_000)}
BUDGET_MEGABYTES = 700


def produce(settings: KafkaSettings, topic: str, records: int) -> None:
    """Send `records` JSON trades of 100 bytes to partition 0."""
    from confluent_kafka import Producer

    producer = Producer(
        librdkafka_options(settings)
        | {
            "queue.buffering.max.messages": records,
            "linger.ms": 20,
        }
    )
    now = int(time.time() * 1000)
    for number in range(records):
        producer.produce(
            topic,
            b'{"symbol":"SIM-ALPHA","time":%d,"price":%.4f,"size":%3d,"trade_id":"%012d"}'
            % (now - (records - number) // 100, 100 + number % 977 / 100, number % 100, number),
            partition=0,
        )
        if number % 10_000 == 0:
            producer.poll(0)
    producer.flush()


def ingest_once() -> dict[str, float]:
    """Plan and ingest everything that waits, in this process; seconds, records, peak megabytes."""
    import dagster  # noqa: F401 - a run has it in memory too

    from stock_pipeline.ingest.planner import Planner
    from stock_pipeline.ingest.run import run_batch

    settings = get_settings()
    planner = Planner(settings)
    topic = settings.feeds[FEED].topic
    tick = planner.tick(FEED, planner.poll()[topic], lambda plan: [], force=True)  # noqa: ARG005
    started = time.perf_counter()
    for request in tick.requests:
        run_batch(planner, FEED, request.plan, request.attempt, "benchmark")
    return {
        "seconds": time.perf_counter() - started,
        "records": sum(request.plan.length for request in tick.requests),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> list[dict[str, object]]:
    """On each broker that this machine can run, best of three batches; memory is the worst."""
    figures: list[dict[str, object]] = []
    memory: list[float] = []
    for broker, (its_name, least) in BROKERS.items():
        try:
            batches = measure(broker)
        except ApacheKafkaUnavailableError as error:
            sys.stderr.write(f"Not measured on {its_name}: {error}\n")
            continue
        rate = max(batch["records"] / batch["seconds"] for batch in batches)
        memory += [batch["megabytes"] for batch in batches]
        name = f"ingest, {RECORDS:,} JSON trades of 100 bytes, {its_name}"
        figures.append(figure(name, round(rate), "records/s", least=least))
    most = figure("peak memory of an ingest run", round(max(memory)), "MB", most=BUDGET_MEGABYTES)
    return [*figures, most]


def measure(broker: str) -> list[dict[str, float]]:
    """Three batches, each ingested by a process of its own; as `ingest_once`."""
    batches: list[dict[str, float]] = []
    with local_stack(broker) as settings:
        for _ in range(3):
            produce(settings.kafka, settings.feeds[FEED].topic, RECORDS)
            answer = subprocess.run(
                [sys.executable, "-m", "benchmarks.ingest", "once"],
                check=True,
                capture_output=True,
                text=True,
            )
            batches.append(json.loads(answer.stdout.splitlines()[-1]))
    return batches


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ingest_once() if "once" in sys.argv else main()) + "\n")
