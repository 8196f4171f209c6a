"""Polls in Dagster: fetched by a click or by the clock, against a vendor's server and a broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from stock_pipeline.defs.kafka.assets import topic_spec
from stock_pipeline.defs.shared.keys import poll_key
from stock_pipeline.defs.sources.assets import POLL_TAG, poll_asset
from stock_pipeline.defs.sources.schedules import poll_schedule, skipped_because
from stock_pipeline.settings import Settings, get_settings
from stock_pipeline.settings.sections.sources import PollSettings
from stock_pipeline_tests.commands.producing import alpha_vantage_at, stored
from stock_pipeline_tests.sources import alpha_vantage_payloads as payloads
from stock_pipeline_tests.sources.vendor_server import Reply, VendorServer, vendor
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.stack import SettingsFor

FEEDS = {"documents": {"format": "alpha_vantage_intraday"}}
POLL = {"source": "alpha_vantage", "feed": "documents", "symbols": ["IBM", "MSFT"], "every": "5m"}
KEY = "STOCK_PIPELINE__SOURCES__ALPHA_VANTAGE__API_KEY"
#: A Wednesday, before a holiday.
OPEN, CLOSED = datetime(2026, 11, 25, 15), datetime(2026, 11, 25, 22)


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor(payloads.answer) as running:
        yield running


@pytest.fixture
def settings(
    settings_for: SettingsFor,
    server: VendorServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    sources = alpha_vantage_at(server, tmp_path / "home", monkeypatch)
    return settings_for(FEEDS, sources=sources, polls={"us": POLL})


@pytest.fixture
def always_open(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange of the feed never closes: ticks of now are due."""
    monkeypatch.setenv("STOCK_PIPELINE__FEEDS__DOCUMENTS__CALENDAR", "24/7")
    get_settings.cache_clear()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}}) as made:
        yield made


def fetch_now(instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    """What a click on Materialize does."""
    run_config = {"ops": {"polls__us": {"config": config}}} if config else None
    here = location()
    asset = poll_asset(here.settings, "us")
    return here.materialize([asset], instance=instance, run_config=run_config, raise_on_error=False)


def skipped(instance: dg.DagsterInstance, at: datetime) -> str | None:
    """Why a tick asks for no round."""
    here = location()
    return skipped_because(here.settings, "us", here.resources["secrets"], instance, at)


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def failed_with(result: dg.ExecuteInProcessResult) -> tuple[str, dict[str, Any]]:
    """The sentence that the UI shows, and the metadata below it."""
    (event,) = result.filter_events(lambda e: e.is_step_failure)
    failure = event.step_failure_data.user_failure_data
    assert failure
    assert payloads.KEY not in str(event)
    return failure.description or "", {n: v.value for n, v in failure.metadata.items()}


def test_a_click_fetches_once_and_shows_what_came(
    broker: str, settings: Settings, server: VendorServer, instance: dg.DagsterInstance
) -> None:
    server.script = [Reply(status=429, headers={"Retry-After": "0"})]
    metadata = shown(fetch_now(instance))
    assert metadata.pop("waits").startswith("- Alpha Vantage answered 429, too many requests")
    assert metadata == {
        "topic": settings.feeds["documents"].topic,
        "sent": 2,
        "acknowledged": 2,
        "unchanged since the last round": 0,
        "requests left today": 22,
    }
    records = stored(settings, "documents")
    assert [record.key for record in records] == [b"IBM", b"MSFT"]
    assert dict(records[0].headers)["source"] == b"alpha_vantage"


def test_a_round_sends_what_has_changed_since_the_one_before_or_everything_when_told(
    broker: str, settings: Settings, server: VendorServer, instance: dg.DagsterInstance
) -> None:
    assert shown(fetch_now(instance))["sent"] == 2
    newer = json.dumps(payloads.intraday("IBM", "1min")).encode()
    server.script = [Reply(newer)]
    metadata = shown(fetch_now(instance))
    assert (metadata["sent"], metadata["unchanged since the last round"]) == (1, 1)
    assert shown(fetch_now(instance, everything=True))["sent"] == 2
    keys = [r.key for r in stored(settings, "documents")]
    assert keys == [b"IBM", b"MSFT", b"IBM", b"IBM", b"MSFT"]


def test_a_symbol_without_data_is_shown_and_the_others_come(
    broker: str, settings_for: SettingsFor, settings: Settings, instance: dg.DagsterInstance
) -> None:
    polls = {"us": POLL | {"symbols": ["BAD", "IBM"]}}
    sources = {"alpha_vantage": settings.sources["alpha_vantage"].model_dump(mode="json")}
    del sources["alpha_vantage"]["api_key"]
    settings = settings_for(FEEDS, sources=sources, polls=polls)
    metadata = shown(fetch_now(instance))
    assert "does not know BAD" in metadata["skipped"]
    assert [r.key for r in stored(settings, "documents")] == [b"IBM"]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(payloads.PER_DAY), "takes no more requests of this key today"),
        (Reply(payloads.PREMIUM_ENDPOINT), "to paying customers only"),
        (Reply(payloads.BAD_KEY), "does not know the key"),
    ],
)
def test_what_ends_a_round_is_one_sentence_and_what_came_before_is_kept_and_not_asked_again(
    broker: str,
    settings: Settings,
    server: VendorServer,
    instance: dg.DagsterInstance,
    always_open: None,
    reply: Reply,
    sentence: str,
) -> None:
    server.script = [Reply(payloads.intraday("IBM")), reply]
    result = fetch_now(instance)
    said, metadata = failed_with(result)
    assert sentence in said
    assert said.endswith("1 messages were sent before.")
    assert "\n" not in said
    assert metadata["acknowledged"] == 1
    assert [r.key for r in stored(settings, "documents")] == [b"IBM"]
    asked = len(server.asked)
    assert sentence in (skipped(instance, now()) or "")
    assert len(server.asked) == asked


