"""A broker that stops, is killed, freezes, advertises a wrong address, or holds a transaction."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from stock_pipeline.doctor.kafka import kafka_findings
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.kafka.control import KafkaUnavailableError
from stock_pipeline.settings import KafkaSettings
from stock_pipeline.stack.apache import advertises_itself
from stock_pipeline.stack.ports import LOOPBACK, free_port
from stock_pipeline_tests.integration.apache.ledger import Load, ingest_until, ledger
from stock_pipeline_tests.support.apache_kafka import EAGER, QUICK_TO_FENCE, Node, require_apache
from stock_pipeline_tests.support.one_batch import ONE_PARTITION, decide, plan_one
from stock_pipeline_tests.support.trades import FEEDS, ingest_all, trade
from stock_pipeline_tests.support.waiting import until, wait_for_transactions

IMPATIENT = {"request_timeout_seconds": 5.0}


@pytest.fixture(scope="module")
def apache_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A broker that tests may kill; it runs again when they end."""
    require_apache()
    node = Node(tmp_path_factory.mktemp("node"), free_port(), properties=EAGER | QUICK_TO_FENCE)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def broker(apache_node: Node, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS", apache_node.address)
    return apache_node.address


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_what_a_broker_acknowledged_before_it_was_gone_is_read_once(
    settings_for, lake, broker, apache_node, how
):
    """Twice gone under load, while we ingest."""
    settings = settings_for(FEEDS, kafka=IMPATIENT)
    topic = settings.feeds["trades"].topic
    finished, failed = threading.Event(), threading.Event()

    def outages(load: Load) -> None:
        for outage in (1, 2):
            wanted = len(load.acknowledged) + 500 * outage
            until(lambda wanted=wanted: len(load.acknowledged) >= wanted, "records flow")
            (apache_node.kill if how == "killed" else apache_node.stop)()
            failed.clear()
            until(failed.is_set, "ingest meets the outage")
            apache_node.start()
        wanted = len(load.acknowledged) + 500
        until(lambda: len(load.acknowledged) >= wanted, "records flow again")
        load.finish()
        finished.set()

    with Load(broker, topic) as load:
        person = threading.Thread(target=outages, args=(load,))
        person.start()
        ingest_until(settings, finished.is_set, failed)
        person.join()
    load.assert_arrived(settings)


def test_a_frozen_broker_is_waited_for_and_the_batch_is_read_whole(
    settings_for, lake, broker, produce, apache_node
):
    settings = settings_for(ONE_PARTITION, kafka=IMPATIENT)
    topic = settings.feeds["trades"].topic
    produce(topic, [trade(n) for n in range(5_000)])
    planner = Planner(settings)
    request = plan_one(planner, topic)
    apache_node.signal(signal.SIGSTOP)
    try:
        with pytest.raises(KafkaUnavailableError, match="nothing is lost"):
            planner.poll()
        with pytest.raises(KafkaUnavailableError):
            decide(planner, request)
    finally:
        apache_node.signal(signal.SIGCONT)
        until(lambda: advertises_itself(apache_node.address), "the broker is back")
    ingest_until(settings, lambda: True)
    assert ledger(settings).accepted == [(0, offset) for offset in range(5_000)]


def test_a_broker_that_freezes_during_a_read_delays_it_and_loses_nothing(
    settings_for, lake, broker, produce, apache_node
):
    from stock_pipeline.kafka.control import RangeReader

    settings = settings_for(ONE_PARTITION, kafka=IMPATIENT)
    topic = settings.feeds["trades"].topic
    # More than one prefetch: a part is still with the broker when it freezes.
    payload = trade(1)[:-1] + b" " * 900_000 + b"}"
    produce(topic, [payload] * 150)
    reader = RangeReader(settings.kafka, topic)
    chunks = reader.read(0, 0, 150)
    offsets = next(chunks)["kafka_offset"].to_pylist()
    apache_node.signal(signal.SIGSTOP)
    thaw = threading.Timer(4, apache_node.signal, [signal.SIGCONT])
    thaw.start()
    try:
        for chunk in chunks:
            offsets += chunk["kafka_offset"].to_pylist()
    finally:
        thaw.join()
        reader.close()
        until(lambda: advertises_itself(apache_node.address), "the broker is back")
    assert offsets == list(range(150))


def test_a_hung_transaction_is_shown_and_read_when_it_ends(
    settings_for, lake, broker, produce, monkeypatch
):
    from confluent_kafka import Producer

    from stock_pipeline.defs.kafka import health
    from stock_pipeline.ingest.topics import health as topic_health

    monkeypatch.setattr(topic_health, "HUNG_OFFSETS", 1_000)
    settings = settings_for(ONE_PARTITION)
    feed = settings.feeds["trades"]
    hung = Producer({"bootstrap.servers": broker, "transactional.id": f"hung-{feed.topic}"})
    hung.init_transactions()
    hung.begin_transaction()
    hung.produce(feed.topic, trade(0), partition=0)
    hung.flush()
    produce(feed.topic, [trade(n) for n in range(1, 2_000)])
    planner = Planner(settings)
    offsets = planner.poll()[feed.topic]
    assert (offsets.partitions[0].end, offsets.partitions[0].high_watermark) == (0, 2_000)
    assert ingest_all(settings) == []
    checks = {
        result.check_name: result
        for result in health.check_results(feed, planner.logs["trades"].state(), offsets)
    }
    assert not checks["no_hung_transaction"].passed
    said = checks["no_hung_transaction"].description
    assert "readable up to 0, written up to 2000" in said
    hung.commit_transaction()
    wait_for_transactions(settings, feed.topic)
    ingest_all(settings)
    found = ledger(settings)
    assert found.accepted == [(0, offset) for offset in range(2_000)]
    assert found.total("holes") == 1


def test_doctor_says_that_the_advertised_address_cannot_be_reached(
    settings_for, apache_broker, tmp_path
):
    closed = free_port()
    node = Node(
        tmp_path,
        free_port(),
        properties={"advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{closed}"},
    )
    node.start()
    try:
        settings = settings_for().model_copy(
            update={"kafka": KafkaSettings(bootstrap_servers=node.address)}
        )
        (finding,) = [f for f in kafka_findings(settings) if f.name == "kafka listeners"]
        with pytest.raises(KafkaUnavailableError):
            Planner(settings).poll()
    finally:
        node.stop()
    assert finding.state == "failed"
    assert f"tell clients to connect to {LOOPBACK}:{closed}" in finding.answer
    assert "advertised.listeners" in finding.remedy
