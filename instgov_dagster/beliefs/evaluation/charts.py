"""Line and area charts as SVG text, small enough to stand inside a page; no model is known here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 150, 30, 28
_COLOURS = ("#1f5fa8", "#c2571a", "#2b7a4b", "#8a3b8f", "#8a6d1f", "#5b6470", "#b3261e")
_POINTS = 320


def _x(values: Floats, low: float, high: float) -> Floats:
    span = high - low or 1.0
    return _LEFT + (values - low) / span * (WIDTH - _LEFT - _RIGHT)


def _y(values: Floats, low: float, high: float) -> Floats:
    span = high - low or 1.0
    return HEIGHT - _BOTTOM - (values - low) / span * (HEIGHT - _TOP - _BOTTOM)


def _path(x: Floats, y: Floats) -> str:
    held = np.isfinite(y)
    parts, is_drawing = [], False
    for px, py, ok in zip(x, y, held, strict=True):
        if ok:
            parts.append(f"{'L' if is_drawing else 'M'}{px:.1f} {py:.1f}")
        is_drawing = bool(ok)
    return "".join(parts)


def _thinned(n: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n - 1, min(n, _POINTS)).round().astype(np.intp))


def _frame(title: str, ticks: Sequence[str], low: float, high: float, body: str) -> str:
    right = WIDTH - _RIGHT
    lines = []
    for share in (0.0, 0.5, 1.0):
        level = low + share * (high - low)
        at = HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)
        lines.append(
            f'<path d="M{_LEFT} {at:.1f}H{right}" stroke="#d6dae0"/>'
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{level:.3g}</text>'
        )
    for k, tick in enumerate(ticks):
        at = _LEFT + k / max(len(ticks) - 1, 1) * (right - _LEFT)
        anchor = "start" if k == 0 else "end" if k == len(ticks) - 1 else "middle"
        lines.append(
            f'<text x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{escape(tick)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" font-family="sans-serif" font-size="11" role="img">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/><title>{escape(title)}</title>'
        f'<text x="{_LEFT}" y="18" font-size="13">{escape(title)}</text>'
        f"{''.join(lines)}{body}</svg>"
    )


def _legend(names: Sequence[str]) -> str:
    rows = []
    for k, name in enumerate(names):
        at = _TOP + 10 + 16 * k
        rows.append(
            f'<rect x="{WIDTH - _RIGHT + 12}" y="{at - 8}" width="10" height="10"'
            f' fill="{_COLOURS[k % len(_COLOURS)]}"/>'
            f'<text x="{WIDTH - _RIGHT + 28}" y="{at + 1}">{escape(name)}</text>'
        )
    return "".join(rows)


def line_chart(
    title: str,
    x: Floats,
    series: Mapping[str, Floats],
    *,
    ticks: Sequence[str],
    bounds: tuple[float, float] | None = None,
) -> str:
    """Draw lines over one axis; where a value is not finite the line is broken.

    Parameters
    ----------
    x, series
        Shape ``(n,)`` each, at least one point.
    ticks
        Words under the axis, evenly spaced.
    bounds
        Lowest and highest level; those of the values unless told.
    """
    keep = _thinned(x.shape[0])
    values = {name: line[keep] for name, line in series.items()}
    finite = np.concatenate([line[np.isfinite(line)] for line in values.values()] or [np.zeros(1)])
    found = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low, high = bounds or found
    at = _x(x[keep], float(x[0]), float(x[-1]))
    body = "".join(
        f'<path d="{_path(at, _y(line, low, high))}" fill="none" stroke-width="1.5"'
        f' stroke="{_COLOURS[k % len(_COLOURS)]}"/>'
        for k, line in enumerate(values.values())
    )
    return _frame(title, ticks, low, high, body + _legend(list(values)))


def area_chart(title: str, x: Floats, shares: Mapping[str, Floats], *, ticks: Sequence[str]) -> str:
    """Stack shares that sum to one, the first at the bottom."""
    keep = _thinned(x.shape[0])
    at = _x(x[keep], float(x[0]), float(x[-1]))
    base = np.zeros(keep.shape[0])
    body = ""
    for k, share in enumerate(shares.values()):
        top = base + share[keep]
        upper = _path(at, _y(top, 0.0, 1.0))
        lower = _path(at[::-1], _y(base[::-1], 0.0, 1.0)).replace("M", "L", 1)
        body += f'<path d="{upper}{lower}Z" fill="{_COLOURS[k % len(_COLOURS)]}"/>'
        base = top
    return _frame(title, ticks, 0.0, 1.0, body + _legend(list(shares)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """What a picture draws: named lines, or shares that sum to one, over one axis.

    Attributes
    ----------
    x, series
        Shape ``(n,)`` each, at least one point.
    labels
        How each ``x`` is called by whoever draws it anew: an ISO date or a number.
    ticks
        Words under the axis, evenly spaced.
    bounds
        Lowest and highest level; those of the values where None.
    is_stacked
        The series are shares, stacked on one another.
    """

    title: str
    x: Floats
    labels: Sequence[str | float]
    series: Mapping[str, Floats]
    ticks: Sequence[str]
    bounds: tuple[float, float] | None = None
    is_stacked: bool = False

    def svg(self) -> str:
        """Draw them."""
        if self.is_stacked:
            return area_chart(self.title, self.x, self.series, ticks=self.ticks)
        return line_chart(self.title, self.x, self.series, ticks=self.ticks, bounds=self.bounds)

    def points(self) -> str:
        """Write the points drawn as JSON: ``x`` and ``series``; what is unknown is null."""
        keep = _thinned(self.x.shape[0])
        series = {
            name: [float(f"{v:.6g}") if np.isfinite(v) else None for v in line[keep]]
            for name, line in self.series.items()
        }
        told = {"x": [self.labels[k] for k in keep], "series": series}
        return json.dumps(told, separators=(",", ":"), allow_nan=False)
