"""Gold by Athena: the same SQL again, compared with DuckDB row by row."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.catalogue.glue import Catalogue
from stock_pipeline.catalogue.parity import GoldParity, largest_difference
from stock_pipeline.catalogue.shapes import glue_name
from stock_pipeline.defs.catalog.assets import CATALOG_KEY
from stock_pipeline.defs.resources import AthenaResource, CatalogueResource
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS
from stock_pipeline.defs.shared.pictures import markdown_table
from stock_pipeline.defs.shared.runs import in_progress
from stock_pipeline.defs.shared.schedules import schedule
from stock_pipeline.lib.schemas import TABLES, TableSpec
from stock_pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from stock_pipeline.catalogue.parity import PartitionParity

VALID, EQUAL = "duckdb_valid", "athena_equals_duckdb"


class ParityConfig(dg.Config):
    """Which partitions to compare; empty for the newest two."""

    partitions: list[str] = Field(default_factory=list)


def athena_key(table: TableSpec) -> dg.AssetKey:
    """Key of a gold table's Athena asset."""
    return dg.AssetKey(["athena", table.name])


def athena_asset(settings: Settings, table: TableSpec) -> dg.AssetsDefinition:
    """The asset that runs a gold table's SQL on Athena."""
    key = athena_key(table)

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([table.layer, table.name]), CATALOG_KEY],
        group_name="athena",
        kinds={"athena", "duckdb"},
        owners=OWNERS,
        check_specs=[
            dg.AssetCheckSpec(
                VALID,
                asset=key,
                blocking=True,
                description="Before Athena runs, DuckDB finds the published rows within bounds.",
            ),
            dg.AssetCheckSpec(
                EQUAL,
                asset=key,
                description="Athena's rows and DuckDB's are equal to a relative 1e-9.",
            ),
        ],
        op_tags={"dagster/max_retries": "0"},
        description=(
            f"Grain: one comparison of `{table.name}`. Runs its SQL through Athena over the same "
            "silver objects that DuckDB reads, for the newest two partitions unless configured, "
            "and compares all rows. Consumer: people who trust gold; what a query costs."
        ),
    )
    def parity(
        context: dg.AssetExecutionContext, config: ParityConfig, athena: AthenaResource
    ) -> Iterator[Any]:
        with explained("nothing was compared, no table was changed"):
            yield from _run(context, _gold(settings, athena, table), config.partitions)

    return parity


def _gold(settings: Settings, athena: AthenaResource, table: TableSpec) -> GoldParity:
    ours, lake = athena.settings(settings), athena.catalogue.lake.lake()
    return GoldParity(ours, lake, table, athena.runner(settings))


def _run(
    context: dg.AssetExecutionContext, gold: GoldParity, partitions: Sequence[str]
) -> Iterator[Any]:
    table = gold.table
    wanted = list(partitions) or gold.newest()
    broken = _broken(gold, wanted)
    yield dg.AssetCheckResult(
        check_name=VALID,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR,
        description=" ".join(broken) or f"{len(wanted)} partitions hold to the table's rules.",
    )
    if broken:
        yield dg.AssetCheckResult(
            check_name=EQUAL,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description="Athena was not asked: the published rows are already wrong.",
        )
        raise dg.Failure(
            f"The published {table.name} breaks its rules; Athena was not asked. {broken[0]}",
            allow_retries=False,
        )
    parities = [gold.compare(partition) for partition in wanted]
    for note in (note for parity in parities for note in parity.notes):
        context.log.info(note)
    yield dg.MaterializeResult(metadata=_metadata(parities))
    yield _verdict(table, parities)


def _broken(gold: "GoldParity", partitions: Sequence[str]) -> list[str]:
    return [
        f"{gold.table.name} {partition}: {violation.sentence}"
        for partition in partitions
        for violation in gold.check(partition)
    ]


