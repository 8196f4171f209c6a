"""The AWS emulator answers signed requests of this machine, and no web page."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from pydantic import SecretStr

from stock_pipeline.aws.session import aws_client
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import AwsSettings
from stock_pipeline.stack.emulator import SERVICES, refusal
from stock_pipeline.stack.local import LocalStack

SIGNED = (
    b"authorization",
    b"AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/s3/aws4_request, SignedHeaders=host",
)
HOST = (b"host", b"127.0.0.1:24566")


def ask(
    endpoint: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[int, dict[str, str], str]:
    """One request as `curl` sends it: no more than is given here, and a Host."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=10)
    connection.request(method, path, body or None, headers or {})
    answer = connection.getresponse()
    said = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, said


def signed(
    endpoint: str,
    path: str,
    service: str,
    keys: tuple[str, str],
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> tuple[int, dict[str, str], str]:
    request = AWSRequest(method=method, url=endpoint + path, headers=headers or {}, data=body)
    SigV4Auth(Credentials(*keys), service, "us-east-1").add_auth(request)
    return ask(endpoint, method, path, dict(request.headers.items()), body)


@pytest.fixture
def keys(lake: Lake) -> tuple[str, str]:
    aws = lake.aws
    assert aws.access_key_id
    assert aws.secret_access_key
    return aws.access_key_id.get_secret_value(), aws.secret_access_key.get_secret_value()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:24566", "localhost:24566", "LocalHost", "[::1]:24566", "[::1]"],
)
def test_a_signed_request_to_a_loopback_name_goes_on(host: str) -> None:
    assert refusal("GET", "/bucket/key", "", [(b"Host", host.encode()), SIGNED]) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:24566",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "lake.s3.localhost",
        "169.254.169.254",
        "0.0.0.0:24566",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1:24566/x",
        "127.0.0.1:x",
        "[::1",
        "",
    ],
)
def test_a_name_that_is_not_loopback_is_refused(host: str) -> None:
    why = refusal("GET", "/bucket/key", "", [(b"host", host.encode()), SIGNED])
    assert why == (
        "The AWS emulator answers to 127.0.0.1, localhost and [::1] only, not to other names."
    )


@pytest.mark.parametrize("hosts", [[], [HOST, HOST], [HOST, (b"Host", b"evil.example")]])
def test_a_request_names_one_host(hosts: list[tuple[bytes, bytes]]) -> None:
    assert refusal("GET", "/bucket/key", "", [*hosts, SIGNED]) is not None


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:3000",
        "http://127.0.0.1:3000",
        "https://127.0.0.1:24566",
        "http://127.0.0.1:24566.evil.example",
        "",
    ],
)
def test_pages_of_another_origin_are_refused(origin: str) -> None:
    for method, path in (("POST", "/_ministack/reset"), ("OPTIONS", "/b/k"), ("GET", "/b/k")):
        headers = [HOST, SIGNED, (b"Origin", origin.encode())]
        assert refusal(method, path, "", headers) == (
            "The AWS emulator answers no web page of another origin."
        )


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"new"])
def test_images_and_links_of_a_page_are_refused_though_they_send_no_origin(site: bytes) -> None:
    assert refusal("GET", "/b/k", "", [HOST, SIGNED, (b"Sec-Fetch-Site", site)]) is not None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_ministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_ministack/health"),
        ("POST", "/_ministack/ready"),
        ("PUT", "/_ministack/cfn-response/x"),
        ("GET", "/_localstack/health"),
        ("GET", "/_aws/execute-api/abc/prod/x"),
    ],
)
def test_the_administration_is_refused_also_to_signed_requests(method: str, path: str) -> None:
    assert refusal(method, path, "", [HOST, SIGNED]) == (
        "The emulator's own administration is switched off."
    )


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Basic bG9jYWw6bG9jYWw=",
        b"AWS local:signature",
        b"Bearer AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/s3/aws4_request",
        b"AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/lambda/aws4_request, Signature=0",
        b"AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/execute-api/aws4_request, Signature=0",
    ],
)
def test_what_is_signed_for_no_service_of_ours_is_refused(authorization: bytes) -> None:
    headers = [HOST, (b"authorization", authorization)]
    assert refusal("POST", "/2015-03-31/functions/f/invocations", "", headers) is not None


