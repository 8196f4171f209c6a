-- News: of an article sent again the latest record wins; `vader` scores those without vendor score.
WITH versions AS (
    SELECT n.symbol, n.url, n.event_time, n.trade_date, n.title, n.summary, n.publisher, n.source,
        n.overall_sentiment, n.ticker_sentiment, n.vader, n.relevance, n.label,
        n.incarnation, n.kafka_timestamp, n.kafka_partition, n.kafka_offset,
        row_number() OVER (
            PARTITION BY n.symbol, n.url
            ORDER BY n.incarnation DESC, n.kafka_timestamp DESC, n.kafka_partition DESC,
                n.kafka_offset DESC, n.event_time DESC, n.relevance DESC, n.ticker_sentiment DESC,
                n.title DESC
        ) AS age
    FROM {news} n
)
SELECT symbol, url, event_time AS published_at, trade_date, title, summary, publisher, source,
    overall_sentiment, coalesce(ticker_sentiment, overall_sentiment, vader) AS sentiment,
    CASE WHEN ticker_sentiment IS NULL AND overall_sentiment IS NULL
        THEN 'vader' ELSE 'vendor' END AS score_from,
    relevance, label, incarnation, kafka_timestamp, kafka_partition, kafka_offset
FROM versions
WHERE age = 1
ORDER BY symbol, url
