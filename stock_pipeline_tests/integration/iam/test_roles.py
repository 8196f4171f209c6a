"""Each part of the pipeline works under its own role, and is refused what is not its own."""

from __future__ import annotations

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from stock_pipeline.aws.policies import policy, policy_files
from stock_pipeline.aws.session import aws_client
from stock_pipeline.catalogue.crawlers import Crawlers, crawler_definitions
from stock_pipeline.catalogue.query import query
from stock_pipeline.defs.athena.assets import EQUAL, athena_asset
from stock_pipeline.defs.catalog.assets import CHECK, catalogue_asset
from stock_pipeline.defs.landing.assets import landing_asset
from stock_pipeline.defs.maintenance.jobs import checkpoints_op
from stock_pipeline.lake.probe import probe_conditional_writes
from stock_pipeline.lake.store import Lake, ObjectNotFoundError
from stock_pipeline.lib.schemas import VOLATILITY_INTRADAY_TABLE
from stock_pipeline.stack.crawler import CrawlerDouble
from stock_pipeline.verify.run import Scope, verify
from stock_pipeline_tests.sources.vendor_server import Reply, vendor
from stock_pipeline_tests.support.location import location
from stock_pipeline_tests.support.roles import ingest, refusal
from stock_pipeline_tests.support.trades import trade

#: What Massive says of one day.
DAYS = {
    "status": "OK",
    "results": [{"o": 1, "h": 3, "l": 1, "c": 2, "v": 5, "t": 1717390800000}],
}


def test_from_kafka_to_a_query_each_part_under_its_own_role(roles, produce, monkeypatch):
    settings = roles.become("ingest")
    produce(settings.feeds["trades"].topic, [trade(n * 1000) for n in range(300)] + [b"{"])
    assert probe_conditional_writes(Lake(settings.aws)) == []
    assert ingest(settings).success
    assert list(Lake(settings.aws).list("_quarantine_attempts/"))

    with vendor(lambda _: Reply(DAYS)) as server:
        monkeypatch.setenv("STOCK_PIPELINE__SOURCES__MASSIVE__BASE_URL", server.url)
        settings = roles.become("landing")
        asset = landing_asset(settings, "massive", daily=True)
        assert location().materialize([asset], partition_key="2024|A").success

    settings = roles.become("tables")
    assert probe_conditional_writes(Lake(settings.aws)) == []
    with dg.DagsterInstance.ephemeral() as instance:
        assert location().refresh(instance=instance).success

    settings = roles.become("crawler")
    (bronze,) = [d for d in crawler_definitions(settings) if d["TablePrefix"] == "bronze_"]
    assert CrawlerDouble(settings).crawl(bronze) == 1

    settings = roles.become("catalogue")
    glue = aws_client("glue", settings.aws)
    Crawlers(settings, glue).ensure()
    assert glue.start_crawler(Name=bronze["Name"])["ResponseMetadata"]["HTTPStatusCode"] == 200
    result = location().materialize([catalogue_asset(settings)])
    assert [c.passed for c in result.get_asset_check_evaluations() if c.check_name == CHECK] == [
        True
    ]

    settings = roles.become("audit")
    scope = Scope(broker=False, athena=False, grace_seconds=0)
    report = verify(settings, Lake(settings.aws), scope, lambda *_: None)
    assert report.findings == []

    settings = roles.become("maintenance")
    with dg.build_op_context(resources=location().resources) as context:
        checkpoints_op(settings)(context)
    log = Lake(settings.aws).list("_offset_log/trades/checkpoint/")
    assert [entry.key.rsplit("/", 1)[1] for entry in log] == ["000000000000.json"]
    assert list(Lake(roles.admin.aws).list("_quarantine_attempts/")) == []

    settings = roles.become("query")
    result = location().materialize([athena_asset(settings, VOLATILITY_INTRADAY_TABLE)])
    checks = {c.check_name: c for c in result.get_asset_check_evaluations()}
    assert checks[EQUAL].passed, checks[EQUAL].description
    sql = 'SELECT sum(trade_count) AS n FROM silver."bars_intraday"'
    assert query(settings, Lake(settings.aws), sql)["n"].to_pylist() == [300]

    sql = "SELECT symbol, close FROM silver.\"bars_daily\" WHERE source = 'massive'"
    assert query(settings, Lake(settings.aws), sql).to_pylist() == [{"symbol": "A", "close": 2.0}]

    # The offset log says which rows of bronze count.
    sql = 'SELECT count(*) AS n FROM bronze."trades"'
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
HISTORY = "landing/yahoo/AAA/1d/2024-01-01_2025-01-01.csv"
QUARANTINE, RESULT = "quarantine/trades/x.parquet", "_athena_results/x"
TABLE = table("create_table")
REFUSED = {
    "ingest": [
        *(put(key) for key in (SILVER, GOLD, "other/x")),
        *(get(key) for key in (SILVER, GOLD, RESULT)),
        *(listing("gold/"), ASK, TABLE),
    ],
    "tables": [
        *(put(key) for key in (BRONZE, LOG, QUARANTINE, HISTORY)),
        *(get(key) for key in (QUARANTINE, RESULT)),
        *(ASK, TABLE),
    ],
    "landing": [
        *(put(key) for key in (BRONZE, SILVER, GOLD, LOG, QUARANTINE)),
        *(get(key) for key in (BRONZE, SILVER, GOLD, RESULT)),
        *(delete(HISTORY), listing("gold/"), ASK, TABLE),
    ],
    "catalogue": [
        *(put(key) for key in (BRONZE, GOLD, LOG)),
        *(get(LOG), listing("_offset_log/"), ASK),
    ],
    "crawler": [
        *(put(key) for key in (BRONZE, GOLD)),
        *(get(LOG), ASK, ("glue", "start_crawler", {"Name": "x"})),
    ],
    "query": [
        *(put(key) for key in (BRONZE, SILVER, GOLD, LOG)),
        *(get(key) for key in (QUARANTINE, "_rejected/x")),
        *(listing("quarantine/"), delete(RESULT), TABLE),
    ],
    "dashboard": [
        *(get(key) for key in (SILVER, BRONZE, LOG)),
        *(put(GOLD), listing("silver/"), ASK, TABLE),
        ("glue", "get_tables", {"DatabaseName": "{database}"}),
    ],
    "audit": [*(put(key) for key in (BRONZE, GOLD, LOG, "_rejected/x")), TABLE, ASK],
    "maintenance": [
        *(put(key) for key in (BRONZE, GOLD, LOG)),
        *(delete(key) for key in (RESULT, "_rejected/x", "_probe/x")),
        *(get(GOLD), listing("_athena_results/"), TABLE, ASK),
        ("s3", "list_multipart_uploads", {}),
    ],
}


