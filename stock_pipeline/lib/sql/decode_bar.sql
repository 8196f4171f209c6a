-- JSON bars {symbol, start, interval, open, high, low, close, volume, adjusted_close?, vwap?,
-- trade_count?, source?}: one row a record; `fault` is NULL for an accepted one. A daily bar belongs
-- to the date that its start names as written (`given_date`), whatever the offset behind it.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
parsed AS (
    SELECT *, try(json_transform(doc,
        '{"symbol":"JSON","start":"VARCHAR","interval":"JSON","open":"VARCHAR","high":"VARCHAR","low":"VARCHAR","close":"VARCHAR","volume":"VARCHAR","adjusted_close":"VARCHAR","vwap":"VARCHAR","trade_count":"VARCHAR","source":"JSON"}'
    )) AS v
    FROM docs
),
typed AS (
    SELECT i, kafka_timestamp, payload, text, doc, v,
        string_of(v.symbol) AS symbol,
        instant_of(v.start) AS bar_start,
        interval_of(string_of(v."interval")) AS bar_interval,
        TRY_CAST(v.open AS DOUBLE) AS open,
        TRY_CAST(v.high AS DOUBLE) AS high,
        TRY_CAST(v.low AS DOUBLE) AS low,
        TRY_CAST(v.close AS DOUBLE) AS close,
        TRY_CAST(v.volume AS DOUBLE) AS volume,
        TRY_CAST(v.adjusted_close AS DOUBLE) AS adjusted_close,
        TRY_CAST(v.vwap AS DOUBLE) AS vwap,
        TRY_CAST(v.trade_count AS DOUBLE) AS trade_count,
        CASE WHEN v.source IS NULL THEN feed_source() ELSE string_of(v.source) END AS source
    FROM parsed
),
bounded AS (
    SELECT *, earliest_of(bar_interval) AS earliest, latest_of(kafka_timestamp) AS latest
    FROM typed
),
judged AS (
    SELECT *, coalesce(
        is_symbol(symbol) AND is_symbol(source)
        AND bar_interval IS NOT NULL
        AND bar_start BETWEEN earliest AND latest
        AND is_bar(open, high, low, close) AND is_amount(volume)
        AND (v.adjusted_close IS NULL OR coalesce(is_price(adjusted_close), false))
        AND (v.vwap IS NULL OR coalesce(is_amount(vwap), false))
        AND (v.trade_count IS NULL OR coalesce(is_count(trade_count), false)),
        false) AS good
    FROM bounded
)
SELECT i, symbol, bar_start, bar_interval AS "interval", open, high, low, close, adjusted_close,
    volume, nullif(vwap, 0) AS vwap, CASE WHEN good THEN trade_count::BIGINT END AS trade_count,
    source,
    CASE WHEN bar_interval = '1d' THEN TRY_CAST(v.start[1:10] AS DATE) END AS given_date,
    CASE WHEN NOT good THEN coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(json_type(doc, '$.symbol'), symbol, 'symbol'),
        interval_fault(json_type(doc, '$.interval'), bar_interval, 'interval'),
        instant_fault(json_type(doc, '$.start'), v.start, earliest, latest, 'start'),
        required_number_fault(json_type(doc, '$.open'), v.open, 'open'),
        required_number_fault(json_type(doc, '$.high'), v.high, 'high'),
        required_number_fault(json_type(doc, '$.low'), v.low, 'low'),
        required_number_fault(json_type(doc, '$.close'), v.close, 'close'),
        required_number_fault(json_type(doc, '$.volume'), v.volume, 'volume'),
        number_fault(json_type(doc, '$.adjusted_close'), v.adjusted_close, 'adjusted_close'),
        number_fault(json_type(doc, '$.vwap'), v.vwap, 'vwap'),
        number_fault(json_type(doc, '$.trade_count'), v.trade_count, 'trade_count'),
        bar_fault(open, high, low, close),
        amount_fault(volume, 'volume'),
        price_fault(adjusted_close, 'adjusted_close'),
        amount_fault(vwap, 'vwap'),
        count_fault(trade_count, 'trade_count'),
        symbol_fault(json_type(doc, '$.source'), source, 'source')
    ) END AS fault
FROM judged
