"""History as assets: a partition a symbol and period, fetched when somebody asks.

Without postponed annotations: Dagster reads the context's type from the function itself.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from stock_pipeline.defs.landing.fetching import CONSEQUENCE, land
from stock_pipeline.defs.resources import LakeResource, SecretsResource
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS
from stock_pipeline.history.bars import LANDING
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.schemas import landed_table
from stock_pipeline.settings import Settings

#: One run fetches so many partitions: five requests a minute, and it ends before its deadline.
MOST_PARTITIONS_A_RUN = 60
#: Intraday silver begins here.
FIRST_INTRADAY_YEAR = 2000

_COLUMNS = {
    "symbol": "Ticker as the source writes it.",
    "trade_date": "Date of the exchange's session.",
    "bar_start": "Start of the bar, UTC; of a day the midnight of its date.",
    "interval": "Length of the bar.",
    "open": "First price, in the currency of the listing.",
    "high": "Highest price.",
    "low": "Lowest price.",
    "close": "Last price.",
    "adjusted_close": "Close adjusted for splits and dividends, where the source gives it.",
    "volume": "Units traded.",
    "vwap": "Volume-weighted average price, where the source gives it.",
    "trade_count": "Number of trades, where the source gives it.",
    "source": "The vendor.",
    "fetched_at": "When the vendor first gave the bar with these values, UTC.",
    "incarnation": "Life of the live topics at that time: orders the bar among live ones.",
}


def landing_key(source: str, *, daily: bool) -> dg.AssetKey:
    """Asset of a source's history."""
    return dg.AssetKey(["landing", f"{source}_{'daily' if daily else 'intraday'}"])


def landing_deps(settings: Settings, *, daily: bool) -> list[dg.AssetDep]:
    """What silver takes from history: a period of every symbol may be in any of its partitions."""
    return [
        dg.AssetDep(landing_key(source, daily=daily), partition_mapping=dg.AllPartitionMapping())
        for source, wanted in settings.history.items()
        if (wanted.daily if daily else wanted.intraday)
    ]


def landing_asset(
    settings: Settings, source: str, *, daily: bool, clock: Clock = system_clock
) -> dg.AssetsDefinition:
    """The asset of a source's daily or intraday history.

    Args:
        settings: Say what to fetch, and hold the source's key unless Secrets Manager does.
        source: The vendor.
        daily: Whether days, else bars of a part of a day.
        clock: Says which sessions are over.
    """
    wanted = settings.history[source]
    first = wanted.since if daily else max(wanted.since, FIRST_INTRADAY_YEAR)
    periods = dg.TimeWindowPartitionsDefinition(
        start=f"{first}" if daily else f"{first}-01",
        fmt="%Y" if daily else "%Y-%m",
        cron_schedule="0 0 1 1 *" if daily else "0 0 1 * *",
        end_offset=1,
    )
    bars = "days" if daily else f"bars of {wanted.intraday}"
    table = landed_table(daily=daily).name

    @dg.asset(
        key=landing_key(source, daily=daily),
        partitions_def=dg.MultiPartitionsDefinition(
            {"symbol": dg.StaticPartitionsDefinition(list(wanted.symbols)), "period": periods}
        ),
        backfill_policy=dg.BackfillPolicy.multi_run(MOST_PARTITIONS_A_RUN),
        group_name="landing",
        kinds={"csv"},
        owners=OWNERS,
        tags={"layer": "landing"},
        pool=f"landing_{source}",
        # Each partition is told of when it is kept, not by what is yielded at the end.
        output_required=False,
        op_tags={"dagster/max_retries": "0"},
        description=(
            f"Grain: one bar; a partition holds the {bars} of one symbol and "
            f"{'year' if daily else 'month'}, of sessions that are over. Source: {source} by REST, "
            "when materialized: backfill the symbols and periods that you want. Fetched again, "
            "nothing changes but what the vendor has changed or added. Consumer: silver "
            f"{table}, by itself."
        ),
        metadata={
            "source": source,
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(
                        column.name,
                        str(column.type),
                        description=_COLUMNS[column.name],
                        constraints=dg.TableColumnConstraints(nullable=column.nullable),
                    )
                    for column in LANDING
                ]
            ),
        },
    )
    def landed(
        context: dg.AssetExecutionContext, lake: LakeResource, secrets: SecretsResource
    ) -> Iterator[dg.MaterializeResult[Any]]:
        interval = "1d" if daily else str(wanted.intraday)
        with explained(CONSEQUENCE):
            land(context, secrets.settings(settings), lake.lake(), source, interval, clock)
        yield from ()

    return landed
