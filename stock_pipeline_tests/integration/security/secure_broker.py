"""One Apache Kafka with a listener for each way of security, good and bad."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from stock_pipeline.settings import KafkaSecurity, KafkaSettings
from stock_pipeline.stack.apache import apache_process
from stock_pipeline.stack.ports import LOOPBACK, free_port
from stock_pipeline.stack.processes import Child
from stock_pipeline_tests.integration.security.certificates import Certificates

USER = "analyst"
PASSWORD = "open-sesame-7391-plain"
KEY_PASSWORD = "open-sesame-7391-key"
WRONG = "wrong-password-5512"
SCRAM = "SCRAM-SHA-512"
LOG_IN = {"mechanism": SCRAM, "username": USER, "password": PASSWORD}

#: Listener and its protocol.
LISTENERS = {
    "OPEN": "PLAINTEXT",
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",
    "SASL": "SASL_SSL",
    "CLEAR": "SASL_PLAINTEXT",
    "TOKEN": "SASL_SSL",
}
KEY_STORES = {"EXPIRED": "expired_broker", "ELSEWHERE": "other_broker"}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
MODULES = "org.apache.kafka.common.security"


class SecureBroker:
    """A running broker; who has no ACL against him may do everything."""

    def __init__(self, home: Path) -> None:
        self.certificates = Certificates(home, KEY_PASSWORD)
        self.ports = {name: free_port() for name in LISTENERS}
        spec = apache_process(home, self.ports["OPEN"], properties=self._properties())
        self._child = Child(spec, home / "kafka.log")
        self._child.start()
        try:
            self._child.wait_until_ready()
            self.admin = KafkaAdminClient(bootstrap_servers=self.address("OPEN"))
            self.set_password(PASSWORD)
            # The group that the reader must name and never joins.
            self._grant(
                ResourcePattern(ResourceType.GROUP, "stock-pipeline-unused"), "nobody", "READ"
            )
        except BaseException:
            self._child.stop()
            raise

    def stop(self) -> None:
        self.admin.close()
        self._child.stop()

    def address(self, listener: str) -> str:
        return f"{LOOPBACK}:{self.ports[listener]}"

    def settings(self, listener: str, timeout: float = 10.0, **security: Any) -> KafkaSettings:
        """Settings of a client of one listener, that trusts the CA where there is TLS."""
        protocol = LISTENERS[listener].lower()
        if "ssl" in protocol:
            security = {"ca_file": self.certificates.ca} | security
        return KafkaSettings(
            bootstrap_servers=self.address(listener),
            request_timeout_seconds=timeout,
            security=KafkaSecurity(**{"protocol": protocol} | security),
        )

    def user(self, mechanism: str, password: str = PASSWORD) -> dict[str, str]:
        """Who we are, for `settings`."""
        return {"mechanism": mechanism, "username": USER, "password": password}

    def set_password(self, password: str) -> None:
        """Change the SCRAM password of the user."""
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            wanted = UserScramCredentialUpsertion(USER, mechanism, password.encode())
            answer = self.admin.alter_user_scram_credentials([wanted])
            assert answer == {USER: None}, answer

    def allow(self, topic: str, *operations: str) -> None:
        """Allow the user these operations on a topic, and nobody anything else."""
        pattern = ResourcePattern(ResourceType.TOPIC, topic)
        # One that stays: without any, everyone may do everything.
        self._grant(pattern, "nobody", "READ")
        self.admin.delete_acls(
            [ACLFilter(f"User:{USER}", None, ACLOperation.ANY, ACLPermissionType.ANY, pattern)]
        )
        for operation in operations:
            self._grant(pattern, USER, operation)

    def _grant(self, pattern: ResourcePattern, user: str, operation: str) -> None:
        permission = ACLPermissionType.ALLOW
        self.admin.create_acls(
            [ACL(f"User:{user}", "*", ACLOperation[operation], permission, pattern)]
        )

    def _properties(self) -> dict[str, str]:
        files = self.certificates
        found = {
            "listeners": ",".join(f"{n}://{self.address(n)}" for n in LISTENERS),
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,"
            + ",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items()),
            "inter.broker.listener.name": "OPEN",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": "User:ANONYMOUS",
        }
        for name in (n for n, protocol in LISTENERS.items() if "SSL" in protocol):
            store = files.key_store(KEY_STORES.get(name, "broker"))
            found |= {
                f"listener.name.{name.lower()}.ssl.keystore.type": "PEM",
                f"listener.name.{name.lower()}.ssl.keystore.location": str(store),
                f"listener.name.{name.lower()}.ssl.truststore.type": "PEM",
                f"listener.name.{name.lower()}.ssl.truststore.location": str(files.ca),
            }
        found["listener.name.mutual.ssl.client.auth"] = "required"
        for name in ("sasl", "clear"):
            prefix = f"listener.name.{name}"
            found[f"{prefix}.sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
            found[f"{prefix}.plain.sasl.jaas.config"] = (
                f'{MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            )
            for mechanism in MECHANISMS[1:]:
                found[f"{prefix}.{mechanism.lower()}.sasl.jaas.config"] = (
                    f"{MODULES}.scram.ScramLoginModule required;"
                )
        found["listener.name.token.sasl.enabled.mechanisms"] = "OAUTHBEARER"
        found["listener.name.token.oauthbearer.sasl.jaas.config"] = (
            f"{MODULES}.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="x";'
        )
        return found


def unsigned_token(seconds: float = 900.0) -> str:
    """A JSON web token without signature, which the TOKEN listener takes."""

    def part(claims: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    now = time.time()
    claims = {"sub": USER, "iat": now, "exp": now + seconds}
    return f"{part({'alg': 'none'})}.{part(claims)}."


def check_sentence(text: str, parts: tuple[str, ...]) -> None:
    """It says all that, in one line, and no secret."""
    for part in parts:
        assert part in text
    assert "\n" not in text
    assert not any(secret in text for secret in (PASSWORD, KEY_PASSWORD, WRONG))
