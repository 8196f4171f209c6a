-- JSON news {symbol, time, url, title, summary?, publisher?, sentiment?, relevance?, source?}: one
-- row a record; `fault` is NULL for an accepted one. Without `sentiment` silver scores the text.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
parsed AS (
    SELECT *, try(json_transform(doc,
        '{"symbol":"JSON","time":"VARCHAR","url":"JSON","title":"JSON","summary":"JSON","publisher":"JSON","sentiment":"VARCHAR","relevance":"VARCHAR","source":"JSON"}'
    )) AS v
    FROM docs
),
typed AS (
    SELECT *,
        string_of(v.symbol) AS symbol,
        instant_of(v."time") AS event_time,
        text_string_of(v.url) AS url,
        shown_text(text_string_of(v.title)) AS title,
        shown_text(text_string_of(v.summary)) AS summary,
        shown_text(text_string_of(v.publisher)) AS publisher,
        number_of(v.sentiment) AS sentiment,
        number_of(v.relevance) AS relevance,
        CASE WHEN v.source IS NULL THEN feed_source() ELSE string_of(v.source) END AS source
    FROM parsed
),
judged AS (
    SELECT *, coalesce(
        is_symbol(symbol) AND is_symbol(source)
        AND event_time BETWEEN earliest_trade() AND latest_of(kafka_timestamp)
        AND is_url(url) AND title IS NOT NULL
        AND (v.summary IS NULL OR summary IS NOT NULL OR starts_with(v.summary, '"'))
        AND (v.publisher IS NULL OR starts_with(v.publisher, '"'))
        AND (v.sentiment IS NULL OR coalesce(sentiment BETWEEN -1 AND 1, false))
        AND (v.relevance IS NULL OR coalesce(relevance BETWEEN 0 AND 1, false)),
        false) AS good
    FROM typed
),
described AS (
    SELECT *, CASE WHEN NOT good THEN try(json_transform(doc,
        '{"time":"JSON","sentiment":"JSON","relevance":"JSON"}'
    )) END AS w
    FROM judged
)
SELECT i, symbol, event_time, url, title, summary, publisher,
    NULL::DOUBLE AS overall_sentiment, sentiment AS ticker_sentiment, relevance,
    NULL::VARCHAR AS label, source,
    CASE WHEN NOT good THEN coalesce(
        document_fault(payload, text, doc, max_bytes()),
        symbol_fault(v.symbol, symbol, 'symbol'),
        instant_fault(w."time", v."time", earliest_trade(), latest_of(kafka_timestamp), 'time'),
        string_fault(v.url, 'url'),
        url_fault(url, 'url'),
        string_fault(v.title, 'title'),
        CASE WHEN title IS NULL
        THEN fault('impossible_value', 'Field title has no character that shows.') END,
        number_fault(w.sentiment, v.sentiment, 'sentiment'),
        CASE WHEN NOT coalesce(sentiment BETWEEN -1 AND 1, true)
        THEN fault('impossible_value', 'Field sentiment lies outside -1 to 1.') END,
        number_fault(w.relevance, v.relevance, 'relevance'),
        CASE WHEN NOT coalesce(relevance BETWEEN 0 AND 1, true)
        THEN fault('impossible_value', 'Field relevance lies outside 0 to 1.') END,
        CASE WHEN v.source IS NOT NULL THEN symbol_fault(v.source, source, 'source') END,
        fault('wrong_type', 'Field summary or publisher is no string.')
    ) END AS fault
FROM described
