-- Range of a symbol's day over all sources, as a share of its highest price.
SELECT b.symbol, b.trade_date, max(b.high) AS top, min(b.low) AS bottom,
    (max(b.high) - min(b.low)) / max(b.high) AS range_share
FROM {source_table} b
WHERE b.year = {year}
GROUP BY b.symbol, b.trade_date
ORDER BY b.symbol, b.trade_date
