-- Volatility by trailing windows of n bars, for the bars of one year; the bars of the two years
-- before fill the windows. Logs of prices adjusted by adjusted_close / close, and where there is none
-- by splits and dividends.
WITH state (symbol, variance, price) AS (
    -- EWMA variance and last adjusted close by the end of the year before; the first row gives types.
    VALUES ('', CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE)){state}
),
ranked AS (
    SELECT b.symbol, b.trade_date, b.source, b.open, b.high, b.low, b.close, b.volume,
        b.sessions_per_year, b.adjusted_close,
        CASE WHEN b.adjusted_close > 0 THEN b.adjusted_close WHEN b.close > 0 THEN b.close END
            AS price,
        row_number() OVER (
            PARTITION BY b.symbol, b.trade_date ORDER BY {rank}, b.source
        ) AS choice
    FROM {source_table} b
    WHERE b.year BETWEEN {first_year} AND {year}
),
bars AS (
    SELECT symbol, trade_date, source, open, high, low, close, volume, sessions_per_year, price,
        adjusted_close, row_number() OVER by_date AS bar_number,
        count(CASE WHEN trade_date < {year_start} THEN 1 END) OVER (
            PARTITION BY symbol ORDER BY trade_date
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS bars_before_year,
        lag(price) OVER by_date AS price_before{before}
    FROM ranked
    WHERE choice = 1
    WINDOW by_date AS (PARTITION BY symbol ORDER BY trade_date)
),
linked AS (
    SELECT b.symbol, b.trade_date, b.source, b.open, b.high, b.low, b.close, b.volume,
        b.sessions_per_year, b.price, b.bar_number, b.bars_before_year,
        b.bar_number - b.bars_before_year AS t{carried},
        s.variance AS state_variance, s.price AS state_price,
        -- A symbol that paused for longer than the years read goes on from its state.
        CASE WHEN b.bar_number = 1 AND b.bars_before_year = 0 THEN s.price ELSE b.price_before END
            AS base
    FROM bars b
    LEFT JOIN state s ON s.symbol = b.symbol
    -- The longest window that ends on the year's first bar begins here.
    WHERE b.bar_number - b.bars_before_year > 1 - {longest}
){adjustment},
observed AS (
    SELECT symbol, trade_date, source, sessions_per_year, bar_number, bars_before_year, t, price,
        base, state_variance, state_price,
        ln(price / base) AS r,
        CASE WHEN open > 0 AND close > 0 THEN ln(open * price / close / base) END AS o,
        -- A flat bar without volume is no observation of a range.
        CASE WHEN open > 0 AND close > 0 AND low > 0 AND (high > low OR volume > 0)
            THEN ln(close / open) END AS c,
        CASE WHEN open > 0 AND close > 0 AND low > 0 AND (high > low OR volume > 0)
            THEN ln(high / low) END AS hl,
        CASE WHEN open > 0 AND close > 0 AND low > 0 AND (high > low OR volume > 0)
            THEN ln(high / close) * ln(high / open) + ln(low / close) * ln(low / open) END AS rs
    FROM {priced}
),
weighted AS (
    -- EWMA: s2(t) = lambda^t * sum of weights up to t, the year's t-th bar. Its first return
    -- follows the state's variance, or is the first variance itself.
    SELECT symbol, trade_date, source, sessions_per_year, bar_number, t, price, base,
        r, o, c, hl, rs,
        CASE WHEN t >= 1 AND r IS NOT NULL THEN
            (1.0E0 - {ewma_lambda}) * r * r * power({ewma_lambda}, -t)
            + CASE
                WHEN t = 1 OR (t = 2 AND bars_before_year = 0 AND state_price IS NULL)
                THEN coalesce(state_variance, r * r) * power({ewma_lambda}, 1 - t)
                ELSE 0.0E0
            END
        END AS weight
    FROM observed
),
summed AS (
    SELECT symbol, trade_date, source, sessions_per_year, bar_number, t, r,
        power({ewma_lambda}, t) * sum(weight) OVER so_far AS ewma_variance{sums}
    FROM weighted
    WINDOW by_date AS (PARTITION BY symbol ORDER BY trade_date),
    so_far AS (
        PARTITION BY symbol ORDER BY trade_date
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ){frames}
),
windowed AS (
    SELECT s.symbol, s.trade_date, s.source, s.sessions_per_year, s.bar_number, s.ewma_variance, s.r,
        w.window_days, CAST(w.window_days AS DOUBLE) AS n{picks}
    FROM summed s
    CROSS JOIN (VALUES {windows}) AS w (window_days)
    WHERE s.t >= 1
),
estimated AS (
    SELECT symbol, trade_date, source, window_days, sessions_per_year, bar_number, ewma_variance, r,
        CASE WHEN returns = window_days THEN (sum_r2 - sum_r * sum_r / n) / (n - 1.0E0) END
            AS close_to_close,
        CASE WHEN ranges = window_days THEN sum_hl2 / (4.0E0 * n * ln(2.0E0)) END AS parkinson,
        CASE WHEN ranges = window_days
            THEN (0.5E0 * sum_hl2 - (2.0E0 * ln(2.0E0) - 1.0E0) * sum_c2) / n END AS garman_klass,
        CASE WHEN ranges = window_days THEN sum_rs / n END AS rogers_satchell,
        CASE WHEN returns = window_days AND ranges = window_days THEN
            (sum_o2 - (sum_r - sum_c) * (sum_r - sum_c) / n) / (n - 1.0E0)
            + 0.34E0 / (1.34E0 + (n + 1.0E0) / (n - 1.0E0))
                * (sum_c2 - sum_c * sum_c / n) / (n - 1.0E0)
            + (1.0E0 - 0.34E0 / (1.34E0 + (n + 1.0E0) / (n - 1.0E0))) * sum_rs / n
        END AS yang_zhang
    FROM windowed
)
-- Rounding may leave a variance of zero a little below it.
SELECT symbol, trade_date, source, CAST(window_days AS INTEGER) AS window_days,
    r AS log_return,
    CASE WHEN close_to_close > 0 THEN sqrt(close_to_close * sessions_per_year)
        WHEN close_to_close <= 0 THEN 0.0E0 END AS close_to_close,
    CASE WHEN parkinson >= 0 THEN sqrt(parkinson * sessions_per_year) END AS parkinson,
    CASE WHEN garman_klass > 0 THEN sqrt(garman_klass * sessions_per_year)
        WHEN garman_klass <= 0 THEN 0.0E0 END AS garman_klass,
    CASE WHEN rogers_satchell > 0 THEN sqrt(rogers_satchell * sessions_per_year)
        WHEN rogers_satchell <= 0 THEN 0.0E0 END AS rogers_satchell,
    CASE WHEN yang_zhang > 0 THEN sqrt(yang_zhang * sessions_per_year)
        WHEN yang_zhang <= 0 THEN 0.0E0 END AS yang_zhang,
    CASE WHEN ewma_variance >= 0 THEN sqrt(ewma_variance * sessions_per_year) END AS ewma,
    CAST(CASE WHEN bar_number < window_days THEN bar_number ELSE window_days END AS INTEGER)
        AS observations
FROM estimated
WHERE ewma_variance IS NOT NULL OR close_to_close IS NOT NULL OR parkinson IS NOT NULL
ORDER BY symbol, trade_date, window_days
