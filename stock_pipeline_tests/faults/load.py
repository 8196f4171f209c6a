"""Records that keep coming while something is done to the pipeline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count


@contextmanager
def repeating(send: Callable[[int], object], seconds: float) -> Iterator[None]:
    """Calls `send(0)`, `send(1)`, and so on from a thread, with this pause after each.

    Raises:
        Exception: What `send` raised, at the end.
    """
    done = threading.Event()

    def repeat() -> None:
        for number in count():
            send(number)
            if done.wait(seconds):
                return

    with ThreadPoolExecutor(1) as thread:
        repeated = thread.submit(repeat)
        try:
            yield
        finally:
            done.set()
        repeated.result()
