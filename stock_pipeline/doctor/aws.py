"""Doctor's findings about AWS: credentials, bucket, conditional writes, clock, Glue, Athena."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from stock_pipeline.aws.bucket_security import has_tls, insecurities
from stock_pipeline.aws.session import aws_client, refused_credentials
from stock_pipeline.catalogue.crawlers import crawler_definitions
from stock_pipeline.doctor.finding import DoctorFinding, refusal, start_it
from stock_pipeline.lake.probe import probe_conditional_writes
from stock_pipeline.lake.store import Lake
from stock_pipeline.settings import Settings

#: S3 refuses requests signed with a clock that is 15 minutes off; ours should be far from that.
SKEW_WARNING_SECONDS = 5.0
SKEW_FAILURE_SECONDS = 60.0

NOT_THERE = {"404", "NoSuchBucket", "NotFound"}

AFTER_BUCKET = ("bucket security", "conditional writes", "clock")
AFTER_ANSWER = ("credentials", "bucket", *AFTER_BUCKET, "glue database", "athena")


def aws_findings(settings: Settings) -> list[DoctorFinding]:
    """The object store, the catalogue and Athena, as far as the one before allows."""
    lake = Lake(settings.aws)
    where = settings.aws.endpoint_url or f"AWS, region {settings.aws.region}"
    # Asked before botocore, whose retries take a quarter of a minute where nobody listens.
    if settings.aws.endpoint_url and (why := _unreachable(settings.aws.endpoint_url)):
        return _no_answer(settings, where, why)
    try:
        answer = lake.client.head_bucket(Bucket=lake.bucket)
    except NoCredentialsError:
        return [
            DoctorFinding(
                "credentials",
                "failed",
                "No AWS keys were found, neither in the settings nor where AWS's tools look.",
                "Set STOCK_PIPELINE__AWS__ACCESS_KEY_ID and __SECRET_ACCESS_KEY in .env.",
            ),
            *_skipped(AFTER_ANSWER[1:], "no credentials"),
        ]
    except ClientError as error:
        return _refused(settings, lake, where, error)
    except BotoCoreError as error:
        return _no_answer(settings, where, type(error).__name__)
    return [
        DoctorFinding("credentials", "ok", f"accepted by {where}"),
        DoctorFinding("bucket", "ok", lake.bucket),
        _bucket_security(settings),
        _conditional_writes(lake),
        _clock(answer["ResponseMetadata"]["HTTPHeaders"].get("date")),
        *_catalogue(settings),
    ]


def _unreachable(endpoint_url: str) -> str:
    url = urlsplit(endpoint_url)
    return refusal(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))


def _no_answer(settings: Settings, where: str, why: str) -> list[DoctorFinding]:
    return [
        DoctorFinding(
            "object store",
            "failed",
            f"{where} does not answer ({why}).",
            start_it(settings, "Check aws.endpoint_url, aws.region and the network."),
        ),
        *_skipped(AFTER_ANSWER, "the object store does not answer"),
    ]


def _refused(settings: Settings, lake: Lake, where: str, error: ClientError) -> list[DoctorFinding]:
    """HEAD answers carry no reason, so ask once more with a request that does."""
    if _code(error) in {"400", "403"}:
        try:
            lake.client.list_objects_v2(Bucket=lake.bucket, MaxKeys=1)
        except ClientError as explained:
            error = explained
    code = _code(error)
    if refused_credentials(code):
        return [
            DoctorFinding(
                "credentials",
                "failed",
                f"{where} does not accept the AWS keys ({code}).",
                "Correct STOCK_PIPELINE__AWS__ACCESS_KEY_ID and __SECRET_ACCESS_KEY in .env.",
            ),
            *_skipped(AFTER_ANSWER[1:], "the keys were refused"),
        ]
    if code == "RequestTimeTooSkewed":
        return [
            _clock(error.response["ResponseMetadata"]["HTTPHeaders"].get("date")),
            *_skipped(tuple(n for n in AFTER_ANSWER if n != "clock"), "the clocks differ too much"),
        ]
    findings = [DoctorFinding("credentials", "ok", f"accepted by {where}")]
    if code in NOT_THERE:
        finding = DoctorFinding(
            "bucket",
            "failed",
            f"There is no bucket {lake.bucket} at {where}.",
            start_it(settings, "Create it, or correct aws.bucket."),
        )
    else:
        finding = DoctorFinding(
            "bucket",
            "failed",
            f"{where} does not let these keys read bucket {lake.bucket} ({code}).",
            "Allow s3:ListBucket on it, or correct aws.bucket.",
        )
    return [
        *findings,
        finding,
        *_skipped(AFTER_BUCKET, "the bucket cannot be used"),
        *_catalogue(settings),
    ]


def _bucket_security(settings: Settings) -> DoctorFinding:
    name, remedy = "bucket security", "Set it on the bucket: docs/security.md, Buckets."
    try:
        found = list(insecurities(settings.aws))
    except ClientError as error:
        answer = f"It could not be looked at ({_code(error)}): these keys may not read it."
        remedy = "Nothing, or allow s3:GetEncryptionConfiguration and the like to see it."
        return DoctorFinding(name, "warning", answer, remedy)
    if found:
        return DoctorFinding(name, "warning", " ".join(found), remedy)
    tls = "TLS only" if has_tls(settings.aws) else "plain HTTP on loopback"
    return DoctorFinding(name, "ok", f"encrypted, public access blocked, {tls}")


def _conditional_writes(lake: Lake) -> DoctorFinding:
    try:
        problems = probe_conditional_writes(lake)
    except ClientError as error:
        return DoctorFinding(
            "conditional writes",
            "failed",
            f"They could not be tried: the store refused a request below _probe/ ({_code(error)}).",
            "Allow s3:PutObject, s3:GetObject, s3:DeleteObject and s3:AbortMultipartUpload there.",
        )
    if problems:
        return DoctorFinding(
            "conditional writes",
            "failed",
            " ".join(problems),
            "Use a store that honours If-None-Match and If-Match; on this one nothing is ingested.",
        )
    answer = "put-if-absent and compare-and-swap hold, also racing and for multipart uploads"
    return DoctorFinding("conditional writes", "ok", answer)


def _clock(date_header: str | None) -> DoctorFinding:
    if date_header is None:
        return DoctorFinding("clock", "skipped", "not checked: the store's answer carries no date")
    skew = (datetime.now(UTC) - parsedate_to_datetime(date_header)).total_seconds()
    # The header has whole seconds.
    if abs(skew) < SKEW_WARNING_SECONDS:
        return DoctorFinding("clock", "ok", "agrees with the store's to a few seconds")
    side = "ahead of" if skew > 0 else "behind"
    return DoctorFinding(
        "clock",
        "failed" if abs(skew) > SKEW_FAILURE_SECONDS else "warning",
        f"This machine's clock is {abs(skew):.0f} s {side} the store's.",
        "Set the clock by NTP on the machine that is wrong.",
    )


def _catalogue(settings: Settings) -> list[DoctorFinding]:
    return [_database(settings), *_crawlers(settings), _workgroup(settings)]


def _database(settings: Settings) -> DoctorFinding:
    name = settings.catalog.database
    return _asked(
        "glue database",
        lambda: aws_client("glue", settings.aws).get_database(Name=name),
        name,
        f"Glue has no database {name}.",
        start_it(settings, "Create it, or correct catalog.database."),
    )


def _crawlers(settings: Settings) -> list[DoctorFinding]:
    if settings.catalog.method != "crawler":
        return []

    glue = aws_client("glue", settings.aws)
    names = [definition["Name"] for definition in crawler_definitions(settings)]

    def ask() -> None:
        for name in names:
            glue.get_crawler(Name=name)

    return [
        _asked(
            "glue crawlers",
            ask,
            ", ".join(names),
            f"Glue does not have all of the crawlers {', '.join(names)}.",
            start_it(settings, "Create them, or set catalog.method to partitions."),
        )
    ]


def _workgroup(settings: Settings) -> DoctorFinding:
    name = settings.athena.workgroup
    return _asked(
        "athena",
        lambda: aws_client("athena", settings.aws).get_work_group(WorkGroup=name),
        f"workgroup {name}",
        f"Athena has no workgroup {name}.",
        start_it(settings, "Create it, or correct athena.workgroup."),
    )


def _asked(name: str, ask: Any, answer: str, missing: str, remedy: str) -> DoctorFinding:
    try:
        ask()
    except ClientError as error:
        code = _code(error)
        if code in {"EntityNotFoundException", "InvalidRequestException"}:
            return DoctorFinding(name, "failed", missing, remedy)
        return DoctorFinding(
            name,
            "failed",
            f"The request was refused ({code}).",
            "Allow these keys to use Glue and Athena.",
        )
    except BotoCoreError as error:
        return DoctorFinding(
            name, "failed", f"There was no answer ({type(error).__name__}).", remedy
        )
    return DoctorFinding(name, "ok", answer)


def _skipped(names: tuple[str, ...], why: str) -> list[DoctorFinding]:
    return [DoctorFinding(name, "skipped", f"not checked: {why}") for name in names]


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
