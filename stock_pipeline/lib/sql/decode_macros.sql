-- What the decode statements share. `doc` is valid JSON text or NULL; a fault is NULL where there is
-- none. Faults are worked out only for records that the fast path did not accept.

CREATE OR REPLACE TEMP MACRO text_of(payload, max_bytes) AS
    CASE WHEN octet_length(payload) <= max_bytes THEN try(decode(payload)) END;

-- Validity is asked for first: TRY alone would run its whole vector row by row for one bad record.
CREATE OR REPLACE TEMP MACRO doc_of(text) AS CASE WHEN json_valid(text) THEN text END;

-- A JSON string without its quotes; NULL for any other JSON value, and for one that is far longer
-- than anything we keep: 200 characters, each written as two \uXXXX at most.
CREATE OR REPLACE TEMP MACRO string_of(json) AS CASE
    WHEN NOT starts_with(json, '"') OR strlen(json) > 2402 THEN NULL
    WHEN contains(json, '\') THEN try(json_extract_string(json, '$'))
    ELSE json[2:-2]
END;

-- A JSON string, or a number or truth value as it is written; NULL for an object or array.
CREATE OR REPLACE TEMP MACRO label_of(json) AS CASE
    WHEN starts_with(json, '"') THEN string_of(json)
    WHEN NOT starts_with(json, '{') AND NOT starts_with(json, '[') THEN json::VARCHAR
END;

-- Characters that do not show (controls, zero-width, right-to-left marks) would make two names look
-- the same, and end a line where a name is printed. ASCII is decided without Unicode's tables.
CREATE OR REPLACE TEMP MACRO is_symbol(symbol) AS length(symbol) BETWEEN 1 AND 64 AND CASE
    WHEN regexp_full_match(symbol, '[!-~]*') THEN true
    ELSE NOT regexp_matches(symbol, '^[\s\p{Z}]|[\s\p{Z}]$|[\p{C}\x{2028}\x{2029}]')
END;
CREATE OR REPLACE TEMP MACRO is_label(label) AS length(label) <= 200 AND CASE
    WHEN regexp_full_match(label, '[ -~]*') THEN true
    ELSE NOT regexp_matches(label, '[\p{C}\x{2028}\x{2029}]')
END;

-- The cast alone would read "1_0" as ten.
CREATE OR REPLACE TEMP MACRO number_of(value) AS
    CASE WHEN NOT contains(value, '_') THEN TRY_CAST(value AS DOUBLE) END;

-- ISO 8601 (naive means UTC), or a number since 1970 in s, ms, us or ns, told apart by its size.
CREATE OR REPLACE TEMP MACRO epoch_of(number) AS CASE
    WHEN abs(number) < 1e11 THEN make_timestamp(round(number * 1e6)::BIGINT)
    WHEN abs(number) < 1e14 THEN make_timestamp(round(number * 1e3)::BIGINT)
    WHEN abs(number) < 1e17 THEN make_timestamp(round(number)::BIGINT)
    WHEN abs(number) < 9e18 THEN make_timestamp(round(number / 1e3)::BIGINT)
END;
-- Eight digits that read as a date (20261120) are no seconds since 1970; which was meant is unknown.
CREATE OR REPLACE TEMP MACRO is_compact_date(value) AS
    strlen(value) = 8
    AND regexp_full_match(value, '(19|20|21)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])');
-- The cast takes offsets of 99 hours.
CREATE OR REPLACE TEMP MACRO has_no_such_offset(value) AS
    regexp_matches(value, ':\d+(\.\d+)?\s*[+-](1[5-9]|[2-9]\d|\d\d:?[6-9]\d)');
-- The cast by way of TIMESTAMPTZ costs three times that to TIMESTAMP, which ignores offsets.
CREATE OR REPLACE TEMP MACRO instant_of(value) AS CASE
    WHEN suffix(value, 'Z') AND NOT contains(value, ' ') THEN TRY_CAST(value AS TIMESTAMP)
    WHEN strlen(value) > 100 OR is_compact_date(value) THEN NULL
    ELSE coalesce(
        epoch_of(number_of(value)),
        CASE WHEN NOT has_no_such_offset(value) THEN TRY_CAST(value AS TIMESTAMPTZ)::TIMESTAMP END
    )
END;
-- The date that a time names as it is written, whatever its offset; NULL for an epoch number.
CREATE OR REPLACE TEMP MACRO written_date_of(value) AS
    TRY_CAST(regexp_extract(value, '^\s*(\d{4}[-/]\d{1,2}[-/]\d{1,2})', 1) AS DATE);
CREATE OR REPLACE TEMP MACRO date_of(value) AS
    try_strptime(value, ['%Y-%m-%d', '%Y-%m-%d %H:%M:%S', '%Y-%m-%dT%H:%M:%S'])::DATE;

-- The latest instant that a record may speak of. A record without Kafka timestamp (read as 1970)
-- has no such bound.
CREATE OR REPLACE TEMP MACRO latest_of(kafka_timestamp) AS
    CASE
        WHEN kafka_timestamp <= TIMESTAMP '1970-01-01' THEN TIMESTAMP '2200-01-01'
        ELSE least(kafka_timestamp, TIMESTAMP '2200-01-01') + INTERVAL 1 DAY
    END;

-- NaN sorts above infinity, so an upper bound of infinity excludes both.
CREATE OR REPLACE TEMP MACRO is_price(number) AS number > 0 AND number < 'Infinity'::DOUBLE;
CREATE OR REPLACE TEMP MACRO is_amount(number) AS number >= 0 AND number < 'Infinity'::DOUBLE;
CREATE OR REPLACE TEMP MACRO is_bar(o, h, l, c) AS
    is_price(h) AND is_price(l) AND o BETWEEN l AND h AND c BETWEEN l AND h;

CREATE OR REPLACE TEMP MACRO interval_of(value) AS CASE lower(value)
    WHEN '1m' THEN '1m' WHEN '1min' THEN '1m'
    WHEN '5m' THEN '5m' WHEN '5min' THEN '5m'
    WHEN '15m' THEN '15m' WHEN '15min' THEN '15m'
    WHEN '30m' THEN '30m' WHEN '30min' THEN '30m'
    WHEN '1h' THEN '1h' WHEN '60m' THEN '1h' WHEN '60min' THEN '1h'
    WHEN '1d' THEN '1d' WHEN '1day' THEN '1d' WHEN 'daily' THEN '1d'
END;

CREATE OR REPLACE TEMP MACRO fault(reason, detail) AS {'reason': reason, 'detail': detail};

CREATE OR REPLACE TEMP MACRO kind_of(json) AS CASE left(json, 1)
    WHEN '{' THEN 'an object' WHEN '[' THEN 'an array' WHEN '"' THEN 'a string'
    WHEN 't' THEN 'true' WHEN 'f' THEN 'false'
    ELSE CASE WHEN starts_with(json, 'nu') THEN 'null' ELSE 'a number' END
END;

CREATE OR REPLACE TEMP MACRO document_fault(payload, text, doc, max_bytes) AS CASE
    WHEN payload IS NULL THEN fault('empty_value', 'The record has no value (a tombstone).')
    WHEN octet_length(payload) = 0 THEN fault('empty_value', 'The value has no bytes.')
    WHEN octet_length(payload) > max_bytes THEN fault(
        'too_large',
        format('The value has {} bytes; the feed allows {}.', octet_length(payload), max_bytes)
    )
    WHEN text IS NULL THEN fault('not_utf8', 'The bytes are not UTF-8 text.')
    WHEN doc IS NULL THEN fault('not_json', 'The text is not a JSON document.')
    WHEN NOT regexp_matches(doc, '^\s*\{') THEN fault(
        'wrong_type',
        format('The value is {}, not an object.', kind_of(regexp_extract(doc, '^\s*(\S)', 1)))
    )
END;

-- `json` is the field's JSON text, `value` the same without quotes. The type is told from the first
-- character: each further look into a document of megabytes would cost its parsing again.
CREATE OR REPLACE TEMP MACRO absence_fault(json, name) AS CASE
    WHEN json IS NULL OR json = 'null'
    THEN fault('missing_field', format('Field {} is missing or null.', name))
END;
CREATE OR REPLACE TEMP MACRO string_fault(json, name) AS coalesce(
    absence_fault(json, name),
    CASE WHEN NOT starts_with(json, '"')
    THEN fault('wrong_type', format('Field {} is {}, not a string.', name, kind_of(json))) END
);
CREATE OR REPLACE TEMP MACRO scalar_fault(json, name) AS CASE
    WHEN left(json, 1) IN ('{', '[', 't', 'f')
    THEN fault('wrong_type', format('Field {} is {}, not a string or number.', name, kind_of(json)))
END;
CREATE OR REPLACE TEMP MACRO number_fault(json, value, name) AS coalesce(
    scalar_fault(json, name),
    CASE WHEN json <> 'null' AND number_of(value) IS NULL
    THEN fault('wrong_type', format('Field {} is not a number.', name)) END
);
CREATE OR REPLACE TEMP MACRO required_number_fault(json, value, name) AS
    coalesce(absence_fault(json, name), number_fault(json, value, name));
CREATE OR REPLACE TEMP MACRO symbol_fault(json, symbol, name) AS coalesce(
    string_fault(json, name),
    CASE WHEN NOT coalesce(is_symbol(symbol), false) THEN fault(
        'impossible_value',
        format(
            'Field {} must have 1 to 64 characters, no space around and none that does not show.',
            name
        )
    ) END
);
CREATE OR REPLACE TEMP MACRO instant_fault(json, value, earliest, latest, name) AS coalesce(
    absence_fault(json, name),
    scalar_fault(json, name),
    CASE
        WHEN instant_of(value) IS NULL
        THEN fault('unparsable_time', format('Field {} is neither ISO 8601 nor an epoch number.', name))
        WHEN instant_of(value) < earliest
        THEN fault('impossible_value', format('Field {} lies before {}.', name, earliest))
        WHEN instant_of(value) > latest
        THEN fault('impossible_value', format('Field {} lies over a day after its record.', name))
    END
);
CREATE OR REPLACE TEMP MACRO bar_fault(o, h, l, c) AS CASE
    WHEN NOT (is_price(o) AND is_price(h) AND is_price(l) AND is_price(c))
    THEN fault('impossible_value', 'A price is not a finite number above zero.')
    WHEN h < l THEN fault('impossible_value', format('High {} is below low {}.', h, l))
    WHEN NOT is_bar(o, h, l, c)
    THEN fault('impossible_value', format('Open {} or close {} lies outside {} to {}.', o, c, l, h))
END;
CREATE OR REPLACE TEMP MACRO amount_fault(number, name) AS CASE
    WHEN NOT is_amount(number)
    THEN fault('impossible_value', format('Field {} is not a finite number from zero up.', name))
END;
CREATE OR REPLACE TEMP MACRO price_fault(number, name) AS CASE
    WHEN NOT is_price(number)
    THEN fault('impossible_value', format('Field {} is not a finite number above zero.', name))
END;
CREATE OR REPLACE TEMP MACRO date_fault(day, latest, name) AS CASE
    WHEN day IS NULL
    THEN fault('unparsable_time', format('Field {} is not an ISO date.', name))
    WHEN day < DATE '1960-01-01'
    THEN fault('impossible_value', format('Field {} lies before 1960-01-01.', name))
    WHEN day > latest
    THEN fault('impossible_value', format('Field {} lies over a day after its record.', name))
END;

-- The first instants whose date is, in every time zone, one that silver has a partition for. Daily
-- bars reach further back than anything with a time of day; one with a date is judged by that.
CREATE OR REPLACE TEMP MACRO earliest_trade() AS TIMESTAMP '2000-01-01 12:00:00';
CREATE OR REPLACE TEMP MACRO earliest_of(bar_interval, given_date) AS CASE
    WHEN bar_interval <> '1d' THEN earliest_trade()
    WHEN given_date IS NULL THEN TIMESTAMP '1960-01-01 12:00:00'
    WHEN given_date >= DATE '1960-01-01' THEN TIMESTAMP '1959-12-31 00:00:00'
    ELSE 'infinity'::TIMESTAMP
END;
CREATE OR REPLACE TEMP MACRO is_count(number) AS number BETWEEN 0 AND 1e15 AND number = floor(number);
CREATE OR REPLACE TEMP MACRO count_fault(number, name) AS CASE
    WHEN NOT is_count(number)
    THEN fault('impossible_value', format('Field {} is not a whole number from zero up.', name))
END;
CREATE OR REPLACE TEMP MACRO interval_fault(json, bar_interval, name) AS coalesce(
    string_fault(json, name),
    CASE WHEN bar_interval IS NULL THEN fault(
        'impossible_value', format('Field {} is none of 1m, 5m, 15m, 30m, 1h (60m) and 1d.', name)
    ) END
);
CREATE OR REPLACE TEMP MACRO shown(words) AS
    regexp_replace(left(words, 4000), '[\p{C}\x{2028}\x{2029}]', ' ', 'g');
-- First words of a vendor's answer, without anything that could be a key.
CREATE OR REPLACE TEMP MACRO redacted(words) AS left(
    regexp_replace(
        regexp_replace(shown(words), '(?i)(key(\s+as|\s+is)?[\s:=]+)\S+', '\1***', 'g'),
        '\b\w*\d\w{6,}\b|\b\w{6,}\d\w*\b|\b[A-Z0-9]{8,}\b', '***', 'g'
    ),
    160
);

-- Text of any length, cut where it is kept; NULL for any other JSON value.
CREATE OR REPLACE TEMP MACRO text_string_of(json) AS CASE
    WHEN NOT starts_with(json, '"') THEN NULL
    WHEN contains(json, '\') THEN try(json_extract_string(json, '$'))
    ELSE json[2:-2]
END;
-- The first 4,000 characters, each that does not show as a space; NULL where none shows.
CREATE OR REPLACE TEMP MACRO shown_text(words) AS nullif(trim(shown(words)), '');
CREATE OR REPLACE TEMP MACRO is_url(url) AS
    length(url) BETWEEN 1 AND 2000 AND NOT regexp_matches(url, '[\s\p{Z}\p{C}]');
CREATE OR REPLACE TEMP MACRO url_fault(url, name) AS CASE
    WHEN NOT coalesce(is_url(url), false) THEN fault(
        'impossible_value', format('Field {} must have 1 to 2000 characters that show.', name)
    )
END;
