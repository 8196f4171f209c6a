,
actions AS (
    -- Of several sources that tell of a symbol's split or dividend the first one speaks.
    SELECT b.symbol, b.ex_date, b.kind, b.ratio, b.amount,
        row_number() OVER (
            PARTITION BY b.symbol, b.ex_date, b.kind ORDER BY {rank}, b.source
        ) AS choice
    FROM {actions} b
    WHERE b.year BETWEEN {first_year} AND {year}
),
effective AS (
    -- By the first bar from the ex-date on: log of the shares that one became, cash a share.
    SELECT l.symbol, l.trade_date,
        sum(CASE WHEN a.kind = 'split' THEN ln(a.ratio) ELSE 0.0E0 END) AS split,
        sum(CASE WHEN a.kind = 'dividend' THEN a.amount ELSE 0.0E0 END) AS paid
    FROM linked l
    JOIN actions a ON a.symbol = l.symbol AND a.ex_date <= l.trade_date
        AND (l.date_before IS NULL OR a.ex_date > l.date_before)
    WHERE a.choice = 1
    GROUP BY l.symbol, l.trade_date
),
parted AS (
    -- Sources differ in whether their prices are adjusted, and a bar may be older than the split:
    -- a split counts where the return shows it, which then is nearer to it than to none.
    SELECT l.symbol, l.trade_date, l.source, l.open, l.high, l.low, l.close, l.volume,
        l.sessions_per_year, l.price, l.bar_number, l.bars_before_year, l.t, l.state_variance,
        l.state_price, l.base, e.paid,
        CASE WHEN abs(ln(l.price / l.base) + e.split) < abs(ln(l.price / l.base))
            THEN e.split ELSE 0.0E0 END AS split,
        l.adjusted_close > 0 AND l.adjusted_before > 0 AS adjusted
    FROM linked l
    LEFT JOIN effective e ON e.symbol = l.symbol AND e.trade_date = l.trade_date
),
gained AS (
    -- A dividend counts where a close comes without adjusted close: 1 - amount / close before.
    SELECT symbol, trade_date, source, open, high, low, close, volume, sessions_per_year, price,
        bar_number, bars_before_year, t, state_variance, state_price, base,
        split - CASE
            WHEN paid > 0 AND paid < base * exp(-split) AND coalesce(adjusted, false) = false
            THEN ln(1.0E0 - paid / (base * exp(-split))) ELSE 0.0E0
        END AS gain
    FROM parted
),
grown AS (
    SELECT symbol, trade_date, source, open, high, low, close, volume, sessions_per_year, price,
        bar_number, bars_before_year, t, state_variance, state_price, base, gain,
        sum(gain) OVER (
            PARTITION BY symbol ORDER BY trade_date
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS growth
    FROM gained
),
adjusted AS (
    SELECT symbol, trade_date, source, open, high, low, close, volume, sessions_per_year,
        bar_number, bars_before_year, t, state_variance, state_price,
        price * exp(growth) AS price, base * exp(growth - gain) AS base
    FROM grown
)
