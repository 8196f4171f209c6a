"""When polls ask: every few minutes while an exchange of their symbols is open, and once after."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from stock_pipeline.defs.resources import SecretsResource
from stock_pipeline.defs.shared.keys import poll_key
from stock_pipeline.defs.sources.assets import POLL_TAG, REFUSED_TAG
from stock_pipeline.lib.market_hours import REGULAR, Margins, is_due, next_open
from stock_pipeline.lib.sessions import DEFAULT_CALENDAR, calendar_of
from stock_pipeline.settings import Settings, SettingsError
from stock_pipeline.settings.calendars import calendar_rules
from stock_pipeline.settings.sections.sources import PollSettings
from stock_pipeline.sources.poll import refusal

#: A refusal holds for this long, unless a round started by hand goes well before.
REFUSED_FOR = timedelta(hours=24)
#: A round that lasts longer hangs: it is terminated, and the next tick asks again.
MAX_RUNTIME_SECONDS = 1800


def calendars_of(settings: Settings, poll: PollSettings) -> dict[str, Margins]:
    """The exchange calendars of its symbols, as its feed sees them, and when beside they trade."""
    default = settings.feeds[poll.feed].calendar or DEFAULT_CALENDAR
    rules = calendar_rules(settings)
    names = sorted({calendar_of(s, rules, default) for s in poll.symbols} or {default})
    if not poll.extended_hours:
        return dict.fromkeys(names, REGULAR)
    hours, others = settings.quality.extended_hours, settings.quality.extended_hours_default
    return {name: hours.get(name, others).margins for name in names}


def skipped_because(
    settings: Settings,
    name: str,
    secrets: SecretsResource,
    instance: dg.DagsterInstance,
    tick: datetime,
) -> str | None:
    """Why a tick (naive UTC) asks for no round, or None."""
    poll = settings.polls[name]
    calendars = calendars_of(settings, poll)
    if not is_due(calendars, tick, poll.period):
        opens = next_open(calendars, tick)
        when = f"opens {opens:%Y-%m-%d %H:%M} UTC" if opens else "has no session that is known"
        return f"{', '.join(calendars)} is closed and {when}; nothing was asked."
    records = instance.get_run_records(dg.RunsFilter(tags={POLL_TAG: name}), limit=1)
    if records:
        run = records[0].dagster_run
        if not run.is_finished:
            return f"The round before (run {run.run_id}) is not over; nothing was asked."
        refused = run.tags.get(REFUSED_TAG)
        ended = datetime.fromtimestamp(records[0].end_time or 0, UTC).replace(tzinfo=None)
        if refused and tick < ended + REFUSED_FOR:
            return (
                f"Not asked again before {ended + REFUSED_FOR:%Y-%m-%d %H:%M} UTC, or a round by"
                f" hand that goes well: {refused}"
            )
    try:
        return refusal(secrets.settings(settings), name)
    except SettingsError as error:
        return str(error)


def poll_schedule(settings: Settings, name: str) -> dg.ScheduleDefinition:
    """The schedule of a poll, with the job that it starts."""
    poll = settings.polls[name]
    safe = name.replace("-", "_")
    job = dg.define_asset_job(
        f"fetch_{safe}",
        selection=dg.AssetSelection.assets(poll_key(name)),
        description=f"One round of poll {name}.",
        tags={
            "dagster/max_retries": "0",
            "dagster/max_runtime": str(MAX_RUNTIME_SECONDS),
            POLL_TAG: name,
        },
    )

    @dg.schedule(
        name=f"poll_{safe}",
        job=job,
        cron_schedule=poll.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"A round of poll `{name}` every {poll.every} from the open to the close of the "
            "exchanges of its symbols, and one after it, by the exchange calendar."
        ),
    )
    def poll_in_market_hours(
        context: dg.ScheduleEvaluationContext, secrets: SecretsResource
    ) -> dg.RunRequest | dg.SkipReason:
        tick = context.scheduled_execution_time.astimezone(UTC).replace(tzinfo=None)
        reason = skipped_because(settings, name, secrets, context.instance, tick)
        return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=tick.isoformat())

    return poll_in_market_hours
