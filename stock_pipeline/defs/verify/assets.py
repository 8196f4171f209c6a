"""The nightly reconciliation: an asset with a check for every feed, every table, the catalogue.

Assets of their own, since a check on `bronze/<feed>` would run whenever that is materialized.
Without postponed annotations: Dagster reads the config's type from the function itself.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.catalog.assets import CATALOG_KEY
from stock_pipeline.defs.shared.keys import OWNERS, asset_key
from stock_pipeline.defs.shared.schedules import schedule
from stock_pipeline.lake.store import Lake
from stock_pipeline.lib.schemas import TABLES, TableSpec
from stock_pipeline.settings import get_settings
from stock_pipeline.verify.report import Kind
from stock_pipeline.verify.run import Scope, verify

if TYPE_CHECKING:
    from stock_pipeline.verify.report import Report, VerifyFinding

CHECK = "agrees"
#: Arrival dates that a night looks at, today's included; the whole lake is for a person to ask.
NIGHTLY_DAYS = 2
#: Findings and partitions in a check's metadata.
MOST_ROWS = 100

DESCRIPTION = "Fails when anything disagrees; `findings` says what, where, and what to do."

CATALOGUE = dg.AssetKey(["verify", "catalogue"])
#: How the names of checks begin that belong to no feed and no table.
OTHER_CHECKS = ("catalogue", "Athena", "landing")


def feed_key(feed: str) -> dg.AssetKey:
    """Asset of a feed's reconciliation."""
    return dg.AssetKey(["verify", "bronze", feed])


def table_key(table: TableSpec) -> dg.AssetKey:
    """Asset of a table's reconciliation."""
    return dg.AssetKey(["verify", table.layer, table.name])


def _spec(key: dg.AssetKey, of: list[dg.AssetKey], description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key, deps=of, group_name="verify", kinds={"duckdb"}, owners=OWNERS, description=description
    )


def _specs() -> list[dg.AssetSpec]:
    feeds = [
        _spec(
            feed_key(feed),
            [dg.AssetKey(["bronze", feed]), dg.AssetKey(["quarantine", feed])],
            f"Grain: one reconciliation of feed `{feed}`. Every offset is rows, a reject, a hole "
            "or a loss, once; the objects hold what was decided; Kafka still says the same. "
            "Consumer: whoever must vouch for the data.",
        )
        for feed in get_settings().feeds
    ]
    tables = [
        _spec(
            table_key(table),
            [asset_key(table)],
            f"Grain: one reconciliation of `{table.layer}.{table.name}`, made again from "
            f"{'bronze' if table.layer == 'silver' else 'silver'} and compared to a relative 1e-9. "
            "Consumer: whoever must vouch for the data.",
        )
        for table in TABLES.values()
    ]
    catalogue = _spec(
        CATALOGUE,
        [CATALOG_KEY],
        "Grain: one reconciliation of catalogue and lake, of Athena and DuckDB, and of what lies "
        "in the lake and belongs to nothing. Consumer: whoever must vouch for the data.",
    )
    return [*feeds, *tables, catalogue]


class VerifyConfig(dg.Config):
    """What to verify: so many arrival dates back from today, 0 for the whole lake."""

    days: int = NIGHTLY_DAYS


@dg.multi_asset(
    name="reconcile",
    specs=_specs(),
    check_specs=[
        dg.AssetCheckSpec(CHECK, asset=spec.key, description=DESCRIPTION) for spec in _specs()
    ],
    op_tags={"dagster/max_retries": "0"},
)
def reconcile(
    context: dg.AssetExecutionContext, config: VerifyConfig
) -> Iterator[dg.MaterializeResult[Any]]:
    """`stock-pipeline verify` over the last arrival dates; reads only."""
    from datetime import UTC, datetime, timedelta

    settings = get_settings()
    today = datetime.now(UTC).date()
    first = today - timedelta(days=config.days - 1) if config.days > 0 else None
    report = verify(
        settings,
        Lake(settings.aws),
        Scope(first=first),
        lambda step, done, total: context.log.debug("%s: %d of %d", step, done, total),
    )
    for finding in report.findings:
        context.log.error("%s: %s → %s", finding.kind, finding.sentence, finding.action)
    for note in report.notes:
        context.log.info(note)
    since = f"since {first.isoformat()}" if first else "in the whole lake"
    yield from results(report, since)


