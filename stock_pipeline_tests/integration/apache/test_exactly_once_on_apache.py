"""I1 to I7 over random histories, with Apache Kafka in the place of the modelled broker.

Few histories, since each step is a request: STOCK_PIPELINE_APACHE_HISTORIES asks for more.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from stock_pipeline_tests.integration.apache.real_topic import Broker, RealReader, RealTopic
from stock_pipeline_tests.support.exactly_once import OffsetLogMachine

HISTORIES = int(os.environ.get("STOCK_PIPELINE_APACHE_HISTORIES") or 12)


def test_every_offset_has_one_fate_whatever_happens_to_us_or_to_the_topic(broker):
    class Machine(OffsetLogMachine):
        def _new_topic(self, partitions: int, life: int) -> RealTopic:
            if life == 1:
                self.broker = Broker(broker)
            return RealTopic(self.broker, partitions, life)

        def _new_reader(self, expire: int) -> Any:
            assert isinstance(self.topic, RealTopic)
            return RealReader(self.topic, expire)

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                if hasattr(self, "broker"):
                    self.broker.close()

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=20,
            deadline=None,
            database=None,
            # Shrinking would take longer than reading a long history.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
