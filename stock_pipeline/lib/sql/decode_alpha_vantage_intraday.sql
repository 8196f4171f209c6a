-- Alpha Vantage time series documents: one row a bar. `fault` is NULL for an accepted bar. Bad bars
-- of a document with good ones are `partial` and carry their own JSON as `fragment`; a document
-- without any good bar is one reject.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
named AS (
    SELECT *,
        CASE WHEN json_type(doc) = 'OBJECT' THEN json_keys(doc) END AS keys,
        json_transform(doc, '{"Meta Data":{"2. Symbol":"JSON","4. Interval":"JSON","5. Time Zone":"JSON","6. Time Zone":"JSON"},"Information":"VARCHAR","Note":"VARCHAR","Error Message":"VARCHAR"}') AS v
    FROM docs
),
headed AS (
    SELECT *,
        list_filter(keys, lambda k: starts_with(k, 'Time Series'))[1] AS series_key,
        string_of(v."Meta Data"."2. Symbol") AS symbol,
        string_of(coalesce(v."Meta Data"."6. Time Zone", v."Meta Data"."5. Time Zone")) AS zone,
        coalesce(v.Information, v.Note, v."Error Message") AS answer
    FROM named
),
read AS (
    SELECT *,
        interval_of(regexp_extract(series_key, '\(([^)]*)\)', 1)) AS bar_interval,
        -- An unknown zone is an error that TRY does not catch.
        CASE WHEN zone IN (SELECT name FROM pg_timezone_names()) THEN zone END AS known_zone,
        try(from_json(
            json_extract(doc, '/' || replace(replace(series_key, '~', '~0'), '/', '~1')),
            '"MAP(VARCHAR, JSON)"'
        )) AS series
    FROM headed
),
judged_documents AS (
    SELECT *, coalesce(
        document_fault(payload, text, doc, max_bytes()),
        CASE WHEN series_key IS NULL AND answer IS NOT NULL THEN fault(
            'missing_field', 'The vendor sent no bars but: ' || redacted(answer)
        ) END,
        CASE WHEN series_key IS NULL
        THEN fault('missing_field', 'The document has no time series.') END,
        symbol_fault(json_type(doc, '$."Meta Data"."2. Symbol"'), symbol, '2. Symbol'),
        CASE WHEN zone IS NULL
        THEN fault('missing_field', 'Field Time Zone is missing or no string.') END,
        CASE WHEN known_zone IS NULL
        THEN fault('impossible_value', 'Field Time Zone names no known zone.') END,
        CASE WHEN bar_interval IS NULL
        THEN fault('impossible_value', 'The time series is of none of 1, 5, 15, 30, 60 min and daily.') END,
        CASE WHEN series IS NULL
        THEN fault('wrong_type', 'The time series is not an object of distinct times.') END,
        CASE WHEN cardinality(series) = 0
        THEN fault('missing_field', 'The time series has no bar.') END
    ) AS document_fault
    FROM read
),
entries AS (
    SELECT i, kafka_timestamp, symbol, known_zone, bar_interval, document_fault,
        CASE WHEN document_fault IS NULL THEN map_entries(series) ELSE [NULL] END AS entries
    FROM judged_documents
),
bars AS (
    SELECT * EXCLUDE (entries), unnest(entries) AS entry, unnest(range(1, len(entries) + 1)) AS n
    FROM entries
),
parsed AS (
    SELECT *, entry.key AS stamp, entry.value AS doc,
        json_transform(entry.value, '{"1. open":"VARCHAR","2. high":"VARCHAR","3. low":"VARCHAR","4. close":"VARCHAR","5. volume":"VARCHAR","5. adjusted close":"VARCHAR","6. volume":"VARCHAR"}') AS v
    FROM bars
),
typed AS (
    SELECT *,
        TRY_CAST(stamp AS TIMESTAMP) AS local_start,
        CASE WHEN TRY_CAST(stamp AS TIMESTAMP) BETWEEN TIMESTAMP '1900-01-01' AND TIMESTAMP '2200-01-01'
        THEN timezone(known_zone, TRY_CAST(stamp AS TIMESTAMP))::TIMESTAMP END AS bar_start,
        TRY_CAST(v."1. open" AS DOUBLE) AS open,
        TRY_CAST(v."2. high" AS DOUBLE) AS high,
        TRY_CAST(v."3. low" AS DOUBLE) AS low,
        TRY_CAST(v."4. close" AS DOUBLE) AS close,
        TRY_CAST(v."5. adjusted close" AS DOUBLE) AS adjusted_close,
        coalesce(v."5. volume", v."6. volume") AS volume_text,
        TRY_CAST(coalesce(v."5. volume", v."6. volume") AS DOUBLE) AS volume,
        earliest_of(bar_interval) AS earliest,
        latest_of(kafka_timestamp) AS latest
    FROM parsed
),
judged AS (
    SELECT *, coalesce(
        document_fault IS NULL
        AND bar_start BETWEEN earliest AND latest
        AND is_bar(open, high, low, close) AND is_amount(volume)
        AND (v."5. adjusted close" IS NULL OR coalesce(is_price(adjusted_close), false)),
        false) AS good
    FROM typed
),
counted AS (
    SELECT *,
        count(*) FILTER (good) OVER (PARTITION BY i) > 0 AS partial,
        row_number() OVER (PARTITION BY i ORDER BY n) AS place
    FROM judged
)
SELECT i, symbol, bar_start, bar_interval AS "interval", open, high, low, close, adjusted_close,
    volume, NULL::DOUBLE AS vwap, NULL::BIGINT AS trade_count, feed_source() AS source,
    CASE WHEN bar_interval = '1d' THEN local_start::DATE END AS given_date,
    partial,
    CASE WHEN partial AND NOT good
    THEN encode(format('{{{}:{}}}', to_json(stamp), coalesce(doc, 'null'))) END AS fragment,
    CASE WHEN NOT good THEN coalesce(
        document_fault,
        CASE WHEN json_type(doc) <> 'OBJECT'
        THEN fault('wrong_type', format('The bar is JSON of type {}, not an object.', json_type(doc))) END,
        CASE WHEN bar_start IS NULL
        THEN fault('unparsable_time', 'The bar''s time is not "YYYY-MM-DD HH:MM:SS".') END,
        CASE WHEN bar_start < earliest OR bar_start > latest
        THEN fault('impossible_value', format('The bar''s time {} is out of bounds.', bar_start)) END,
        required_number_fault(json_type(doc, '$."1. open"'), v."1. open", '1. open'),
        required_number_fault(json_type(doc, '$."2. high"'), v."2. high", '2. high'),
        required_number_fault(json_type(doc, '$."3. low"'), v."3. low", '3. low'),
        required_number_fault(json_type(doc, '$."4. close"'), v."4. close", '4. close'),
        required_number_fault(CASE WHEN volume_text IS NOT NULL THEN 'VARCHAR' END, volume_text, 'volume'),
        bar_fault(open, high, low, close),
        amount_fault(volume, 'volume'),
        fault('impossible_value', 'Field 5. adjusted close is not a finite number above zero.')
    ) END AS fault
FROM counted
WHERE good OR partial OR place = 1
ORDER BY i, n