def test_a_vendor_that_wants_a_long_wait_does_not_hold_the_run(
    broker: str, settings: Settings, server: VendorServer, instance: dg.DagsterInstance
) -> None:
    server.script = [Reply(status=429, headers={"Retry-After": "3600"})]
    said, _ = failed_with(fetch_now(instance))
    assert "this round is given up, the next one asks again" in said


def test_brokers_that_are_away_are_one_sentence(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("STOCK_PIPELINE__KAFKA__REQUEST_TIMEOUT_SECONDS", "1")
    get_settings.cache_clear()
    said, _ = failed_with(fetch_now(instance))
    assert "do not answer" in said
    assert "\n" not in said


def test_the_schedule_asks_in_market_hours_only_and_says_when_the_next_begin(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    schedule = poll_schedule(settings, "us")
    assert (schedule.name, schedule.cron_schedule) == ("poll_us", "*/5 * * * *")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING

    def tick(at: datetime) -> Any:
        with dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at.replace(tzinfo=UTC),
            resources=location().resources,
        ) as context:
            return schedule(context)

    assert tick(OPEN).run_key == "2026-11-25T15:00:00"
    closed = tick(CLOSED)
    assert closed.skip_message == (
        "XNYS is closed and opens 2026-11-27 14:30 UTC; nothing was asked."  # Thanksgiving.
    )


@pytest.mark.parametrize(
    ("poll", "hours", "opens"),
    [
        ({}, {}, "2026-11-30 14:30"),
        ({"extended_hours": True}, {}, "2026-11-30 09:00"),
        ({"extended_hours": True}, {"XNYS": 90}, "2026-11-30 13:00"),
        # Tokyo's 09:00, less the hour of calendars of which nothing is said.
        ({"extended_hours": True, "symbols": ["IBM", "SONY"]}, {"XNYS": 90}, "2026-11-29 23:00"),
    ],
)
def test_extended_hours_are_those_of_the_settings_by_calendar(
    settings_for: SettingsFor,
    instance: dg.DagsterInstance,
    poll: dict[str, Any],
    hours: dict[str, int],
    opens: str,
) -> None:
    given = {name: {"before_open": before, "after_close": 0} for name, before in hours.items()}
    settings_for(
        FEEDS,
        polls={"us": POLL | poll},
        calendars=[{"pattern": "SONY", "calendar": "XTKS"}],
        quality={"extended_hours": given} if given else {},
    )
    saturday = datetime(2026, 11, 28, 12)
    assert f"opens {opens} UTC" in (skipped(instance, saturday) or "")


def test_a_round_that_is_under_way_is_waited_for(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    schedule = poll_schedule(settings, "us")
    run = instance.create_run_for_job(
        dg.Definitions(
            assets=[poll_asset(settings, "us")],
            schedules=[schedule],
            resources=location().resources,
        ).resolve_job_def("fetch_us"),
        status=dg.DagsterRunStatus.STARTED,
        tags={POLL_TAG: "us"},
    )
    assert f"run {run.run_id}) is not over" in (skipped(instance, OPEN) or "")


def test_a_missing_key_asks_nobody_and_says_where_to_put_it(
    settings: Settings,
    server: VendorServer,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(KEY)
    get_settings.cache_clear()
    assert f"Set {KEY} in .env" in (skipped(instance, OPEN) or "")
    said, _ = failed_with(fetch_now(instance))
    assert f"Set {KEY} in .env" in said
    assert server.asked == []


def test_a_refusal_is_asked_again_a_day_later_or_after_a_click_that_goes_well(
    broker: str,
    settings: Settings,
    server: VendorServer,
    instance: dg.DagsterInstance,
    always_open: None,
) -> None:
    server.script = [Reply(payloads.PREMIUM_ENDPOINT)]
    fetch_now(instance)
    assert "paying customers only" in (skipped(instance, now()) or "")
    assert skipped(instance, now() + timedelta(days=1)) is None
    assert shown(fetch_now(instance))["sent"] == 2
    assert skipped(instance, now()) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"source": "simulator"},
            "polls.us: trades of simulator come in a stream, of which no round is ever over",
        ),
        (
            {"source": "massive"},
            "polls.us: trades of massive come in a stream, of which no round is ever over",
        ),
        ({"source": "yahoo", "what": "bars"}, "takes messages of format trade, not bars of yahoo"),
        ({"source": "yahoo", "symbols": []}, "Source yahoo needs --symbols"),
    ],
)
def test_what_cannot_be_polled_is_said_by_its_ticks(
    settings_for: SettingsFor,
    instance: dg.DagsterInstance,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    poll = POLL | {"feed": "live"} | changes
    settings_for({"live": {"format": "trade"}}, polls={"us": poll})
    assert sentence in (skipped(instance, OPEN) or "")


@pytest.mark.parametrize(
    ("every", "cron", "minutes"),
    [("1m", "*/1 * * * *", 1), ("15m", "*/15 * * * *", 15), ("1h", "0 * * * *", 60)],
)
def test_ticks_come_every_so_many_minutes(every: Any, cron: str, minutes: int) -> None:
    poll = PollSettings(source="yahoo", feed="live", every=every)
    assert (poll.cron, poll.period) == (cron, timedelta(minutes=minutes))


def test_the_topic_depends_on_its_polls(settings: Settings) -> None:
    spec = topic_spec(settings, "documents")
    assert [dep.asset_key for dep in spec.deps] == [poll_key("us")]
