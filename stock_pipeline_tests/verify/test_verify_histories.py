"""`verify` on lakes with an eventful past, and while the pipeline goes on: no false alarm."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from stock_pipeline.ingest.decode import DECODER_VERSION
from stock_pipeline.ingest.offset_log import OffsetLog
from stock_pipeline.ingest.offsets import adopt, plan_next
from stock_pipeline.ingest.planner import Planner, triggers_of
from stock_pipeline.ingest.rejects.rereads import requeue, supersede
from stock_pipeline.ingest.run import run_batch
from stock_pipeline.lake import layout
from stock_pipeline.stack.provision import ensure_topics
from stock_pipeline.verify.report import Kind
from stock_pipeline_tests.support.verified_lake import VerifiedLake, trade
from stock_pipeline_tests.support.waiting import wait_for_transactions

#: How often the lake is verified while it grows; more in a long run.
ROUNDS = int(os.environ.get("STOCK_PIPELINE_VERIFY_ROUNDS", "3"))

FEEDS = {"trades": {"format": "trade", "source": "trades", "calendar": "24/7", "partitions": 2}}


def now():
    return datetime.now(UTC).replace(tzinfo=None)


@pytest.fixture
def world(settings_for, ministack_endpoint, broker, produce, tmp_path):
    settings = settings_for(FEEDS, catalog={"method": "partitions"})
    lake = VerifiedLake(settings, tmp_path)
    lake.topic = settings.feeds["trades"].topic
    lake.send = lambda payloads, partition=0: produce(lake.topic, payloads, partition)
    lake.planner = Planner(settings, lake.lake)
    yield lake
    lake.planner.kafka.close()


def decide(world, plan):
    """Write a plan that the planner would not make by itself, and ingest it."""
    assert world.planner.logs["trades"].put_plan(plan)
    return run_batch(world.planner, "trades", plan, 1, "run")[0].commit.decision


def settle(world):
    world.refresh()
    world.catalogue.sync()


def plan_what_waits(world):
    """Plan and do not ingest."""
    settings = world.settings.feeds["trades"]
    plan = plan_next(
        world.planner.logs["trades"].state(),
        world.planner.poll()[world.topic],
        triggers_of(settings),
        topic=world.topic,
        decoder_version=DECODER_VERSION,
        now=now(),
        force=True,
    )
    assert world.planner.logs["trades"].put_plan(plan)
    return plan


def test_holes_losses_replays_and_an_adoption_are_no_damage(world, broker):
    from confluent_kafka import Producer
    from kafka import KafkaAdminClient

    world.send([trade(n) for n in range(10)] + [b"{", trade(11, price=-1)])
    world.ingest("trades")
    producer = Producer({"bootstrap.servers": broker, "transactional.id": f"tx-{world.topic}"})
    producer.init_transactions()
    for commit in (False, True):
        producer.begin_transaction()
        for number in range(3):
            producer.produce(world.topic, trade(20 + number), partition=1)
        producer.flush()
        (producer.commit_transaction if commit else producer.abort_transaction)()
    wait_for_transactions(world.settings, world.topic)
    world.ingest("trades")
    settle(world)
    log, topic = world.planner.logs["trades"], world.topic
    options = {"decoder_version": "2", "now": now()}

    old = log.commit_of(0).decision
    again = decide(world, supersede(log.state(), old, world.planner.poll()[topic], **options))
    assert again.supersedes == (0,)
    came_back = decide(world, requeue(log.state(), again, {0: [10]}, **options))
    assert came_back.rejects == 1

    # Planned, then removed by retention before it was read.
    world.send([trade(40 + n) for n in range(6)])
    plan = plan_what_waits(world)
    world.planner.kafka.delete_records(topic, {0: plan.ranges[0].end - 2})
    lost = run_batch(world.planner, "trades", plan, 1, "run")[0].commit.decision
    assert lost.partitions[0].lost == 4
    settle(world)

    report = world.verify()
    assert report.findings == []
    by_partition = {e.partition: e for e in report.ledgers}
    assert (by_partition[0].accepted, by_partition[0].rejected, by_partition[0].lost) == (12, 2, 4)
    assert by_partition[1].holes >= 3
    assert any("no longer whole in Kafka" in c.sentence for c in report.checks)

    KafkaAdminClient(bootstrap_servers=broker).delete_topics([topic])
    ensure_topics(world.settings.kafka, {topic: (2, 60)})
    world.send([trade(n) for n in range(100, 103)])
    changed = world.verify()
    assert [f.kind for f in changed.findings] == [Kind.TOPIC_CHANGED]
    plan = adopt(
        log.state(),
        world.planner.poll()[topic],
        topic=topic,
        decoder_version=DECODER_VERSION,
        now=now(),
    )
    assert log.put_plan(plan)
    world.ingest("trades")
    settle(world)
    report = world.verify()
    assert report.findings == []
    assert {e.incarnation for e in report.ledgers} == {1, 2}
    assert all(e.balanced for e in report.ledgers)


def test_a_batch_in_flight_is_told_and_no_damage(world):
    world.send([trade(n) for n in range(10)])
    world.ingest("trades")
    settle(world)
    world.send([trade(n) for n in range(10, 15)])
    plan = plan_what_waits(world)
    report = world.verify()
    assert report.findings == []
    assert report.ledgers[0].in_flight == 5
    assert report.ledgers[0].balanced
    assert any(f"not decided: {plan.seq}" in note for note in report.notes)


def test_a_batch_that_silver_absorbed_and_that_left_no_trace_is_found(world):
    for n in range(2):
        world.send([trade(10 * n)])
        world.ingest("trades")
    settle(world)
    commit = world.commit("trades", 1)
    world.lake.delete(layout.commit_key("trades", 1))
    world.lake.delete(commit.decision.object_key)
    (finding,) = world.verify().findings
    assert (finding.kind, finding.batch) == (Kind.MISSING_COMMIT, 1)
    assert "commit and object are gone" in finding.sentence


def test_superseding_a_damaged_batch_mends_it(world):
    for n in range(2):
        world.send([trade(10 * n + i) for i in range(5)])
        world.ingest("trades")
    settle(world)
    world.lake.delete(world.commit("trades", 1).decision.object_key)
    found = {f.kind for f in world.verify().findings}
    assert found == {Kind.MISSING_OBJECT, Kind.NOT_COMPARED}
    log = world.planner.logs["trades"]
    old, offsets = log.commit_of(1).decision, world.planner.poll()[world.topic]
    decide(world, supersede(log.state(), old, offsets, decoder_version="2", now=now()))
    settle(world)
    report = world.verify()
    assert report.findings == []
    assert any("Batch 2 took its place." in note for note in report.notes)


def test_rejects_that_are_gone_changed_or_nobodys_are_found(world):
    world.send([trade(0), b"{"])
    world.ingest("trades")
    settle(world)
    key = world.commit("trades", 0).decision.quarantine_key
    with world.damaged():
        world.lake.delete(key)
        found = {(f.kind, f.place) for f in world.verify().findings}
        assert (Kind.MISSING_OBJECT, key) in found
        # The only object of its date: the partition left the lake with it.
        assert {kind for kind, _ in found} == {Kind.MISSING_OBJECT, Kind.STALE_CATALOGUE}
    with world.damaged():
        body = bytearray(world.lake.get(key)[0])
        body[len(body) // 3] ^= 0xFF
        world.lake.put(key, bytes(body))
        (finding,) = world.verify().findings
        assert (finding.kind, finding.place) == (Kind.CHANGED_OBJECT, key)
    with world.damaged():
        stray = key.replace("000000.parquet", "000000-2.parquet")
        world.lake.put(stray, world.lake.get(key)[0])
        (finding,) = world.verify().findings
        assert (finding.kind, finding.place) == (Kind.FOREIGN_OBJECT, stray)


def test_dates_limit_what_is_compared_and_the_chain_still_holds(world):
    days = [now() - timedelta(days=n) for n in (2, 1, 0)]
    for n, day in enumerate(days):
        world.send([trade(10 * n)])
        plan = plan_next(
            world.planner.logs["trades"].state(),
            world.planner.poll()[world.topic],
            triggers_of(world.settings.feeds["trades"]),
            topic=world.topic,
            decoder_version=DECODER_VERSION,
            now=day,
            force=True,
        )
        decide(world, plan)
    settle(world)
    report = world.verify(first=days[1].date(), last=days[1].date())
    assert report.findings == []
    assert [(e.start, e.end) for e in report.ledgers] == [(1, 2)]
    # Damage outside of the dates is another night's; damage of the chain at their edge is found.
    world.lake.delete(world.commit("trades", 0).decision.object_key)
    commit = world.commit("trades", 1)
    world.catalogue.sync()
    kinds = {f.kind for f in world.verify(first=days[1].date(), last=days[1].date()).findings}
    assert kinds == {Kind.NOT_COMPARED}  # Silver's day was made from all three.
    moved = {0: commit.decision.plan.ranges[0].model_copy(update={"start": 0})}
    plan = commit.decision.plan.model_copy(update={"ranges": moved})
    world.lake.put(layout.plan_key("trades", 1), plan.model_dump_json().encode())
    kinds = {f.kind for f in world.verify(first=days[1].date()).findings}
    assert Kind.OVERLAP in kinds


def test_nothing_is_blamed_while_the_pipeline_goes_on(world):
    world.send([trade(n) for n in range(50)])
    world.ingest("trades")
    settle(world)
    stop, failures = threading.Event(), []

    def go_on():
        try:
            n = 100
            while not stop.is_set():
                world.send([trade(n + i) for i in range(20)] + [b"{"], n // 100 % 2)
                world.ingest("trades")
                world.refresh()
                n += 100
        except Exception as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for _ in range(ROUNDS):
            report = world.verify(grace_seconds=300.0, settle_seconds=60.0, athena=False)
            assert report.findings == []
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert OffsetLog(world.lake, "trades").state().next_seq > 2
    settle(world)
    assert world.verify().findings == []
