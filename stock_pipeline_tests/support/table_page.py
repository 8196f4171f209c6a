"""`docs/tables.md`: every table and column as the registers describe them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stock_pipeline.lib.columns import Column
from stock_pipeline.lib.formats import FORMATS
from stock_pipeline.lib.schemas import TABLES
from stock_pipeline.settings import project_root

PAGE = project_root() / "docs" / "tables.md"

HEAD = """# Tables

What each table of the lake holds, from the registers in `lib/formats/` and `lib/schemas/`. A
folder names the partition (`year=`, `trade_date=`, `arrival_date=`); that column is not in the
file. All but the columns marked with NULL have a value in every row.
"""


def page() -> str:
    """The page."""
    return "\n".join([HEAD, *_tables(), *_bronze()])


def _tables() -> Iterator[str]:
    for table in TABLES.values():
        yield f"## {table.layer}/{table.name}\n"
        yield f"{table.description}\n"
        yield f"Partition: `{table.partition_column}`. Key: {', '.join(map(_code, table.key))}."
        if table.reads:
            names = (_code(f"{r.table.layer}/{r.table.name}") for r in table.reads)
            yield f"Reads: {', '.join(names)}."
        yield ""
        yield from _columns(table.columns)


def _bronze() -> Iterator[str]:
    for grain in dict.fromkeys(spec.grain for spec in FORMATS.values()):
        formats = [_code(name) for name, spec in FORMATS.items() if spec.grain is grain]
        yield f"## bronze/<feed> of format {', '.join(formats)}\n"
        yield f"Feeds {', '.join(_code(f'silver/{name}') for name in grain.silver)}.\n"
        yield from _columns(grain.columns)


def _columns(columns: Iterable[Column]) -> Iterator[str]:
    yield "| column | type | meaning | unit | must be |\n|---|---|---|---|---|"
    for column in columns:
        kind = f"{column.type}, NULL" if column.nullable else column.type
        must = [column.bounds.must] if column.bounds else []
        must += [f"at most {_code(name)}" for name in column.at_most]
        meaning = column.meaning.replace("|", "\\|")
        yield f"| `{column.name}` | {kind} | {meaning} | {column.unit} | {', '.join(must)} |"
    yield ""


def _code(name: str) -> str:
    return f"`{name}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
