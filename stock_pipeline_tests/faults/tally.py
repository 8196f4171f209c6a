"""What this test session did to the pipeline, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Tally:
    """Counts over all tests of a session.

    Attributes:
        kills: Processes ended by SIGKILL.
        pauses: Processes stopped by SIGSTOP while a rival went on.
        faults: Requests that were refused, cut, delayed or left without an answer.
        records: Records whose fate was checked, offset by offset.
        lost: Offsets of these that are neither row nor reject nor counted hole or loss.
        doubled: Offsets of these that are there twice.
    """

    kills: int = 0
    pauses: int = 0
    faults: int = 0
    records: int = 0
    lost: int = 0
    doubled: int = 0

    def sentence(self) -> str:
        """All in one line."""
        return (
            f"kills {self.kills:,}, pauses {self.pauses:,}, faults {self.faults:,}, "
            f"records {self.records:,}, lost {self.lost:,}, doubled {self.doubled:,}"
        )


TALLY = Tally()
