from __future__ import annotations

import subprocess
import sys

from stock_pipeline.settings import get_settings


def test_a_test_gets_a_bucket_of_its_own(lake):
    lake.put("a/b", b"x")

    assert [entry.key for entry in lake.list("")] == ["a/b"]


def test_buckets_of_tests_do_not_meet(lake):
    assert list(lake.list("")) == []


def test_topics_of_a_feed_exist_and_take_records(broker, settings_for, produce):
    from kafka import KafkaConsumer, TopicPartition

    settings = settings_for({"trades": {"format": "trade", "partitions": 2}})
    topic = settings.feeds["trades"].topic

    produce(topic, [b"one", b"two"], partition=1)

    consumer = KafkaConsumer(bootstrap_servers=broker)
    partition = TopicPartition(topic, 1)
    assert consumer.end_offsets([partition]) == {partition: 2}
    consumer.close()


def test_child_processes_see_the_settings_of_the_test(settings_for):
    settings = settings_for()

    code = "from stock_pipeline.settings import get_settings as g; print(g().aws.bucket)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert answer.stdout.strip() == settings.aws.bucket
    assert get_settings() == settings
