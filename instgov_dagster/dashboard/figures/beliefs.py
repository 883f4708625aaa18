"""Beliefs in pictures: the regime and its matrix, how models age, how right they were."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from instgov_dagster.dashboard.figures.theme import (
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    SEQUENTIAL,
    VERMILION,
    figure,
)

_DASHES = ("solid", "dot", "dash", "longdash", "dashdot", "longdashdot")
_REGIMES = {"NORMAL": GREEN, "VOLATILE": ORANGE, "CRISIS": VERMILION}


def curves_figure(points: str, *, x_title: str, y_title: str, is_level: bool = False) -> go.Figure:
    """Draw the curves of a night's picture.

    Parameters
    ----------
    points
        ``belief_pictures.points``: ``x`` as ISO dates or numbers, ``series`` by name.
    is_level
        The first series is what was stated: it is drawn as a thin grey line to compare with.
    """
    told: Mapping[str, Any] = json.loads(points)
    lines = []
    for k, (name, values) in enumerate(told["series"].items()):
        is_reference = is_level and k == 0
        line = (
            {"color": GREY, "dash": "dash", "width": 1}
            if is_reference
            else {"color": PALETTE[k % len(PALETTE)], "dash": _DASHES[k % len(_DASHES)], "width": 2}
        )
        lines.append(go.Scatter(x=told["x"], y=values, name=name, mode="lines", line=line))
    return figure(*lines, x_title=x_title, y_title=y_title)


def regime_figure(points: str) -> go.Figure:
    """Stack the filtered probabilities of the regimes by session; they sum to one."""
    told: Mapping[str, Any] = json.loads(points)
    areas = [
        go.Scatter(
            x=told["x"],
            y=values,
            name=name,
            mode="lines",
            stackgroup="regime",
            line={"width": 0.5, "color": _REGIMES.get(name, GREY)},
        )
        for name, values in told["series"].items()
    ]
    made = figure(*areas, x_title="session", y_title="probability")
    made.update_yaxes(range=[0, 1])
    return made


def transition_figure(matrix: Sequence[float], names: Sequence[str]) -> go.Figure:
    """Draw the matrix of transitions a session, row from, column to; each row sums to one.

    Raises
    ------
    ValueError
        If the matrix is not square in the names.
    """
    n = len(names)
    if len(matrix) != n * n:
        raise ValueError(f"matrix must have {n * n} entries, had {len(matrix)}")
    grid = [list(matrix[row * n : (row + 1) * n]) for row in range(n)]
    cells = go.Heatmap(
        z=grid,
        x=list(names),
        y=list(names),
        zmin=0.0,
        zmax=1.0,
        colorscale=[list(stop) for stop in SEQUENTIAL],
        text=[[f"{value:.4f}" for value in row] for row in grid],
        texttemplate="%{text}",
        showscale=False,
        xgap=2,
        ygap=2,
    )
    made = figure(cells, x_title="to", y_title="from", has_legend=False, height=300)
    made.update_yaxes(autorange="reversed")
    return made


def scores_figure(scores: pl.DataFrame, metric: str) -> go.Figure:
    """Draw one metric of ``model_evaluation`` by model, with a 95 % interval of its own error."""
    rows = scores.filter(pl.col("metric") == metric).drop_nulls("value").sort("model_id")
    errors = [1.96 * (error or 0.0) for error in rows["standard_error"].to_list()]
    dots = go.Scatter(
        x=rows["model_id"].to_list(),
        y=rows["value"].to_list(),
        mode="markers",
        error_y={"type": "data", "array": errors, "thickness": 2},
        marker={"size": 10, "color": PALETTE[0]},
    )
    made = figure(dots, y_title=metric.replace("_", " "), has_legend=False, height=280)
    made.add_hline(y=0.0, line={"color": GREY, "width": 1})
    return made
