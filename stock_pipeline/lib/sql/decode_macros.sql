-- What the decode statements share. `doc` is valid JSON text or NULL; a fault is NULL where there is
-- none. Faults are worked out only for records that the fast path did not accept.

CREATE OR REPLACE TEMP MACRO text_of(payload, max_bytes) AS
    CASE WHEN octet_length(payload) <= max_bytes THEN try(decode(payload)) END;

-- Validity is asked for first: TRY alone would run its whole vector row by row for one bad record.
CREATE OR REPLACE TEMP MACRO doc_of(text) AS CASE WHEN json_valid(text) THEN text END;

-- A JSON string without its quotes; NULL for any other JSON value.
CREATE OR REPLACE TEMP MACRO string_of(json) AS CASE
    WHEN NOT starts_with(json, '"') THEN NULL
    WHEN contains(json, '\') THEN try(json_extract_string(json, '$'))
    ELSE json[2:-2]
END;

CREATE OR REPLACE TEMP MACRO is_symbol(symbol) AS
    length(symbol) BETWEEN 1 AND 64 AND NOT regexp_matches(symbol, '^\s|\s$|\p{Cc}');

-- ISO 8601 (naive means UTC), or a number since 1970 in s, ms, us or ns, told apart by its size.
CREATE OR REPLACE TEMP MACRO epoch_of(number) AS CASE
    WHEN abs(number) < 1e11 THEN make_timestamp(round(number * 1e6)::BIGINT)
    WHEN abs(number) < 1e14 THEN make_timestamp(round(number * 1e3)::BIGINT)
    WHEN abs(number) < 1e17 THEN make_timestamp(round(number)::BIGINT)
    WHEN abs(number) < 9e18 THEN make_timestamp(round(number / 1e3)::BIGINT)
END;
-- The cast by way of TIMESTAMPTZ costs three times that to TIMESTAMP, which ignores offsets.
CREATE OR REPLACE TEMP MACRO instant_of(value) AS CASE
    WHEN suffix(value, 'Z') AND NOT contains(value, ' ') THEN TRY_CAST(value AS TIMESTAMP)
    ELSE coalesce(
        TRY_CAST(value AS TIMESTAMPTZ)::TIMESTAMP, epoch_of(TRY_CAST(value AS DOUBLE))
    )
END;
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

CREATE OR REPLACE TEMP MACRO document_fault(payload, text, doc, max_bytes) AS CASE
    WHEN payload IS NULL THEN fault('empty_value', 'The record has no value (a tombstone).')
    WHEN octet_length(payload) = 0 THEN fault('empty_value', 'The value has no bytes.')
    WHEN octet_length(payload) > max_bytes THEN fault(
        'too_large',
        format('The value has {} bytes; the feed allows {}.', octet_length(payload), max_bytes)
    )
    WHEN text IS NULL THEN fault('not_utf8', 'The bytes are not UTF-8 text.')
    WHEN doc IS NULL THEN fault('not_json', 'The text is not a JSON document.')
    WHEN json_type(doc) <> 'OBJECT' THEN fault(
        'wrong_type', format('The value is JSON of type {}, not an object.', json_type(doc))
    )
END;

-- `type` is json_type of the field, `value` its text.
CREATE OR REPLACE TEMP MACRO absence_fault(type, name) AS CASE
    WHEN coalesce(type, 'NULL') = 'NULL'
    THEN fault('missing_field', format('Field {} is missing or null.', name))
END;
CREATE OR REPLACE TEMP MACRO string_fault(type, name) AS coalesce(
    absence_fault(type, name),
    CASE WHEN type <> 'VARCHAR'
    THEN fault('wrong_type', format('Field {} is of type {}, not a string.', name, type)) END
);
CREATE OR REPLACE TEMP MACRO scalar_fault(type, name) AS CASE
    WHEN type IN ('OBJECT', 'ARRAY', 'BOOLEAN')
    THEN fault('wrong_type', format('Field {} is of type {}, not a string or number.', name, type))
END;
CREATE OR REPLACE TEMP MACRO number_fault(type, value, name) AS coalesce(
    scalar_fault(type, name),
    CASE WHEN type <> 'NULL' AND TRY_CAST(value AS DOUBLE) IS NULL
    THEN fault('wrong_type', format('Field {} is not a number.', name)) END
);
CREATE OR REPLACE TEMP MACRO required_number_fault(type, value, name) AS
    coalesce(absence_fault(type, name), number_fault(type, value, name));
CREATE OR REPLACE TEMP MACRO symbol_fault(type, symbol, name) AS coalesce(
    string_fault(type, name),
    CASE WHEN NOT coalesce(is_symbol(symbol), false) THEN fault(
        'impossible_value',
        format('Field {} must have 1 to 64 characters, no space around and no control character.', name)
    ) END
);
CREATE OR REPLACE TEMP MACRO instant_fault(type, value, earliest, latest, name) AS coalesce(
    absence_fault(type, name),
    scalar_fault(type, name),
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

-- Daily bars reach further back than anything with a time of day.
CREATE OR REPLACE TEMP MACRO earliest_of(bar_interval) AS CASE bar_interval
    WHEN '1d' THEN TIMESTAMP '1960-01-01' ELSE TIMESTAMP '2000-01-01'
END;
CREATE OR REPLACE TEMP MACRO is_count(number) AS number BETWEEN 0 AND 1e15 AND number = floor(number);
CREATE OR REPLACE TEMP MACRO count_fault(number, name) AS CASE
    WHEN NOT is_count(number)
    THEN fault('impossible_value', format('Field {} is not a whole number from zero up.', name))
END;
CREATE OR REPLACE TEMP MACRO interval_fault(type, bar_interval, name) AS coalesce(
    string_fault(type, name),
    CASE WHEN bar_interval IS NULL THEN fault(
        'impossible_value', format('Field {} is none of 1m, 5m, 15m, 30m, 1h (60m) and 1d.', name)
    ) END
);
-- First words of a vendor's answer, without anything that could be a key.
CREATE OR REPLACE TEMP MACRO redacted(words) AS left(
    regexp_replace(
        regexp_replace(words, '(?i)(key(\s+as|\s+is)?[\s:=]+)\S+', '\1***', 'g'),
        '\b\w*\d\w{6,}\b|\b\w{6,}\d\w*\b|\b[A-Z0-9]{8,}\b', '***', 'g'
    ),
    160
);
