-- JSON quotes {symbol, time, bid, ask}: one row a record; `fault` is NULL for an accepted one.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
parsed AS (
    SELECT *, try(json_transform(doc,
        '{"symbol":"JSON","time":"JSON","bid":"JSON","ask":"JSON"}'
    )) AS v
    FROM docs
),
typed AS (
    SELECT *, string_of(v.symbol) AS symbol, instant_of(label_of(v."time")) AS event_time,
        number_of(label_of(v.bid)) AS bid, number_of(label_of(v.ask)) AS ask
    FROM parsed
)
SELECT i, symbol, event_time, bid, ask,
    coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(v.symbol, symbol, 'symbol'),
        instant_fault(
            v."time", label_of(v."time"), earliest_trade(), latest_of(kafka_timestamp), 'time'
        ),
        required_number_fault(v.bid, label_of(v.bid), 'bid'),
        required_number_fault(v.ask, label_of(v.ask), 'ask'),
        price_fault(bid, 'bid'),
        price_fault(ask, 'ask')
    ) AS fault
FROM typed
