-- One day's intraday bars rolled up to a daily bar per symbol and source: the finest interval that
-- the day has, and only the regular session where the day has one.
WITH
ranked AS (
    SELECT
        b.*,
        RANK() OVER (
            PARTITION BY b.symbol, b.source
            ORDER BY CASE b.interval
                WHEN '1m' THEN 1 WHEN '5m' THEN 5 WHEN '15m' THEN 15 WHEN '30m' THEN 30
                WHEN '1h' THEN 60 ELSE 1440
            END
        ) AS fineness
    FROM {bars_intraday} b
    WHERE b.session_open IS NULL
        OR (b.bar_start >= b.session_open AND b.bar_start < b.session_close)
),
ordered AS (
    SELECT
        r.*,
        ROW_NUMBER() OVER (PARTITION BY r.symbol, r.source ORDER BY r.bar_start) AS from_first,
        ROW_NUMBER() OVER (PARTITION BY r.symbol, r.source ORDER BY r.bar_start DESC) AS from_last,
        ROW_NUMBER() OVER (
            PARTITION BY r.symbol, r.source
            ORDER BY r.incarnation DESC, r.kafka_timestamp DESC, r.kafka_partition DESC,
                r.kafka_offset DESC
        ) AS from_latest
    FROM ranked r
    WHERE r.fineness = 1
)
SELECT
    o.symbol,
    DATE '{trade_date}' AS trade_date,
    o.source,
    MAX(CASE WHEN o.from_first = 1 THEN o.open END) AS open,
    MAX(o.high) AS high,
    MIN(o.low) AS low,
    MAX(CASE WHEN o.from_last = 1 THEN o.close END) AS close,
    MAX(CASE WHEN o.from_last = 1 THEN o.adjusted_close END) AS adjusted_close,
    SUM(o.volume) AS volume,
    CAST(NULL AS DOUBLE) AS close_usd,
    SUM(o.mean_price * CAST(o.trade_count AS DOUBLE))
        / NULLIF(CAST(SUM(CASE WHEN o.mean_price IS NOT NULL THEN o.trade_count END) AS DOUBLE), 0E0)
        AS mean_price,
    CAST(SUM(o.trade_count) AS BIGINT) AS trade_count,
    AVG(o.close) AS mean_close,
    COUNT(*) AS bar_count,
    MAX(o.sessions_per_year) AS sessions_per_year,
    MAX(CASE WHEN o.from_latest = 1 THEN o.incarnation END) AS incarnation,
    MAX(CASE WHEN o.from_latest = 1 THEN o.kafka_timestamp END) AS kafka_timestamp,
    MAX(CASE WHEN o.from_latest = 1 THEN o.kafka_partition END) AS kafka_partition,
    MAX(CASE WHEN o.from_latest = 1 THEN o.kafka_offset END) AS kafka_offset
FROM ordered o
GROUP BY o.symbol, o.source