def test_every_role_is_refused_what_is_not_its_own(roles):
    admin = Lake(roles.admin.aws)
    for key in (LOG, BRONZE, SILVER, GOLD, RESULT, QUARANTINE, HISTORY):
        admin.put(key, b"kept")
    answered = [
        (role, *answer)
        for role, requests in REFUSED.items()
        for answer in allowed(roles, role, requests)
    ]
    assert answered == []
    assert sorted(REFUSED) == [file.stem for file in policy_files()]
    assert {admin.get(key)[0] for key in (LOG, BRONZE, SILVER, GOLD)} == {b"kept"}


def allowed(roles, role, requests):
    """Those of the requests that are not refused for want of permission."""
    settings = roles.become(role)
    names = {"{database}": settings.catalog.database, "{workgroup}": settings.athena.workgroup}
    for service, operation, template in [*requests, *EVERYBODY]:
        arguments = {k: names.get(v, v) if isinstance(v, str) else v for k, v in template.items()}
        if service == "s3":
            arguments["Bucket"] = settings.aws.bucket
        code = refusal(settings.aws, service, operation, **arguments)
        if not code.startswith("AccessDenied"):
            yield operation, arguments, code


def test_bronze_and_the_log_may_be_written_on_aws_only_where_nothing_is(roles):
    statements = policy(roles.admin, "ingest")["Statement"]
    (writes,) = [s for s in statements if s["Sid"] == "WriteOnceWhereNothingIs"]
    assert writes["Condition"] == {"Null": {"s3:if-none-match": "false"}}
    assert writes["Resource"] == [
        f"arn:aws:s3:::{roles.admin.aws.bucket}/{folder}/*" for folder in ("_offset_log", "bronze")
    ]


def test_a_missing_object_is_told_from_a_forbidden_one(roles):
    lake = Lake(roles.become("ingest").aws)
    assert lake.head("bronze/trades/not-there.parquet") is None
    with pytest.raises(ObjectNotFoundError):
        lake.read_footer("bronze/trades/not-there.parquet")
    with pytest.raises(ClientError, match="403"):
        lake.head(GOLD)
