"""A poll as an asset: materializing it fetches once and sends to the feed's topic."""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from stock_pipeline.defs.resources import KafkaResource, SecretsResource
from stock_pipeline.defs.shared.failures import explained
from stock_pipeline.defs.shared.keys import OWNERS, poll_key
from stock_pipeline.kafka.publisher import PublishError
from stock_pipeline.lib.plain_text import markdown
from stock_pipeline.settings import Settings
from stock_pipeline.sources.errors import RefusedError, SourceError
from stock_pipeline.sources.poll import run_round

if TYPE_CHECKING:
    from stock_pipeline.sources.poll import Round
    from stock_pipeline.sources.source import Notice

#: On every run that fetches, however it was started.
POLL_TAG = "stock_pipeline/poll"
#: Why asking again changes nothing until somebody has mended it.
REFUSED_TAG = "stock_pipeline/poll_refused"
#: Tags have an end.
_MOST_TAG = 240


class PollConfig(dg.Config):
    """How a round differs from the usual one."""

    everything: bool = Field(
        default=False,
        description="Send also what the round before has sent, as after a topic was emptied.",
    )


def poll_asset(settings: Settings, name: str) -> dg.AssetsDefinition:
    """The asset of a poll."""
    poll = settings.polls[name]
    symbols = ", ".join(poll.symbols) or "all it has"

    @dg.asset(
        key=poll_key(name),
        group_name="polls",
        kinds={"kafka"},
        owners=OWNERS,
        op_tags={"dagster/max_retries": "0"},
        description=(
            f"Grain: one round, which asks `{poll.source}` for {symbols} and sends what is new "
            f"since the round before to the topic of feed `{poll.feed}`. Source: the vendor, every "
            f"{poll.every} in market hours (schedule `poll_{name.replace('-', '_')}`), or now, by "
            "Materialize. Consumer: the topic."
        ),
        metadata={"source": poll.source, "feed": poll.feed, "every": poll.every},
    )
    def polled(
        context: dg.AssetExecutionContext,
        config: PollConfig,
        kafka: KafkaResource,
        secrets: SecretsResource,
    ) -> dg.MaterializeResult[Any]:
        context.instance.add_run_tags(context.run.run_id, {POLL_TAG: name})
        with explained("nothing was asked"):
            ours = secrets.settings(settings).model_copy(update={"kafka": kafka.settings()})
        return _polled(context, ours, name, config)

    return polled


def _polled(
    context: dg.AssetExecutionContext, settings: Settings, name: str, config: PollConfig
) -> dg.MaterializeResult[Any]:
    def notify(notice: "Notice") -> None:
        if notice.kind != "pause":
            context.log.info(notice.sentence)

    failure: Exception | None = None
    done: Round | None = None
    try:
        done = run_round(settings, name, notify, everything=config.everything)
        failure = done.failure
    except (SourceError, PublishError) as error:
        failure = error
    metadata = metadata_of(done) if done else {}
    if isinstance(failure, RefusedError):
        said = {REFUSED_TAG: str(failure)[:_MOST_TAG]}
        context.instance.add_run_tags(context.run.run_id, said)
    if failure:
        sent = f" {done.acknowledged:,} messages were sent before." if done else ""
        raise dg.Failure(f"{failure}{sent}", metadata=metadata, allow_retries=False) from None
    if done and done.sentences("skipped") and not done.sent + done.unchanged:
        raise dg.Failure(
            f"Nothing came. {' '.join(done.sentences('skipped'))}",
            metadata=metadata,
            allow_retries=False,
        )
    return dg.MaterializeResult(metadata=metadata)


def metadata_of(done: "Round") -> dict[str, Any]:
    """What the UI shows of a round."""
    lists = {"waits": done.sentences("wait"), "skipped": done.sentences("skipped")}
    lists["told"] = done.sentences("info")
    return {
        "topic": done.topic,
        "sent": done.sent,
        "acknowledged": done.acknowledged,
        "unchanged since the last round": done.unchanged,
        "requests left today": "no limit" if done.left_today is None else done.left_today,
        **{
            label: dg.MetadataValue.md("\n".join(f"- {markdown(s)}" for s in sentences))
            for label, sentences in lists.items()
            if sentences
        },
    }
