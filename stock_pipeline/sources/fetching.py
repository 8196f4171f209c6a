"""A source that is read in a thread of its own, so that a silent one holds up nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from stock_pipeline.errors import StoppedError
from stock_pipeline.kafka.messages import Message

#: Messages between the two threads: a source that is faster than the brokers waits.
MOST_WAITING = 10_000
MOST_AT_ONCE = 1_000
TICK_SECONDS = 0.2


class Fetching:
    """An iterator that runs in a thread, so that a silent source holds up nothing."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self._queue: queue.Queue[Message | None] = queue.Queue(MOST_WAITING)
        self._messages = messages
        self._abandoned = threading.Event()
        #: What ended it, if that was no end as usual.
        self.failure: BaseException | None = None
        self.over = False
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)

    def __enter__(self) -> Fetching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._abandoned.set()

    def take(self) -> list[Message]:
        """What came, after a moment's wait; sets `over` behind the last."""
        found: list[Message] = []
        try:
            message = self._queue.get(timeout=TICK_SECONDS)
            while message is not None and len(found) < MOST_AT_ONCE - 1:
                found.append(message)
                message = self._queue.get_nowait()
        except queue.Empty:
            return found
        if message is None:
            self.over = True
        else:
            found.append(message)
        return found

    def _run(self) -> None:

        try:
            for message in self._messages:
                if not self._put(message):
                    return
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that sends
            self.failure = error
        self._put(None)

    def _put(self, message: Message | None) -> bool:
        while not self._abandoned.is_set():
            try:
                self._queue.put(message, timeout=TICK_SECONDS)
            except queue.Full:
                continue
            return True
        return False
