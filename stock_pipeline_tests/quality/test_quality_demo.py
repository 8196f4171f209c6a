"""What the first run shows, a simulated market with its faults and real daily prices, is calm."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stock_pipeline.ingest.decode import Decoder
from stock_pipeline.lib.sessions import symbol_sessions
from stock_pipeline.settings import load_settings
from stock_pipeline.sources.files.sample_prices import sample_prices
from stock_pipeline.sources.market.simulator import Market, Simulator
from stock_pipeline.tables.bars import bars_from_trades
from stock_pipeline_tests.support.quality_bars import DAY, daily, found
from stock_pipeline_tests.support.records import records

BEGAN = datetime(2024, 6, 4, 12, 0)
LIVE = datetime(2024, 6, 4, 18, 0)
ENDED = datetime(2024, 6, 4, 18, 30)


@pytest.fixture
def settings(tmp_path):
    return load_settings(env_file=tmp_path / "none", environment={})


def test_the_simulated_market_has_no_finding_whatever_its_faults(settings):
    shown = settings.simulator
    payloads = []
    for rate, start, end in (
        (shown.history_records_per_second, BEGAN, LIVE),
        (shown.records_per_second, LIVE, ENDED),
    ):
        market = Market(
            shown.symbols,
            rate,
            shown.seed,
            shown.malformed_share,
            shown.late_share,
            shown.out_of_order_share,
            shown.duplicate_share,
        )
        simulator = Simulator(market)
        payloads += [m.value for m in (*simulator.between(start, end), *simulator.rest())]
    decoder = Decoder("trade", "trades", "24/7", [("SIM-*", "24/7")], 10_000)
    decoded = decoder.decode(records(payloads, ENDED), 1)
    decoder.close()
    assert decoded.rejects.num_rows
    sessions = symbol_sessions(shown.symbols, DAY, [("SIM-*", "24/7")], "24/7", 252, 365)
    trades = decoded.rows.filter(pc.equal(decoded.rows["trade_date"], pa.scalar(DAY)))
    bars = bars_from_trades(trades, "trades", sessions)
    assert bars.num_rows > 1500
    assert found(bars, now=ENDED) == []


def test_five_years_and_more_of_real_daily_prices_have_no_finding(settings):
    pytest.importorskip("hvsampledata")
    decoder = Decoder("index_daily", "index_daily", "XNYS", [], 10_000)
    rows = decoder.decode(records([m.value for m in sample_prices()], ENDED), 1).rows
    decoder.close()
    years = pc.year(rows["trade_date"])
    for year in range(2019, 2025):
        one = rows.filter(pc.equal(years, year))
        names = ("open", "high", "low", "close", "adjusted_close", "volume")
        columns = {name: one[name] for name in names}
        days = one["trade_date"].to_pylist()
        assert len(days) > 100
        assert found(daily(columns, days, symbol="AAPL")) == []
