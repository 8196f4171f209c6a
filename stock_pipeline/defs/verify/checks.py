"""The nightly reconciliation: the check `agrees` of every feed, every table and the catalogue.

Without postponed annotations: Dagster reads the config's type from the function itself.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_pipeline.defs.catalog.assets import CATALOG_KEY
from stock_pipeline.defs.resources import AthenaResource, KafkaResource
from stock_pipeline.defs.shared.keys import AGREES, asset_key, bronze_key
from stock_pipeline.defs.shared.schedules import schedule
from stock_pipeline.lib.clock import Clock, system_clock
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import Settings
from stock_pipeline.verify.report import Kind
from stock_pipeline.verify.run import Scope, verify

if TYPE_CHECKING:
    from stock_pipeline.verify.report import Report, VerifyFinding

#: Arrival dates that a night looks at, today's included; the whole lake is for a person to ask.
NIGHTLY_DAYS = 2
#: Findings and partitions in a check's metadata.
MOST_ROWS = 100


class VerifyConfig(dg.Config):
    """What to verify: so many arrival dates back from today, 0 for the whole lake."""

    days: int = NIGHTLY_DAYS


def reconciliation(settings: Settings, clock: Clock = system_clock) -> dg.AssetChecksDefinition:
    """The checks `agrees`, which one `stock-pipeline verify` answers all.

    Args:
        settings: Name the feeds.
        clock: Says which dates the last ones are.
    """

    @dg.multi_asset_check(
        name="reconcile",
        specs=_specs(settings),
        # Somebody may execute the check of one asset in the UI.
        can_subset=True,
        op_tags={"dagster/max_retries": "0"},
    )
    def reconcile(
        context: dg.AssetCheckExecutionContext,
        config: VerifyConfig,
        kafka: KafkaResource,
        athena: AthenaResource,
    ) -> Iterator[dg.AssetCheckResult]:
        if context.job_def.asset_layer.selected_asset_keys:
            # Dagster runs all checks of what a person materializes. This one reads every batch of
            # two days, so it waits for its own job.
            context.log.info("Reconciled by the job verify, every night; not after each run.")
            return
        ours = athena.settings(settings).model_copy(update={"kafka": kafka.settings()})
        today = clock().date()
        first = today - timedelta(days=config.days - 1) if config.days > 0 else None
        report = verify(
            ours,
            athena.catalogue.lake.lake(),
            Scope(first=first),
            lambda step, done, total: context.log.debug("%s: %d of %d", step, done, total),
        )
        for finding in report.findings:
            context.log.error("%s: %s → %s", finding.kind, finding.sentence, finding.action)
        for note in report.notes:
            context.log.info(note)
        since = f"since {first.isoformat()}" if first else "in the whole lake"
        asked = {key.asset_key for key in context.selected_asset_check_keys}
        for result in results(settings, report, since):
            if result.asset_key in asked:
                yield result

    return reconcile


def _specs(settings: Settings) -> list[dg.AssetCheckSpec]:
    def spec(key: dg.AssetKey, compared: str) -> dg.AssetCheckSpec:
        told = "Fails when anything disagrees; `findings` says what, where, and what to do."
        return dg.AssetCheckSpec(AGREES, asset=key, description=f"{compared} {told}")

    feeds = [
        spec(
            bronze_key(feed),
            "Every offset is rows, a reject, a hole or a loss, once; the objects of bronze and "
            "quarantine hold what was decided; Kafka still says the same.",
        )
        for feed in settings.feeds
    ]
    tables = [
        spec(
            asset_key(table),
            f"Made again from {'bronze' if table.layer == 'silver' else 'silver'} and compared "
            "to a relative 1e-9.",
        )
        for table in TABLES.values()
    ]
    catalogue = spec(
        CATALOG_KEY,
        "Catalogue and lake, Athena and DuckDB, and what lies in the lake and belongs to nothing.",
    )
    return [*feeds, *tables, catalogue]


def results(settings: Settings, report: "Report", since: str) -> Iterator[dg.AssetCheckResult]:
    """What the check of each asset shows.

    Args:
        settings: Name the feeds.
        report: What was compared and found.
        since: What was in scope, in words.
    """
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
        yield _result(bronze_key(feed), report, found, since, feed, metadata)
    for table in TABLES.values():
        name = f"{table.layer}/{table.name}"
        found = take([f for f in remaining if f.place.startswith(f"{name}/")])
        yield _result(asset_key(table), report, found, since, name, {})
    # The rest belongs to no single table: the catalogue, Athena, and strangers in the lake.
    not_asked = [f for f in remaining if f.kind is Kind.NOT_COMPARED]
    others = [f for f in remaining if f.kind is not Kind.NOT_COMPARED]
    yield _result(CATALOG_KEY, report, [*others, *not_asked], since, "", {})


def _result(
    key: dg.AssetKey,
    report: "Report",
    findings: Sequence["VerifyFinding"],
    since: str,
    subject: str,
    metadata: dict[str, Any],
) -> dg.AssetCheckResult:
    checks = [c for c in report.checks if c.subject == subject]
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
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=AGREES,
        passed=not findings,
        severity=dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=shown,
    )


def verify_job(checks: dg.AssetChecksDefinition) -> Any:
    """The job of the reconciliation, of a type that Dagster does not export.

    Args:
        checks: What it runs.
    """
    return dg.define_asset_job(
        "verify",
        selection=dg.AssetSelection.checks(checks),
        description="Compare log, lake, Kafka, catalogue and Athena; changes nothing.",
        tags={"dagster/max_retries": "0"},
    )


def nightly_verify(job: Any) -> dg.ScheduleDefinition:
    """When that job runs."""
    return schedule(
        "nightly_verify",
        job,
        "30 4 * * *",
        f"Every night: the batches of the last {NIGHTLY_DAYS} days and all that was made of them.",
    )
