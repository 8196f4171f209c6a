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
        '{"symbol":"JSON","time":"VARCHAR","price":"VARCHAR","size":"VARCHAR","trade_id":"JSON","venue":"JSON"}'
    )) AS v
    FROM docs
),
typed AS (
    SELECT i, kafka_timestamp, payload, text, doc, v,
        string_of(v.symbol) AS symbol,
        instant_of(v."time") AS event_time,
        number_of(v.price) AS price,
        number_of(v.size) AS size,
        label_of(v.trade_id) AS trade_id,
        label_of(v.venue) AS venue
    FROM parsed
),
judged AS (
    SELECT *, coalesce(
        is_symbol(symbol)
        AND event_time BETWEEN earliest_trade() AND latest_of(kafka_timestamp)
        AND is_price(price) AND is_amount(size)
        AND (v.trade_id IS NULL OR coalesce(is_label(trade_id), false))
        AND (v.venue IS NULL OR coalesce(is_label(venue), false)),
        false) AS good
    FROM typed
),
described AS (
    SELECT *, CASE WHEN NOT good THEN try(json_transform(doc,
        '{"symbol":"JSON","time":"JSON","price":"JSON","size":"JSON"}'
    )) END AS w
    FROM judged
)
-- An empty id is none: trades with the same id are one trade.
SELECT i, symbol, event_time, price, size, nullif(trade_id, '') AS trade_id,
    nullif(venue, '') AS venue,
    CASE WHEN NOT good THEN coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(w.symbol, symbol, 'symbol'),
        instant_fault(w."time", v."time", earliest_trade(), latest_of(kafka_timestamp), 'time'),
        required_number_fault(w.price, v.price, 'price'),
        required_number_fault(w.size, v.size, 'size'),
        price_fault(price, 'price'),
        amount_fault(size, 'size'),
        fault(
            'wrong_type',
            'Field trade_id or venue is not plain text of at most 200 characters that show.'
        )
    ) END AS fault
FROM described
