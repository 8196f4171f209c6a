"""Three brokers: one that led is lost, and an election that forgets acknowledged records."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from stock_pipeline.ingest.identity import TopicChangedError
from stock_pipeline.ingest.planner import Planner
from stock_pipeline.kafka.control import KafkaUnavailableError
from stock_pipeline.kafka.offsets import TopicOffsets
from stock_pipeline_tests.integration.apache.ledger import Load, ingest_until, ledger
from stock_pipeline_tests.support.apache_kafka import Cluster, alter_topic, require_apache
from stock_pipeline_tests.support.one_batch import decide, plan_one
from stock_pipeline_tests.support.trades import FEEDS, ingest_all, trade
from stock_pipeline_tests.support.waiting import until


@pytest.fixture(scope="module")
def apache_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers; tests that stop some start them again."""
    require_apache()
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def broker(apache_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    servers = apache_cluster.bootstrap_servers
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS", servers)
    return servers


def make_topic(broker: str, topic: str, replicas: list[list[int]], **configs: str) -> None:
    """A topic with these brokers per partition, the first preferred to lead."""
    from confluent_kafka.admin import AdminClient, NewTopic

    new = NewTopic(topic, len(replicas), replica_assignment=replicas, config=configs)
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    admin.create_topics([new])[topic].result(60)


def knows(server: str, topic: str) -> bool:
    """Whether this broker, not only another one, tells clients who leads the topic."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": server, "log_level": 0})
    topics = admin.list_topics(timeout=30).topics
    return topic in topics and all(p.leader >= 0 for p in topics[topic].partitions.values())


def replaced(settings: object, broker: str, replicas: list[list[int]], **configs: str) -> str:
    """The topic that `settings_for` made, made again with these replicas."""
    from stock_pipeline_tests.support.one_batch import delete

    topic = settings.feeds["trades"].topic  # type: ignore[attr-defined]
    delete(broker, topic)
    make_topic(broker, topic, replicas, **configs)
    for server in broker.split(","):
        until(lambda server=server: knows(server, topic), f"{server} knows the topic")
    return str(topic)


@pytest.mark.timeout(900)
def test_a_leader_that_is_lost_under_load_costs_no_record(
    settings_for, lake, broker, apache_cluster
):
    settings = settings_for(FEEDS, kafka={"request_timeout_seconds": 10.0})
    topic = replaced(settings, broker, [[1, 2, 3], [1, 2, 3]], **{"min.insync.replicas": "2"})
    finished = threading.Event()

    def lose_the_leader(load: Load) -> None:
        until(lambda: len(load.acknowledged) >= 500, "records flow")
        apache_cluster.nodes[1].kill()
        until(lambda: apache_cluster.leader(topic) in {2, 3}, "another broker leads")
        wanted = len(load.acknowledged) + 500
        until(lambda: len(load.acknowledged) >= wanted, "records flow again")
        load.finish()
        finished.set()

    with Load(broker, topic) as load:
        person = threading.Thread(target=lose_the_leader, args=(load,))
        person.start()
        ingest_until(settings, finished.is_set)
        person.join()
    apache_cluster.nodes[1].start()
    load.assert_arrived(settings)


@pytest.mark.timeout(900)
def test_an_unclean_election_that_forgets_records_stops_the_feed(
    settings_for, lake, broker, apache_cluster
):
    """Broker 3 misses records that broker 2 alone acknowledged, then leads without them."""
    until(lambda: len(apache_cluster.brokers()) == 3, "all brokers are there")
    settings = settings_for(
        {"trades": {**FEEDS["trades"], "partitions": 1}}, kafka={"request_timeout_seconds": 10.0}
    )
    first, second = apache_cluster.nodes[2], apache_cluster.nodes[3]
    topic = replaced(settings, broker, [[2, 3]], **{"min.insync.replicas": "1"})
    until(lambda: apache_cluster.in_sync(topic) == {2, 3}, "both replicas are in sync")
    send(broker, topic, range(10))
    second.kill()
    until(lambda: apache_cluster.in_sync(topic) == {2}, "broker 3 is out of sync")
    send(broker, topic, range(10, 20))
    ingest_all(settings)
    assert len(ledger(settings).rows) == 20
    first.kill()
    second.start(wait=False)
    until(lambda: apache_cluster.brokers() == {1, 3}, "broker 3 is back, broker 2 is gone")
    alter_topic(broker, topic, {"unclean.leader.election.enable": "true"})
    until(lambda: apache_cluster.leader(topic) == 3, "broker 3 leads, without the records")

    planner = Planner(settings)
    shorter = planner.tick("trades", polled(planner, topic), lambda plan: [], force=True)
    assert "ends at offset 10, below offset 20 that is already planned" in shorter.problem
    assert not shorter.requests
    # Other records grow past what was read: the offsets look right, the anchor does not.
    send(broker, topic, range(100, 130))
    request = plan_one(planner, topic)
    with pytest.raises(TopicChangedError, match="another record at offset 19"):
        decide(planner, request)
    assert len(ledger(settings).rows) == 20
    # The old leader comes back and gives up what it alone had.
    first.start()
    until(lambda: apache_cluster.in_sync(topic) == {2, 3}, "both replicas agree again")
    with pytest.raises(TopicChangedError, match="another record at offset 19"):
        decide(planner, request)


def polled(planner: Planner, topic: str) -> TopicOffsets:
    """Its offsets, when whichever broker is asked knows who leads."""

    def poll() -> TopicOffsets | None:
        try:
            return planner.poll()[topic]
        except KafkaUnavailableError:
            return None

    found = until(poll, "offsets of the topic")
    assert found
    return found


def send(broker: str, topic: str, numbers: range) -> None:
    """Acknowledged, by the leader alone if it is alone, when this returns."""
    from confluent_kafka import Producer

    refused = []
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    for number in numbers:
        producer.produce(
            topic,
            trade(number),
            partition=0,
            on_delivery=lambda error, _: refused.append(error) if error else None,
        )
    assert producer.flush(60) == 0
    assert refused == []
