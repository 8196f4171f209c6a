from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.kafka.messages import Message
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.sources.files.csv_replay import (
    ReplayError,
    count_lines,
    file_messages,
    sampled_messages,
)
from stock_pipeline.sources.files.sample_prices import sample_prices
from stock_pipeline.sources.market.malformed import with_malformed
from stock_pipeline_tests.support.records import VALID, records

INDEX_CSV = """Index,Date,Open,High,Low,Close,Adj Close,Volume,CloseUSD
HSI,1986-12-31,2568.300049,2568.300049,2568.300049,2568.300049,2568.300049,0.0,333.87900637
HSI,1987-01-02,2540.100098,2540.100098,2540.100098,2540.100098,2540.100098,0.0,330.21301274
"""
FILES = {
    "index_daily": INDEX_CSV,
    "trade": "symbol,time,price,size,trade_id\nIBM,2026-11-20T15:00:00Z,1.5,2,0017\n",
    "bar": "symbol,start,interval,open,high,low,close,volume\n"
    "IBM,2026-11-20T15:00:00Z,1min,2,3,1,2.5,7\n",
    "corporate_action": "symbol,ex_date,kind,ratio,amount\nIBM,2026-11-20,split,2,\n"
    "IBM,2026-11-19,dividend,,1.68\n",
    "news": "symbol,time,url,title,summary\nIBM,2026-11-20T15:00:00Z,u:1,2026,\n",
}


def written(folder: Path, text: str, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("format_", sorted(FILES))
def test_every_row_of_a_file_is_a_message_that_decodes(format_: str, tmp_path: Path) -> None:
    path = written(tmp_path, FILES[format_])
    messages = list(file_messages(path, format_))
    decoded = Decoder(format_, "s", "XNYS", [], 10_000).decode(
        records([m.value for m in messages]), 1
    )
    assert decoded.rejects.num_rows == 0
    assert decoded.rows.num_rows == len(messages) == count_lines(path) - 1
    assert decoded.rows["symbol"][0].as_py().encode() == messages[0].key


def test_numbers_become_json_numbers_and_ids_stay_text(tmp_path: Path) -> None:
    (message,) = file_messages(written(tmp_path, FILES["trade"]), "trade")
    assert json.loads(message.value or b"") == {
        "symbol": "IBM",
        "time": "2026-11-20T15:00:00Z",
        "price": 1.5,
        "size": 2,
        "trade_id": "0017",
    }


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"\xef\xbb\xbf" + INDEX_CSV.replace("\n", "\r\n").encode())
    assert [m.key for m in file_messages(path, "index_daily")] == [b"HSI", b"HSI"]
    (first,) = itertools.islice(sampled_messages(path, "index_daily", seed=1), 1)
    assert first in list(file_messages(path, "index_daily"))


def test_what_is_no_number_is_sent_as_it_is_for_the_decoder_to_judge(tmp_path: Path) -> None:
    path = written(tmp_path, "symbol,time,price,size\nIBM,soon,much,\n")
    (message,) = file_messages(path, "trade")
    assert json.loads(message.value or b"") == {"symbol": "IBM", "time": "soon", "price": "much"}


@pytest.mark.parametrize("read", [file_messages, sampled_messages])
def test_a_file_that_cannot_be_used_says_why(read: object, tmp_path: Path) -> None:
    assert callable(read)
    with pytest.raises(ReplayError, match="has no column price"):
        next(read(written(tmp_path, "symbol,time,size\nIBM,1,2\n"), "trade"))
    with pytest.raises(ReplayError, match="cannot be read"):
        next(read(tmp_path / "missing.csv", "trade"))


def test_a_sample_draws_rows_with_repetition_without_end(tmp_path: Path) -> None:
    path = written(tmp_path, INDEX_CSV)
    drawn = list(itertools.islice(sampled_messages(path, "index_daily", seed=1), 50))
    assert set(drawn) == set(file_messages(path, "index_daily"))
    with pytest.raises(ReplayError, match="has no row"):
        next(sampled_messages(written(tmp_path, INDEX_CSV.splitlines()[0]), "index_daily"))


def test_vendor_documents_are_one_message_a_file_or_a_line(tmp_path: Path) -> None:
    document = VALID["alpha_vantage_intraday"].decode()
    one = written(tmp_path, document, "day.json")
    two = written(tmp_path, f"{document}\n{{}}\n", "days.jsonl")
    assert list(file_messages(one, "alpha_vantage_intraday")) == [
        Message(b"IBM", document.encode())
    ]
    assert [m.key for m in file_messages(two, "alpha_vantage_intraday")] == [b"IBM", b""]


def test_a_news_document_is_one_message(tmp_path: Path) -> None:
    document = VALID["alpha_vantage_news"]
    path = written(tmp_path, document.decode(), "news.json")
    assert list(file_messages(path, "alpha_vantage_news")) == [Message(b"", document)]


def test_the_packaged_prices_are_real_days_that_decode() -> None:
    messages = list(sample_prices())
    decoded = Decoder("index_daily", "s", "XNYS", [], 10_000).decode(
        records([m.value for m in messages]), 1
    )
    assert decoded.rejects.num_rows == 0
    assert decoded.rows.num_rows == 1509
    assert set(decoded.rows["symbol"].to_pylist()) == {"AAPL"}


@pytest.mark.parametrize("format_", sorted(FORMATS))
def test_a_damaged_message_of_any_format_is_a_reject(format_: str) -> None:
    messages = [Message(b"IBM", VALID[format_])] * 200
    damaged = list(with_malformed(messages, 1.0, seed=1))
    decoded = Decoder(format_, "s", "XNYS", [], 10_000).decode(
        records([m.value for m in damaged]), 1
    )
    assert decoded.rows.num_rows == 0
    assert len(set(decoded.rejects["reason"].to_pylist())) >= 5


def test_the_share_of_damaged_messages_is_about_what_was_asked() -> None:
    message = Message(b"IBM", VALID["trade"])
    found = list(with_malformed([message] * 10_000, 0.1, seed=3))
    assert sum(m != message for m in found) == pytest.approx(1000, rel=0.15)
    assert found == list(with_malformed([message] * 10_000, 0.1, seed=3))
    assert list(with_malformed([message], 0.0, seed=3)) == [message]
