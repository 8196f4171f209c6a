-- Alpha Vantage news documents: one row an article and ticker. `fault` is NULL for an accepted row.
-- What cannot be read of a document with good rows is `partial` and carries its own JSON as
-- `fragment`: the article, or of a good article the ticker. A document without a good row is one
-- reject. An article without scores is accepted: silver scores its text.
WITH texts AS (
    SELECT i, kafka_timestamp, payload, text_of(payload, max_bytes()) AS text FROM records
),
docs AS (
    SELECT *, doc_of(text) AS doc FROM texts
),
headed AS (
    SELECT *, try(json_transform(doc,
        '{"feed":"JSON","Information":"VARCHAR","Note":"VARCHAR","Error Message":"VARCHAR"}'
    )) AS v
    FROM docs
),
read AS (
    SELECT *,
        coalesce(v.Information, v.Note, v."Error Message") AS answer,
        CASE WHEN starts_with(v.feed, '[') THEN try(from_json(v.feed, '["JSON"]')) END AS articles
    FROM headed
),
judged_documents AS (
    SELECT i, kafka_timestamp, articles, coalesce(
        document_fault(payload, text, doc, max_bytes()),
        CASE WHEN v.feed IS NULL AND answer IS NOT NULL THEN fault(
            'missing_field', 'The vendor sent no news but: ' || redacted(answer)
        ) END,
        absence_fault(v.feed, 'feed'),
        CASE WHEN articles IS NULL
        THEN fault('wrong_type', format('Field feed is {}, not an array.', kind_of(v.feed))) END,
        CASE WHEN len(articles) = 0 THEN fault('missing_field', 'The feed has no article.') END
    ) AS document_fault
    FROM read
),
entries AS (
    SELECT i, kafka_timestamp, document_fault,
        CASE WHEN document_fault IS NULL THEN articles ELSE [NULL] END AS entries
    FROM judged_documents
),
articles AS (
    SELECT * EXCLUDE (entries), unnest(entries) AS article,
        unnest(range(1, len(entries) + 1)) AS n
    FROM entries
),
parsed AS (
    SELECT *, CASE WHEN starts_with(article, '{') THEN try(json_transform(article,
        '{"title":"JSON","url":"JSON","time_published":"JSON","summary":"JSON","source":"JSON","overall_sentiment_score":"VARCHAR","ticker_sentiment":"JSON"}'
    )) END AS v
    FROM articles
),
typed AS (
    SELECT *,
        text_string_of(v.url) AS url,
        shown_text(text_string_of(v.title)) AS title,
        shown_text(text_string_of(v.summary)) AS summary,
        shown_text(text_string_of(v.source)) AS publisher,
        string_of(v.time_published) AS stamp,
        try_strptime(
            CASE WHEN regexp_full_match(stamp, '\d{8}T\d{4}(\d\d)?') THEN stamp END,
            ['%Y%m%dT%H%M%S', '%Y%m%dT%H%M']
        ) AS event_time,
        number_of(v.overall_sentiment_score) AS overall_sentiment,
        CASE WHEN starts_with(v.ticker_sentiment, '[')
        THEN try(from_json(v.ticker_sentiment, '["JSON"]')) END AS tickers
    FROM parsed
),
judged_articles AS (
    SELECT *, coalesce(
        document_fault,
        CASE WHEN v IS NULL THEN fault('wrong_type', format(
            'The article is {}, not an object.', coalesce(kind_of(article), 'null')
        )) END,
        string_fault(v.url, 'url'),
        url_fault(url, 'url'),
        string_fault(v.title, 'title'),
        CASE WHEN title IS NULL
        THEN fault('impossible_value', 'Field title has no character that shows.') END,
        string_fault(v.time_published, 'time_published'),
        CASE WHEN event_time IS NULL
        THEN fault('unparsable_time', 'Field time_published is not "YYYYMMDDTHHMMSS".') END,
        CASE WHEN event_time < earliest_trade() OR event_time > latest_of(kafka_timestamp)
        THEN fault(
            'impossible_value', format('The article''s time {} is out of bounds.', event_time)
        ) END,
        CASE WHEN NOT coalesce(
            v.overall_sentiment_score IS NULL OR overall_sentiment BETWEEN -1 AND 1, false
        ) THEN fault(
            'impossible_value', 'Field overall_sentiment_score is no number from -1 to 1.'
        ) END,
        CASE WHEN tickers IS NULL OR len(tickers) = 0
        THEN fault('missing_field', 'The article names no ticker.') END
    ) AS article_fault
    FROM typed
),
named AS (
    SELECT i, kafka_timestamp, n, article, url, title, summary, publisher, event_time,
        overall_sentiment, article_fault,
        CASE WHEN article_fault IS NULL THEN tickers ELSE [NULL] END AS tickers
    FROM judged_articles
),
tickers AS (
    SELECT * EXCLUDE (tickers), unnest(tickers) AS ticker, unnest(range(1, len(tickers) + 1)) AS m
    FROM named
),
scored AS (
    SELECT *, CASE WHEN starts_with(ticker, '{') THEN try(json_transform(ticker,
        '{"ticker":"JSON","relevance_score":"VARCHAR","ticker_sentiment_score":"VARCHAR","ticker_sentiment_label":"JSON"}'
    )) END AS t
    FROM tickers
),
read_tickers AS (
    SELECT *,
        string_of(t.ticker) AS symbol,
        number_of(t.relevance_score) AS relevance,
        number_of(t.ticker_sentiment_score) AS ticker_sentiment,
        string_of(t.ticker_sentiment_label) AS label
    FROM scored
),
judged AS MATERIALIZED (
    SELECT *, coalesce(
        article_fault,
        CASE WHEN t IS NULL THEN fault('wrong_type', 'An entry of ticker_sentiment is no object.') END,
        symbol_fault(t.ticker, symbol, 'ticker'),
        CASE WHEN NOT coalesce(t.relevance_score IS NULL OR relevance BETWEEN 0 AND 1, false)
        THEN fault('impossible_value', 'Field relevance_score is no number from 0 to 1.') END,
        CASE WHEN NOT coalesce(
            t.ticker_sentiment_score IS NULL OR ticker_sentiment BETWEEN -1 AND 1, false
        ) THEN fault(
            'impossible_value', 'Field ticker_sentiment_score is no number from -1 to 1.'
        ) END
    ) AS row_fault
    FROM read_tickers
),
kept AS (
    SELECT i FROM judged GROUP BY i HAVING bool_or(row_fault IS NULL)
),
placed AS (
    SELECT *, i IN (SELECT i FROM kept) AS partial FROM judged
)
SELECT i, symbol, event_time, url, title, summary, publisher, overall_sentiment, ticker_sentiment,
    relevance,
    CASE WHEN is_label(label) THEN nullif(replace(label, '_', '-'), '') END AS label,
    feed_source() AS source, partial,
    CASE
        WHEN NOT partial OR row_fault IS NULL THEN NULL
        WHEN article_fault IS NOT NULL THEN encode(coalesce(article::VARCHAR, 'null'))
        ELSE encode(format('{{"url":{},"ticker_sentiment":[{}]}}', to_json(url), ticker))
    END AS fragment,
    row_fault AS fault
FROM placed
WHERE row_fault IS NULL OR partial OR (n = 1 AND m = 1)
ORDER BY i, n, m
