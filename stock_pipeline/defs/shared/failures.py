"""Failures of runs that people can read: one sentence in the place of a client's traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from stock_pipeline.aws.errors import AWS_ERRORS, aws_sentence
from stock_pipeline.kafka.control import KafkaUnavailableError


@contextmanager
def explained(consequence: str) -> Iterator[None]:
    """Turn what AWS or Kafka refuses inside the block into a failure with one sentence.

    Args:
        consequence: What happened to the data, as a clause.

    Raises:
        dg.Failure: One of them refused or could not be reached. Dagster does not retry it: sensors
            and schedules ask again by themselves.
    """
    try:
        yield
    except KafkaUnavailableError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except AWS_ERRORS as error:
        raise dg.Failure(aws_sentence(error, consequence), allow_retries=False) from None
