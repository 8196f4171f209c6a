"""AWS MSK IAM's token against its specification: SigV4 is computed here again, by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from stock_pipeline.aws import session as aws_session
from stock_pipeline.kafka import iam as kafka_iam
from stock_pipeline.kafka.clients import kafka_python_options, librdkafka_options
from stock_pipeline.kafka.errors import KafkaAccessError
from stock_pipeline.kafka.iam import IamToken
from stock_pipeline.settings import KafkaSecurity, KafkaSettings

KEY, SECRET, SESSION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/+=token"
REGION = "eu-central-1"


@pytest.fixture(autouse=True)
def aws_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[None]:
    """Keys of the environment, and no other source of any."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SESSION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": f"{tmp_path}/none",
        "AWS_SHARED_CREDENTIALS_FILE": f"{tmp_path}/none",
    }.items():
        monkeypatch.setenv(name, value)
    aws_session._session.cache_clear()
    kafka_iam._shared.cache_clear()
    yield
    aws_session._session.cache_clear()
    kafka_iam._shared.cache_clear()


def opened(token: str) -> tuple[str, dict[str, str], str]:
    """Host, query parameters and the signed query of a token."""
    assert "=" not in token
    url = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    parts = urlsplit(url)
    assert (parts.scheme, parts.path) == ("https", "/")
    signed, _, agent = parts.query.rpartition("&")
    assert agent.startswith("User-Agent=")
    return parts.netloc, dict(parse_qsl(parts.query)), signed


def signature(host: str, query: dict[str, str], secret: str) -> str:
    """SigV4 of a GET with its signature in the query, as AWS documents it."""
    unsigned = {k: v for k, v in query.items() if k not in {"X-Amz-Signature", "User-Agent"}}
    canonical_query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(unsigned.items())
    )
    empty = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{canonical_query}\nhost:{host}\n\nhost\n{empty}"
    scope = query["X-Amz-Credential"].partition("/")[2]
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            query["X-Amz-Date"],
            scope,
            hashlib.sha256(request.encode()).hexdigest(),
        )
    )
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def test_the_token_is_the_signed_address_of_the_specification() -> None:
    token, expires_at = IamToken(REGION, None).get()
    host, query, signed = opened(token)
    assert host == f"kafka.{REGION}.amazonaws.com"
    assert query["Action"] == "kafka-cluster:Connect"
    assert query["X-Amz-Expires"] == "900"
    assert query["X-Amz-SignedHeaders"] == "host"
    assert query["X-Amz-Security-Token"] == SESSION
    day = query["X-Amz-Date"][:8]
    assert query["X-Amz-Credential"] == f"{KEY}/{day}/{REGION}/kafka-cluster/aws4_request"
    assert "User-Agent" not in dict(parse_qsl(signed))
    assert query["X-Amz-Signature"] == signature(host, query, SECRET)
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert expires_at == signed_at.timestamp() + 900


def test_another_secret_gives_another_signature() -> None:
    """The check above can fail."""
    token, _ = IamToken(REGION, None).get()
    host, query, _ = opened(token)
    assert query["X-Amz-Signature"] != signature(host, query, SECRET + "x")


def test_a_token_is_used_again_and_made_anew_long_before_it_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    made = []

    def sign(self: IamToken) -> tuple[str, float]:
        made.append(time.time())
        return f"token {len(made)}", time.time() + 900

    monkeypatch.setattr(IamToken, "_signed", sign)
    token = IamToken(REGION, None)
    for seconds, expected in ((0, 1), (400, 1), (451, 2), (800, 2), (5000, 3)):
        monkeypatch.setattr(kafka_iam.time, "time", lambda at=now + seconds: at)
        assert token.get()[0] == f"token {expected}"


def test_both_clients_get_the_token_and_a_time_when_it_ends() -> None:
    settings = KafkaSettings(
        bootstrap_servers="b-1.example.com:9098",
        security=KafkaSecurity(protocol="sasl_ssl", mechanism="AWS_MSK_IAM", region=REGION),
    )
    python, rdkafka = kafka_python_options(settings), librdkafka_options(settings)
    assert (python["sasl_mechanism"], rdkafka["sasl.mechanism"]) == ("OAUTHBEARER",) * 2
    token, expires_at = rdkafka["oauth_cb"]("")
    assert python["sasl_oauth_token_provider"].token() == token
    assert 0 < expires_at - time.time() <= 900
    printed = f"{python} {rdkafka}"
    assert not any(secret in printed for secret in (SECRET, SESSION, token))


def test_without_credentials_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(KafkaAccessError, match="AWS_MSK_IAM cannot sign as AWS's default") as error:
        IamToken(REGION, None).get()
    assert "\n" not in str(error.value)
    assert "records wait in Kafka" in str(error.value)
