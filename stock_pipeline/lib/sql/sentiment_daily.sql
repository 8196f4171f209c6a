-- Mean sentiment of a symbol's news by session, weighted by relevance (1 where the source gives
-- none), beside the session's log return and volatility; NULL where there is none.
WITH days AS (
    SELECT n.symbol, n.trade_date, count(*) AS article_count,
        sum(coalesce(n.relevance, 1.0E0) * n.sentiment)
            / nullif(sum(coalesce(n.relevance, 1.0E0)), 0.0E0) AS mean_sentiment,
        avg(CASE WHEN n.score_from = 'vader' THEN 1.0E0 ELSE 0.0E0 END) AS vader_share
    FROM {source_table} n
    WHERE n.year = {year}
    GROUP BY n.symbol, n.trade_date
),
moves AS (
    SELECT v.symbol, v.trade_date, max(v.log_return) AS log_return,
        max(CASE WHEN v.window_days = 20 THEN v.close_to_close END) AS close_to_close_20
    FROM {volatility_daily} v
    WHERE v.year = {year}
    GROUP BY v.symbol, v.trade_date
),
sessions AS (
    SELECT v.symbol, CAST(v.trade_date AS DATE) AS trade_date,
        max(v.realized_volatility) AS realized_volatility
    FROM {volatility_intraday} v
    WHERE v.trade_date BETWEEN {first_day} AND {last_day} AND v.window_label = 'session'
    GROUP BY v.symbol, v.trade_date
)
-- Rounding may carry a mean of equal scores past its bounds.
SELECT d.symbol, d.trade_date, d.article_count,
    CASE WHEN d.mean_sentiment > 1 THEN 1.0E0 WHEN d.mean_sentiment < -1 THEN -1.0E0
        ELSE d.mean_sentiment END AS mean_sentiment,
    d.vader_share, r.log_return, r.close_to_close_20, s.realized_volatility
FROM days d
LEFT JOIN moves r ON r.symbol = d.symbol AND r.trade_date = d.trade_date
LEFT JOIN sessions s ON s.symbol = d.symbol AND s.trade_date = d.trade_date
ORDER BY d.symbol, d.trade_date
