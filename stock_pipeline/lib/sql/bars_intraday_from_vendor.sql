-- Vendors' intraday bars: of one bar sent again the latest record wins.
WITH versions AS (
    SELECT b.symbol, b.bar_start, b.interval AS bar_interval, b.source, b.open, b.high, b.low,
        b.close, b.adjusted_close, b.volume, b.vwap, b.trade_count,
        b.incarnation, b.kafka_timestamp, b.kafka_partition, b.kafka_offset,
        row_number() OVER (
            PARTITION BY b.symbol, b.bar_start, b.interval, b.source
            ORDER BY b.incarnation DESC, b.kafka_timestamp DESC, b.kafka_partition DESC,
                b.kafka_offset DESC
        ) AS age
    FROM {bars} b
    WHERE b.interval <> '1d'
)
SELECT v.symbol, v.bar_start, v.bar_interval AS interval, v.source, v.open, v.high, v.low, v.close,
    v.adjusted_close, v.volume, v.vwap, CAST(NULL AS DOUBLE) AS mean_price, v.trade_count,
    s.session_open, s.session_close, s.sessions_per_year,
    v.incarnation, v.kafka_timestamp, v.kafka_partition, v.kafka_offset
FROM versions v
LEFT JOIN {sessions} s ON s.symbol = v.symbol
WHERE v.age = 1
ORDER BY 1, 2, 3, 4
