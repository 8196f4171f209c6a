"""Simulated prices as a pure function of seed, symbol and time.

From day to day the log price is a mean-reverting random walk. Within a day it is a Brownian bridge
of minutes between the levels of two midnights, with jumps, and with a higher variance at both ends
of the UTC day. A price does not depend on earlier calls, so a simulator that is started again goes
on at the price at which it stopped.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MINUTES = 1440
_FIRST_DAY = int(np.datetime64("2020-01-01", "D").astype(np.int64))
_JUMPS_A_DAY = 3.0
_JUMP_SIZE = 0.006
#: Pull towards the base price for each day; it keeps a symbol within a small factor for years.
_REVERSION = 0.005


class PricePath:
    """Prices of one symbol.

    Args:
        seed: Seed of the whole market.
        symbol: Name; each name has a path of its own.
    """

    def __init__(self, seed: int, symbol: str) -> None:
        self._seed = (seed, crc32(symbol.encode()))
        rng = np.random.default_rng([*self._seed, 0])
        self.base = float(np.exp(rng.uniform(np.log(20), np.log(400))))
        #: Volatility, annualised with 365 days.
        self.volatility = float(rng.uniform(0.25, 0.9))
        self._day = lru_cache(maxsize=8)(self._minute_levels)
        self._levels = np.zeros(1)

    def at(self, micros: npt.NDArray[np.int64]) -> Floats:
        """Prices at these microseconds since 1970 UTC."""
        minutes = micros / 60e6
        days = np.floor_divide(micros, 86_400_000_000)
        result = np.empty(len(micros))
        for day in np.unique(days).tolist():
            mine = days == day
            into = minutes[mine] - day * MINUTES
            result[mine] = np.interp(into, np.arange(MINUTES + 1), self._day(day))
        return np.asarray(self.base * np.exp(result))

    def _minute_levels(self, day: int) -> Floats:
        """Log of price over base price at each minute of the day, both midnights included."""
        rng = np.random.default_rng([*self._seed, 1, day])
        daily = self.volatility / np.sqrt(365)
        place = (np.arange(MINUTES) + 0.5) / MINUTES
        shape = 0.5 + 1.5 * (2 * place - 1) ** 2
        steps = rng.normal(size=MINUTES) * daily * np.sqrt(shape / shape.sum())
        jumps = rng.uniform(size=MINUTES) < _JUMPS_A_DAY / MINUTES
        steps = steps + jumps * rng.normal(scale=_JUMP_SIZE, size=MINUTES)
        walk = np.concatenate([[0.0], np.cumsum(steps)])
        start, end = self._level(day), self._level(day + 1)
        passed = np.concatenate([[0.0], np.cumsum(shape / shape.sum())])
        return np.asarray(start + walk + (end - start - walk[-1]) * passed)

    def _level(self, day: int) -> float:
        """Log of price over base price at the day's first midnight; 0 before 2020."""
        index = max(0, day - _FIRST_DAY)
        while len(self._levels) <= index:
            shocks = np.random.default_rng([*self._seed, 2, len(self._levels)]).normal(size=1000)
            level, levels = self._levels[-1], []
            for shock in shocks * self.volatility / np.sqrt(365):
                level = (1 - _REVERSION) * level + shock
                levels.append(level)
            self._levels = np.append(self._levels, levels)
        return float(self._levels[index])
