"""Peak memory of decoding hostile messages of one size, in MiB: `python -m ... FORMAT BYTES`."""

from __future__ import annotations

import sys
from pathlib import Path

from stock_pipeline_tests.fuzz.properties import Subject
from stock_pipeline_tests.support.records import VALID, records


def shapes(format_: str, size: int) -> list[bytes]:
    """Messages of about this size whose parsing takes the most memory."""
    text = VALID[format_].decode()[:-1]
    # A member that is looked at; of a bar the last one that is.
    before = {"bar": f"{text},"}.get(format_, "{")
    member = {
        "alpha_vantage_intraday": "Time Series (1min)",
        "index_daily": "Date",
        "bar": "source",
        "alpha_vantage_news": "feed",
    }
    name = member.get(format_, "symbol")
    deep = "[" * (size // 2) + "]" * (size // 2)
    wide = "[" + "{}," * (size // 3) + "{}]"
    objects = '{"a":' * (size // 6) + "1" + "}" * (size // 6)
    return [
        deep.encode(),
        *(f'{text},"x":{value}}}'.encode() for value in (deep, wide, objects)),
        *(f'{before}"{name}":{value}}}'.encode() for value in (deep, wide, objects)),
    ]


def peak_mebibytes() -> int:
    """The most memory that this process ever held; unlike getrusage, nothing of its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    format_, size = sys.argv[1], int(sys.argv[2])
    hostile: list[bytes | None] = [*shapes(format_, size)]
    decoded = Subject(format_).decode(records([*hostile, VALID[format_]]))
    assert decoded.rows["kafka_offset"].to_pylist()[-1] == len(hostile)
    sys.stdout.write(f"{peak_mebibytes()}\n")
