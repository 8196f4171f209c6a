-- JSON trades {s, t, p} of one unit each: one row a record; `fault` is NULL for an accepted one.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
parsed AS (
    SELECT *, try(json_transform(doc, '{"s":"JSON","t":"JSON","p":"JSON"}')) AS v FROM docs
),
typed AS (
    SELECT *, string_of(v.s) AS symbol, instant_of(label_of(v.t)) AS event_time,
        number_of(label_of(v.p)) AS price
    FROM parsed
)
SELECT i, symbol, event_time, price, 1.0::DOUBLE AS size, NULL::VARCHAR AS trade_id,
    NULL::VARCHAR AS venue,
    coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(v.s, symbol, 's'),
        instant_fault(v.t, label_of(v.t), earliest_trade(), latest_of(kafka_timestamp), 't'),
        required_number_fault(v.p, label_of(v.p), 'p'),
        price_fault(price, 'p')
    ) AS fault
FROM typed
