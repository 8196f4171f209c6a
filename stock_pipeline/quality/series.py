"""Bars as arrays, one series after the other: what the quality checks compute on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stock_pipeline.quality.completeness import MINUTES
from stock_pipeline.quality.findings import QualityFinding

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Times = npt.NDArray[np.datetime64]

DAILY = "1d"


@dataclass(frozen=True, eq=False)
class BarSeries:
    """Bars sorted by series and time; a series is one (symbol, source, interval).

    Attributes:
        keys: (symbol, source, interval) of each series.
        of: Number of its series, for each bar.
        times: Start of each bar, naive UTC; of daily bars midnight of the trade date.
        open: Prices, all positive and finite; so are high, low and close.
        adjusted: Adjusted close; NaN where the source gives none.
        volume: Units traded.
        opens: Open of the bar's regular session; NaT on a date without one and of daily bars.
        closes: Close of that session.
        rolled_up: Whether the daily bar was made of intraday bars.
    """

    keys: tuple[tuple[str, str, str], ...]
    of: Ints
    times: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    adjusted: Floats
    volume: Floats
    opens: Times
    closes: Times
    rolled_up: Flags

    def __len__(self) -> int:
        return len(self.of)

    @cached_property
    def follows(self) -> Flags:
        """Whether the bar before belongs to the same series."""
        result: Flags = np.zeros(len(self), dtype=bool)
        result[1:] = self.of[1:] == self.of[:-1]
        return result

    @cached_property
    def first(self) -> Ints:
        """Row of each series' first bar, and the number of bars at the end."""
        return np.searchsorted(self.of, np.arange(len(self.keys) + 1)).astype(np.int64)

    @cached_property
    def returns(self) -> Floats:
        """Log return from the close before; NaN of a series' first bar."""
        return self._steps(np.log(self.close))

    @cached_property
    def factors(self) -> Floats:
        """Log of adjusted close by close; NaN where there is none."""
        return np.asarray(np.log(self.adjusted / self.close))

    @cached_property
    def factor_steps(self) -> Floats:
        """Change of `factors` from the bar before."""
        return self._steps(self.factors)

    @cached_property
    def minutes(self) -> Ints:
        """Length of each series' bars in minutes; 0 of daily and of unknown ones."""
        return np.array([MINUTES.get(interval, 0) for _, _, interval in self.keys], dtype=np.int64)

    @cached_property
    def daily(self) -> bool:
        """Whether these are daily bars."""
        return any(interval == DAILY for _, _, interval in self.keys)

    @cached_property
    def regular(self) -> Flags:
        """Whether an intraday bar starts inside the regular session; true of daily bars."""
        if self.daily:
            return np.ones(len(self), dtype=bool)
        return np.asarray((self.times >= self.opens) & (self.times < self.closes))

    def at(self, row: int) -> datetime:
        """Start of a bar."""
        found: datetime = self.times[row].astype("datetime64[us]").astype(object)
        return found

    def runs(self, chosen: Flags) -> Iterator[tuple[int, int]]:
        """Half-open ranges of neighbouring chosen bars of one series."""
        starts = chosen & ~(np.append(False, chosen[:-1]) & self.follows)
        rows = np.flatnonzero(chosen)
        if not len(rows):
            return
        begins = np.flatnonzero(starts[rows])
        for begin, end in zip(begins, np.append(begins[1:], len(rows)), strict=True):
            yield int(rows[begin]), int(rows[end - 1]) + 1

    def _steps(self, values: Floats) -> Floats:
        steps = np.full(len(self), np.nan)
        steps[1:] = np.diff(values)
        steps[~self.follows] = np.nan
        return steps


def series_of(bars: pa.Table) -> BarSeries:
    """Bars of SILVER_BARS_INTRADAY or SILVER_BARS_DAILY by series and time."""
    daily = "trade_date" in bars.schema.names
    symbol, symbols = _codes(bars["symbol"])
    source, sources = _codes(bars["source"])
    interval, intervals = (
        (np.zeros(bars.num_rows, dtype=np.int64), [DAILY]) if daily else _codes(bars["interval"])
    )
    code = (symbol * max(1, len(sources)) + source) * max(1, len(intervals)) + interval
    times = bars["trade_date" if daily else "bar_start"].to_numpy().astype("datetime64[us]")
    order = np.lexsort((times, code))
    present, of = np.unique(code[order], return_inverse=True)
    pairs, intervals_at = np.divmod(present, max(1, len(intervals)))
    keys = tuple(
        (symbols[p // max(1, len(sources))], sources[p % max(1, len(sources))], intervals[i])
        for p, i in zip(pairs, intervals_at, strict=True)
    )
    nat = np.full(bars.num_rows, np.datetime64("NaT"), dtype="datetime64[us]")

    def floats(name: str) -> Floats:
        column = bars[name].cast(pa.float64()).to_numpy()
        return np.asarray(column[order], dtype=np.float64)

    def bound(name: str) -> Times:
        return nat if daily else np.asarray(bars[name].to_numpy().astype("datetime64[us]")[order])

    counted = bars["bar_count"].is_valid().to_numpy() if daily else np.zeros(len(order), bool)
    return BarSeries(
        keys,
        of.astype(np.int64),
        times[order],
        open=floats("open"),
        high=floats("high"),
        low=floats("low"),
        close=floats("close"),
        adjusted=floats("adjusted_close"),
        volume=floats("volume"),
        opens=bound("session_open"),
        closes=bound("session_close"),
        rolled_up=counted[order],
    )


def medians(values: Floats, of: Ints, series: int) -> Floats:
    """Median of each series' values without its NaN; NaN of a series that has none."""
    real = ~np.isnan(values)
    values, of = values[real], of[real]
    ordered = values[np.lexsort((values, of))]
    counts = np.bincount(of, minlength=series)
    ends = np.cumsum(counts)
    result = np.full(series, np.nan)
    some = counts > 0
    starts = (ends - counts)[some]
    low, high = starts + (counts[some] - 1) // 2, starts + counts[some] // 2
    result[some] = (ordered[low] + ordered[high]) / 2
    return result


def finding_of(
    bars: BarSeries,
    kind: str,
    rows: tuple[int, int],
    found: str,
    expected: str,
    value: float,
    *,
    certain: bool = False,
) -> QualityFinding:
    """A finding in the half-open range of rows of one series."""
    start, end = rows
    symbol, source, interval = bars.keys[bars.of[start]]
    return QualityFinding(
        kind,
        symbol,
        source,
        interval,
        bars.at(start),
        bars.at(end - 1),
        end - start,
        found,
        expected,
        float(value),
        certain,
    )


def _codes(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    encoded = pc.dictionary_encode(column.combine_chunks())
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