@pytest.mark.parametrize("headers", [[HOST], [HOST, SIGNED]])
@pytest.mark.parametrize("name", ["X-Amz-Credential", "x-amz-credential", "AWSAccessKeyId"])
def test_keys_in_an_address_are_refused(headers: list[tuple[bytes, bytes]], name: str) -> None:
    query = f"{name}=test%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
    assert refusal("GET", "/b/k", query, headers) is not None


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/_ministack/reset", {}),
        ("POST", "/_ministack/reset", {"Origin": "https://evil.example"}),
        ("POST", "/_ministack/config", {"Content-Type": "text/plain"}),
        ("OPTIONS", "/", {"Origin": "https://evil.example"}),
        ("GET", "/", {"Origin": "null"}),
        ("GET", "/", {"Host": "evil.example"}),
        ("GET", "/", {}),
        ("GET", "/health", {}),
        ("POST", "/2015-03-31/functions", {}),
        ("POST", "/2015-03-31/functions/f/invocations", {}),
        ("POST", "/", {"X-Amz-Target": "AWSGlue.StartJobRun"}),
    ],
)
def test_what_a_page_or_a_passer_by_sends_is_refused_in_a_sentence(
    lake: Lake, method: str, path: str, headers: dict[str, str]
) -> None:
    lake.put("kept", b"x")
    assert lake.aws.endpoint_url
    status, said_headers, said = ask(lake.aws.endpoint_url, method, path, headers)
    assert status == 403
    assert said.count("\n") == 1
    assert said.endswith(".\n")
    assert not [name for name in said_headers if name.startswith("access-control")]
    assert lake.get("kept")[0] == b"x"


def test_objects_are_not_for_requests_without_a_signature_or_with_a_wrong_one(
    lake: Lake, keys: tuple[str, str]
) -> None:
    lake.put("kept", b"x")
    endpoint, path = lake.aws.endpoint_url, f"/{lake.bucket}/kept"
    assert endpoint
    assert ask(endpoint, "GET", path)[0] == 403
    assert ask(endpoint, "PUT", path, body=b"y")[0] == 403
    wrong = [
        ("local", "local"),
        ("test", "test"),
        ("000000000000", "test"),
        (keys[0], "local"),
        ("local", keys[1]),
    ]
    for pair in wrong:
        for method in ("GET", "PUT", "DELETE"):
            assert signed(endpoint, path, "s3", pair, method)[0] == 403
    assert signed(endpoint, path, "s3", keys)[::2] == (200, "x")


@pytest.mark.parametrize("service", ["lambda", "s3", "glue"])
def test_nobody_makes_or_invokes_a_function(
    lake: Lake, keys: tuple[str, str], service: str
) -> None:
    for path in ("/2015-03-31/functions", "/2015-03-31/functions/f/invocations"):
        for pair in (keys, ("local", "local")):
            assert lake.aws.endpoint_url
            status, _, _ = signed(lake.aws.endpoint_url, path, service, pair, "POST", body=b"{}")
            assert status in {400, 403, 405}


def test_the_reset_is_refused_to_the_owner_too(lake: Lake, keys: tuple[str, str]) -> None:
    assert lake.aws.endpoint_url
    status, _, _ = signed(lake.aws.endpoint_url, "/_ministack/reset", "s3", keys, "POST")
    assert status == 403


def test_aws_clients_with_the_right_keys_use_every_service(lake: Lake) -> None:
    calls = {
        "s3": "list_buckets",
        "glue": "get_databases",
        "athena": "list_work_groups",
        "iam": "list_roles",
        "sts": "get_caller_identity",
        "secretsmanager": "list_secrets",
    }
    assert set(calls) == set(SERVICES)
    for service, operation in calls.items():
        assert getattr(aws_client(service, lake.aws), operation)()
    wrong = lake.aws.model_copy(update={"secret_access_key": SecretStr("local")})
    for service, operation in calls.items():
        with pytest.raises(ClientError) as caught:
            getattr(aws_client(service, AwsSettings(**dict(wrong))), operation)()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 403}


def test_a_service_that_the_pipeline_does_not_use_is_not_there(
    lake: Lake, keys: tuple[str, str]
) -> None:
    client = botocore.session.Session().create_client(
        "lambda",
        endpoint_url=lake.aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
    )
    with pytest.raises(ClientError, match="is signed for another one"):
        client.list_functions()


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux's /proc")
def test_no_key_is_on_a_command_line_or_in_a_log(
    local_stack: LocalStack, lake: Lake, keys: tuple[str, str]
) -> None:
    pid = local_stack.supervisor.child("aws").pid
    line = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"stock_pipeline.stack.emulator" in line
    for key in keys:
        assert key.encode() not in line
        for log in (local_stack.home / "logs").iterdir():
            assert key.encode() not in log.read_bytes()
    assert local_stack.home.stat().st_mode & 0o077 == 0
