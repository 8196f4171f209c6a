"""`verify` finds each planted damage of a real lake and names it, and finds none where none is."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stock_pipeline.ingest.documents import OffsetRange
from stock_pipeline.lake import layout
from stock_pipeline.lake.store import DamagedObjectError
from stock_pipeline.lib.schemas import (
    BARS_DAILY_TABLE,
    BARS_INTRADAY_TABLE,
    DAILY_AVERAGE_PRICE_TABLE,
    VOLATILITY_DAILY_TABLE,
    VOLATILITY_INTRADAY_TABLE,
)
from stock_pipeline.settings import get_settings
from stock_pipeline.stack.provision import ensure_bucket, ensure_topics, ensure_workgroup
from stock_pipeline.tables.due import key_of
from stock_pipeline.tables.made_from import MadeFrom
from stock_pipeline.tables.publish import parquet
from stock_pipeline.verify.report import Kind
from stock_pipeline_tests.support.verified_lake import (
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


def moved(lake, by, rows=lambda rows: rows):
    """Batch 1 of trades begins `by` offsets later in partition 0, consistently in all its words."""

    def decision(was):
        count = was.partitions[0]
        dropped = max(0, by)
        day, span = next(iter(was.trade_dates.items()))
        moved = OffsetRange(start=count.start + by, end=count.end)
        plan = was.plan.model_copy(update={"ranges": was.plan.ranges | {0: moved}})
        count = count.model_copy(
            update={
                "start": moved.start,
                "accepted": count.accepted - dropped,
                "holes": count.holes + max(0, -by),
            }
        )
        span = span.model_copy(update={"rows": span.rows - dropped})
        return was.model_copy(
            update={
                "plan": plan,
                "partitions": was.partitions | {0: count},
                "rows": was.rows - dropped,
                "trade_dates": was.trade_dates | {day: span},
            }
        )

    lake.rewrite_batch(lake.commit("trades", 1), rows, decision)


def missing_object(lake):
    lake.lake.delete(lake.commit("trades", 1).decision.object_key)


def changed_byte(lake):
    key = lake.commit("trades", 1).decision.object_key
    body = bytearray(lake.lake.get(key)[0])
    body[len(body) // 3] ^= 0xFF
    lake.lake.put(key, bytes(body))


def doubled_rows(lake):
    lake.rewrite_batch(lake.commit("trades", 1), lambda rows: pa.concat_tables([rows, rows]))


def missing_commit(lake):
    lake.lake.delete(layout.commit_key("trades", 1))


def foreign_object(lake):
    key = lake.commit("trades", 1).decision.object_key
    lake.lake.put(key.replace("000001.parquet", "000777.parquet"), lake.lake.get(key)[0])


def stale_silver(lake):
    lake.send("trades", [trade(5000)])
    lake.ingest("trades")


def stale_gold(lake):
    lake.send("indices", [daily(25)])
    lake.ingest("indices")
    lake.refresh((BARS_DAILY_TABLE,))


def stale_catalogue(lake):
    lake.catalogue.client.delete_partition(
        DatabaseName=lake.settings.catalog.database,
        TableName="silver_bars_daily",
        PartitionValues=["2026"],
    )


def gap(lake):
    def without_first_three(rows):
        first = pc.min(rows.filter(pc.equal(rows["kafka_partition"], 0))["kafka_offset"])
        early = pc.less(rows["kafka_offset"], pc.add(first, 3))
        return rows.filter(pc.invert(pc.and_(pc.equal(rows["kafka_partition"], 0), early)))

    moved(lake, 3, without_first_three)


def overlap(lake):
    moved(lake, -3)


def wrong_count(lake):
    was = lake.commit("trades", 1)
    count = was.decision.partitions[0]
    count = count.model_copy(update={"accepted": count.accepted - 1, "holes": count.holes + 1})
    partitions = was.decision.partitions | {0: count}
    decision = was.decision.model_copy(update={"partitions": partitions})
    changed = was.model_copy(update={"decision": decision})
    lake.lake.put(layout.commit_key("trades", 1), changed.model_dump_json().encode())


#: Damage, kind that names it, part of the finding's place, batch, and what may follow from it.
DAMAGES = [
    (missing_object, Kind.MISSING_OBJECT, "trades-000000000001.parquet", 1, {Kind.NOT_COMPARED}),
    (
        changed_byte,
        Kind.CHANGED_OBJECT,
        "trades-000000000001.parquet",
        1,
        {Kind.NOT_COMPARED, Kind.WRONG_SILVER},
    ),
    (doubled_rows, Kind.DOUBLED_ROWS, "trades-000000000001.parquet", 1, set()),
    (missing_commit, Kind.MISSING_COMMIT, "commit/000000000001.json", 1, set()),
    (foreign_object, Kind.FOREIGN_OBJECT, "trades-000000000777.parquet", 777, set()),
    (stale_silver, Kind.STALE_SILVER, key_of(BARS_INTRADAY_TABLE, "2026-01-01"), None, set()),
    (stale_gold, Kind.STALE_GOLD, key_of(VOLATILITY_DAILY_TABLE, "2026"), None, set()),
    (stale_catalogue, Kind.STALE_CATALOGUE, "silver_bars_daily", None, set()),
    (
        gap,
        Kind.GAP,
        "plan/000000000001.json",
        1,
        {Kind.OTHER_RECORDS, Kind.WRONG_SILVER},
    ),
    (overlap, Kind.OVERLAP, "plan/000000000001.json", 1, {Kind.OTHER_RECORDS}),
    (wrong_count, Kind.WRONG_COUNT, "commit/000000000001.json", 1, set()),
]


@pytest.mark.parametrize(
    ("damage", "kind", "place", "batch", "consequences"),
    DAMAGES,
    ids=[damage.__name__ for damage, *_ in DAMAGES],
)
def test_a_planted_damage_is_found_and_named(built, damage, kind, place, batch, consequences):
    with built.damaged():
        damage(built)
        report = built.verify()
    built.catalogue.sync()
    named = [f for f in report.findings if f.kind is kind]
    assert any(place in f.place and f.batch == batch for f in named), report.findings
    assert {f.kind for f in report.findings} - {kind} <= consequences, report.findings
    assert all(f.sentence.endswith(".") and f.action for f in report.findings)


@pytest.mark.parametrize(
    ("table", "partition", "kind"),
    [
        (BARS_INTRADAY_TABLE, "2026-01-01", Kind.WRONG_SILVER),
        (VOLATILITY_INTRADAY_TABLE, "2026-01-01", Kind.WRONG_GOLD),
        (DAILY_AVERAGE_PRICE_TABLE, "2026", Kind.WRONG_GOLD),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_wrong_value_and_an_unreadable_table_are_found(built, table, partition, kind):
    """Also where the footer says that nothing changed, as after a bug or a hand in the bucket."""
    key = key_of(table, partition)
    body, _ = built.lake.get(key)
    footer = MadeFrom.model_validate_json(built.lake.read_footer(key))
    with built.damaged():
        rows = built.lake.read_table(key)[0].replace_schema_metadata(None)
        column = next(i for i, f in enumerate(rows.schema) if pa.types.is_floating(f.type))
        values = rows.column(column).to_pylist()
        values[0] *= 1 + 1e-6
        rows = rows.set_column(column, rows.schema.field(column), pa.array(values))
        built.lake.put(key, parquet(rows, footer))
        named = [f for f in built.verify(broker=False).findings if f.kind is kind]
        assert [f.place for f in named] == [key]
        assert "1 values differ" in named[0].sentence
        built.lake.put(key, body[: len(body) - 100])
        named = [f for f in built.verify(broker=False).findings if f.kind is kind]
        assert [f.place for f in named] == [key]
        assert "cannot be read as Parquet" in named[0].sentence


def test_a_damaged_table_does_not_stop_the_refresh_of_the_others(built):
    with built.damaged():
        body, _ = built.lake.get(key_of(BARS_INTRADAY_TABLE, "2026-01-01"))
        built.lake.put(key_of(BARS_INTRADAY_TABLE, "2026-01-01"), body[:-100])
        built.send("indices", [daily(26)])
        built.ingest("indices")
        built.refresh((DAILY_AVERAGE_PRICE_TABLE, VOLATILITY_DAILY_TABLE))
        with pytest.raises(DamagedObjectError, match=r"bars\.parquet cannot be read as Parquet"):
            built.refresh((BARS_INTRADAY_TABLE,))


def test_a_restored_lake_agrees_again(built):
    assert built.verify().findings == []
