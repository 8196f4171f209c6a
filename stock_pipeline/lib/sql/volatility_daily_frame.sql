,
    w_{n} AS (
        PARTITION BY symbol ORDER BY trade_date ROWS BETWEEN {before} PRECEDING AND CURRENT ROW
    )
