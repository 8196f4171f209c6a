-- JSON splits and dividends {symbol, ex_date, kind, ratio | amount, currency?, source?}: one row a
-- record; `fault` is NULL for an accepted one.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
parsed AS (
    SELECT *, try(json_transform(doc,
        '{"symbol":"JSON","ex_date":"JSON","kind":"JSON","ratio":"VARCHAR","amount":"VARCHAR","currency":"JSON","source":"JSON"}'
    )) AS v
    FROM docs
),
typed AS (
    SELECT *,
        string_of(v.symbol) AS symbol,
        date_of(string_of(v.ex_date)) AS ex_date,
        string_of(v.kind) AS kind,
        number_of(v.ratio) AS ratio,
        number_of(v.amount) AS amount,
        string_of(v.currency) AS currency,
        CASE WHEN v.source IS NULL THEN feed_source() ELSE string_of(v.source) END AS source,
        latest_of(kafka_timestamp)::DATE AS latest
    FROM parsed
),
judged AS (
    SELECT *, coalesce(
        is_symbol(symbol) AND is_symbol(source)
        AND ex_date BETWEEN DATE '1960-01-01' AND latest
        AND (
            (kind = 'split' AND is_price(ratio) AND ratio BETWEEN 1e-6 AND 1e6)
            OR (kind = 'dividend' AND is_price(amount))
        )
        AND (v.currency IS NULL OR coalesce(is_symbol(currency), false)),
        false) AS good
    FROM typed
),
described AS (
    SELECT *, CASE WHEN NOT good THEN try(json_transform(doc,
        '{"ratio":"JSON","amount":"JSON"}'
    )) END AS w
    FROM judged
)
SELECT i, symbol, ex_date AS trade_date, kind,
    CASE WHEN kind = 'split' THEN ratio END AS ratio,
    CASE WHEN kind = 'dividend' THEN amount END AS amount,
    currency, source,
    CASE WHEN NOT good THEN coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(v.symbol, symbol, 'symbol'),
        string_fault(v.ex_date, 'ex_date'),
        date_fault(ex_date, latest, 'ex_date'),
        string_fault(v.kind, 'kind'),
        CASE WHEN kind IS NULL OR kind NOT IN ('split', 'dividend')
        THEN fault('impossible_value', 'Field kind is neither split nor dividend.') END,
        CASE WHEN v.source IS NOT NULL THEN symbol_fault(v.source, source, 'source') END,
        CASE WHEN v.currency IS NOT NULL THEN symbol_fault(v.currency, currency, 'currency') END,
        CASE WHEN kind = 'split' THEN required_number_fault(w.ratio, v.ratio, 'ratio') END,
        CASE WHEN kind = 'split'
        THEN fault('impossible_value', 'Field ratio must be from 0.000001 to 1000000.') END,
        required_number_fault(w.amount, v.amount, 'amount'),
        price_fault(amount, 'amount')
    ) END AS fault
FROM described
