"""Line charts as SVG, without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, GAP = 760, 150, 80, 34, 46
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")

Series = Sequence[tuple[float, float | None]]


def chart(panels: Mapping[str, Mapping[str, Series]], x_title: str) -> str:
    """Panels below each other with a common x axis.

    Args:
        panels: Title to lines; a line is its name and (x, y) points, None where there is no value.
        x_title: Name and unit of the x axis.
    """
    points = [p for lines in panels.values() for line in lines.values() for p in line]
    x_most = max((x for x, _ in points), default=1.0) or 1.0
    total = TOP + len(panels) * (HEIGHT + GAP)
    size = f'width="{LEFT + WIDTH + 20}" height="{total}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for index, (title, lines) in enumerate(panels.items()):
        top = TOP + index * (HEIGHT + GAP)
        parts += _panel(title, lines, top, x_most)
    parts.append(
        f'<text x="{LEFT + WIDTH}" y="{total - 8}" text-anchor="end">'
        f"{escape(x_title)}: 0 to {x_most:g}</text></svg>"
    )
    return "\n".join(parts) + "\n"


def _panel(title: str, lines: Mapping[str, Series], top: int, x_most: float) -> list[str]:
    values = [y for line in lines.values() for _, y in line if y is not None]
    y_most = max(values, default=1.0) or 1.0
    bottom = top + HEIGHT
    parts = [
        f'<text x="{LEFT}" y="{top - 18}" font-weight="bold">{escape(title)}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{y_most:,.4g}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
    ]
    x_name = LEFT
    for colour, (name, line) in zip(COLOURS * 4, lines.items(), strict=False):
        parts.append(f'<text x="{x_name}" y="{top - 4}" fill="{colour}">{escape(name)}</text>')
        x_name += 8 * len(name) + 16
        for stretch in _stretches(line):
            drawn = " ".join(
                f"{LEFT + WIDTH * x / x_most:.1f},{bottom - HEIGHT * y / y_most:.1f}"
                for x, y in stretch
            )
            parts.append(
                f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            )
    return parts


def _stretches(line: Series) -> list[list[tuple[float, float]]]:
    """Runs of points with a value: a gap in the data is a gap in the line."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for x, y in line:
        if y is None:
            stretches.append([])
        else:
            stretches[-1].append((x, y))
    return [stretch for stretch in stretches if stretch]
