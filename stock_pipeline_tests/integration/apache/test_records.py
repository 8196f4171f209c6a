"""Records as Apache Kafka keeps and loses them: codecs, transactions, compaction, retention."""

from __future__ import annotations

import os
from datetime import datetime

import pytest

from stock_pipeline.ingest.planner import Planner
from stock_pipeline.settings import Settings
from stock_pipeline_tests.integration.apache.ledger import ledger
from stock_pipeline_tests.support.apache_kafka import alter_topic
from stock_pipeline_tests.support.one_batch import ONE_PARTITION, decide, plan_one
from stock_pipeline_tests.support.trades import FEEDS, ingest_all, trade
from stock_pipeline_tests.support.waiting import until, wait_for_transactions

MEGABYTE = 1_000_000


def topic_of(settings: Settings) -> str:
    return settings.feeds["trades"].topic


def beginning(settings: Settings, partition: int = 0) -> int:
    offsets = Planner(settings).poll()[topic_of(settings)]
    assert offsets is not None
    return offsets.partitions[partition].beginning


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_of_both_clients_is_read(settings_for, lake, broker, codec):
    from confluent_kafka import Producer
    from kafka import KafkaProducer

    settings = settings_for(ONE_PARTITION)
    python = KafkaProducer(bootstrap_servers=broker, compression_type=codec, linger_ms=50)
    for number in range(300):
        python.send(topic_of(settings), trade(number))
    python.close()
    librdkafka = Producer({"bootstrap.servers": broker, "compression.type": codec or "none"})
    for number in range(300, 600):
        librdkafka.produce(topic_of(settings), trade(number))
    librdkafka.flush()
    ingest_all(settings)
    found = ledger(settings)
    assert found.accepted == [(0, offset) for offset in range(600)]
    assert [row["trade_id"] for row in found.rows] == [str(number) for number in range(600)]


def test_messages_of_a_megabyte_arrive_whole(settings_for, lake, broker, produce):
    settings = settings_for(ONE_PARTITION)
    good = trade(1)[:-1] + b" " * (MEGABYTE - len(trade(1))) + b"}"
    bad = os.urandom(MEGABYTE)
    produce(topic_of(settings), [good, bad, good, trade(2)])
    ingest_all(settings)
    found = ledger(settings)
    assert found.accepted == [(0, 0), (0, 2), (0, 3)]
    (reject,) = found.rejects
    assert reject["payload"] == bad


def test_only_committed_transactions_become_rows_and_every_other_offset_is_a_hole(
    settings_for, lake, broker, produce
):
    from confluent_kafka import Producer

    settings = settings_for(FEEDS)
    topic = topic_of(settings)
    producers = [
        Producer({"bootstrap.servers": broker, "transactional.id": f"{topic}-{number}"})
        for number in range(2)
    ]
    for producer in producers:
        producer.init_transactions()
    committed, aborted = set(), 0
    for round_ in range(4):
        # Two transactions at once, in both partitions, one of them aborted.
        for which, producer in enumerate(producers):
            producer.begin_transaction()
            for number in range(5):
                identity = f"{round_}-{which}-{number}"
                producer.produce(topic, trade(1, trade_id=identity), partition=number % 2)
            producer.flush()
        for which, producer in enumerate(producers):
            if (round_ + which) % 2:
                producer.abort_transaction()
                aborted += 5
            else:
                producer.commit_transaction()
                committed |= {f"{round_}-{which}-{number}" for number in range(5)}
        produce(topic, [trade(1, trade_id=f"plain-{round_}")])
        committed.add(f"plain-{round_}")
    wait_for_transactions(settings, topic)
    ingest_all(settings)
    found = ledger(settings)
    assert found.trade_ids == committed
    assert len(found.rows) == len(committed)
    markers = 2 * len(producers) * 4
    assert found.total("holes") == aborted + markers
    assert found.total("lost") == 0


