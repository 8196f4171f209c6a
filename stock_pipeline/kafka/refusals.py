"""Why the brokers and this client refuse each other, in one sentence.

The clients report little. kafka-python tries until its timeout and then reports a timeout.
librdkafka tries for ever and gives the same error for every bad certificate. So this makes one
connection step by step: TCP, TLS, SASL. The step at which it breaks gives the reason.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from stock_pipeline.kafka.clients import CLIENT_ID, kafka_python_options, ssl_context
from stock_pipeline.kafka.errors import KafkaAccessError
from stock_pipeline.settings import KafkaSettings

LONGEST_STEP_SECONDS = 5.0
READ_BYTES = 65_536

#: From OpenSSL's X509_V_ERR_*. Any other error of a chain: we do not trust its authority.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
#: Kafka's error code of a SASL request on a listener without SASL.
_NO_SASL_HERE = 34
_PASSWORD = "STOCK_PIPELINE__KAFKA__SECURITY__PASSWORD"  # noqa: S105 - the variable's name


def access_problem(settings: KafkaSettings) -> KafkaAccessError | None:
    """What is wrong between this client and the first broker that takes a connection.

    Takes a few seconds at most and makes one attempt to log in.

    Returns:
        None when nothing is wrong, no broker can be reached, or none says what is wrong.
    """
    try:
        advertised_addresses(settings)
    except KafkaAccessError as error:
        return error
    return None


def advertised_addresses(settings: KafkaSettings) -> list[tuple[str, int]]:
    """Hosts and ports that the first broker that takes a connection tells clients to connect to.

    This asks without a Kafka client. librdkafka leaves the configured address for the advertised
    ones, and where these cannot be reached, its request mostly gets no answer.

    Returns:
        An empty list when no broker can be reached, or none answers.

    Raises:
        KafkaAccessError: That broker refuses us, or we refuse it.
    """
    for server in settings.bootstrap_servers.split(","):
        with suppress(OSError):
            return _Attempt(settings, server.strip()).run()
    return []


def refused(settings: KafkaSettings, what: str, operations: str = "Read") -> KafkaAccessError:
    """The error of a permission that is missing.

    Args:
        settings: Our identity and the brokers.
        what: As in "do not let us ...", such as "read topic trades".
        operations: What to allow, as kafka-acls.sh names it.
    """
    return KafkaAccessError(
        f"The brokers at {settings.bootstrap_servers} do not let {identity(settings)} {what}",
        f"Allow this principal {operations} and Describe there (kafka-acls.sh --add).",
    )


def identity(settings: KafkaSettings) -> str:
    """Who we are to the brokers."""
    security = settings.security
    if security.mechanism == "AWS_MSK_IAM":
        return security.role_arn or "AWS's default credentials"
    if security.username:
        return f"user {security.username}"
    if security.certificate_file:
        return f"the owner of {security.certificate_file}"
    return "an anonymous client"


class _Attempt:
    """One connection to one broker."""

    def __init__(self, settings: KafkaSettings, server: str) -> None:
        self.settings = settings
        self.security = settings.security
        self.server = server
        host, _, port = server.rpartition(":")
        self.address = (host.strip("[]"), int(port))
        self.timeout = min(settings.request_timeout_seconds, LONGEST_STEP_SECONDS)

    def run(self) -> list[tuple[str, int]]:
        """Connect step by step and ask for the advertised addresses, the last step.

        Raises:
            KafkaAccessError: One side refused the other.
            OSError: No connection, or it broke without a reason.
        """
        try:
            with self._talking() as talk:
                if self.security.sasl:
                    self._log_in(talk)
                brokers = talk.ask_for_metadata().brokers
                return [(broker.host, broker.port) for broker in brokers]
        except ConnectionError:
            # A listener that wants more than we offer closes the connection without a word.
            if not self.security.tls and self._speaks_tls():
                raise KafkaAccessError(
                    f"The brokers at {self.server} speak TLS, and kafka.security.protocol is "
                    f"{self.security.protocol}",
                    "Set it to ssl or sasl_ssl, and kafka.security.ca_file.",
                ) from None
            if not self.security.sasl:
                with self._talking() as talk:
                    self._raise_if_asked_who_we_are(talk)
            raise

    @contextmanager
    def _talking(self) -> Iterator[_Talk]:
        with socket.create_connection(self.address, self.timeout) as plain:
            if not self.security.tls:
                yield _Talk(plain)
                return
            with self._encrypted(plain) as encrypted:
                try:
                    yield _Talk(encrypted)
                except ssl.SSLError as error:
                    if "ALERT" not in (error.reason or ""):
                        raise
                    # In TLS 1.3 a bad client certificate shows only with the first response.
                    raise self._certificate_refused(error) from None

    def _encrypted(self, plain: socket.socket) -> ssl.SSLSocket:
        at = f"the brokers at {self.server}"
        try:
            return ssl_context(self.security).wrap_socket(plain, server_hostname=self.address[0])
        except ssl.SSLCertVerificationError as error:
            raise self._distrusted(error) from None
        except ssl.SSLError as error:
            if "ALERT" in (error.reason or ""):
                raise self._certificate_refused(error) from None
            problem = f"There is no TLS at {at}, and kafka.security.protocol asks for it"
        except ConnectionError:
            problem = f"T{at[1:]} broke off at the first word of TLS"
        raise KafkaAccessError(
            problem,
            "Correct the port in kafka.bootstrap_servers, or kafka.security.protocol.",
        )

    def _distrusted(self, error: ssl.SSLCertVerificationError) -> KafkaAccessError:
        code, at = error.verify_code, f"The certificate of the broker at {self.server}"
        if code in {_EXPIRED, _NOT_YET_VALID}:
            return KafkaAccessError(
                f"{at} {'has expired' if code == _EXPIRED else 'is not valid yet'}",
                "Renew it on the broker; if it is valid, check the clock of this machine.",
            )
        if code in {_OTHER_NAME, _OTHER_ADDRESS}:
            return KafkaAccessError(
                f"{at} is for another host ({error.verify_message.rstrip('.')})",
                "Name the brokers in kafka.bootstrap_servers as their certificates do, or give "
                "them certificates with this name.",
            )
        ca = self.security.ca_file or "the authorities of this machine"
        return KafkaAccessError(
            f"{at} is not signed by {ca} ({error.verify_message.rstrip('.')})",
            "Set kafka.security.ca_file to the authority that signed it.",
        )

    def _certificate_refused(self, error: ssl.SSLError) -> KafkaAccessError:
        said = (error.reason or "").lower().replace("_", " ")
        file = self.security.certificate_file
        if file is None:
            return KafkaAccessError(
                f"The broker at {self.server} asks for a client certificate ({said})",
                "Set kafka.security.certificate_file and key_file.",
            )
        return KafkaAccessError(
            f"The broker at {self.server} refused the client certificate {file} ({said})",
            f"Check that it has not expired (openssl x509 -enddate -noout -in {file}) and that "
            "the brokers trust the authority that signed it.",
        )

    def _raise_if_asked_who_we_are(self, talk: _Talk) -> None:
        answer = talk.ask_for_mechanism("PLAIN")
        if answer.error_code != _NO_SASL_HERE:
            raise KafkaAccessError(
                f"The brokers at {self.server} ask who we are by SASL "
                f"({', '.join(answer.mechanisms)}), and kafka.security.protocol is "
                f"{self.security.protocol}",
                f"Set it to sasl_{'ssl' if self.security.tls else 'plaintext'}, and "
                "kafka.security.mechanism, username and password.",
            )

    def _log_in(self, talk: _Talk) -> None:
        by_token = self.security.mechanism == "AWS_MSK_IAM"
        mechanism = "OAUTHBEARER" if by_token else str(self.security.mechanism)
        answer = talk.ask_for_mechanism(mechanism)
        if answer.error_code == _NO_SASL_HERE:
            raise KafkaAccessError(
                f"The brokers at {self.server} do not ask who we are, and "
                f"kafka.security.protocol is {self.security.protocol}",
                f"Set it to {'ssl' if self.security.tls else 'plaintext'} without a mechanism, or "
                "correct the port in kafka.bootstrap_servers.",
            )
        if answer.error_code or mechanism not in answer.mechanisms:
            raise KafkaAccessError(
                f"The brokers at {self.server} do not take SASL {mechanism}, but "
                f"{', '.join(answer.mechanisms)}",
                "Correct kafka.security.mechanism.",
            )
        self._prove(talk, mechanism)

    def _prove(self, talk: _Talk, name: str) -> None:
        from kafka.net.sasl import get_sasl_mechanism
        from kafka.protocol.sasl import SaslAuthenticateRequest

        mechanism = get_sasl_mechanism(name)(
            host=self.address[0], **kafka_python_options(self.settings)
        )
        while not mechanism.is_done():
            answer = talk.ask(SaslAuthenticateRequest(mechanism.auth_bytes()), 1)
            if answer.error_code:
                raise self._unproven(name, answer.error_message or "no reason given")
            try:
                mechanism.receive(answer.auth_bytes)
            except ValueError as error:
                # SCRAM is mutual: a broker that does not know the password cannot sign.
                raise self._unproven(name, str(error)) from None

    def _unproven(self, mechanism: str, said: str) -> KafkaAccessError:
        if self.security.mechanism == "AWS_MSK_IAM":
            remedy = "Check its IAM policy: kafka-cluster:Connect on this cluster."
        else:
            remedy = f"Correct kafka.security.username or {_PASSWORD} in .env, or the broker."
        return KafkaAccessError(
            f"The brokers at {self.server} refused {identity(self.settings)} ({mechanism}: "
            f"{said.rstrip('.')})",
            remedy,
        )

    def _speaks_tls(self) -> bool:
        """Whether the broker speaks TLS, whoever signed its certificate; sends no data."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with suppress(OSError), socket.create_connection(self.address, self.timeout) as plain:
            context.wrap_socket(plain).close()
            return True
        return False


class _Talk:
    """Requests and responses of Kafka's protocol, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        from kafka.protocol.parser import KafkaProtocol

        self._connection = connection
        self._protocol = KafkaProtocol(client_id=CLIENT_ID)

    def ask_for_mechanism(self, mechanism: str) -> Any:
        from kafka.protocol.sasl import SaslHandshakeRequest

        return self.ask(SaslHandshakeRequest(mechanism=mechanism), 1)

    def ask_for_metadata(self) -> Any:
        from kafka.protocol.metadata import MetadataRequest

        return self.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False), 4)

    def ask(self, request: Any, version: int) -> Any:
        from kafka.errors import KafkaProtocolError

        request.API_VERSION = version
        self._protocol.send_request(request)
        self._connection.sendall(self._protocol.send_bytes())
        while True:
            received = self._connection.recv(READ_BYTES)
            if not received:
                raise ConnectionResetError("the broker closed the connection")
            try:
                responses = self._protocol.receive_bytes(received)
            except KafkaProtocolError as error:
                raise ConnectionResetError("the broker does not answer as Kafka does") from error
            for _, response in responses:
                return response
