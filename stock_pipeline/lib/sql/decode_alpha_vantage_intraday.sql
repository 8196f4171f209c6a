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
        CASE WHEN regexp_matches(doc, '^\s*\{') THEN json_keys(doc) END AS keys,
        json_transform(doc, '{"Meta Data":{"2. Symbol":"JSON","4. Interval":"JSON","5. Time Zone":"JSON","6. Time Zone":"JSON"},"Information":"VARCHAR","Note":"VARCHAR","Error Message":"VARCHAR"}') AS v
    FROM docs
),
headed AS (
    SELECT *,
        list_filter(keys, lambda k: starts_with(k, 'Time Series')) AS series_keys,
        series_keys[1] AS series_key,
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
        CASE WHEN len(series_keys) > 1
        THEN fault('wrong_type', format('The document has {} time series.', len(series_keys))) END,
        symbol_fault(v."Meta Data"."2. Symbol", symbol, '2. Symbol'),
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
        CASE WHEN regexp_full_match(stamp, CASE bar_interval
            WHEN '1d' THEN '\d{4}-\d\d-\d\d'
            ELSE '\d{4}-\d\d-\d\d ([01]\d|2[0-3]):[0-5]\d:[0-5]\d'
        END) THEN TRY_CAST(stamp AS TIMESTAMP) END AS local_start,
        number_of(v."1. open") AS open,
        number_of(v."2. high") AS high,
        number_of(v."3. low") AS low,
        number_of(v."4. close") AS close,
        number_of(v."5. adjusted close") AS adjusted_close,
        coalesce(v."5. volume", v."6. volume") AS volume_text,
        number_of(coalesce(v."5. volume", v."6. volume")) AS volume,
        CASE WHEN bar_interval = '1d' THEN local_start::DATE END AS given_date,
        earliest_of(bar_interval, given_date) AS earliest,
        latest_of(kafka_timestamp) AS latest
    FROM parsed
),
placed AS (
    SELECT *,
        CASE WHEN local_start BETWEEN TIMESTAMP '1900-01-01' AND TIMESTAMP '2200-01-01'
        THEN timezone(known_zone, local_start) END AS instant,
        instant::TIMESTAMP AS bar_start,
        -- A time that daylight saving skips is moved onto that of another bar.
        bar_interval = '1d' OR timezone(known_zone, instant) = local_start AS exists_there
    FROM typed
),
judged AS MATERIALIZED (
    SELECT *, coalesce(
        document_fault IS NULL
        AND exists_there AND bar_start BETWEEN earliest AND latest
        AND is_bar(open, high, low, close) AND is_amount(volume)
        AND (v."5. adjusted close" IS NULL OR coalesce(is_price(adjusted_close), false)),
        false) AS good
    FROM placed
),
-- Not a window: counting over a document's bars that way takes the square of their number.
kept AS (
    SELECT i FROM judged GROUP BY i HAVING bool_or(good)
),
described AS (
    SELECT *, i IN (SELECT i FROM kept) AS partial,
        CASE WHEN NOT good THEN json_transform(doc,
            '{"1. open":"JSON","2. high":"JSON","3. low":"JSON","4. close":"JSON"}'
        ) END AS w
    FROM judged
)
SELECT i, symbol, bar_start, bar_interval AS "interval", open, high, low, close, adjusted_close,
    volume, NULL::DOUBLE AS vwap, NULL::BIGINT AS trade_count, feed_source() AS source,
    given_date,
    partial,
    CASE WHEN partial AND NOT good
    THEN encode(format('{{{}:{}}}', to_json(stamp), coalesce(doc, 'null'))) END AS fragment,
    CASE WHEN NOT good THEN coalesce(
        document_fault,
        CASE WHEN NOT starts_with(doc, '{')
        THEN fault('wrong_type', format('The bar is {}, not an object.', kind_of(doc))) END,
        CASE WHEN bar_start IS NULL AND bar_interval = '1d'
        THEN fault('unparsable_time', 'The bar''s time is not "YYYY-MM-DD".') END,
        CASE WHEN bar_start IS NULL
        THEN fault('unparsable_time', 'The bar''s time is not "YYYY-MM-DD HH:MM:SS".') END,
        CASE WHEN NOT exists_there
        THEN fault('impossible_value', 'Daylight saving skips the bar''s time.') END,
        CASE WHEN bar_start < earliest OR bar_start > latest
        THEN fault('impossible_value', format('The bar''s time {} is out of bounds.', bar_start)) END,
        required_number_fault(w."1. open", v."1. open", '1. open'),
        required_number_fault(w."2. high", v."2. high", '2. high'),
        required_number_fault(w."3. low", v."3. low", '3. low'),
        required_number_fault(w."4. close", v."4. close", '4. close'),
        required_number_fault(volume_text, volume_text, 'volume'),
        bar_fault(open, high, low, close),
        amount_fault(volume, 'volume'),
        fault('impossible_value', 'Field 5. adjusted close is not a finite number above zero.')
    ) END AS fault
FROM described
WHERE good OR partial OR n = 1
ORDER BY i, n
