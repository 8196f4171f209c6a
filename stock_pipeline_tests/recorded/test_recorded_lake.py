"""A lake that an earlier version wrote is read, verified and continued by this one.

`lake-0.1.0.zip` holds every object of such a lake. A release adds the lake of its own version:

    STOCK_PIPELINE_RECORD=lake-X.Y.Z.zip pytest stock_pipeline_tests/recorded
"""

from __future__ import annotations

import io
import os
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaAdminClient, KafkaProducer

from stock_pipeline.catalogue.query import query
from stock_pipeline.settings import get_settings
from stock_pipeline.stack.provision import ensure_bucket, ensure_topics, ensure_workgroup
from stock_pipeline.tables.index import TableIndex
from stock_pipeline_tests.recorded.contents import FEEDS, SENT_MS, Sent, batches, trade
from stock_pipeline_tests.support.verified_lake import VerifiedLake, settings_file

RECORDED = sorted(Path(__file__).parent.glob("lake-*.zip"))
RECORD = os.environ.get("STOCK_PIPELINE_RECORD")
TEN_YEARS = 60 * 24 * 3650

Send = Callable[[list[Sent]], None]


@pytest.fixture
def lake(broker, ministack_endpoint, tmp_path, monkeypatch) -> Iterator[VerifiedLake]:
    """A lake without objects; its topics, which the recorded plans name, are empty."""
    feeds = {name: feed | {"topic": f"{name}-recorded"} for name, feed in FEEDS.items()}
    config = settings_file(tmp_path, uuid.uuid4().hex[:10], feeds)
    monkeypatch.setenv("STOCK_PIPELINE_CONFIG", str(config))
    get_settings.cache_clear()
    settings = get_settings()
    ensure_bucket(settings.aws)
    ensure_workgroup(settings)
    topics = {f.topic: (f.partitions, TEN_YEARS) for f in settings.feeds.values()}
    ensure_topics(settings.kafka, topics)
    yield VerifiedLake(settings, tmp_path)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.delete_topics(list(topics))
    admin.close()
    get_settings.cache_clear()


@pytest.fixture
def send(lake: VerifiedLake, broker: str) -> Iterator[Send]:
    """Send messages a second apart in Kafka's time: the digests of batches cover it."""
    producer = KafkaProducer(bootstrap_servers=broker, enable_idempotence=False)
    sent = 0

    def send(messages: list[Sent]) -> None:
        nonlocal sent
        for feed, partition, payload in messages:
            producer.send(
                lake.settings.feeds[feed].topic,
                payload,
                key=feed.encode(),
                partition=partition,
                timestamp_ms=SENT_MS + 1000 * sent,
            ).get(10)
            sent += 1

    yield send
    producer.close()


def ingest_and_refresh(lake: VerifiedLake) -> None:
    for feed in FEEDS:
        lake.ingest(feed)
    lake.refresh()


def due(lake: VerifiedLake) -> list[tuple[str, str]]:
    index = TableIndex(lake.settings, lake.lake, lake.folder / "due.sqlite")
    index.catch_up()
    found = [(table.name, partition) for table, partition in index.due_one_by_one()]
    index.close()
    return found


def recorded_rows(file: zipfile.ZipFile, table: str) -> pa.Table:
    keys = [name for name in file.namelist() if name.startswith(f"{table.replace('.', '/')}/")]
    return pa.concat_tables(
        pq.read_table(io.BytesIO(file.read(key)), partitioning=None) for key in sorted(keys)
    )


TABLES = (
    "silver.bars_intraday",
    "silver.bars_daily",
    "silver.news",
    "silver.corporate_actions",
    "gold.volatility_intraday",
    "gold.volatility_daily",
    "gold.daily_average_price",
    "gold.sentiment_daily",
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda file: file.stem)
def test_a_lake_of_an_earlier_version_is_read_verified_and_continued(
    recorded: Path, lake: VerifiedLake, send: Send
) -> None:
    with zipfile.ZipFile(recorded) as file:
        for key in file.namelist():
            lake.lake.put(key, file.read(key))
        for messages in batches():
            send(messages)
        lake.catalogue.sync()

        # Read, and nothing of it is due: the definitions of the tables are the same.
        for table in TABLES:
            rows = query(lake.settings, lake.lake, f"SELECT * FROM {table}")
            expected = recorded_rows(file, table)
            assert rows.num_rows == expected.num_rows > 0, table
            got = rows.select(expected.column_names).to_pylist()
            assert sorted(map(str, got)) == sorted(map(str, expected.to_pylist())), table
        assert due(lake) == []

    # Verified, Kafka's records included.
    report = lake.verify()
    assert not report.findings
    assert {ledger.feed for ledger in report.ledgers} == set(FEEDS)

    # Continued.
    before = lake.snapshot()
    send([("trades", n % 2, trade(n)) for n in range(200, 260)])
    ingest_and_refresh(lake)
    lake.catalogue.sync()
    after = lake.snapshot()
    for key, body in before.items():
        if key.startswith(("bronze/", "quarantine/", "_offset_log/")):
            assert after[key] == body, key
    count = "SELECT count(*) AS trades, max(incarnation) AS incarnation FROM bronze.trades"
    assert query(lake.settings, lake.lake, count).to_pylist() == [
        {"trades": 121 + 80 + 60, "incarnation": 1}
    ]
    assert not lake.verify().findings


@pytest.mark.skipif(not RECORD, reason="a lake is recorded with STOCK_PIPELINE_RECORD=FILE")
def test_a_lake_of_this_version_is_recorded(lake: VerifiedLake, send: Send) -> None:
    for messages in batches():
        send(messages)
        ingest_and_refresh(lake)
    assert not lake.verify().findings
    with zipfile.ZipFile(str(RECORD), "w", zipfile.ZIP_DEFLATED) as file:
        for key, body in sorted(lake.snapshot().items()):
            file.writestr(key, body)
