-- One price per symbol and day: the mean trade price where trades exist, else the mean of intraday
-- closes, else the daily close.
WITH
offered AS (
    SELECT
        b.symbol,
        b.trade_date,
        b.source,
        CASE
            WHEN b.mean_price IS NOT NULL AND b.trade_count > 0 THEN 1
            WHEN b.mean_close IS NOT NULL AND b.bar_count > 0 THEN 2
            ELSE 3
        END AS basis_rank,
        b.mean_price,
        b.trade_count,
        b.mean_close,
        b.bar_count,
        b.close
    FROM {bars_daily} b
    WHERE CAST(b.year AS INTEGER) = {year}
),
ranked AS (
    SELECT
        o.*,
        ROW_NUMBER() OVER (
            PARTITION BY o.symbol, o.trade_date ORDER BY o.basis_rank, {source_rank}, o.source
        ) AS choice
    FROM offered o
)
SELECT
    r.symbol,
    r.trade_date,
    CASE r.basis_rank WHEN 1 THEN r.mean_price WHEN 2 THEN r.mean_close ELSE r.close END
        AS avg_price,
    CASE r.basis_rank WHEN 1 THEN 'trades' WHEN 2 THEN 'intraday_closes' ELSE 'daily_close' END
        AS basis,
    CASE r.basis_rank WHEN 1 THEN r.trade_count WHEN 2 THEN r.bar_count ELSE CAST(1 AS BIGINT) END
        AS observations
FROM ranked r
WHERE r.choice = 1
