SELECT
    w.symbol,
    w.trade_date,
    w.source,
    CAST({window} AS INTEGER) AS window_days,
    CASE WHEN w.total_count = {window} AND {window} > 1 THEN SQRT(
        w.sessions_per_year * CASE WHEN w.total_variance > 0E0 THEN w.total_variance ELSE 0E0 END
    ) END AS close_to_close,
    CASE WHEN w.range_count = {window} THEN SQRT(
        w.sessions_per_year * w.range_sum / (4E0 * {window} * LN(2E0))
    ) END AS parkinson,
    CASE WHEN w.range_count = {window} THEN SQRT(
        w.sessions_per_year * CASE
            WHEN 0.5E0 * w.range_sum > (2E0 * LN(2E0) - 1E0) * w.squared_open_to_close_sum
                THEN (0.5E0 * w.range_sum - (2E0 * LN(2E0) - 1E0) * w.squared_open_to_close_sum)
                    / {window}
            ELSE 0E0
        END
    ) END AS garman_klass,
    CASE WHEN w.range_count = {window} THEN SQRT(
        w.sessions_per_year
        * CASE WHEN w.rogers_satchell_sum > 0E0 THEN w.rogers_satchell_sum ELSE 0E0 END / {window}
    ) END AS rogers_satchell,
    CASE WHEN w.range_count = {window} AND w.overnight_count = {window} AND {window} > 1 THEN SQRT(
        w.sessions_per_year * (
            CASE WHEN w.overnight_variance > 0E0 THEN w.overnight_variance ELSE 0E0 END
            + {yang_zhang_k}
            * CASE WHEN w.open_to_close_variance > 0E0 THEN w.open_to_close_variance ELSE 0E0 END
            + (1E0 - {yang_zhang_k})
            * CASE WHEN w.rogers_satchell_sum > 0E0 THEN w.rogers_satchell_sum ELSE 0E0 END
            / {window}
        )
    ) END AS yang_zhang,
    SQRT(w.sessions_per_year * w.ewma_variance) AS ewma,
    CAST(w.bar_count AS INTEGER) AS observations
FROM (
    SELECT
        s.symbol,
        s.trade_date,
        s.source,
        s.sessions_per_year,
        s.in_year,
        s.ewma_variance,
        COUNT(*) OVER last_bars AS bar_count,
        COUNT(s.total) OVER last_bars AS total_count,
        COUNT(s.overnight) OVER last_bars AS overnight_count,
        COUNT(s.squared_range) OVER last_bars AS range_count,
        VAR_SAMP(s.total) OVER last_bars AS total_variance,
        VAR_SAMP(s.overnight) OVER last_bars AS overnight_variance,
        VAR_SAMP(s.open_to_close) OVER last_bars AS open_to_close_variance,
        SUM(s.squared_range) OVER last_bars AS range_sum,
        SUM(s.open_to_close * s.open_to_close) OVER last_bars AS squared_open_to_close_sum,
        SUM(s.rogers_satchell_term) OVER last_bars AS rogers_satchell_sum
    FROM smoothed s
    WINDOW last_bars AS (
        PARTITION BY s.symbol ORDER BY s.trade_date
        ROWS BETWEEN {bars_before} PRECEDING AND CURRENT ROW
    )
) w
WHERE w.in_year = 1
