-- The daily bar that a date's intraday bars add up to: of each symbol and source the finest
-- interval, inside the regular session where the date has one.
WITH regular AS (
    SELECT b.symbol, b.source, b.bar_start, b.open, b.high, b.low, b.close, b.adjusted_close,
        b.volume, b.mean_price, b.trade_count, b.sessions_per_year,
        b.incarnation, b.kafka_timestamp, b.kafka_partition, b.kafka_offset,
        CASE b.interval
            WHEN '1m' THEN 1 WHEN '5m' THEN 5 WHEN '15m' THEN 15 WHEN '30m' THEN 30
            WHEN '1h' THEN 60 ELSE 1440
        END AS minutes
    FROM {bars} b
    WHERE b.session_open IS NULL
        OR (b.bar_start >= b.session_open AND b.bar_start < b.session_close)
),
ranked AS (
    SELECT symbol, source, bar_start, open, high, low, close, adjusted_close, volume, mean_price,
        trade_count, sessions_per_year, incarnation, kafka_timestamp, kafka_partition, kafka_offset,
        minutes, min(minutes) OVER (PARTITION BY symbol, source) AS finest
    FROM regular
),
numbered AS (
    SELECT symbol, source, open, high, low, close, adjusted_close, volume, mean_price, trade_count,
        sessions_per_year, incarnation, kafka_timestamp, kafka_partition, kafka_offset,
        row_number() OVER (PARTITION BY symbol, source ORDER BY bar_start) AS bar_number,
        row_number() OVER (PARTITION BY symbol, source ORDER BY bar_start DESC) AS bars_left,
        row_number() OVER (
            PARTITION BY symbol, source
            ORDER BY incarnation DESC, kafka_timestamp DESC, kafka_partition DESC, kafka_offset DESC
        ) AS age
    FROM ranked
    WHERE minutes = finest
)
SELECT symbol, {trade_date} AS trade_date, source,
    max(CASE WHEN bar_number = 1 THEN open END) AS open,
    max(high) AS high,
    min(low) AS low,
    max(CASE WHEN bars_left = 1 THEN close END) AS close,
    max(CASE WHEN bars_left = 1 THEN adjusted_close END) AS adjusted_close,
    sum(volume) AS volume,
    CAST(NULL AS DOUBLE) AS close_usd,
    sum(mean_price * CAST(trade_count AS DOUBLE))
        / sum(CASE WHEN mean_price IS NOT NULL THEN CAST(trade_count AS DOUBLE) END) AS mean_price,
    CAST(sum(trade_count) AS BIGINT) AS trade_count,
    avg(close) AS mean_close,
    count(*) AS bar_count,
    max(sessions_per_year) AS sessions_per_year,
    max(CASE WHEN age = 1 THEN incarnation END) AS incarnation,
    max(CASE WHEN age = 1 THEN kafka_timestamp END) AS kafka_timestamp,
    max(CASE WHEN age = 1 THEN kafka_partition END) AS kafka_partition,
    max(CASE WHEN age = 1 THEN kafka_offset END) AS kafka_offset
FROM numbered
GROUP BY symbol, source
ORDER BY symbol, trade_date, source
