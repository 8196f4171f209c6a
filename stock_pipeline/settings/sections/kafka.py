"""Settings of Kafka: where the brokers are, and how to prove who we are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from stock_pipeline.settings.errors import broken
from stock_pipeline.settings.places import project_root
from stock_pipeline.settings.sections.section import Section, incomplete
from stock_pipeline.settings.variables import variable

_HOST_PORT = r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}"

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM"]

#: What each part of the protocol needs, else forbids.
_TLS_KEYS = ("ca_file", "certificate_file", "key_file", "key_password")
_SASL_KEYS = ("mechanism", "username", "password", "region", "role_arn")
_PASSWORD_KEYS = ("username", "password")
_IAM_KEYS = ("region", "role_arn")
_FILES = ("ca_file", "certificate_file", "key_file")
_SECRETS = ("password", "key_password")


class KafkaSecurity(Section):
    """TLS and SASL. Host names in certificates are always checked."""

    protocol: Protocol = "plaintext"
    #: PEM. Relative paths start at the project's folder.
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None
    mechanism: SaslMechanism | None = None
    username: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = None
    region: str | None = Field(
        default=None, pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]+$", description="such as eu-central-1"
    )
    role_arn: str | None = Field(
        default=None,
        pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$",
        description="arn:aws:iam::<account>:role/<name>",
    )

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol in {"ssl", "sasl_ssl"}

    @property
    def sasl(self) -> bool:
        """Whether the client names itself by SASL."""
        return self.protocol in {"sasl_plaintext", "sasl_ssl"}

    @field_validator(*_FILES)
    @classmethod
    def _from_the_project(cls, file: Path | None) -> Path | None:
        """Dagster's processes run in folders of their own."""
        return project_root() / file.expanduser() if file else None

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        problems = [*self._wrong_files()]
        if not incomplete(info):
            problems = [*self._unused(), *self._missing(), *problems]
        found = [
            (("kafka", "security", key), f"kafka.security.{key} {problem}")
            for key, problem in problems
        ]
        if found:
            raise broken(found)
        return self

    def _unused(self) -> Iterator[tuple[str, str]]:
        """Keys that are set and would have no effect."""
        iam = self.mechanism == "AWS_MSK_IAM"
        unused = [
            *((key, f"protocol {self.protocol}") for key in _TLS_KEYS if not self.tls),
            *((key, f"protocol {self.protocol}") for key in _SASL_KEYS if not self.sasl),
        ]
        if self.sasl and self.mechanism:
            keys = _PASSWORD_KEYS if iam else _IAM_KEYS
            unused += [(key, f"mechanism {self.mechanism}") for key in keys]
        for key, where in unused:
            if getattr(self, key):
                yield key, f"is set, but {where} makes no use of it: remove one of the two."

    def _missing(self) -> Iterator[tuple[str, str]]:
        def needed(key: str, by: str) -> Iterator[tuple[str, str]]:
            if not getattr(self, key):
                name = variable(("kafka", "security", key))
                how = f"; set {name} in .env" if key in _SECRETS else ""
                yield key, f"is missing; {by} needs it{how}."

        if self.sasl:
            yield from needed("mechanism", f"protocol {self.protocol}")
        if self.sasl and self.mechanism == "AWS_MSK_IAM":
            yield from needed("region", "mechanism AWS_MSK_IAM")
            if not self.tls:
                yield "protocol", "must be sasl_ssl; MSK takes IAM over TLS only."
        elif self.sasl and self.mechanism:
            for key in _PASSWORD_KEYS:
                yield from needed(key, f"mechanism {self.mechanism}")
        if self.certificate_file:
            yield from needed("key_file", "certificate_file")
        if self.key_file:
            yield from needed("certificate_file", "key_file")
        if self.key_password:
            yield from needed("key_file", "key_password")

    def _wrong_files(self) -> Iterator[tuple[str, str]]:
        for key in _FILES:
            file: Path | None = getattr(self, key)
            if not file:
                continue
            try:
                file.open("rb").close()
            except OSError as error:
                yield key, f"{file} cannot be read ({error.strerror})."


class KafkaSettings(Section):
    """How to reach the brokers."""

    #: Empty in the local profile means 127.0.0.1 and `ports.kafka`; filled in by `Settings`.
    bootstrap_servers: str = Field(
        default="",
        pattern=rf"^({_HOST_PORT}(\s*,\s*{_HOST_PORT})*)?$",
        description="host:port, several divided by commas",
    )
    request_timeout_seconds: float = Field(default=10.0, gt=0)
    security: KafkaSecurity = KafkaSecurity()
