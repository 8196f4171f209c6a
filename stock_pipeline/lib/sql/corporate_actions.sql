-- Splits and dividends: of one sent again the latest record wins.
WITH versions AS (
    SELECT a.symbol, a.trade_date, a.kind, a.source, a.ratio, a.amount, a.currency,
        a.incarnation, a.kafka_timestamp, a.kafka_partition, a.kafka_offset,
        row_number() OVER (
            PARTITION BY a.symbol, a.trade_date, a.kind, a.source
            ORDER BY a.incarnation DESC, a.kafka_timestamp DESC, a.kafka_partition DESC,
                a.kafka_offset DESC
        ) AS age
    FROM {actions} a
)
SELECT symbol, trade_date AS ex_date, kind, source, ratio, amount, currency,
    incarnation, kafka_timestamp, kafka_partition, kafka_offset
FROM versions
WHERE age = 1
ORDER BY symbol, ex_date, kind, source
