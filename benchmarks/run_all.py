"""Runs every benchmark in a process of its own and writes the numbers into the README.

A benchmark is a module here with `main() -> list[...]` that prints what it returns as its last line
of JSON; each entry is a `benchmarks.figures.figure`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import machine, sentence

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "measurements" / "bench.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
COMMAND = "make bench"


class BenchmarkError(Exception):
    """A benchmark ended without a result."""


def run() -> int:
    """Run all, or those named on the command line; exit code 1 when one failed or missed."""
    names = sys.argv[1:] or benchmarks(Path(__file__).parent)
    results: list[dict[str, object]] = []
    failures: list[str] = []
    for name in names:
        sys.stderr.write(f"== {name}\n")
        try:
            measured = measure(name)
        except BenchmarkError as error:
            failures.append(str(error))
            sys.stderr.write(f"{error}\n")
            continue
        results += measured
        for entry in measured:
            sys.stderr.write(f"{_row(entry)}\n")
    if sys.argv[1:]:
        sys.stderr.write("Not all were run: the README keeps its numbers.\n")
    elif not failures:
        report: dict[str, object] = {"machine": machine(), "command": COMMAND, "results": results}
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        README.write_text(
            with_section(README.read_text(encoding="utf-8"), table(report)), encoding="utf-8"
        )
    return 1 if failures or not all(entry["holds"] for entry in results) else 0


def benchmarks(folder: Path) -> list[str]:
    """Names of the modules that are benchmarks; a soak's `main` returns an exit code."""
    return sorted(
        file.stem
        for file in folder.glob("*.py")
        if "\ndef main() -> list[" in file.read_text(encoding="utf-8")
    )


def measure(name: str) -> list[dict[str, object]]:
    """Run one benchmark; its process starts without the memory of the one before.

    Raises:
        BenchmarkError: It failed, or printed no result.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise BenchmarkError(f"Benchmark {name} failed with exit code {done.returncode}.")
    try:
        results = json.loads(lines[-1])
    except json.JSONDecodeError as error:
        raise BenchmarkError(f"Benchmark {name} printed no JSON in its last line.") from error
    return results if isinstance(results, list) else [results]


def table(report: dict[str, object]) -> str:
    """The results as a Markdown table, with the machine and the command above it."""
    of, results = report["machine"], report["results"]
    assert isinstance(of, dict)
    assert isinstance(results, list)
    return "\n".join(
        [
            f"Measured on {sentence(of)}, by `{report['command']}`:",
            "",
            "| what | measured | budget | holds |",
            "|---|---|---|---|",
            *map(_row, results),
        ]
    )


def with_section(text: str, section: str) -> str:
    """The text with what stands between the markers replaced.

    Raises:
        BenchmarkError: A marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchmarkError(f"README.md has no section between {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def _row(entry: dict[str, object]) -> str:
    value = entry["value"]
    shown = f"{value:,}" if isinstance(value, int | float) else str(value)
    holds = "yes" if entry["holds"] else "**no**"
    return f"| {entry['name']} | {shown} {entry['unit']} | {entry['budget']} | {holds} |"


if __name__ == "__main__":
    raise SystemExit(run())
