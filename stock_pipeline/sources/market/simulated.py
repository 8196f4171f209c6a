"""The simulated market as a source: live trades, until stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.errors import RequestError
from stock_pipeline.sources.market.simulator import Market, Simulator
from stock_pipeline.sources.source import SourceContext, SourceKind, SourceRequest

STRETCH_SECONDS = 0.2


class Simulated:
    """Options: rate (trades a second) and seed; their defaults are in the section `simulator`.

    History and faults are made by `stock-pipeline simulate`.
    """

    def __init__(self, context: SourceContext) -> None:
        self._context, self.quotas = context, None

    def fetch(self, request: SourceRequest) -> Iterator[Message]:
        """Trades as they happen."""
        defaults = self._context.simulator
        SOURCE.ensure_takes("Source simulator", request)
        try:
            rate = float(request.options.get("rate", defaults.records_per_second))
            seed = int(request.options.get("seed", defaults.seed))
        except ValueError:
            rate, seed = 0.0, 0
        if not 0 < rate <= 50_000 or seed < 0:
            raise RequestError(
                "Source simulator: rate must be a number above 0 and at most 50,000, seed a whole"
                " number; nothing was sent."
            )
        simulator = Simulator(Market(request.symbols or defaults.symbols, rate, seed))
        start = datetime.now(UTC)
        while not self._context.stop.wait(STRETCH_SECONDS):
            now = datetime.now(UTC)
            if now > start:
                yield from simulator.between(start, now)
                start = now

    def check(self) -> str:
        """Nothing to check: no vendor and no key."""
        return "needs no key"


SOURCE = SourceKind(
    summary="trades of a simulated market that never closes",
    open=Simulated,
    formats={"trades": "trade"},
    takes={"trades": ("rate", "seed")},
    needs_symbols=False,
    streams=frozenset({"trades"}),
)