def test_a_compacted_topic_leaves_its_newest_records_and_counted_holes(settings_for, lake, broker):
    from confluent_kafka import Consumer, Producer, TopicPartition

    settings = settings_for(ONE_PARTITION)
    topic = topic_of(settings)
    alter_topic(
        broker,
        topic,
        {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"},
    )
    producer = Producer({"bootstrap.servers": broker})

    def send(numbers: range) -> None:
        for number in numbers:
            producer.produce(topic, trade(number), key=str(number % 10))
        producer.flush()

    def survivors() -> list[int]:
        consumer = Consumer(
            {"bootstrap.servers": broker, "group.id": "test", "enable.partition.eof": True}
        )
        consumer.assign([TopicPartition(topic, 0, 0)])
        offsets: list[int] = []
        while not (message := consumer.poll(30)).error():
            offsets.append(message.offset())
        consumer.close()
        return offsets

    def compacted() -> bool:
        # A segment is rolled, and so may be cleaned, when the next record comes.
        send(range(1000, 1001))
        return len(survivors()) < 100

    send(range(100))
    ingest_all(settings)
    first = ledger(settings)
    assert first.total("holes") == 0
    send(range(100, 200))
    until(compacted, "the topic is compacted")
    ingest_all(settings)
    found = ledger(settings)
    # What the first batch read is in bronze although the topic has lost most of it.
    assert found.accepted[:100] == [(0, offset) for offset in range(100)]
    assert found.total("lost") == 0
    assert found.total("holes") > 0
    assert set(found.accepted) >= {(0, offset) for offset in survivors()}


@pytest.mark.parametrize(
    ("configs", "sent"),
    [
        pytest.param({"retention.ms": "1000", "segment.ms": "100"}, 50, id="by-time"),
        # Segments hold a megabyte at least: of four, retention keeps two.
        pytest.param({"retention.bytes": "1000", "segment.bytes": "1048576"}, 4, id="by-size"),
    ],
)
def test_what_retention_removed_unread_is_counted_as_lost_with_its_range(
    settings_for, lake, broker, produce, configs, sent
):
    settings = settings_for(ONE_PARTITION)
    topic = topic_of(settings)
    produce(topic, [trade(n) for n in range(5)])
    ingest_all(settings)
    padding = b" " * (MEGABYTE if sent == 4 else 1)
    produce(topic, [trade(n)[:-1] + padding + b"}" for n in range(5, 5 + sent)])
    alter_topic(broker, topic, configs)

    def removed() -> bool:
        if beginning(settings) > 6:
            return True
        produce(topic, [trade(1)[:-1] + padding + b"}"])
        return False

    until(removed, "retention removes what was not read")
    before = beginning(settings)
    # From here on nothing more goes, or little.
    alter_topic(broker, topic, {"retention.ms": "-1", "retention.bytes": "-1"})
    ingest_all(settings)
    found = ledger(settings)
    ((start, end),) = found.lost_ranges()
    assert start == 5
    assert before <= end <= beginning(settings)
    last = found.decisions[-1].partitions[0].end
    assert found.accepted == [(0, offset) for offset in [*range(5), *range(end, last)]]


def test_records_with_old_timestamps_keep_them(settings_for, lake, broker, produce):
    settings = settings_for(ONE_PARTITION)
    topic = topic_of(settings)
    alter_topic(broker, topic, {"retention.ms": "-1"})
    times = [0, 1, 631_152_000_000, 946_684_799_999, 1_577_836_800_000]
    for time_ms in times:
        produce(topic, [trade(1, time=time_ms)], timestamp_ms=time_ms)
    planner = Planner(settings)
    # Whoever asks how old the oldest unread record is gets an answer.
    oldest = planner.kafka.oldest_timestamps({(topic, 0): 0}, 3600.0)
    assert oldest.keys() == {(topic, 0)}
    ingest_all(settings)
    found = ledger(settings)
    stored = {o["kafka_offset"]: o["kafka_timestamp"] for o in [*found.rows, *found.rejects]}
    epoch = datetime(1970, 1, 1)
    assert [(stored[n] - epoch).total_seconds() * 1000 for n in range(len(times))] == times


def test_a_producer_whose_clock_is_days_ahead_is_refused_by_the_broker(
    settings_for, broker, produce
):
    """Since 4.0; the embedded broker takes such records and the decoder rejects them."""
    import time

    from kafka.errors import InvalidTimestampError

    settings = settings_for(ONE_PARTITION)
    ahead = int((time.time() + 3 * 86_400) * 1000)
    with pytest.raises(InvalidTimestampError):
        produce(topic_of(settings), [trade(1)], timestamp_ms=ahead)


def test_records_deleted_between_plan_and_read_are_lost_with_their_range(
    settings_for, lake, broker, produce
):
    settings = settings_for(ONE_PARTITION)
    topic = topic_of(settings)
    produce(topic, [trade(n) for n in range(100)])
    planner = Planner(settings)
    request = plan_one(planner, topic)
    planner.kafka.delete_records(topic, {0: 30})
    decide(planner, request)
    found = ledger(settings)
    assert found.lost_ranges() == [(0, 30)]
    assert found.accepted == [(0, offset) for offset in range(30, 100)]


def test_partitions_that_appear_are_read_from_their_beginning(settings_for, lake, broker, produce):
    from confluent_kafka import Producer
    from kafka import KafkaAdminClient

    settings = settings_for(ONE_PARTITION)
    topic = topic_of(settings)
    produce(topic, [trade(n) for n in range(10)])
    ingest_all(settings)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_partitions({topic: 3})
    admin.close()
    until(
        lambda: len(Planner(settings).poll()[topic].partitions) == 3, "three partitions are known"
    )
    # The fixture's producer learns of new partitions after minutes.
    producer = Producer({"bootstrap.servers": broker})
    for partition in range(3):
        producer.produce(topic, trade(100 + partition), partition=partition)
    producer.flush()
    ingest_all(settings)
    found = ledger(settings)
    assert found.accepted == [*((0, offset) for offset in range(11)), (1, 0), (2, 0)]