def _metadata(parities: Sequence["PartitionParity"]) -> dict[str, Any]:

    queries = [p.query for p in parities if p.query]
    return {
        "partitions": ", ".join(p.partition for p in parities) or "none",
        "rows": sum(p.athena.rows for p in parities if p.athena),
        "bytes_scanned": sum(q.bytes_scanned for q in queries),
        "estimated_usd": sum(q.usd for q in queries),
        "seconds": round(sum(q.seconds for q in queries), 3),
        "query_ids": ", ".join(q.query_id for q in queries) or "none",
        "max_relative_difference": largest_difference(parities),
        "notes": dg.MetadataValue.md("\n".join(f"- {n}" for p in parities for n in p.notes) or "-"),
    }


def _verdict(table: TableSpec, parities: Sequence["PartitionParity"]) -> dg.AssetCheckResult:
    import pyarrow as pa

    differing = sum(p.differing for p in parities)
    compared = [p.partition for p in parities if p.athena]
    rows = sum(p.athena.rows for p in parities if p.athena)
    metadata: dict[str, Any] = {"max_relative_difference": largest_difference(parities)}
    for parity in parities:
        for name, found in (("athena", parity.athena), ("published", parity.published)):
            if found and found.examples:
                examples = markdown_table(pa.Table.from_pylist(list(found.examples)))
                metadata[f"{name}_{parity.partition}"] = dg.MetadataValue.md(examples)
    if differing:
        description = (
            f"{differing} values of {table.name} differ between Athena, DuckDB and the published "
            "object; the lake was not changed. The rows are in the metadata."
        )
    elif not parities:
        description = f"{table.name} has no partition yet: there is nothing to compare."
    elif not compared:
        description = " ".join(n for p in parities for n in p.notes)
    else:
        description = f"{rows} rows of {', '.join(compared)} are equal."
    return dg.AssetCheckResult(
        check_name=EQUAL,
        # Partitions that were not compared are no error, and no proof either.
        passed=not differing and (bool(compared) or not parities),
        severity=dg.AssetCheckSeverity.ERROR if differing else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=metadata,
    )


athena_job = dg.define_asset_job(
    "athena_parity",
    selection=dg.AssetSelection.groups("athena"),
    description="Run the gold SQL through Athena and compare with DuckDB.",
    tags={"dagster/max_retries": "0"},
)

athena_parity_hourly = schedule(
    "athena_parity_hourly",
    athena_job,
    "7 * * * *",
    "Every hour: Athena against DuckDB for the newest partitions.",
)


def first_parity_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor `athena_first_parity`.

    Args:
        settings: Name the feeds.
    """

    @dg.sensor(
        name="athena_first_parity",
        job=athena_job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Requests the first comparison as soon as the catalogue knows the tables of bars."
        ),
    )
    def athena_first_parity(
        context: dg.SensorEvaluationContext, catalogue: CatalogueResource
    ) -> dg.RunRequest | dg.SkipReason:
        """One run, once; from then on the schedule asks."""
        if context.cursor:
            return dg.SkipReason("The first comparison was requested; the schedule asks hourly.")
        if in_progress(context.instance, athena_job.name):
            return dg.SkipReason("A comparison is under way.")
        try:
            lacking = _not_in_catalogue(catalogue.catalogue(settings))
        except SettingsError as error:
            return dg.SkipReason(str(error))
        except (*AWS_ERRORS, OSError) as error:
            sentence = aws_sentence(
                error, "no comparison is requested and the next tick asks again"
            )
            return dg.SkipReason(sentence)
        if lacking:
            return dg.SkipReason(f"The catalogue does not know {', '.join(lacking)} yet.")
        context.update_cursor("requested")
        return dg.RunRequest()

    return athena_first_parity


def _not_in_catalogue(catalogue: Catalogue) -> list[str]:
    # The first comparison waits for tables of bars; for others only where the lake has them.
    of_bars = {glue_name(t.layer, t.name) for t in TABLES.values() if t.every_session}
    waited_for = of_bars | catalogue.new().keys()
    return sorted(waited_for - catalogue.shapes().keys())
