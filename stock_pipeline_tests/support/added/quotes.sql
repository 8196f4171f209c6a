-- Quotes: of the same symbol and instant the latest record wins.
WITH versions AS (
    SELECT q.symbol, q.event_time, q.bid, q.ask, q.incarnation, q.kafka_timestamp,
        q.kafka_partition, q.kafka_offset,
        row_number() OVER (
            PARTITION BY q.symbol, q.event_time
            ORDER BY q.incarnation DESC, q.kafka_timestamp DESC, q.kafka_partition DESC,
                q.kafka_offset DESC
        ) AS age
    FROM {quotes} q
)
SELECT symbol, event_time AS quoted_at, bid, ask, incarnation, kafka_timestamp, kafka_partition,
    kafka_offset
FROM versions
WHERE age = 1
ORDER BY symbol, quoted_at
