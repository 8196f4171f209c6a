from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.market.price_path import PricePath
from stock_pipeline.sources.market.simulator import Market, Simulator, stretches
from stock_pipeline.sources.registry import open_source
from stock_pipeline.sources.source import SourceRequest
from stock_pipeline_tests.support.records import records
from stock_pipeline_tests.support.stack import SettingsFor

START = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)
MARKET = Market(("SIM-A", "SIM-B"), records_per_second=50, seed=7)
FAULTY = Market(
    ("SIM-A", "SIM-B"),
    records_per_second=50,
    malformed_share=0.05,
    late_share=0.1,
    out_of_order_share=0.1,
    duplicate_share=0.05,
)


def run(simulator: Simulator, seconds: float, step: float = 1.0) -> list[Message]:
    end = START + timedelta(seconds=seconds)
    return [
        m for first, last in stretches(START, end, step) for m in simulator.between(first, last)
    ]


def trades(messages: list[Message]) -> list[dict[str, object]]:
    return [json.loads(m.value or b"") for m in messages]


def test_the_same_seed_gives_the_same_messages() -> None:
    assert run(Simulator(FAULTY), 30) == run(Simulator(FAULTY), 30)


def test_another_seed_gives_another_market() -> None:
    other = Market(MARKET.symbols, MARKET.records_per_second, seed=8)
    assert run(Simulator(MARKET), 10) != run(Simulator(other), 10)


def test_the_rate_is_kept_across_midnight() -> None:
    messages = run(Simulator(MARKET), 120)
    assert len(messages) == pytest.approx(6000, rel=0.06)
    days = Counter(str(t["time"])[:10] for t in trades(messages))
    assert set(days) == {"2026-11-20", "2026-11-21"}


def test_a_market_without_faults_is_decoded_in_order_and_whole() -> None:
    messages = run(Simulator(MARKET), 60)
    decoded = Decoder("trade", "s", "24/7", [], 10_000).decode(
        records([m.value for m in messages]), 1
    )
    assert decoded.rejects.num_rows == 0
    times = decoded.rows["event_time"].to_numpy()
    assert (times[1:] > times[:-1]).all()
    assert len(set(decoded.rows["trade_id"].to_pylist())) == len(messages)
    assert set(decoded.rows["symbol"].to_pylist()) == set(MARKET.symbols)


def test_faults_come_in_their_shares_and_the_decoder_finds_them() -> None:
    simulator = Simulator(FAULTY)
    messages = run(simulator, 1500, step=60)
    decoded = Decoder("trade", "s", "24/7", [], 10_000).decode(
        records([m.value for m in messages]), 1
    )
    assert decoded.rejects.num_rows / len(messages) == pytest.approx(0.05, rel=0.2)
    assert len(set(decoded.rejects["reason"].to_pylist())) >= 5
    ids = decoded.rows["trade_id"].to_pylist()
    assert (len(ids) - len(set(ids))) / len(ids) == pytest.approx(0.045, rel=0.25)
    times = decoded.rows["event_time"].to_numpy()
    behind = (np.maximum.accumulate(times) - times) / np.timedelta64(1, "s")
    assert (behind > 20).mean() == pytest.approx(0.1, rel=0.3)
    assert simulator.held > 0


def test_what_is_held_back_is_neither_lost_nor_sent_twice() -> None:
    market = Market(("SIM-A",), records_per_second=50, late_share=0.5)
    simulator = Simulator(market)
    arrived = run(simulator, 60)
    rest = simulator.rest()
    ids = [t["trade_id"] for t in trades(arrived + rest)]
    assert len(ids) == len(set(ids))
    assert len(rest) > 0
    assert simulator.held == 0


def test_a_second_has_room_for_fifty_thousand_distinct_trades() -> None:
    simulator = Simulator(Market(("SIM-A",), records_per_second=50_000))
    found = trades(simulator.between(START, START + timedelta(seconds=1)))
    assert len(found) == pytest.approx(50_000, rel=0.03)
    assert len({t["trade_id"] for t in found}) == len(found)


def test_prices_do_not_depend_on_what_was_asked_before() -> None:
    micros = np.arange(0, 3 * 86_400, 600, dtype=np.int64) * 1_000_000 + 1_795_000_000_000_000
    path = PricePath(7, "SIM-A")
    assert np.array_equal(path.at(micros), PricePath(7, "SIM-A").at(micros))
    assert np.array_equal(path.at(micros[300:]), PricePath(7, "SIM-A").at(micros)[300:])


def test_prices_move_without_gaps_at_the_volatility_of_the_symbol() -> None:
    path = PricePath(7, "SIM-A")
    minutes = np.arange(60 * 24 * 60, dtype=np.int64) * 60_000_000 + 1_795_000_000_000_000
    returns = np.diff(np.log(path.at(minutes)))
    realized = np.sqrt((returns**2).sum() / 60 * 365)
    assert realized == pytest.approx(path.volatility, rel=0.4)
    assert np.abs(returns).max() < 0.05


def test_volatility_is_higher_at_both_ends_of_the_day() -> None:
    path = PricePath(3, "SIM-B")
    minutes = np.arange(40 * 24 * 60, dtype=np.int64) * 60_000_000 + 1_795_046_400_000_000
    squares = np.diff(np.log(path.at(minutes)), append=np.nan) ** 2
    hours = np.nanmean(squares.reshape(40, 24, 60), axis=(0, 2))
    assert hours[[0, 1, 22, 23]].mean() > 1.5 * hours[10:14].mean()


def test_stretches_cover_the_time_without_gap() -> None:
    parts = list(stretches(START, START + timedelta(seconds=150), 60))
    assert [(b - a).total_seconds() for a, b in parts] == [60, 60, 30]
    assert all(before[1] == after[0] for before, after in pairwise(parts))


def test_the_source_simulates_the_market_of_the_settings(settings_for: SettingsFor) -> None:
    market = {"symbols": ["MINE"], "seed": 11, "records_per_second": 2000}
    settings, stop = settings_for(simulator=market), threading.Event()
    source = open_source(settings, "simulator", notify=lambda _: None, stop=stop)
    message = next(messages := source.fetch(SourceRequest((), "trades")))
    stop.set()
    (trade,) = trades([message])
    at = np.array([np.datetime64(str(trade["time"]).removesuffix("Z"), "us").astype(np.int64)])
    assert trade["symbol"] == "MINE"
    assert trade["price"] == pytest.approx(PricePath(11, "MINE").at(at)[0], rel=2e-4)
    assert len(list(messages)) > 100
