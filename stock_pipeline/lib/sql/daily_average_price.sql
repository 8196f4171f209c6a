-- Average price of a symbol's day: of its trades where there are any, else of its intraday closes,
-- else the daily close. Among sources with the same basis the first of the precedence.
WITH based AS (
    SELECT b.symbol, b.trade_date, b.source, b.close, b.mean_price, b.trade_count, b.mean_close,
        b.bar_count, {rank} AS source_rank,
        CASE
            WHEN b.mean_price IS NOT NULL THEN 'trades'
            WHEN b.mean_close IS NOT NULL THEN 'intraday_closes'
            ELSE 'daily_close'
        END AS basis
    FROM {source_table} b
    WHERE b.year = {year}
),
ranked AS (
    SELECT symbol, trade_date, close, mean_price, trade_count, mean_close, bar_count, basis,
        row_number() OVER (
            PARTITION BY symbol, trade_date
            ORDER BY
                CASE basis WHEN 'trades' THEN 0 WHEN 'intraday_closes' THEN 1 ELSE 2 END,
                source_rank, source
        ) AS choice
    FROM based
)
SELECT symbol, trade_date,
    CASE basis
        WHEN 'trades' THEN mean_price WHEN 'intraday_closes' THEN mean_close ELSE close
    END AS avg_price,
    basis,
    CASE basis
        WHEN 'trades' THEN trade_count
        WHEN 'intraday_closes' THEN bar_count
        ELSE CAST(1 AS BIGINT)
    END AS observations
FROM ranked
WHERE choice = 1
ORDER BY symbol, trade_date
