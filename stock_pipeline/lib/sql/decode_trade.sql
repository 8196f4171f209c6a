-- JSON trades {symbol, time, price, size, trade_id?, venue?}: one row a record; `fault` is NULL for
-- an accepted one.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
parsed AS (
    SELECT *, try(json_transform(doc,
        '{"symbol":"JSON","time":"VARCHAR","price":"VARCHAR","size":"VARCHAR","trade_id":"VARCHAR","venue":"VARCHAR"}'
    )) AS v
    FROM docs
),
typed AS (
    SELECT i, kafka_timestamp, payload, text, doc, v,
        string_of(v.symbol) AS symbol,
        instant_of(v."time") AS event_time,
        TRY_CAST(v.price AS DOUBLE) AS price,
        TRY_CAST(v.size AS DOUBLE) AS size,
        v.trade_id AS trade_id,
        v.venue AS venue
    FROM parsed
),
judged AS (
    SELECT *, coalesce(
        is_symbol(symbol)
        AND event_time BETWEEN TIMESTAMP '2000-01-01' AND latest_of(kafka_timestamp)
        AND is_price(price) AND is_amount(size)
        AND coalesce(length(trade_id), 0) <= 200 AND coalesce(length(venue), 0) <= 200
        AND NOT starts_with(coalesce(trade_id, ''), '{') AND NOT starts_with(coalesce(venue, ''), '{')
        AND NOT starts_with(coalesce(trade_id, ''), '[') AND NOT starts_with(coalesce(venue, ''), '['),
        false) AS good
    FROM typed
)
SELECT i, symbol, event_time, price, size, trade_id, venue,
    CASE WHEN NOT good THEN coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(json_type(doc, '$.symbol'), symbol, 'symbol'),
        instant_fault(
            json_type(doc, '$.time'), v."time",
            TIMESTAMP '2000-01-01', latest_of(kafka_timestamp), 'time'
        ),
        required_number_fault(json_type(doc, '$.price'), v.price, 'price'),
        required_number_fault(json_type(doc, '$.size'), v.size, 'size'),
        price_fault(price, 'price'),
        amount_fault(size, 'size'),
        fault('wrong_type', 'Field trade_id or venue is not a plain string of at most 200 characters.')
    ) END AS fault
FROM judged
