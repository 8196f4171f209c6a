-- Realized measures of one trade_date from its 1-minute bars inside the regular session, in windows
-- aligned to the session's open, and over the session.
WITH
sources AS (
    SELECT
        d.symbol,
        d.source,
        ROW_NUMBER() OVER (PARTITION BY d.symbol ORDER BY {source_rank}, d.source) AS choice
    FROM (
        SELECT DISTINCT b.symbol, b.source
        FROM {bars_intraday} b
        WHERE CAST(b.trade_date AS DATE) = DATE '{trade_date}' AND b.interval = '1m'
    ) d
),
watermark AS (
    SELECT
        MAX(CASE WHEN b.interval = '1m' THEN b.bar_start + INTERVAL '1' MINUTE END) AS last_bar_end,
        MAX(b.kafka_timestamp) AS last_record
    FROM {bars_intraday} b
    WHERE CAST(b.trade_date AS DATE) = DATE '{trade_date}'
),
bars AS (
    SELECT
        b.symbol,
        b.bar_start,
        b.high,
        b.low,
        b.close,
        b.volume,
        b.vwap,
        b.trade_count,
        b.session_open,
        b.session_close,
        b.sessions_per_year,
        LN(b.close) AS log_close,
        CAST(
            EXTRACT(DAY FROM b.bar_start - b.session_open) * 1440
            + EXTRACT(HOUR FROM b.bar_start - b.session_open) * 60
            + EXTRACT(MINUTE FROM b.bar_start - b.session_open) AS INTEGER
        ) AS session_minute,
        CAST(
            EXTRACT(DAY FROM b.session_close - b.session_open) * 1440
            + EXTRACT(HOUR FROM b.session_close - b.session_open) * 60
            + EXTRACT(MINUTE FROM b.session_close - b.session_open) AS INTEGER
        ) AS session_minutes
    FROM {bars_intraday} b
    JOIN sources s ON s.symbol = b.symbol AND s.source = b.source AND s.choice = 1
    WHERE CAST(b.trade_date AS DATE) = DATE '{trade_date}'
        AND b.interval = '1m'
        AND b.session_open IS NOT NULL
        AND b.bar_start >= b.session_open
        AND b.bar_start < b.session_close
),
returns AS (
    SELECT
        b.*,
        b.log_close
            - LAG(b.log_close) OVER (PARTITION BY b.symbol ORDER BY b.bar_start) AS session_return
    FROM bars b
),
scores AS (
    SELECT
        r.*,
        r.session_return / NULLIF(
            STDDEV_SAMP(r.session_return) OVER (
                PARTITION BY r.symbol ORDER BY r.bar_start
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0E0
        ) AS zscore
    FROM returns r
),
placed AS (
    SELECT
        s.*,
        w.window_label,
        CASE WHEN w.minutes = 0 THEN s.session_minutes ELSE w.minutes END AS window_minutes,
        CASE
            WHEN w.minutes = 0 THEN 0
            ELSE s.session_minute - MOD(s.session_minute, w.minutes)
        END AS window_minute
    FROM scores s
    CROSS JOIN (
        VALUES ('5m', 5), ('15m', 15), ('30m', 30), ('1h', 60), ('session', 0)
    ) AS w (window_label, minutes)
),
steps AS (
    SELECT
        p.*,
        p.log_close - LAG(p.log_close) OVER (
            PARTITION BY p.symbol, p.window_label, p.window_minute ORDER BY p.bar_start
        ) AS step,
        ROW_NUMBER() OVER (
            PARTITION BY p.symbol, p.window_label, p.window_minute ORDER BY p.bar_start DESC
        ) AS from_last
    FROM placed p
),
products AS (
    SELECT
        s.*,
        ABS(s.step) * ABS(
            LAG(s.step) OVER (
                PARTITION BY s.symbol, s.window_label, s.window_minute ORDER BY s.bar_start
            )
        ) AS product
    FROM steps s
),
measured AS (
    SELECT
        p.symbol,
        p.window_label,
        p.window_minute,
        MIN(p.window_minutes) AS window_minutes,
        MIN(p.session_minutes) AS session_minutes,
        MIN(p.session_open) AS session_open,
        MIN(p.sessions_per_year) AS sessions_per_year,
        SUM(p.step * p.step) AS realized_variance,
        1.5707963267948966E0 * SUM(p.product) AS bipower_variation,
        MAX(p.high) AS high,
        MIN(p.low) AS low,
        SUM(p.vwap * p.volume)
            / NULLIF(SUM(CASE WHEN p.vwap IS NOT NULL THEN p.volume END), 0E0) AS vwap,
        CAST(SUM(p.trade_count) AS BIGINT) AS trade_count,
        COUNT(*) AS bar_count,
        MAX(CASE WHEN p.from_last = 1 THEN p.zscore END) AS last_return_zscore
    FROM products p
    GROUP BY p.symbol, p.window_label, p.window_minute
)
SELECT
    m.symbol,
    m.window_label,
    m.session_open + m.window_minute * INTERVAL '1' MINUTE AS window_start,
    m.window_minute + m.window_minutes <= m.session_minutes
        AND (
            m.session_open + (m.window_minute + m.window_minutes) * INTERVAL '1' MINUTE
                <= w.last_bar_end
            OR m.session_open + (m.window_minute + m.window_minutes) * INTERVAL '1' MINUTE
                <= w.last_record
        ) AS complete,
    m.realized_variance,
    m.bipower_variation,
    CASE
        WHEN m.bipower_variation IS NULL OR m.realized_variance = 0E0 THEN NULL
        WHEN m.realized_variance > m.bipower_variation
            THEN (m.realized_variance - m.bipower_variation) / m.realized_variance
        ELSE 0E0
    END AS jump_share,
    SQRT(m.realized_variance * m.sessions_per_year) AS realized_volatility,
    m.high,
    m.low,
    m.vwap,
    m.trade_count,
    m.bar_count,
    m.last_return_zscore
FROM measured m
CROSS JOIN watermark w
