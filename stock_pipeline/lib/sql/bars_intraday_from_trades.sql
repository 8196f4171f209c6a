-- 1-minute bars from trades. Trades of a minute are the same when symbol, venue and trade id are the
-- same: the first record of one counts. Without an id each record is its own trade. Only within the
-- minute, since a batch makes the minutes anew that it touches: an id looked for in other minutes
-- would count otherwise in a whole rebuild than batch by batch.
WITH identified AS (
    SELECT t.symbol, t.event_time, t.price, t.size, t.incarnation, t.kafka_timestamp,
        t.kafka_partition, t.kafka_offset,
        row_number() OVER (
            PARTITION BY
                t.symbol, t.venue, t.trade_id, date_trunc('minute', t.event_time)
            ORDER BY t.incarnation, t.kafka_timestamp, t.kafka_partition, t.kafka_offset
        ) AS copy_number
    FROM {trades} t
    WHERE t.trade_id IS NOT NULL
),
distinct_trades AS (
    SELECT symbol, date_trunc('minute', event_time) AS bar_start, event_time, price, size,
        incarnation, kafka_timestamp, kafka_partition, kafka_offset
    FROM identified
    WHERE copy_number = 1
    UNION ALL
    SELECT symbol, date_trunc('minute', event_time) AS bar_start, event_time, price, size,
        incarnation, kafka_timestamp, kafka_partition, kafka_offset
    FROM {trades}
    WHERE trade_id IS NULL
),
numbered AS (
    SELECT symbol, bar_start, price, size,
        incarnation, kafka_timestamp, kafka_partition, kafka_offset,
        row_number() OVER (
            PARTITION BY symbol, bar_start
            ORDER BY event_time, incarnation, kafka_partition, kafka_offset
        ) AS trade_number,
        row_number() OVER (
            PARTITION BY symbol, bar_start
            ORDER BY incarnation DESC, kafka_timestamp DESC, kafka_partition DESC, kafka_offset DESC
        ) AS age,
        count(*) OVER (PARTITION BY symbol, bar_start) AS trades
    FROM distinct_trades
),
bars AS (
    SELECT symbol, bar_start,
        max(CASE WHEN trade_number = 1 THEN price END) AS first_price,
        max(price) AS highest,
        min(price) AS lowest,
        max(CASE WHEN trade_number = trades THEN price END) AS last_price,
        sum(size) AS volume,
        sum(price * size) AS notional,
        avg(price) AS mean_price,
        count(*) AS trade_count,
        max(CASE WHEN age = 1 THEN incarnation END) AS incarnation,
        max(CASE WHEN age = 1 THEN kafka_timestamp END) AS kafka_timestamp,
        max(CASE WHEN age = 1 THEN kafka_partition END) AS kafka_partition,
        max(CASE WHEN age = 1 THEN kafka_offset END) AS kafka_offset
    FROM numbered
    GROUP BY symbol, bar_start
)
SELECT b.symbol, b.bar_start, '1m' AS interval, {source} AS source,
    b.first_price AS open, b.highest AS high, b.lowest AS low, b.last_price AS close,
    CAST(NULL AS DOUBLE) AS adjusted_close, b.volume,
    CASE WHEN b.volume > 0 THEN b.notional / b.volume END AS vwap,
    b.mean_price, b.trade_count, s.session_open, s.session_close, s.sessions_per_year,
    b.incarnation, b.kafka_timestamp, b.kafka_partition, b.kafka_offset
FROM bars b
LEFT JOIN {sessions} s ON s.symbol = b.symbol
ORDER BY 1, 2, 3, 4
