-- JSON rows of indexProcessed.csv, values as numbers or numeric strings: one row a record; `fault`
-- is NULL for an accepted one.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
parsed AS (
    SELECT *, try(json_transform(doc,
        '{"Index":"JSON","Date":"VARCHAR","Open":"VARCHAR","High":"VARCHAR","Low":"VARCHAR","Close":"VARCHAR","Adj Close":"VARCHAR","Volume":"VARCHAR","CloseUSD":"VARCHAR"}'
    )) AS v
    FROM docs
),
typed AS (
    SELECT i, kafka_timestamp, payload, text, doc, v,
        string_of(v."Index") AS symbol,
        date_of(v."Date") AS trade_date,
        number_of(v."Open") AS open,
        number_of(v."High") AS high,
        number_of(v."Low") AS low,
        number_of(v."Close") AS close,
        number_of(v."Adj Close") AS adjusted_close,
        number_of(v."Volume") AS volume,
        number_of(v."CloseUSD") AS close_usd
    FROM parsed
),
judged AS (
    SELECT *, coalesce(
        is_symbol(symbol)
        AND trade_date BETWEEN DATE '1960-01-01' AND latest_of(kafka_timestamp)::DATE
        AND is_bar(open, high, low, close) AND is_amount(volume)
        AND (v."Adj Close" IS NULL OR coalesce(is_price(adjusted_close), false))
        AND (v."CloseUSD" IS NULL OR coalesce(is_price(close_usd), false)),
        false) AS good
    FROM typed
),
described AS (
    SELECT *, CASE WHEN NOT good THEN try(json_transform(doc,
        '{"Index":"JSON","Date":"JSON","Open":"JSON","High":"JSON","Low":"JSON","Close":"JSON","Adj Close":"JSON","Volume":"JSON","CloseUSD":"JSON"}'
    )) END AS w
    FROM judged
)
SELECT i, symbol, trade_date, open, high, low, close, adjusted_close, volume, close_usd,
    feed_source() AS source,
    CASE WHEN NOT good THEN coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(w."Index", symbol, 'Index'),
        string_fault(w."Date", 'Date'),
        date_fault(trade_date, latest_of(kafka_timestamp)::DATE, 'Date'),
        required_number_fault(w."Open", v."Open", 'Open'),
        required_number_fault(w."High", v."High", 'High'),
        required_number_fault(w."Low", v."Low", 'Low'),
        required_number_fault(w."Close", v."Close", 'Close'),
        number_fault(w."Adj Close", v."Adj Close", 'Adj Close'),
        required_number_fault(w."Volume", v."Volume", 'Volume'),
        number_fault(w."CloseUSD", v."CloseUSD", 'CloseUSD'),
        bar_fault(open, high, low, close),
        amount_fault(volume, 'Volume'),
        price_fault(adjusted_close, 'Adj Close'),
        price_fault(close_usd, 'CloseUSD')
    ) END AS fault
FROM described
