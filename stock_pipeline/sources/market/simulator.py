"""A simulated market: trades around the clock, with the faults that real feeds have."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.market.malformed import damaged
from stock_pipeline.sources.market.price_path import PricePath

_SECOND = 1_000_000
#: Delay in seconds between a trade of each kind and its arrival in Kafka: least and most.
LATE_SECONDS = (30.0, 600.0)
OUT_OF_ORDER_SECONDS = (0.2, 3.0)
DUPLICATE_SECONDS = (0.0, 5.0)
#: Half of the bid-ask spread, as a share of the price.
_HALF_SPREAD = 0.0001

Micros = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Market:
    """What is simulated.

    Attributes:
        symbols: Symbols; the first ones trade most.
        records_per_second: Messages on average, all symbols together, before duplicates.
        seed: Random seed; the same seed, times and shares give the same messages.
        malformed_share: Share of messages that no decoder accepts.
        late_share: Share of trades that arrive 30 s to 10 min after they happened.
        out_of_order_share: Share of trades that arrive up to 3 s after later ones.
        duplicate_share: Share of trades that arrive twice, with the same trade id.
    """

    symbols: tuple[str, ...]
    records_per_second: float
    seed: int = 7
    malformed_share: float = 0.0
    late_share: float = 0.0
    out_of_order_share: float = 0.0
    duplicate_share: float = 0.0


class Simulator:
    """Makes the messages of one stretch of time after the other.

    Trades that arrive late are held back until their time of arrival.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        self._paths = [PricePath(market.seed, symbol) for symbol in market.symbols]
        self._keys = [symbol.encode() for symbol in market.symbols]
        weights = 1.0 / np.sqrt(np.arange(1, len(market.symbols) + 1))
        self._weights = weights / weights.sum()
        #: (time of arrival in microseconds, message) of trades that have not arrived yet.
        self._held: list[tuple[int, Message]] = []

    @property
    def held(self) -> int:
        """Number of messages that have not arrived yet."""
        return len(self._held)

    def between(self, start: datetime, end: datetime) -> list[Message]:
        """Messages that arrive in `[start, end)`, in order of arrival.

        Args:
            start: Aware; where the call before ended.
            end: Aware; not before start.
        """
        first, last = _micros(start), _micros(end)
        rng = np.random.default_rng([self.market.seed, first])
        happened = self._trades(first, last, rng)
        arriving = self._held + self._with_faults(happened, rng)
        arriving.sort(key=itemgetter(0))
        cut = next((n for n, (at, _) in enumerate(arriving) if at >= last), len(arriving))
        self._held = arriving[cut:]
        return [message for _, message in arriving[:cut]]

    def rest(self) -> list[Message]:
        """All messages that are still held back."""
        held, self._held = self._held, []
        return [message for _, message in held]

    def _trades(self, first: int, last: int, rng: np.random.Generator) -> list[tuple[int, Message]]:
        count = rng.poisson(self.market.records_per_second * (last - first) / _SECOND)
        if count == 0:
            return []
        times = _distinct(np.sort(rng.integers(first, last, size=count)))
        times = times[times < last]
        symbols = rng.choice(len(self._keys), size=len(times), p=self._weights)
        prices = np.empty(len(times))
        for index, path in enumerate(self._paths):
            mine = symbols == index
            prices[mine] = path.at(times[mine])
        prices *= 1 + _HALF_SPREAD * rng.choice([-1.0, 1.0], size=len(times))
        sizes = np.ceil(rng.lognormal(mean=3.0, sigma=1.2, size=len(times))).astype(np.int64)
        stamps = np.datetime_as_string(times.astype("datetime64[us]")).tolist()
        names, keys = self.market.symbols, self._keys
        # The time is unique within the simulation, so it serves as trade id, also after a restart.
        return [
            (
                micros,
                Message(
                    keys[s],
                    (
                        f'{{"symbol":"{names[s]}","time":"{stamp}Z","price":{price:.4f},'
                        f'"size":{size},"trade_id":"{micros:x}","venue":"SIM"}}'
                    ).encode(),
                ),
            )
            for micros, s, stamp, price, size in zip(
                times.tolist(),
                symbols.tolist(),
                stamps,
                prices.tolist(),
                sizes.tolist(),
                strict=True,
            )
        ]

    def _with_faults(
        self, trades: list[tuple[int, Message]], rng: np.random.Generator
    ) -> list[tuple[int, Message]]:
        """The trades at the times they arrive, with duplicates and damaged ones."""
        market, n = self.market, len(trades)
        result = list(trades)
        for share, seconds, again in (
            (market.out_of_order_share, OUT_OF_ORDER_SECONDS, False),
            (market.late_share, LATE_SECONDS, False),
            (market.duplicate_share, DUPLICATE_SECONDS, True),
        ):
            chosen = np.flatnonzero(rng.random(n) < share)
            delays = (rng.uniform(*seconds, size=len(chosen)) * _SECOND).astype(np.int64)
            for index, delay in zip(chosen.tolist(), delays.tolist(), strict=True):
                micros, message = result[index]
                if again:
                    result.append((micros + delay, message))
                else:
                    result[index] = (micros + delay, message)
        dice = random.Random(int(rng.integers(2**62)))  # noqa: S311 - not for secrets
        for index in np.flatnonzero(rng.random(len(result)) < market.malformed_share).tolist():
            micros, message = result[index]
            result[index] = (micros, damaged(message, dice))
        return result


def stretches(
    start: datetime, end: datetime, seconds: float
) -> Iterator[tuple[datetime, datetime]]:
    """`[start, end)` cut into stretches of at most this length."""
    while start < end:
        stop = min(end, datetime.fromtimestamp(start.timestamp() + seconds, UTC))
        yield start, stop
        start = stop


def _micros(instant: datetime) -> int:
    return round(instant.timestamp() * _SECOND)


def _distinct(times: Micros) -> Micros:
    """Sorted distinct times: equal ones are moved on by a microsecond each."""
    steps = np.arange(len(times))
    return np.asarray(np.maximum.accumulate(times - steps) + steps)
