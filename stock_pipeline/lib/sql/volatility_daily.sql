-- Volatility per symbol, day and window, of one year of daily bars; the years before it only fill
-- the windows. One SELECT a window follows from volatility_daily_window.sql.
WITH
ewma_state AS (
    {ewma_state}
),
ranked AS (
    SELECT
        b.symbol,
        b.trade_date,
        b.source,
        b.volume,
        b.sessions_per_year,
        b.open * COALESCE(b.adjusted_close / b.close, 1E0) AS open,
        b.high * COALESCE(b.adjusted_close / b.close, 1E0) AS high,
        b.low * COALESCE(b.adjusted_close / b.close, 1E0) AS low,
        COALESCE(b.adjusted_close, b.close) AS close,
        ROW_NUMBER() OVER (
            PARTITION BY b.symbol, b.trade_date ORDER BY {source_rank}, b.source
        ) AS choice
    FROM {bars_daily} b
    WHERE CAST(b.year AS INTEGER) BETWEEN {year} - 2 AND {year}
),
chained AS (
    SELECT
        r.symbol,
        r.trade_date,
        r.source,
        r.sessions_per_year,
        r.open,
        r.high,
        r.low,
        r.close,
        CASE WHEN r.high = r.low AND r.volume = 0E0 THEN 1 ELSE 0 END AS is_flat,
        CASE WHEN EXTRACT(YEAR FROM r.trade_date) = {year} THEN 1 ELSE 0 END AS in_year,
        s.variance AS variance_before,
        COALESCE(
            LAG(r.close) OVER (PARTITION BY r.symbol ORDER BY r.trade_date),
            CASE WHEN EXTRACT(YEAR FROM r.trade_date) = {year} THEN s.last_close END
        ) AS previous_close
    FROM ranked r
    LEFT JOIN ewma_state s ON s.symbol = r.symbol
    WHERE r.choice = 1
),
terms AS (
    SELECT
        c.symbol,
        c.trade_date,
        c.source,
        c.sessions_per_year,
        c.in_year,
        c.variance_before,
        LN(c.close / c.previous_close) AS total,
        LN(c.open / c.previous_close) AS overnight,
        CASE WHEN c.is_flat = 0 THEN LN(c.close / c.open) END AS open_to_close,
        CASE WHEN c.is_flat = 0 THEN POWER(LN(c.high / c.low), 2E0) END AS squared_range,
        CASE WHEN c.is_flat = 0 THEN
            LN(c.high / c.close) * LN(c.high / c.open) + LN(c.low / c.close) * LN(c.low / c.open)
        END AS rogers_satchell_term
    FROM chained c
),
numbered AS (
    SELECT
        t.symbol,
        t.trade_date,
        t.source,
        t.sessions_per_year,
        t.in_year,
        t.variance_before,
        t.total,
        t.overnight,
        t.open_to_close,
        t.squared_range,
        t.rogers_satchell_term,
        COUNT(t.total) OVER (
            PARTITION BY t.symbol, t.in_year ORDER BY t.trade_date
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS return_number
    FROM terms t
),
-- s2 = lambda * s2_before + (1 - lambda) * r^2, solved as one running sum: every r^2 divided by
-- lambda^number. Positive terms only, so nothing cancels; a year has at most 366 of them.
smoothed AS (
    SELECT
        n.symbol,
        n.trade_date,
        n.source,
        n.sessions_per_year,
        n.in_year,
        n.total,
        n.overnight,
        n.open_to_close,
        n.squared_range,
        n.rogers_satchell_term,
        CASE
            WHEN n.in_year = 0 THEN NULL
            WHEN n.return_number > 0 THEN
                POWER({ewma_lambda}, CAST(n.return_number AS DOUBLE)) * (
                    COALESCE(n.variance_before, 0E0)
                    + SUM(
                        CASE
                            WHEN n.total IS NULL THEN 0E0
                            WHEN n.return_number = 1 AND n.variance_before IS NULL
                                THEN n.total * n.total / {ewma_lambda}
                            ELSE (1E0 - {ewma_lambda}) * n.total * n.total
                                / POWER({ewma_lambda}, CAST(n.return_number AS DOUBLE))
                        END
                    ) OVER (
                        PARTITION BY n.symbol, n.in_year ORDER BY n.trade_date
                        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                    )
                )
            ELSE n.variance_before
        END AS ewma_variance
    FROM numbered n
)
{windows}
