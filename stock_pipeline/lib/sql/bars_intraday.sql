-- 1-minute bars of trades. A trade that was sent twice counts once where it has an id; without one
-- each record is its own trade, since identical prints are real fills.
WITH
numbered AS (
    SELECT
        t.symbol,
        DATE_TRUNC('minute', t.event_time) AS bar_start,
        t.event_time,
        t.price,
        t.size,
        t.trade_id,
        t.incarnation,
        t.kafka_timestamp,
        t.kafka_partition,
        t.kafka_offset,
        ROW_NUMBER() OVER (
            PARTITION BY
                t.symbol, DATE_TRUNC('minute', t.event_time), COALESCE(t.venue, ''), t.trade_id
            ORDER BY t.event_time, t.incarnation, t.kafka_partition, t.kafka_offset
        ) AS copy
    FROM {trades} t
),
ordered AS (
    SELECT
        n.symbol,
        n.bar_start,
        n.price,
        n.size,
        n.incarnation,
        n.kafka_timestamp,
        n.kafka_partition,
        n.kafka_offset,
        ROW_NUMBER() OVER (
            PARTITION BY n.symbol, n.bar_start
            ORDER BY n.event_time, n.incarnation, n.kafka_partition, n.kafka_offset
        ) AS from_first,
        ROW_NUMBER() OVER (
            PARTITION BY n.symbol, n.bar_start
            ORDER BY n.event_time DESC, n.incarnation DESC, n.kafka_partition DESC,
                n.kafka_offset DESC
        ) AS from_last,
        ROW_NUMBER() OVER (
            PARTITION BY n.symbol, n.bar_start
            ORDER BY n.incarnation DESC, n.kafka_timestamp DESC, n.kafka_partition DESC,
                n.kafka_offset DESC
        ) AS from_latest
    FROM numbered n
    WHERE n.copy = 1 OR n.trade_id IS NULL
),
made AS (
    SELECT
        o.symbol,
        o.bar_start,
        MAX(CASE WHEN o.from_first = 1 THEN o.price END) AS open,
        MAX(o.price) AS high,
        MIN(o.price) AS low,
        MAX(CASE WHEN o.from_last = 1 THEN o.price END) AS close,
        SUM(o.size) AS volume,
        SUM(o.price * o.size) / NULLIF(SUM(o.size), 0E0) AS vwap,
        AVG(o.price) AS mean_price,
        COUNT(*) AS trade_count,
        MAX(CASE WHEN o.from_latest = 1 THEN o.incarnation END) AS incarnation,
        MAX(CASE WHEN o.from_latest = 1 THEN o.kafka_timestamp END) AS kafka_timestamp,
        MAX(CASE WHEN o.from_latest = 1 THEN o.kafka_partition END) AS kafka_partition,
        MAX(CASE WHEN o.from_latest = 1 THEN o.kafka_offset END) AS kafka_offset
    FROM ordered o
    GROUP BY o.symbol, o.bar_start
)
SELECT
    m.symbol,
    m.bar_start,
    '1m' AS interval,
    '{source}' AS source,
    m.open,
    m.high,
    m.low,
    m.close,
    CAST(NULL AS DOUBLE) AS adjusted_close,
    m.volume,
    m.vwap,
    m.mean_price,
    m.trade_count,
    s.session_open,
    s.session_close,
    s.sessions_per_year,
    m.incarnation,
    m.kafka_timestamp,
    m.kafka_partition,
    m.kafka_offset
FROM made m
LEFT JOIN {sessions} s ON s.symbol = m.symbol