def results(report: "Report", since: str) -> Iterator[dg.MaterializeResult[Any]]:
    """What each asset shows.

    Args:
        report: What was compared and found.
        since: What was in scope, in words.
    """
    settings = get_settings()
    remaining = list(report.findings)

    def take(mine: Sequence["VerifyFinding"]) -> list["VerifyFinding"]:
        for finding in mine:
            remaining.remove(finding)
        return list(mine)

    for feed in settings.feeds:
        found = take([f for f in remaining if f.feed == feed])
        ledgers = [e for e in report.ledgers if e.feed == feed]
        metadata: dict[str, Any] = {
            "offsets": sum(e.offsets for e in ledgers),
            "rows": sum(e.accepted for e in ledgers),
            "rejects": sum(e.rejected for e in ledgers),
            "holes": sum(e.holes for e in ledgers),
            "lost": sum(e.lost for e in ledgers),
            "in_flight": sum(e.in_flight for e in ledgers),
        }
        if ledgers:
            metadata["per_partition"] = dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {
                            "incarnation": e.incarnation,
                            "partition": e.partition,
                            "from": e.start,
                            "to": e.end - 1,
                            "offsets": e.offsets,
                            "rows": e.accepted,
                            "rejects": e.rejected,
                            "holes": e.holes,
                            "lost": e.lost,
                            "in flight": e.in_flight,
                        }
                    )
                    for e in ledgers[:MOST_ROWS]
                ]
            )
        yield _result(feed_key(feed), report, found, since, f"{feed}:", metadata)
    for table in TABLES.values():
        name = f"{table.layer}/{table.name}"
        found = take([f for f in remaining if f.place.startswith(f"{name}/")])
        yield _result(table_key(table), report, found, since, name, {})
    # The rest belongs to no single table: the catalogue, Athena, and strangers in the lake.
    not_asked = [f for f in remaining if f.kind is Kind.NOT_COMPARED]
    others = [f for f in remaining if f.kind is not Kind.NOT_COMPARED]
    yield _result(CATALOGUE, report, [*others, *not_asked], since, OTHER_CHECKS, {})


def _result(
    key: dg.AssetKey,
    report: "Report",
    findings: Sequence["VerifyFinding"],
    since: str,
    name: str | tuple[str, ...],
    metadata: dict[str, Any],
) -> dg.MaterializeResult[Any]:
    checks = [c for c in report.checks if c.name.startswith(name)]
    # Of a feed's checks "trades: Kafka" the second part: the asset's name says the first.
    compared = "; ".join(f"{c.name.rpartition(': ')[2]}: {c.sentence}" for c in checks)
    if findings:
        count = len(findings)
        more = f" {count - 1} more: see `findings`." if count > 1 else ""
        first = findings[0]
        description = f"{first.kind.capitalize()}. {first.sentence}{more}"
        metadata["findings"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "finding": f"{f.kind.capitalize()}: {f.sentence} At {f.place}",
                        "what to do": f.action,
                    }
                )
                for f in findings[:MOST_ROWS]
            ]
        )
    else:
        description = f"Agrees {since}. {compared}."
    shown = {
        "compared": compared or "nothing",
        "scope": since,
        "bytes_read": sum(c.bytes for c in checks),
        "finding_count": len(findings),
        **metadata,
    }
    check = dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=not findings,
        severity=dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=shown,
    )
    return dg.MaterializeResult(asset_key=key, metadata=shown, check_results=[check])


verify_job = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.assets(reconcile),
    description="Compare log, lake, Kafka, catalogue and Athena; changes nothing.",
    tags={"dagster/max_retries": "0"},
)

nightly_verify = schedule(
    "nightly_verify",
    verify_job,
    "30 4 * * *",
    f"Every night: the batches of the last {NIGHTLY_DAYS} days and all that was made from them.",
)
