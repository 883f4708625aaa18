"""Line, panel and area charts as SVG text, small enough for a page; no model is known here."""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
#: Where a word stands under the axis, in the axis' own unit.
Ticks: TypeAlias = Sequence[tuple[float, str]]

WIDTH, HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 126, 48, 26
#: Left, top, width and height of what a line or area chart plots in.
PLOT = (_LEFT, _TOP, WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM)
_COLUMNS, _PANEL_HEIGHT, _PANEL_GAP = 2, 84, 26
_COLOURS = ("#1f5fa8", "#c2571a", "#2b7a4b", "#8a3b8f", "#8a6d1f", "#5b6470", "#b3261e")
_GRID, _ZERO, _WORDS, _BAND = "#d6dae0", "#5b6470", "#5b6470", "#e6e9ee"
#: A line of more points is thinned evenly to so many.
MOST_POINTS = 448


class _Box(NamedTuple):
    # Where a plot lies on its picture, and the numbers at its edges.
    left: float
    top: float
    width: float
    height: float
    first: float
    last: float
    low: float
    high: float

    def x(self, values: Floats) -> Floats:
        return self.left + (values - self.first) / (self.last - self.first or 1.0) * self.width

    def y(self, values: Floats) -> Floats:
        share = (values - self.low) / (self.high - self.low or 1.0)
        return self.top + (1.0 - share) * self.height

    def path(self, x: Floats, levels: Floats) -> str:
        parts, is_drawing = [], False
        for px, py in zip(self.x(x), self.y(levels), strict=True):
            if math.isfinite(py):
                parts.append(f"{'L' if is_drawing else 'M'}{px:.1f} {py:.1f}")
            is_drawing = math.isfinite(py)
        return "".join(parts)

    def grid(self, levels: Sequence[float]) -> str:
        right = self.left + self.width
        lines = []
        for level, at in zip(levels, self.y(np.array(levels)), strict=True):
            colour = _ZERO if level == 0.0 and self.low < 0.0 else _GRID
            lines.append(
                f'<path d="M{self.left} {at:.1f}H{right}" stroke="{colour}"/>'
                f'<text x="{self.left - 6}" y="{at + 4:.1f}" text-anchor="end">{level:.3g}</text>'
            )
        return "".join(lines)

    def axis(self, ticks: Ticks, *, is_labelled: bool = True) -> str:
        bottom = self.top + self.height
        lines = []
        for value, word in ticks:
            at = float(self.x(np.array([value]))[0])
            lines.append(f'<path d="M{at:.1f} {bottom}v4" stroke="{_ZERO}"/>')
            if is_labelled:
                lines.append(
                    f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">'
                    f"{escape(word)}</text>"
                )
        return "".join(lines)


def round_levels(low: float, high: float, *, most: int = 5) -> tuple[float, ...]:
    """Choose round levels, evenly spaced, of which the first and the last hold the values.

    Parameters
    ----------
    low, high
        The smallest and the largest value; one unit is shown where they are the same.
    most
        Steps of one, two or five times a power of ten are widened until no more are needed.
    """
    high = high if high > low else low + 1.0
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power, 2.0 * power, 5.0 * power, 10.0 * power, 20.0 * power):
        # a value that is a level but for rounding needs no level beyond it
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            break
    return tuple(float(f"{k * step:.12g}") for k in range(first, last + 1))


def _thinned(n: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(np.intp))


def _levels(
    series: Mapping[str, Floats], bounds: tuple[float, float] | None, *, most: int
) -> tuple[float, ...]:
    if bounds is not None:
        return round_levels(*bounds, most=most)
    values = np.concatenate([np.zeros(1), *series.values()])  # zero is always shown
    finite = values[np.isfinite(values)]
    return round_levels(float(finite.min()), float(finite.max()), most=most)


def _frame(title: str, note: str, height: float, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" font-family="sans-serif" font-size="11" role="img">'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/><title>{escape(title)}</title>'
        f'<text x="{_LEFT}" y="17" font-size="13">{escape(title)}</text>'
        f'<text x="{_LEFT}" y="33" fill="{_WORDS}">{escape(note)}</text>{body}</svg>'
    )


def _legend(colours: Mapping[str, str]) -> str:
    rows = []
    for k, (name, colour) in enumerate(colours.items()):
        at = _TOP + 10 + 16 * k
        rows.append(
            f'<rect x="{WIDTH - _RIGHT + 14}" y="{at - 8}" width="10" height="10" fill="{colour}"/>'
            f'<text x="{WIDTH - _RIGHT + 30}" y="{at + 1}">{escape(name)}</text>'
        )
    return "".join(rows)


def _whole(x: Floats, levels: Sequence[float]) -> _Box:
    width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    return _Box(_LEFT, _TOP, width, height, float(x[0]), float(x[-1]), levels[0], levels[-1])


