-- Vendors' daily bars: of one bar sent again the latest record wins.
WITH versions AS (
    SELECT b.symbol, b.trade_date, b.source, b.open, b.high, b.low, b.close, b.adjusted_close,
        b.volume, b.close_usd, b.incarnation, b.kafka_timestamp, b.kafka_partition, b.kafka_offset,
        row_number() OVER (
            PARTITION BY b.symbol, b.trade_date, b.source
            ORDER BY b.incarnation DESC, b.kafka_timestamp DESC, b.kafka_partition DESC,
                b.kafka_offset DESC
        ) AS age
    FROM {bars} b
)
SELECT v.symbol, v.trade_date, v.source, v.open, v.high, v.low, v.close, v.adjusted_close,
    v.volume, v.close_usd, CAST(NULL AS DOUBLE) AS mean_price, CAST(NULL AS BIGINT) AS trade_count,
    CAST(NULL AS DOUBLE) AS mean_close, CAST(NULL AS BIGINT) AS bar_count, s.sessions_per_year,
    v.incarnation, v.kafka_timestamp, v.kafka_partition, v.kafka_offset
FROM versions v
LEFT JOIN {sessions_per_year} s ON s.symbol = v.symbol
WHERE v.age = 1
ORDER BY symbol, trade_date, source
