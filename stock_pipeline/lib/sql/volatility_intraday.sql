-- Realised variance and its jump share by windows of a session, from the 1-minute bars inside it.
WITH regular AS (
    SELECT b.symbol, b.source, b.bar_start, b.high, b.low, b.close, b.volume, b.vwap,
        b.trade_count, b.session_open, b.session_close, b.sessions_per_year,
        {rank} AS source_rank
    FROM {source_table} b
    WHERE b.trade_date = {trade_date} AND b.interval = '1m'
        AND b.bar_start >= b.session_open AND b.bar_start < b.session_close
),
sources AS (
    SELECT symbol, source,
        row_number() OVER (PARTITION BY symbol ORDER BY min(source_rank), source) AS choice
    FROM regular
    GROUP BY symbol, source
),
watermark AS (
    -- How far the data reach; never the clock, so that the same data give the same rows.
    SELECT greatest(
        max(CASE WHEN b.interval = '1m' THEN b.bar_start END) + INTERVAL '1' MINUTE,
        max(b.kafka_timestamp)
    ) AS reached
    FROM {source_table} b
    WHERE b.trade_date = {trade_date}
),
numbered AS (
    SELECT r.symbol, r.bar_start, r.high, r.low, r.close, r.volume, r.vwap, r.trade_count,
        r.session_open, r.session_close, r.sessions_per_year,
        lag(r.close) OVER (PARTITION BY r.symbol ORDER BY r.bar_start) AS close_before,
        CASE WHEN CAST(r.bar_start AS DATE) > CAST(r.session_open AS DATE) THEN 1440 ELSE 0 END
            + (EXTRACT(HOUR FROM r.bar_start) - EXTRACT(HOUR FROM r.session_open)) * 60
            + EXTRACT(MINUTE FROM r.bar_start) - EXTRACT(MINUTE FROM r.session_open)
            AS session_minute
    FROM regular r
    JOIN sources s ON s.symbol = r.symbol AND s.source = r.source
    WHERE s.choice = 1
),
session_returns AS (
    SELECT symbol, bar_start, high, low, close, volume, vwap, trade_count,
        session_open, session_close, sessions_per_year, session_minute,
        CASE WHEN close > 0 AND close_before > 0 THEN ln(close / close_before) END AS r
    FROM numbered
),
scored AS (
    SELECT symbol, bar_start, high, low, close, volume, vwap, trade_count,
        session_open, session_close, sessions_per_year, session_minute, r,
        stddev_samp(r) OVER (
            PARTITION BY symbol ORDER BY bar_start
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS deviation_before
    FROM session_returns
),
placed AS (
    SELECT b.symbol, b.bar_start, b.high, b.low, b.close, b.volume, b.vwap, b.trade_count,
        b.session_close, b.sessions_per_year, w.window_label,
        CASE WHEN b.deviation_before > 0 THEN b.r / b.deviation_before END AS zscore,
        CASE WHEN w.minutes = 0 THEN b.session_open
            ELSE b.session_open
                + (b.session_minute - mod(b.session_minute, w.minutes)) * INTERVAL '1' MINUTE
        END AS window_start,
        CASE WHEN w.minutes = 0 THEN b.session_close
            ELSE b.session_open
                + (b.session_minute - mod(b.session_minute, w.minutes) + w.minutes)
                * INTERVAL '1' MINUTE
        END AS window_end
    FROM scored b
    CROSS JOIN (
        VALUES ('5m', 5), ('15m', 15), ('30m', 30), ('1h', 60), ('session', 0)
    ) AS w (window_label, minutes)
),
chained AS (
    SELECT symbol, window_label, window_start, window_end, session_close, sessions_per_year,
        high, low, close, volume, vwap, trade_count, zscore,
        lag(close) OVER in_window AS close_1,
        lag(close, 2) OVER in_window AS close_2,
        lead(bar_start) OVER in_window AS bar_after
    FROM placed
    WINDOW in_window AS (PARTITION BY symbol, window_label, window_start ORDER BY bar_start)
),
stepped AS (
    SELECT symbol, window_label, window_start, window_end, session_close, sessions_per_year,
        high, low, volume, vwap, trade_count,
        CASE WHEN bar_after IS NULL THEN zscore END AS last_zscore,
        CASE WHEN close > 0 AND close_1 > 0 THEN ln(close / close_1) END AS r,
        CASE WHEN close_1 > 0 AND close_2 > 0 THEN ln(close_1 / close_2) END AS r_before
    FROM chained
),
measured AS (
    SELECT symbol, window_label, window_start, window_end, session_close, sessions_per_year,
        sum(r * r) AS rv,
        0.5E0 * pi() * sum(abs(r) * abs(r_before)) AS bv,
        max(high) AS highest,
        min(low) AS lowest,
        sum(volume) AS size,
        sum(vwap * volume) AS notional,
        sum(CASE WHEN volume > 0 AND vwap IS NULL THEN 1 ELSE 0 END) AS bars_without_vwap,
        CAST(sum(trade_count) AS BIGINT) AS trade_count,
        count(*) AS bar_count,
        max(last_zscore) AS last_return_zscore
    FROM stepped
    GROUP BY symbol, window_label, window_start, window_end, session_close, sessions_per_year
)
SELECT m.symbol, m.window_label, m.window_start,
    m.window_end <= m.session_close AND m.window_end <= w.reached AS complete,
    m.rv AS realized_variance,
    m.bv AS bipower_variation,
    CASE WHEN m.rv > 0 AND m.bv IS NOT NULL
        THEN CASE WHEN m.rv > m.bv THEN (m.rv - m.bv) / m.rv ELSE 0.0E0 END
    END AS jump_share,
    CASE WHEN m.rv >= 0 THEN sqrt(m.rv * m.sessions_per_year) END AS realized_volatility,
    m.highest AS high, m.lowest AS low,
    CASE WHEN m.size > 0 AND m.bars_without_vwap = 0 THEN m.notional / m.size END AS vwap,
    m.trade_count, m.bar_count, m.last_return_zscore
FROM measured m
CROSS JOIN watermark w
ORDER BY symbol, window_label, window_start
