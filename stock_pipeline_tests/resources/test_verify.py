"""`verify` finds each planted damage of a real lake and names it, and finds none where none is."""

from __future__ import annotations

import uuid

import pytest

from stock_pipeline.settings import get_settings
from stock_pipeline.stack.provision import ensure_bucket, ensure_topics, ensure_workgroup
from stock_pipeline_tests.resources.verified_lake import (
    VerifiedLake,
    daily,
    kinds,
    settings_file,
    trade,
)

FEEDS = {
    "trades": {"format": "trade", "source": "trades", "calendar": "24/7", "partitions": 2},
    "indices": {"format": "index_daily", "source": "index_daily", "calendar": "24/7"},
}


@pytest.fixture(scope="module")
def built(broker, ministack_endpoint, tmp_path_factory):
    """Three batches of trades, one of daily bars; silver, gold and catalogue made from them."""
    from kafka import KafkaProducer

    folder = tmp_path_factory.mktemp("verified")
    config = settings_file(folder, uuid.uuid4().hex[:10], FEEDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCK_PIPELINE_CONFIG", str(config))
        get_settings.cache_clear()
        settings = get_settings()
        ensure_bucket(settings.aws)
        ensure_workgroup(settings)
        ensure_topics(
            settings.kafka, {f.topic: (f.partitions, 60) for f in settings.feeds.values()}
        )
        lake = VerifiedLake(settings, folder)
        producer = KafkaProducer(bootstrap_servers=broker, enable_idempotence=False)

        def send(feed, payloads, partition=0):
            sent = [
                producer.send(settings.feeds[feed].topic, payload, partition=partition)
                for payload in payloads
            ]
            producer.flush()
            for future in sent:
                future.get(10)

        lake.send = send
        for n in range(3):
            send("trades", [trade(i) for i in range(100 * n, 100 * n + 60)], 0)
            send("trades", [b"{", trade(100 * n + 80), trade(0, price=-1)], 1)
            lake.ingest("trades")
        send("indices", [daily(day) for day in range(1, 20)])
        lake.ingest("indices")
        lake.refresh()
        lake.catalogue.sync()
        yield lake
        producer.close()
    get_settings.cache_clear()


def test_an_undamaged_lake_agrees(built):
    report = built.verify(athena=True)
    assert report.findings == []
    assert all(ledger.balanced for ledger in report.ledgers)
    assert [(e.feed, e.partition, e.offsets, e.accepted, e.rejected) for e in report.ledgers] == [
        ("indices", 0, 19, 19, 0),
        ("trades", 0, 180, 180, 0),
        ("trades", 1, 9, 3, 6),
    ]
    assert kinds(report) == []
