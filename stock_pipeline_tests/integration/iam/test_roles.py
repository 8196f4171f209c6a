"""Each part of the pipeline works under its own role, and is refused what is not its own."""

from __future__ import annotations

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from stock_pipeline.defs.athena.assets import EQUAL, athena_asset
from stock_pipeline.defs.automation import refresh
from stock_pipeline.defs.catalog.assets import CHECK, lake_catalogue
from stock_pipeline.defs.ingest.assets import ingest_assets
from stock_pipeline.lib.schemas import VOLATILITY_INTRADAY_TABLE
from stock_pipeline.resources.aws_session import aws_client
from stock_pipeline.resources.crawlers import Crawlers, crawler_definitions
from stock_pipeline.resources.lake import Lake
from stock_pipeline.resources.query import query
from stock_pipeline.resources.store_probe import probe_conditional_writes
from stock_pipeline.stack.crawler import CrawlerDouble
from stock_pipeline_tests.integration.iam.conftest import refusal
from stock_pipeline_tests.integration.test_ingest import trade


def ingest(settings, **options):
    return dg.materialize([ingest_assets("trades", settings.feeds["trades"])], **options)


def test_from_kafka_to_a_query_each_part_under_its_own_role(roles, produce):
    settings = roles.become("ingest")
    produce(settings.feeds["trades"].topic, [trade(n * 1000) for n in range(300)] + [b"{"])
    assert probe_conditional_writes(Lake(settings.aws)) == []
    assert ingest(settings).success

    settings = roles.become("tables")
    assert probe_conditional_writes(Lake(settings.aws)) == []
    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([refresh], instance=instance).success

    settings = roles.become("crawler")
    (bronze,) = [d for d in crawler_definitions(settings) if d["TablePrefix"] == "bronze_"]
    assert CrawlerDouble(settings).crawl(bronze) == 1

    settings = roles.become("catalogue")
    glue = aws_client("glue", settings.aws)
    Crawlers(settings, glue).ensure()
    assert glue.start_crawler(Name=bronze["Name"])["ResponseMetadata"]["HTTPStatusCode"] == 200
    result = dg.materialize([lake_catalogue])
    assert [c.passed for c in result.get_asset_check_evaluations() if c.check_name == CHECK] == [
        True
    ]

    settings = roles.become("query")
    result = dg.materialize([athena_asset(VOLATILITY_INTRADAY_TABLE)])
    checks = {c.check_name: c for c in result.get_asset_check_evaluations()}
    assert checks[EQUAL].passed, checks[EQUAL].description
    sql = 'SELECT sum(trade_count) AS n FROM silver."bars_intraday"'
    assert query(settings, Lake(settings.aws), sql)["n"].to_pylist() == [300]

    settings = roles.become("dashboard")
    sql = 'SELECT count(*) AS n FROM gold."volatility_intraday"'
    assert query(settings, Lake(settings.aws), sql)["n"].to_pylist()[0] > 0


#: For each role requests that it must not make: service, operation, arguments.
LOG, BRONZE, SILVER, GOLD = (
    "_offset_log/trades/plan/000000000000.json",
    "bronze/trades/x.parquet",
    "silver/bars_daily/x.parquet",
    "gold/volatility_daily/x.parquet",
)


def get(key):
    return ("s3", "get_object", {"Key": key})


def put(key):
    return ("s3", "put_object", {"Key": key, "Body": b"x"})


def delete(key):
    return ("s3", "delete_object", {"Key": key})


def listing(prefix):
    return ("s3", "list_objects_v2", {"Prefix": prefix})


def table(operation):
    arguments = {"DatabaseName": "{database}"}
    if operation == "create_table":
        return ("glue", operation, arguments | {"TableInput": {"Name": "t"}})
    return ("glue", operation, arguments | {"Name": "t"})


ASK = ("athena", "start_query_execution", {"QueryString": "SELECT 1", "WorkGroup": "{workgroup}"})
BUCKET = ("s3", "delete_bucket", {})
USERS = ("iam", "list_users", {})
SECRETS = ("secretsmanager", "list_secrets", {})
EVERYBODY = [
    delete(LOG),
    delete(LOG.replace("plan", "commit")),
    delete(BRONZE),
    delete(SILVER),
    delete(GOLD),
    ("s3", "put_bucket_policy", {"Policy": "{}"}),
    BUCKET,
    USERS,
    SECRETS,
    table("delete_table"),
]
REFUSED = {
    "ingest": [put(SILVER), put(GOLD), get(SILVER), get(GOLD), listing("gold/"), ASK]
    + [table("create_table"), put("other/x"), get("_athena_results/x")],
    "tables": [put(BRONZE), put(LOG), put("quarantine/trades/x.parquet"), ASK]
    + [table("create_table"), get("_athena_results/x"), get("quarantine/trades/x.parquet")],
    "catalogue": [put(BRONZE), put(GOLD), put(LOG), get(LOG), listing("_offset_log/"), ASK],
    "crawler": [put(BRONZE), put(GOLD), get(LOG), ASK, ("glue", "start_crawler", {"Name": "x"})],
    "query": [put(BRONZE), put(GOLD), put(SILVER), get(LOG), put(LOG), table("create_table")]
    + [get("quarantine/trades/x.parquet")],
    "dashboard": [get(SILVER), get(BRONZE), get(LOG), put(GOLD), listing("silver/"), ASK]
    + [table("create_table"), ("glue", "get_tables", {"DatabaseName": "{database}"})],
    "audit": [put(BRONZE), put(GOLD), put(LOG), put("_rejected/x"), table("create_table"), ASK],
    "maintenance": [put(BRONZE), put(GOLD), put(LOG), get(GOLD), table("create_table"), ASK],
}


@pytest.mark.parametrize("role", sorted(REFUSED))
def test_a_role_is_refused_what_is_not_its_own(roles, role):
    admin = Lake(roles.admin.aws)
    for key in (LOG, BRONZE, SILVER, GOLD, "_athena_results/x", "quarantine/trades/x.parquet"):
        admin.put(key, b"kept")
    settings = roles.become(role)
    names = {
        "{database}": settings.catalog.database,
        "{workgroup}": settings.athena.workgroup,
    }
    answered = []
    for service, operation, arguments in REFUSED[role] + EVERYBODY:
        arguments = {
            key: names.get(value, value) if isinstance(value, str) else value
            for key, value in arguments.items()
        }
        if service == "s3":
            arguments["Bucket"] = settings.aws.bucket
        code = refusal(settings.aws, service, operation, **arguments)
        if not code.startswith("AccessDenied"):
            answered.append((operation, arguments, code))
    assert answered == []
    assert admin.get(BRONZE)[0] == b"kept"


def test_bronze_and_the_log_may_be_written_on_aws_only_where_nothing_is(roles):
    from stock_pipeline.commands.iam import policy

    statements = policy(roles.admin, "ingest")["Statement"]
    (writes,) = [s for s in statements if s["Sid"] == "WriteOnceWhereNothingIs"]
    assert writes["Condition"] == {"Null": {"s3:if-none-match": "false"}}
    assert writes["Resource"] == [
        f"arn:aws:s3:::{roles.admin.aws.bucket}/{folder}/*" for folder in ("_offset_log", "bronze")
    ]


def test_a_missing_object_is_told_from_a_forbidden_one(roles):
    lake = Lake(roles.become("ingest").aws)
    assert lake.head("bronze/trades/not-there.parquet") is None
    with pytest.raises(FileNotFoundError):
        lake.read_footer("bronze/trades/not-there.parquet")
    with pytest.raises(ClientError, match="403"):
        lake.head(GOLD)
