"""Strategies in pictures: their lives as bars over time, their capital under its cap."""

from collections.abc import Mapping
from datetime import date, timedelta

import plotly.graph_objects as go
import polars as pl

from instgov_dagster.dashboard.figures.theme import (
    BLUE,
    GREEN,
    GREY,
    SKY,
    VERMILION,
    figure,
)

_STAGES = {
    "INCUBATING": SKY,
    "SCALING": BLUE,
    "HARVESTING": GREEN,
    "DECOMMISSIONED": GREY,
}
_MS_PER_DAY = 86_400_000
#: A young home is drawn on a month, not on its hours.
_LEAST_DAYS = 30
#: Of the width of the picture, what a bar needs to hold its text.
_LEAST_SHARE = 0.2


def gantt_figure(lives: pl.DataFrame, *, until: date) -> go.Figure:
    """Draw each strategy's stages as bars from start to end; a stage that stands ends today.

    Parameters
    ----------
    lives
        The view ``strategy_lifecycle``: ``strategy_id``, ``stage``, ``start_date``, ``end_date``.
    until
        Where a stage without an end is drawn to; at least one day is.
    """
    born = min(lives["start_date"].to_list(), default=until)
    end = max(until, born + timedelta(days=_LEAST_DAYS))
    bars, width = [], (end - born).days
    for stage, colour in _STAGES.items():
        rows = lives.filter(pl.col("stage") == stage).sort("strategy_id")
        if rows.is_empty():
            continue
        starts, ends = rows["start_date"].to_list(), rows["end_date"].to_list()
        days = [
            max(((last or until) - start).days, 1) for start, last in zip(starts, ends, strict=True)
        ]
        bars.append(
            go.Bar(
                y=rows["strategy_id"].to_list(),
                base=[start.isoformat() for start in starts],
                x=[n * _MS_PER_DAY for n in days],
                orientation="h",
                name=stage,
                marker={"color": colour},
                text=[f"{stage}, {n} d" for n in days],
                textposition=[
                    _text_place(n / width, room=(end - until).days / width if last is None else 0.0)
                    for n, last in zip(days, ends, strict=True)
                ],
                insidetextanchor="middle",
                textangle=0,
                hovertemplate="%{y}: %{text}<extra></extra>",
            )
        )
    n_strategies = lives["strategy_id"].n_unique()
    made = figure(*bars, x_title="date", height=120 + 36 * n_strategies)
    made.update_xaxes(type="date", range=[born.isoformat(), end.isoformat()])
    made.update_layout(barmode="overlay")
    return made


def _text_place(share: float, *, room: float) -> str:
    # A bar too short for its text has it to the right, where there is room; else the table tells.
    if share >= _LEAST_SHARE:
        return "inside"
    return "outside" if room >= _LEAST_SHARE else "none"


def allocation_figure(granted: Mapping[str, float], caps: Mapping[str, float]) -> go.Figure:
    """Draw each strategy's gross grant beside the cap of its stage, both in percent of NAV."""
    names = sorted(caps)
    grant = [100.0 * granted.get(name, 0.0) for name in names]
    ceiling = [caps[name] for name in names]
    colours = [
        VERMILION if value > cap + 1e-9 else BLUE for value, cap in zip(grant, ceiling, strict=True)
    ]
    bars = go.Bar(
        x=names,
        y=grant,
        name="granted",
        marker={"color": colours},
        text=[f"{value:.2f}" for value in grant],
    )
    marks = go.Scatter(
        x=names,
        y=ceiling,
        name="cap of its stage and proof",
        mode="markers",
        marker={"symbol": "line-ew-open", "size": 44, "color": VERMILION, "line": {"width": 3}},
    )
    return figure(bars, marks, y_title="percent of NAV")
