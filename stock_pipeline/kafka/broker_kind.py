"""Which broker answers: Apache Kafka of which version, the embedded one, or another."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from stock_pipeline.kafka.clients import admin_options
from stock_pipeline.settings import KafkaSettings

logger = logging.getLogger(__name__)

#: noida-db gives every cluster this id.
EMBEDDED_CLUSTER_ID = "MkU3OEVBNTctOEUyRi00"


@dataclass(frozen=True)
class BrokerKind:
    """Which broker software answers.

    Attributes:
        embedded: It is noida-db, which is for development and tests.
        shown: Name and version for people.
    """

    embedded: bool
    shown: str


def broker_kind(
    settings: KafkaSettings, cluster_id: str | None, broker_id: int
) -> BrokerKind | None:
    """Ask a broker for its versions and features; None when it does not answer.

    No request returns a broker's name. The version of Kafka follows from the requests that the
    broker knows. Only Apache Kafka in KRaft mode has a `metadata.version` that its cluster has
    agreed on.

    Args:
        settings: How to reach it.
        cluster_id: From its metadata.
        broker_id: Which one to ask.
    """
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(**admin_options(settings))
    except KafkaError:
        logger.debug("the broker was not identified", exc_info=True)
        return None
    try:
        features = admin.describe_features()
        version = ".".join(map(str, admin.get_broker_version_data(broker_id).broker_version))
    except (KafkaError, OSError):
        logger.debug("the broker was not identified", exc_info=True)
        return None
    finally:
        admin.close()
    if "finalized" in features.get("metadata.version", {}):
        return BrokerKind(False, f"Apache Kafka {version} (KRaft), cluster {cluster_id}")
    if cluster_id == EMBEDDED_CLUSTER_ID:
        return BrokerKind(True, "the embedded broker (noida-db), for development and tests")
    return BrokerKind(False, f"a broker with the protocol of Kafka {version}, cluster {cluster_id}")
