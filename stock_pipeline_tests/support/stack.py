"""Types of the fixtures of the local stack."""

from __future__ import annotations

import os
from collections.abc import Callable

from stock_pipeline.settings import Settings

TEST_BROKER = os.environ.get("STOCK_PIPELINE_TEST_BROKER") or "embedded"

Produce = Callable[..., None]

SettingsFor = Callable[..., Settings]
