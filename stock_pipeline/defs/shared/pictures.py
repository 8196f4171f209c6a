"""Pictures and tables for the UI: a few rows as Markdown, a line chart as inline SVG."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from stock_pipeline.lib.plain_text import markdown
from stock_pipeline.lib.schemas import Chart

if TYPE_CHECKING:
    import pyarrow as pa

Drawn = TypeVar("Drawn", bound="str | None")

logger = logging.getLogger(__name__)

WIDTH, HEIGHT, MARGIN = 480, 120, 4
#: Points of a line: each materialization stores its chart, so it stays below a kilobyte.
MOST_POINTS = 60


def shown(what: str, draw: Callable[..., Drawn], *values: Any) -> Drawn | str:
    """A picture; in its place a sentence when it holds a value that cannot be shown.

    Arrow keeps more than Python does, for example a timestamp past the year 9999. What is pictured
    is kept already, so a picture that breaks is told of and breaks no run.

    Args:
        what: The picture's name, for the sentence.
        draw: Makes it of the values.
        values: Passed to `draw`.
    """
    try:
        return draw(*values)
    except Exception as error:
        logger.exception("the %s cannot be shown", what)
        reason = markdown(f"{type(error).__name__}: {error}")
        return f"The {what} cannot be shown ({reason}); the data is kept as it is."


def preview(table: pa.Table, rows: int = 5) -> str:
    """The last rows as Markdown, floats with six digits."""
    return markdown_table(_rounded(table.slice(max(0, table.num_rows - rows))))


def chart(axes: Chart | None, table: pa.Table) -> str | None:
    """One symbol's line as a Markdown image; None where there are not two points, or no line.

    Args:
        axes: What to draw.
        table: Rows of one partition, sorted by the table's key.
    """
    import pyarrow.compute as pc

    if axes is None or not table.num_rows:
        return None
    time, value = axes.time, axes.value
    symbol = table["symbol"][0].as_py()
    picked = pc.field("symbol") == symbol
    for column in axes.series:
        first = table.filter(picked).slice(0, 1)[column][0].as_py()
        picked &= pc.field(column) == first
    line = table.filter(picked).select([time, value]).drop_null().sort_by(time)
    values = line[value].to_pylist()
    if len(values) < 2:
        return None
    span = f"{line[time][0]} to {line[time][-1]}"
    title = f"{markdown(symbol)} {value}, {span}: {min(values):.6g} to {max(values):.6g}"
    return f"![{title}]({svg_uri(values)})\n\n{title}"


def svg_uri(values: Sequence[float]) -> str:
    """A line through the values as a `data:` address of an SVG image."""
    step = max(1, -(-len(values) // MOST_POINTS))
    points = list(values[::step])
    low, high = min(points), max(points)
    across = (WIDTH - 2 * MARGIN) / max(1, len(points) - 1)
    up = (HEIGHT - 2 * MARGIN) / ((high - low) or 1.0)
    line = " ".join(
        f"{MARGIN + i * across:.0f},{HEIGHT - MARGIN - (value - low) * up:.0f}"
        for i, value in enumerate(points)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}"><polyline fill="none" stroke="#4f43dd" '
        f'stroke-width="2" points="{line}"/></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _rounded(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    def short(value: Any) -> str:
        if value is None:
            return ""
        return f"{value:.6g}" if isinstance(value, float) else str(value)

    return pa.table(
        {name: [short(v) for v in table[name].to_pylist()] for name in table.column_names}
    )


def markdown_table(table: pa.Table) -> str:
    """A small table as Markdown; no value breaks out of its cell or acts as markup."""
    lines = [
        "| " + " | ".join(table.column_names) + " |",
        "|" + "---|" * len(table.column_names),
    ]
    for row in table.to_pylist():
        cells = ["" if v is None else markdown(str(v)) for v in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
