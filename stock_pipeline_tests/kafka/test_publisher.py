from __future__ import annotations

from collections.abc import Callable

import pytest

from stock_pipeline.kafka.messages import Message
from stock_pipeline.kafka.publisher import Publisher, PublishError
from stock_pipeline.settings import KafkaSettings
from stock_pipeline.stack.ports import free_port

pytestmark = pytest.mark.broker_semantics


def stored(broker: str, topic: str, partitions: int) -> list[tuple[int, bytes, bytes | None]]:
    """(partition, key, value) of every record, in order."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    places = [TopicPartition(topic, n) for n in range(partitions)]
    ends = consumer.end_offsets(places)
    consumer.assign(places)
    found = []
    while any(consumer.position(place) < ends[place] for place in places):
        for batch in consumer.poll(timeout_ms=500).values():
            found += [(r.partition, r.key, r.value) for r in batch]
    consumer.close()
    return found


def test_every_message_arrives_once_in_order_and_a_symbol_keeps_its_partition(
    broker: str, make_topic: Callable[..., str]
) -> None:
    topic = make_topic(partitions=3)
    sent = [Message(f"S{n % 7}".encode(), str(n).encode()) for n in range(5_000)]
    sent.append(Message(b"S0", None))
    with Publisher(KafkaSettings(bootstrap_servers=broker), topic) as publisher:
        assert publisher.send(sent) == len(sent)
    assert publisher.delivered == len(sent)
    found = stored(broker, topic, 3)
    for key in {m.key for m in sent}:
        assert [v for _, k, v in found if k == key] == [m.value for m in sent if m.key == key]
        assert len({p for p, k, _ in found if k == key}) == 1


def test_a_symbol_goes_where_other_clients_send_it(
    broker: str, make_topic: Callable[..., str]
) -> None:
    from kafka import KafkaProducer

    topic = make_topic(partitions=3)
    keys = [f"SIM-{n}".encode() for n in range(20)]
    producer = KafkaProducer(bootstrap_servers=broker, enable_idempotence=False)
    theirs = {k: producer.send(topic, key=k, value=b"x").get(10).partition for k in keys}
    producer.close()
    with Publisher(KafkaSettings(bootstrap_servers=broker), topic) as publisher:
        publisher.send([Message(k, b"ours") for k in keys])
    ours = {k: p for p, k, v in stored(broker, topic, 3) if v == b"ours"}
    assert ours == theirs


def test_brokers_that_do_not_answer_are_an_error_with_their_address() -> None:
    servers = f"127.0.0.1:{free_port()}"
    settings = KafkaSettings(bootstrap_servers=servers, request_timeout_seconds=0.5)
    with pytest.raises(PublishError, match=rf"{servers} do not answer.*nothing was sent"):
        Publisher(settings, "anything")


def test_a_message_that_no_broker_takes_is_an_error(
    broker: str, make_topic: Callable[..., str]
) -> None:
    publisher = Publisher(KafkaSettings(bootstrap_servers=broker), make_topic())
    with pytest.raises(PublishError, match="did not take 1 or more messages"):
        publisher.send([Message(b"A", b"x" * (33 * 1024 * 1024))])
