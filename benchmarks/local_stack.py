"""A local stack for a benchmark: own ports, own folder, gone afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stock_pipeline.settings import Settings, get_settings, load_settings
from stock_pipeline.stack.local import LocalStack, stack_environment
from stock_pipeline.stack.ports import free_port


@contextmanager
def local_stack(broker: str | None = None) -> Iterator[Settings]:
    """Broker and AWS emulator with everything provisioned; the settings that point at them.

    Args:
        broker: As the setting `broker`, which decides if this is None.

    Raises:
        ApacheKafkaUnavailableError: It is `apache`, and Java, Maven or its files are missing.
    """
    with tempfile.TemporaryDirectory(prefix="stock_pipeline_bench_") as folder:
        before = dict(os.environ)
        os.environ.update(stack_environment(free_port(), free_port(), Path(folder)))
        if broker:
            os.environ["STOCK_PIPELINE__BROKER"] = broker
        get_settings.cache_clear()
        stack = LocalStack(load_settings(), Path(folder))
        try:
            stack.start_broker()
            stack.start_aws()
            stack.provision()
            yield get_settings()
        finally:
            stack.stop()
            os.environ.clear()
            os.environ.update(before)
            get_settings.cache_clear()
