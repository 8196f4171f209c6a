"""Millions of records waiting, beside feeds that only ever fail.

A million in the short form; STOCK_PIPELINE_BACKLOG=10000000 for the long one. On Apache Kafka: the
embedded broker keeps everything in memory and gives it all in one answer.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.ingest import BUDGET_MEGABYTES, produce
from stock_pipeline.defs.ingest import sensor
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.stack.provision import ensure_topics
from stock_pipeline_tests.faults.calls import Call
from stock_pipeline_tests.faults.ticks import Ticks
from stock_pipeline_tests.support.fault_kinds import answer, hook
from stock_pipeline_tests.support.proxy import FaultProxy
from stock_pipeline_tests.support.trades import trade

BACKLOG = int(os.environ.get("STOCK_PIPELINE_BACKLOG", "1000000"))
MOST_RECORDS = BACKLOG // (10 if BACKLOG >= 5_000_000 else 3) + 1
FEED = {"format": "trade", "calendar": "24/7", "max_wait_seconds": 0}
#: In this order: what fails comes first in every tick.
FEEDS = {
    "a-missing-topic": FEED,
    "b-denied-log": FEED,
    "c-denied-bronze": FEED,
    "d-crashing": FEED,
    "e-backlog": FEED | {"max_records": MOST_RECORDS},
    "f-live": FEED,
}


@pytest.fixture
def ticks(tmp_path: Path) -> Iterator[Ticks]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Ticks(instance)


@pytest.mark.timeout(max(300, BACKLOG // 10_000))
def test_a_backlog_drains_in_bounded_batches_beside_live_feeds_and_feeds_that_fail(
    settings_for, lake, apache_broker, ticks, tmp_path, monkeypatch, ministack_endpoint
):
    from confluent_kafka import Producer

    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS", apache_broker)
    with FaultProxy(ministack_endpoint) as proxy:
        settings = settings_for(FEEDS)
        topics = {name: feed.topic for name, feed in settings.feeds.items()}
        ensure_topics(
            settings.kafka, {t: (1, 600) for n, t in topics.items() if "missing" not in n}
        )
        monkeypatch.setenv("STOCK_PIPELINE__AWS__ENDPOINT_URL", proxy.url)
        settings = settings_for(FEEDS)
        proxy.add(answer(403, "AccessDenied"), key="^_offset_log/b-denied-log/")
        proxy.add(
            answer(403, "AccessDenied"), operation="PutObject", key="^bronze/c-denied-bronze/"
        )

        def crash(_: Call) -> None:
            newest = max(tmp_path.glob("d-crashing-*.pid"), key=lambda f: f.stat().st_mtime)
            os.kill(int(newest.read_text()), signal.SIGKILL)

        proxy.add(hook(before=crash), operation="PutObject", key="^bronze/d-crashing/")
        live = Producer({"bootstrap.servers": apache_broker})
        for name in ("b-denied-log", "c-denied-bronze", "d-crashing"):
            live.produce(topics[name], trade(0))
        live.flush()
        # The producer's own queue holds a part at a time.
        for first in range(0, BACKLOG, 1_000_000):
            records = min(1_000_000, BACKLOG - first)
            produce(settings.kafka, topics["e-backlog"], records)

        lags: list[int] = []
        peaks: list[int] = []
        endings: dict[str, list[int]] = {}
        started, in_runs = time.monotonic(), 0.0
        sent = 0
        planner = Planner(settings)
        while not lags or lags[-1] or planner.logs["e-backlog"].state().pending:
            live.produce(topics["f-live"], trade(sent))
            live.flush()
            sent += 1
            for request in ticks.tick():
                feed = request.tags[sensor.FEED_TAG]
                began = time.monotonic()
                ended = ticks.run_in_process(request, tmp_path)
                endings.setdefault(feed, []).append(ended.code)
                if feed == "e-backlog":
                    peaks.append(ended.peak_bytes)
                    in_runs += time.monotonic() - began
            lags.append(ticks.lags[topics["e-backlog"]])
            # The live feed has what came before this tick.
            state = planner.logs["f-live"].state()
            assert (state.next_offsets[0], state.pending) == (sent, ())
        seconds = time.monotonic() - started

        commits = list(planner.logs["e-backlog"].commits())
    counts = [commit.decision.partitions[0] for commit in commits]
    assert sum(count.accepted for count in counts) == BACKLOG
    assert [count.start for count in counts] == [0, *(count.end for count in counts[:-1])]
    assert max(count.end - count.start for count in counts) <= MOST_RECORDS
    # Progress is visible: every tick said a smaller lag than the one before.
    assert lags == sorted(lags, reverse=True)
    assert len(set(lags)) > 1
    assert max(peaks) < BUDGET_MEGABYTES * 1024 * 1024
    # What fails is tried, with a pause, and not in the way of the others.
    assert set(endings["e-backlog"] + endings["f-live"]) == {0}
    assert set(endings["c-denied-bronze"]) == {1}
    assert set(endings["d-crashing"]) == {-signal.SIGKILL}
    assert "a-missing-topic" not in endings
    assert "b-denied-log" not in endings
    print(  # noqa: T201
        f"backlog: {BACKLOG:,} records in {len(counts)} batches, {BACKLOG / in_runs:,.0f}/s in runs"
        f" with their start, {BACKLOG / seconds:,.0f}/s in all, peak {max(peaks) / 2**20:,.0f} MB"
    )


def test_a_tick_names_every_feed_that_fails_and_why(
    settings_for, lake, broker, ticks, produce, monkeypatch, ministack_endpoint
):
    from kafka import KafkaAdminClient

    names = ("a-missing-topic", "b-denied-log", "c-damaged-log", "f-live")
    feeds = dict.fromkeys(names, FEED)
    with FaultProxy(ministack_endpoint) as proxy:
        settings_for(feeds)
        monkeypatch.setenv("STOCK_PIPELINE__AWS__ENDPOINT_URL", proxy.url)
        settings = settings_for(feeds)
        KafkaAdminClient(bootstrap_servers=broker).delete_topics(
            [settings.feeds["a-missing-topic"].topic]
        )
        proxy.add(answer(403, "AccessDenied"), key="^_offset_log/b-denied-log/")
        Planner(settings).lake.put("_offset_log/c-damaged-log/plan/000000000000.json", b"{")
        for _ in range(3):
            produce(settings.feeds["f-live"].topic, [trade(0)])
            (request,) = ticks.tick()
            assert request.tags[sensor.FEED_TAG] == "f-live"
            assert ticks.run(request).success
        assert ticks.tick() == []
    for name, said in {
        "a-missing-topic": "does not exist",
        "b-denied-log": "AccessDenied",
        "c-damaged-log": "000000000000.json",
        "f-live": "nothing waiting",
    }.items():
        (sentence,) = [s for s in ticks.sentence.split("; ") if s.startswith(f"{name}: ")]
        assert said in ticks.sentence[ticks.sentence.index(sentence) :]
