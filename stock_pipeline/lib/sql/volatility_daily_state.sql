-- EWMA variance and last adjusted close of the symbols that a year has bars of.
WITH last_dates AS (
    SELECT b.symbol, max(b.trade_date) AS trade_date
    FROM {source_table} b
    WHERE b.year = {year}
    GROUP BY b.symbol
),
last_bars AS (
    SELECT b.symbol, b.trade_date, b.sessions_per_year,
        CASE WHEN b.adjusted_close > 0 THEN b.adjusted_close ELSE b.close END AS price,
        row_number() OVER (PARTITION BY b.symbol ORDER BY {rank}, b.source) AS choice
    FROM {source_table} b
    JOIN last_dates d ON d.symbol = b.symbol AND d.trade_date = b.trade_date
    WHERE b.year = {year}
),
last_volatilities AS (
    SELECT v.symbol, v.trade_date, max(v.ewma) AS ewma
    FROM {volatility_table} v
    JOIN last_dates d ON d.symbol = v.symbol AND d.trade_date = v.trade_date
    GROUP BY v.symbol, v.trade_date
)
SELECT b.symbol, v.ewma * v.ewma / b.sessions_per_year AS variance, b.price
FROM last_bars b
LEFT JOIN last_volatilities v ON v.symbol = b.symbol
WHERE b.choice = 1
ORDER BY symbol
