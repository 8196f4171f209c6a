"""Failures of runs that people can read: one sentence in the place of a client's traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.errors import InternalError, StockPipelineError


@contextmanager
def explained(consequence: str) -> Iterator[None]:
    """Turn what we foresaw to go wrong inside the block into a failure with one sentence.

    A bug keeps its traceback.

    Args:
        consequence: What happened to the data when AWS refused, as a clause.

    Raises:
        dg.Failure: Dagster does not retry it: sensors and schedules ask again by themselves.
    """
    try:
        yield
    except InternalError:
        raise
    except StockPipelineError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except AWS_ERRORS as error:
        raise dg.Failure(aws_sentence(error, consequence), allow_retries=False) from None
