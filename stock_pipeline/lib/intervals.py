"""Sets of whole numbers as half-open intervals: sequence numbers examined, minutes touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Interval = tuple[int, int]


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Half-open intervals sorted, with overlapping and adjacent ones joined."""
    result: list[Interval] = []
    for start, end in sorted(i for i in intervals if i[0] < i[1]):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)


def with_numbers(intervals: Iterable[Interval], numbers: Iterable[int]) -> tuple[Interval, ...]:
    """The intervals and these numbers, merged."""
    return merged([*intervals, *((n, n + 1) for n in numbers)])


def covers(intervals: Sequence[Interval], number: int) -> bool:
    """Whether one of the intervals holds the number."""
    return any(start <= number < end for start, end in intervals)


def overlap(a: Iterable[Interval], b: Sequence[Interval]) -> bool:
    """Whether an interval of one overlaps an interval of the other."""
    return any(s < end and start < e for s, e in a for start, end in b)


class Numbers:
    """A growing set of numbers from 0 on that has few gaps, all near its end."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self.low = 0
        self._above: set[int] = set()
        self.add(numbers)

    def add(self, numbers: Iterable[int]) -> None:
        """Put numbers in; `low` is then the smallest that is missing."""
        self._above.update(n for n in numbers if n >= self.low)
        while self.low in self._above:
            self._above.remove(self.low)
            self.low += 1

    def __contains__(self, number: int) -> bool:
        return number < self.low or number in self._above

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The numbers, merged."""
        return with_numbers([(0, self.low)], self._above)
