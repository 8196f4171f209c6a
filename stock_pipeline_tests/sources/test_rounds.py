"""Rounds: what ends them, what they wait for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from stock_pipeline.errors import StoppedError
from stock_pipeline.kafka.messages import Message
from stock_pipeline.sources.errors import DailyLimitError
from stock_pipeline.sources.rounds import rounds
from stock_pipeline.sources.source import Notice, SourceContext, SourceRequest
from stock_pipeline.sources.vendors.alpha_vantage import SOURCE
from stock_pipeline_tests.sources import alpha_vantage_payloads as payloads
from stock_pipeline_tests.sources.vendor_server import Reply, VendorServer, vendor


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor(payloads.answer) as running:
        yield running


class Polling:
    """Rounds of Alpha Vantage; `stop_at` is the kind of notice at which the user stops."""

    def __init__(self, server: VendorServer, home: Path, stop_at: str = "") -> None:
        self.notices: list[Notice] = []
        self.found: list[Message] = []
        given = {"base_url": server.url, "api_key": SecretStr(payloads.KEY)}
        settings = SOURCE.defaults.model_copy(
            update=given | {"requests_per_second": None, "pause_seconds": 0.01}
        )
        stop = threading.Event()

        def notify(notice: Notice) -> None:
            self.notices.append(notice)
            if notice.kind == stop_at:
                stop.set()

        self.context = SourceContext(settings, home, notify, stop)

    def run(self, every: float = 60.0, batches: int | None = None) -> None:
        source = SOURCE.open(self.context)
        request = SourceRequest(("IBM",))
        for message in rounds(
            source, "alpha_vantage", request, self.context, every=every, batches=batches
        ):
            self.found.append(message)


def test_without_end_the_next_day_of_the_vendor_is_waited_for(
    server: VendorServer, tmp_path: Path
) -> None:
    server.script = [Reply(payloads.PER_DAY)]
    polling = Polling(server, tmp_path, stop_at="wait")
    with pytest.raises(StoppedError):
        polling.run()
    [notice] = polling.notices
    assert "takes no more requests of this key today" in notice.sentence
    assert notice.until is not None
    # Midnight is a full hour; a second early at most, late by what this machine stalls.
    assert (notice.until.timestamp() + 1) % 3600 < 120


def test_rounds_that_are_counted_end_when_the_day_is_over(
    server: VendorServer, tmp_path: Path
) -> None:
    server.script = [Reply(payloads.PER_DAY)]
    with pytest.raises(DailyLimitError):
        Polling(server, tmp_path).run(batches=2)


def test_a_stop_ends_the_pause_between_rounds(server: VendorServer, tmp_path: Path) -> None:
    polling = Polling(server, tmp_path, stop_at="pause")
    with pytest.raises(StoppedError):
        polling.run()
    assert len(polling.found) == 1
    assert [notice.kind for notice in polling.notices] == ["pause"]


def test_every_round_has_an_id_of_its_own(server: VendorServer, tmp_path: Path) -> None:
    polling = Polling(server, tmp_path)
    polling.run(every=0.01, batches=3)
    assert len({dict(message.headers)["fetch_id"] for message in polling.found}) == 3
