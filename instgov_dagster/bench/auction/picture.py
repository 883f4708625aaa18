"""The bench's one picture: time over size, both logarithmic, as plain SVG."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from instgov_dagster.bench.auction.arrays import Programme
from instgov_dagster.bench.auction.engines import OURS

_WIDTH, _HEIGHT = 1040, 460
_PANELS: Final = (
    ("cpu_seconds", 1.0, "Cold: processor seconds for one auction", 70),
    ("tick_ms_p50", 1e-3, "Second by second: median seconds for a tick", 590),
)
_PLOT_WIDTH, _TOP, _BOTTOM = 300, 60, 400
_LABEL_HEIGHT = 13
_COLOURS: Final = (
    *("#4477aa", "#aa3377", "#228833", "#ccbb44", "#66ccee"),
    *("#997700", "#ee6677", "#555555", "#bbbbbb"),
)
_OURS_COLOUR: Final = "#000000"
#: Said of an engine whose weights break a limit: it is fast at something else.
_BROKEN: Final = " (broken)"

Points = Sequence[tuple[float, float]]


def render_picture(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw the simple programme: one line an engine, ours in black.

    Parameters
    ----------
    rows
        Of `bench_auction`; what is not known is left out.
    """
    simple = [
        {**row, "engine": row["engine"] + (_BROKEN if row["violation"] else "")}
        for row in rows
        if row["programme"] == Programme.SIMPLE.value
    ]
    names = list(dict.fromkeys(row["engine"] for row in simple))
    colours = dict(zip([n for n in names if n != OURS], _COLOURS, strict=False))
    space = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    parts = [
        f'<svg {space} font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for measure, unit, title, left in _PANELS:
        lines = {
            name: [
                (float(row["n"]), unit * float(row[measure]))
                for row in simple
                if row["engine"] == name and row[measure]
            ]
            for name in names
        }
        parts += _panel({k: v for k, v in lines.items() if v}, title, left, colours)
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    lines: Mapping[str, Points], title: str, left: int, colours: Mapping[str, str]
) -> list[str]:
    parts = [f'<text x="{left}" y="30" font-size="14" font-weight="bold">{escape(title)}</text>']
    if not lines:
        return parts
    sizes = sorted({n for line in lines.values() for n, _ in line})
    values = [value for line in lines.values() for _, value in line]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])
    span = max(last - first, 1e-9)

    def x(n: float) -> float:
        return left + _PLOT_WIDTH * (math.log10(n) - first) / span

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (math.log10(value) - low) / (high - low)

    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(_rule(left, at, left + _PLOT_WIDTH, at, "#dddddd"))
        parts.append(_text(left - 8, at + 4, f"{10.0**power:g} s", "end", "#333333"))
    parts += [_text(x(n), _BOTTOM + 18, f"{n:g}", "middle", "#333333") for n in sizes]
    parts.append(_text(left + _PLOT_WIDTH / 2, _BOTTOM + 36, "bids", "middle", "#333333"))
    for name, line in lines.items():
        colour = colours.get(name, _OURS_COLOUR)
        points = [(x(n), y(value)) for n, value in line]
        parts += _line(points, colour, width=3.0 if name == OURS else 1.5)
    ends = sorted(lines, key=lambda name: y(lines[name][-1][1]))
    floor = -math.inf
    for name in ends:
        at = max(y(lines[name][-1][1]) + 4, floor + _LABEL_HEIGHT)
        floor = at
        parts.append(
            _text(left + _PLOT_WIDTH + 10, at, name, "start", colours.get(name, _OURS_COLOUR))
        )
    return parts


def _line(points: Points, colour: str, *, width: float) -> list[str]:
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    dots = [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in points]
    stroke = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
    return [stroke, *dots]


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    start = f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
    return start + escape(text) + "</text>"