def _line(box: _Box, x: Floats, levels: Floats, colour: str) -> str:
    path = box.path(x, levels)
    return f'<path d="{path}" fill="none" stroke-width="1.5" stroke="{colour}"/>'


def line_chart(
    title: str,
    x: Floats,
    series: Mapping[str, Floats],
    *,
    note: str,
    ticks: Ticks,
    band: float = 0.0,
) -> str:
    """Draw lines around zero over one axis; where a value is not finite the line is broken.

    Parameters
    ----------
    x, series
        Shape ``(n,)`` each, at least one point.
    note
        What stands on the axes.
    ticks
        Words under the axis.
    band
        Half the height of a grey band around zero, none unless told.
    """
    keep = _thinned(x.shape[0])
    shown = {name: line[keep] for name, line in series.items()}
    box = _whole(x, levels := _levels({**shown, "": np.array([-band, band])}, None, most=6))
    top, bottom = box.y(np.array([band, -band]))
    grey = (
        f'<rect x="{box.left}" y="{top:.1f}" width="{box.width}" height="{bottom - top:.1f}"'
        f' fill="{_BAND}"/>'
    )
    colours = {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(shown)}
    lines = "".join(_line(box, x[keep], line, colours[name]) for name, line in shown.items())
    body = (grey if band > 0.0 else "") + box.grid(levels) + box.axis(ticks) + lines
    return _frame(title, note, HEIGHT, body + _legend(colours))


def panel_chart(
    title: str,
    x: Floats,
    series: Mapping[str, Floats],
    *,
    note: str,
    ticks: Ticks,
    bounds: tuple[float, float] | None = None,
) -> str:
    """Draw each line in a panel of its own, all over the same axes.

    Parameters
    ----------
    x, series, note, ticks
        As in :func:`line_chart`.
    bounds
        Lowest and highest level; those of the values and zero unless told.
    """
    keep = _thinned(x.shape[0])
    shown = {name: line[keep] for name, line in series.items()}
    levels = _levels(shown, bounds, most=4)
    rows = -(-len(shown) // _COLUMNS)
    width = (WIDTH - _COLUMNS * _LEFT - 24) / _COLUMNS
    body = ""
    for k, (name, line) in enumerate(shown.items()):
        row, column = divmod(k, _COLUMNS)
        left, top = _LEFT + column * (width + _LEFT), _TOP + 8 + row * (_PANEL_HEIGHT + _PANEL_GAP)
        ends = float(x[0]), float(x[-1]), levels[0], levels[-1]
        box = _Box(left, top, width, _PANEL_HEIGHT, *ends)
        is_lowest = k + _COLUMNS >= len(shown)
        body += (
            f'<text x="{left}" y="{top - 5}" font-weight="bold">{escape(name)}</text>'
            f"{box.grid(levels)}{box.axis(ticks, is_labelled=is_lowest)}"
            f"{_line(box, x[keep], line, _COLOURS[0])}"
        )
    return _frame(title, note, _TOP + rows * (_PANEL_HEIGHT + _PANEL_GAP) + 12, body)


def area_chart(
    title: str,
    x: Floats,
    shares: Mapping[str, Floats],
    *,
    note: str,
    ticks: Ticks,
    colours: Mapping[str, str],
) -> str:
    """Stack shares that sum to one, the first at the bottom, each in the colour it is told."""
    keep = _thinned(x.shape[0])
    box = _whole(x, levels := (0.0, 0.25, 0.5, 0.75, 1.0))
    base = np.zeros(keep.shape[0])
    body = ""
    for name, share in shares.items():
        top = base + share[keep]
        lower = box.path(x[keep][::-1], base[::-1]).replace("M", "L", 1)
        body += f'<path d="{box.path(x[keep], top)}{lower}Z" fill="{colours[name]}"/>'
        base = top
    upward = {name: colours[name] for name in reversed([*shares])}
    return _frame(title, note, HEIGHT, box.grid(levels) + body + box.axis(ticks) + _legend(upward))


def points_text(labels: Sequence[str | float], series: Mapping[str, Floats]) -> str:
    """Write what a chart draws as JSON, for whoever draws it anew: ``x`` and ``series``.

    Parameters
    ----------
    labels
        How each point of the axis is called: an ISO date or a number, shape ``(n,)``.
    series
        Shape ``(n,)`` each; what is not finite is null.
    """
    keep = _thinned(len(labels))
    shown = {
        name: [float(f"{v:.6g}") if np.isfinite(v) else None for v in line[keep]]
        for name, line in series.items()
    }
    told = {"x": [labels[k] for k in keep], "series": shown}
    return json.dumps(told, separators=(",", ":"), allow_nan=False)
