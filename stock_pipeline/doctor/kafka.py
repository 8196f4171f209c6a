"""Doctor's findings about Kafka: brokers, what they advertise, and the feeds' topics."""

from __future__ import annotations

from stock_pipeline.doctor.finding import DoctorFinding, refusal, start_it
from stock_pipeline.kafka.broker_kind import broker_kind
from stock_pipeline.kafka.clients import librdkafka_options
from stock_pipeline.kafka.control import KafkaControl
from stock_pipeline.kafka.errors import KafkaAccessError, KafkaUnavailableError
from stock_pipeline.kafka.refusals import advertised_addresses
from stock_pipeline.settings import Settings

LONGEST_ANSWER_SECONDS = 10.0


def kafka_findings(settings: Settings) -> list[DoctorFinding]:
    """The brokers, the addresses that they advertise, and every feed's topic."""
    configured = settings.kafka.bootstrap_servers
    addresses = [_host_port(address) for address in configured.split(",")]
    failures = {address: why for address in addresses if (why := refusal(*address))}
    if len(failures) == len(addresses):
        why = "; ".join(f"{_shown(a)}: {reason}" for a, reason in failures.items())
        return [
            DoctorFinding(
                "kafka broker",
                "failed",
                f"No broker answers at kafka.bootstrap_servers = {configured} ({why}).",
                start_it(settings, "Start the broker, or correct kafka.bootstrap_servers."),
            ),
            *_skipped(settings),
        ]
    return _ask(settings)


def _ask(settings: Settings) -> list[DoctorFinding]:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    configured = settings.kafka.bootstrap_servers
    try:
        advertised = advertised_addresses(settings.kafka)
    except KafkaAccessError as problem:
        return [_refused(problem), *_skipped(settings)]
    listeners = _listeners(configured, advertised)
    if listeners.state == "failed":
        broker = DoctorFinding("kafka broker", "ok", f"{len(advertised)} at {configured}")
        _, *feeds = _skipped(settings, "the brokers cannot be reached")
        return [broker, listeners, *feeds]
    try:
        # One metadata request answers for all; kafka-python's describe_cluster fails on brokers
        # that know only the first version of that request (Kafka before 3.7).
        client = AdminClient(librdkafka_options(settings.kafka) | {"log_level": 0})
        client.poll(0)  # Asks for the token, where that is how we log in.
        metadata = client.list_topics(
            timeout=min(settings.kafka.request_timeout_seconds, LONGEST_ANSWER_SECONDS)
        )
    except KafkaException as error:
        return [
            DoctorFinding(
                "kafka broker",
                "failed",
                f"{configured} takes connections but gives no Kafka answer "
                f"({error.args[0].name()}).",
                "Check that a Kafka broker listens there.",
            ),
            *_skipped(settings),
        ]
    try:
        forbidden = _forbidden(settings)
    except KafkaUnavailableError as error:
        return [DoctorFinding("kafka broker", "failed", str(error)), *_skipped(settings)]
    partitions = {
        name: len(topic.partitions) for name, topic in metadata.topics.items() if not topic.error
    }
    found = f"{len(metadata.brokers)} at {configured}"
    if kind := broker_kind(settings.kafka, metadata.cluster_id, min(metadata.brokers)):
        found += f": {kind.shown}"
    return [
        DoctorFinding("kafka broker", "ok", found),
        listeners,
        *_topics(settings, partitions, forbidden),
    ]


def _forbidden(settings: Settings) -> dict[str, KafkaAccessError]:
    """Topics that the brokers do not let us read, which look as if they did not exist."""
    if settings.kafka.security.protocol == "plaintext":
        return {}
    control = KafkaControl(settings.kafka)
    try:
        return control.topic_offsets([feed.topic for feed in settings.feeds.values()]).refused
    finally:
        control.close()


def _refused(problem: KafkaAccessError) -> DoctorFinding:
    return DoctorFinding("kafka broker", "failed", f"{problem.problem}.", problem.remedy)


def _listeners(configured: str, advertised: list[tuple[str, int]]) -> DoctorFinding:
    """Clients connect to what the brokers advertise, not to what was configured."""
    shown = ", ".join(map(_shown, advertised))
    failures = {address: why for address in advertised if (why := refusal(*address))}
    if failures:
        why = "; ".join(f"{_shown(a)}: {reason}" for a, reason in failures.items())
        return DoctorFinding(
            "kafka listeners",
            "failed",
            f"The brokers tell clients to connect to {shown}, which cannot be reached from here "
            f"({why}); {configured} was configured.",
            "Set the brokers' advertised.listeners to addresses that this machine reaches.",
        )
    return DoctorFinding("kafka listeners", "ok", f"advertised: {shown}")


def _topics(
    settings: Settings, partitions: dict[str, int], forbidden: dict[str, KafkaAccessError]
) -> list[DoctorFinding]:
    findings = []
    for name, feed in settings.feeds.items():
        label, there = f"feed {name}", partitions.get(feed.topic, 0)
        if problem := forbidden.get(feed.topic):
            finding = DoctorFinding(label, "failed", f"{problem.problem}.", problem.remedy)
        elif not there:
            create = f"kafka-topics.sh --create --topic {feed.topic} --partitions {feed.partitions}"
            finding = DoctorFinding(
                label,
                "failed",
                f"Topic {feed.topic} does not exist.",
                start_it(settings, f"Create it: {create}"),
            )
        elif there < feed.partitions:
            finding = DoctorFinding(
                label,
                "warning",
                f"Topic {feed.topic} has {there} of the settings' {feed.partitions} partitions.",
                "Add partitions to the topic, or correct the setting; all of them are read.",
            )
        else:
            counted = f"{there} partition{'s' if there > 1 else ''}"
            finding = DoctorFinding(label, "ok", f"topic {feed.topic}, {counted}")
        findings.append(finding)
    return findings


def _skipped(settings: Settings, why: str = "no broker answers") -> list[DoctorFinding]:
    names = ["kafka listeners", *(f"feed {name}" for name in settings.feeds)]
    return [DoctorFinding(name, "skipped", f"not checked: {why}") for name in names]


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.strip().rpartition(":")
    return host.strip("[]"), int(port)


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
