"""The options of every Kafka client of the project: brokers, security, timeouts."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from stock_pipeline.kafka.errors import KafkaAccessError
from stock_pipeline.kafka.iam import token_callback, token_provider
from stock_pipeline.settings import (
    KafkaSecurity,
    KafkaSettings,
    SettingsError,
    get_settings,
    load_settings,
)

logger = logging.getLogger(__name__)

CLIENT_ID = "stock-pipeline"

#: At level DEBUG these print their configuration and the bytes that they send: passwords too.
_TALKATIVE_LOGGERS = ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser")


def kafka_python_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of a client of kafka-python.

    Raises:
        KafkaAccessError: A certificate or key file cannot be used, or AWS gives no credentials.
    """
    for name in _TALKATIVE_LOGGERS:
        logging.getLogger(name).addFilter(_above_debug)
    security = settings.security
    timeout = int(settings.request_timeout_seconds * 1000)
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",")],
        "client_id": CLIENT_ID,
        "request_timeout_ms": timeout,
        "security_protocol": security.protocol.upper(),
    }
    if security.tls:
        options["ssl_context"] = ssl_context(security)
    if security.mechanism == "AWS_MSK_IAM":
        options |= {
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": token_provider(security),
        }
    elif security.sasl:
        options |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": _secret(security.password),
        }
    return options


def admin_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of kafka-python's admin client, which gives up when no broker answers in time."""
    options = kafka_python_options(settings)
    return options | {"bootstrap_timeout_ms": options["request_timeout_ms"]}


def librdkafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of a client of confluent-kafka.

    Raises:
        KafkaAccessError: A certificate or key file cannot be used, or AWS gives no credentials.
    """
    security = settings.security
    options: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": CLIENT_ID,
        "socket.timeout.ms": max(1000, int(settings.request_timeout_seconds * 1000)),
        # By default it tries 25 times a second while a caller waits, which locks accounts.
        "reconnect.backoff.ms": 500,
        "security.protocol": security.protocol,
    }
    if security.tls:
        # Our error for a bad file says more than librdkafka's.
        ssl_context(security)
        options |= {
            name: str(file)
            for name, file in (
                ("ssl.ca.location", security.ca_file),
                ("ssl.certificate.location", security.certificate_file),
                ("ssl.key.location", security.key_file),
            )
            if file
        }
        if security.key_password:
            options["ssl.key.password"] = _secret(security.key_password)
    if security.mechanism == "AWS_MSK_IAM":
        options |= {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": token_callback(security)}
    elif security.sasl:
        options |= {
            "sasl.mechanism": security.mechanism,
            "sasl.username": security.username,
            "sasl.password": _secret(security.password),
        }
    return options


def renewed(settings: KafkaSettings) -> KafkaSettings:
    """The settings read again from `.env` and the configuration, if they are this process's own.

    A long-lived process that was refused reads them again, so that it need not be restarted after
    somebody has corrected a password.
    """
    if get_settings().kafka != settings:
        return settings
    try:
        return load_settings().kafka
    except SettingsError as error:
        logger.warning("The settings of Kafka stay as they were: %s", error)
        return settings


def ssl_context(security: KafkaSecurity) -> ssl.SSLContext:
    """TLS 1.2 or newer; checks the broker's certificate and host name.

    Raises:
        KafkaAccessError: A file is missing, is not PEM, or its key does not open or fit.
    """
    with _explained("ca_file", security.ca_file):
        # A certificate authority in the settings replaces those of the machine.
        context = ssl.create_default_context(cafile=security.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if security.certificate_file and security.key_file:
        with _explained("certificate_file", security.certificate_file, security.key_file):
            # With None, OpenSSL would ask for a password on the terminal, and wait.
            password = _secret(security.key_password)
            context.load_cert_chain(security.certificate_file, security.key_file, password)
    return context


@contextmanager
def _explained(setting: str, *files: Path | None) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        named = " with ".join(str(file) for file in files if file)
        raise KafkaAccessError(
            f"Kafka is not asked: kafka.security.{setting} {named} cannot be used "
            f"({_reason(error)})",
            "Name PEM files that belong together; the key's password is "
            "STOCK_PIPELINE__KAFKA__SECURITY__KEY_PASSWORD in .env.",
        ) from None


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        known = {
            "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
            "NO_CERTIFICATE_OR_CRL_FOUND": "it holds no certificate in PEM",
        }
        unlocked = "the key is not PEM, or its password is missing or wrong"
        return known.get(error.reason or "", unlocked)
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _secret(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG
