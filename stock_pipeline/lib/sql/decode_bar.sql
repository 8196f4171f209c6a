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
        number_of(v.open) AS open,
        number_of(v.high) AS high,
        number_of(v.low) AS low,
        number_of(v.close) AS close,
        number_of(v.volume) AS volume,
        number_of(v.adjusted_close) AS adjusted_close,
        number_of(v.vwap) AS vwap,
        number_of(v.trade_count) AS trade_count,
        CASE WHEN interval_of(string_of(v."interval")) = '1d' THEN written_date_of(v.start) END
        AS given_date,
        CASE WHEN v.source IS NULL THEN feed_source() ELSE string_of(v.source) END AS source
    FROM parsed
),
bounded AS (
    SELECT *, earliest_of(bar_interval, given_date) AS earliest, latest_of(kafka_timestamp) AS latest
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
),
described AS (
    SELECT *, CASE WHEN NOT good THEN try(json_transform(doc,
        '{"symbol":"JSON","start":"JSON","interval":"JSON","open":"JSON","high":"JSON","low":"JSON","close":"JSON","volume":"JSON","adjusted_close":"JSON","vwap":"JSON","trade_count":"JSON","source":"JSON"}'
    )) END AS w
    FROM judged
)
SELECT i, symbol, bar_start, bar_interval AS "interval", open, high, low, close, adjusted_close,
    volume, nullif(vwap, 0) AS vwap, CASE WHEN good THEN trade_count::BIGINT END AS trade_count,
    source, given_date,
    CASE WHEN NOT good THEN coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(w.symbol, symbol, 'symbol'),
        interval_fault(w."interval", bar_interval, 'interval'),
        instant_fault(w."start", v.start, earliest, latest, 'start'),
        required_number_fault(w."open", v.open, 'open'),
        required_number_fault(w.high, v.high, 'high'),
        required_number_fault(w.low, v.low, 'low'),
        required_number_fault(w."close", v.close, 'close'),
        required_number_fault(w.volume, v.volume, 'volume'),
        number_fault(w.adjusted_close, v.adjusted_close, 'adjusted_close'),
        number_fault(w.vwap, v.vwap, 'vwap'),
        number_fault(w.trade_count, v.trade_count, 'trade_count'),
        bar_fault(open, high, low, close),
        amount_fault(volume, 'volume'),
        price_fault(adjusted_close, 'adjusted_close'),
        amount_fault(vwap, 'vwap'),
        count_fault(trade_count, 'trade_count'),
        symbol_fault(w.source, source, 'source')
    ) END AS fault
FROM described
