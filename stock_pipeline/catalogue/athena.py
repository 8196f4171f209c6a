"""Queries on Athena: started, waited for, stopped when nobody waits any more, read as Arrow."""

from __future__ import annotations

import decimal
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError

from stock_pipeline.aws.session import aws_client
from stock_pipeline.errors import UserError
from stock_pipeline.settings import Settings

logger = logging.getLogger(__name__)

FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 5.0
#: The most that GetQueryResults gives, the header included.
PAGE_ROWS = 1000
#: Athena bills at least this much a query.
LEAST_BILLED_BYTES = 10 * 1024**2

_RUNNING = {"QUEUED", "RUNNING"}
_TYPES = {
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "real": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


class AthenaError(UserError):
    """A query did not give a result.

    Attributes:
        query_id: Athena's id of the execution; None where it was refused at once.
        reason: What Athena said.
    """

    def __init__(self, sentence: str, query_id: str | None, reason: str) -> None:
        super().__init__(sentence)
        self.query_id = query_id
        self.reason = reason


class AthenaTimeoutError(AthenaError):
    """A query took longer than allowed and was stopped."""


@dataclass(frozen=True)
class QueryResult:
    """What a query gave.

    Attributes:
        query_id: Athena's id of the execution.
        table: The rows, typed as Athena describes its columns.
        bytes_scanned: As Athena counts.
        usd: Estimate of the price, by `athena.usd_per_tebibyte` and the least that is billed.
        seconds: From start to the last row.
    """

    query_id: str
    table: pa.Table
    bytes_scanned: int
    usd: float
    seconds: float


class AthenaRunner:
    """Runs SQL on the Glue database of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def client(self) -> Any:
        """The boto3 Athena client."""
        return aws_client("athena", self.settings.aws)

    def run(self, sql: str, timeout_seconds: float | None = None) -> QueryResult:
        """Run a query and read all of its rows.

        Whatever interrupts the wait (a timeout, Ctrl-C, a Dagster run that is being terminated)
        also stops the query: Athena bills what a forgotten one scans.

        Args:
            sql: One statement.
            timeout_seconds: `athena.timeout_seconds` by default.

        Raises:
            AthenaTimeoutError: It took too long; it was stopped.
            AthenaError: Athena refused it, it failed, or somebody cancelled it.
        """
        started = time.monotonic()
        limit = self.settings.athena.timeout_seconds if timeout_seconds is None else timeout_seconds
        query_id = self._start(sql)
        try:
            execution = self._wait(query_id, started + limit, limit)
            table = typed_table(self._pages(query_id))
        except BaseException:
            self.stop(query_id)
            raise
        scanned = int(execution.get("Statistics", {}).get("DataScannedInBytes", 0))
        usd = cost_usd(scanned, self.settings.athena.usd_per_tebibyte)
        return QueryResult(query_id, table, scanned, usd, time.monotonic() - started)

    def stop(self, query_id: str) -> None:
        """Stop a query; one that has ended stays as it is.

        An error is logged, not raised: the caller has one of its own to tell about.
        """
        try:
            self.client.stop_query_execution(QueryExecutionId=query_id)
        except (ClientError, BotoCoreError) as error:
            logger.warning("Athena query %s could not be stopped: %s", query_id, error)

    def _start(self, sql: str) -> str:
        try:
            answer = self.client.start_query_execution(
                QueryString=sql,
                WorkGroup=self.settings.athena.workgroup,
                QueryExecutionContext={
                    "Catalog": "AwsDataCatalog",
                    "Database": self.settings.catalog.database,
                },
            )
        except ClientError as error:
            reason = error.response["Error"].get("Message", str(error))
            raise AthenaError(
                f"Athena refused a query in workgroup {self.settings.athena.workgroup}: {reason} "
                "Nothing ran.",
                None,
                reason,
            ) from error
        return str(answer["QueryExecutionId"])

    def _wait(self, query_id: str, deadline: float, limit: float) -> dict[str, Any]:
        pause = FIRST_POLL_SECONDS
        while True:
            answer = self.client.get_query_execution(QueryExecutionId=query_id)
            execution: dict[str, Any] = answer["QueryExecution"]
            status = execution["Status"]
            if status["State"] == "SUCCEEDED":
                return execution
            reason = status.get("StateChangeReason") or "no reason given"
            if status["State"] not in _RUNNING:
                raise AthenaError(
                    f"Athena query {query_id} ended as {status['State']}: {reason}. "
                    "No table was changed.",
                    query_id,
                    reason,
                )
            left = deadline - time.monotonic()
            if left <= 0:
                raise AthenaTimeoutError(
                    f"Athena query {query_id} was {status['State']} after {limit:g} s and was "
                    "stopped; no table was changed. A longer wait: athena.timeout_seconds.",
                    query_id,
                    "timeout",
                )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)

    def _pages(self, query_id: str) -> Iterator[dict[str, Any]]:
        paginator = self.client.get_paginator("get_query_results")
        for page in paginator.paginate(
            QueryExecutionId=query_id, PaginationConfig={"PageSize": PAGE_ROWS}
        ):
            yield page["ResultSet"]


def cost_usd(bytes_scanned: int, usd_per_tebibyte: float) -> float:
    """Estimated price of a query in US dollars."""
    return max(bytes_scanned, LEAST_BILLED_BYTES) / 1024**4 * usd_per_tebibyte


def typed_table(result_sets: Iterator[dict[str, Any]]) -> pa.Table:
    """The pages of GetQueryResults as one table.

    Athena sends all values as text and, in the first page, a header row. Types without an Arrow
    counterpart here (arrays, rows, times with a zone) stay text.
    """
    columns: list[dict[str, Any]] = []
    chunks: list[list[list[str | None]]] = []
    for number, result in enumerate(result_sets):
        columns = result["ResultSetMetadata"]["ColumnInfo"]
        rows = [[datum.get("VarCharValue") for datum in row["Data"]] for row in result["Rows"]]
        if number == 0 and rows and rows[0] == [column["Name"] for column in columns]:
            rows = rows[1:]
        chunks.append(rows)
    arrays = [
        typed_array([row[n] for rows in chunks for row in rows], column["Type"])
        for n, column in enumerate(columns)
    ]
    return pa.Table.from_arrays(arrays, names=[column["Name"] for column in columns])


def typed_array(values: list[str | None], athena_type: str) -> pa.Array:
    """Texts of one column as its Arrow type.

    Raises:
        pyarrow.ArrowInvalid: A text is no value of that type.
    """
    base = athena_type.lower().split("(", 1)[0].strip()
    if base in _CONVERTERS:
        convert, kind = _CONVERTERS[base]
        return pa.array([None if v is None else convert(v) for v in values], kind)
    text = pa.array(values, pa.string())
    return text.cast(_TYPES[base]) if base in _TYPES else text


def _binary(text: str) -> bytes:
    return bytes.fromhex(text)


#: Types that Arrow cannot cast from text: conversion and type (None: found from the values).
_CONVERTERS: dict[str, tuple[Callable[[str], Any], pa.DataType | None]] = {
    "boolean": (lambda text: text.lower() == "true", pa.bool_()),
    "varbinary": (_binary, pa.binary()),
    "decimal": (decimal.Decimal, None),
}
