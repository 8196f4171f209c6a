"""Settings of what `dev` starts on this machine: ports and the market simulator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stock_pipeline.settings.sections.section import Section

Port = Annotated[int, Field(ge=1, le=65535)]


class PortSettings(Section):
    """Loopback ports of the local profile."""

    kafka: Port = 29092
    aws: Port = 24566
    dagster: Port = 3000


class SimulatorSettings(Section):
    """The market simulator that `dev` starts."""

    feed: str = "stock_live_feed"
    enabled: bool = True
    seed: int = 7
    symbols: tuple[str, ...] = Field(
        default=("SIM-ALPHA", "SIM-BETA", "SIM-GAMMA", "SIM-DELTA", "SIM-OMEGA"), min_length=1
    )
    records_per_second: float = Field(default=20, gt=0, le=50_000)
    history_hours: float = Field(default=6, ge=0)
    history_records_per_second: float = Field(default=1, gt=0, le=50_000)
    malformed_share: float = Field(default=0.002, ge=0, le=1)
    late_share: float = Field(default=0.01, ge=0, le=1)
    out_of_order_share: float = Field(default=0.02, ge=0, le=1)
    duplicate_share: float = Field(default=0.01, ge=0, le=1)
