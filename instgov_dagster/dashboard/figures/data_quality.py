"""Data in pictures: which rule fired on which symbol, and how much of the history is there."""

import json
from collections.abc import Mapping

import plotly.graph_objects as go
import polars as pl

from instgov_dagster.dashboard.figures.theme import (
    BLUE,
    GREY,
    SEQUENTIAL,
    VERMILION,
    figure,
)


def penalties(quality: pl.DataFrame) -> dict[str, Mapping[str, float]]:
    """Read from ``data_quality`` what each rule took from each symbol's score, by symbol."""
    return {
        symbol: {rule: float(found["penalty"]) for rule, found in json.loads(flags).items()}
        for symbol, flags in quality.select("symbol", "flags").iter_rows()
    }


def quality_figure(quality: pl.DataFrame) -> go.Figure:
    """Draw the penalty of each rule on each symbol that has any flag, symbol by rule."""
    taken = penalties(quality)
    symbols = sorted((symbol for symbol, rules in taken.items() if rules), reverse=True)
    rules = sorted({rule for found in taken.values() for rule in found})
    grid = [[taken[symbol].get(rule) for rule in rules] for symbol in symbols]
    cells = go.Heatmap(
        z=grid,
        x=rules,
        y=symbols,
        zmin=0.0,
        zmax=0.45,
        colorscale=[list(stop) for stop in SEQUENTIAL],
        xgap=2,
        ygap=2,
        text=[["" if value is None else f"{value:.2f}" for value in row] for row in grid],
        texttemplate="%{text}",
        colorbar={"title": {"text": "penalty"}, "thickness": 14},
        hovertemplate="%{y}: %{x} takes %{z:.3f}<extra></extra>",
    )
    made = figure(cells, has_legend=False, height=max(240, 160 + 26 * len(symbols)))
    made.update_xaxes(side="bottom", tickangle=-25)
    return made


def score_figure(quality: pl.DataFrame, *, invalid_below: float) -> go.Figure:
    """Draw each symbol's quality score, the lowest first, and the line below which it is out."""
    rows = quality.sort(["quality_score", "symbol"])
    scores = rows["quality_score"].to_list()
    bars = go.Bar(
        x=rows["symbol"].to_list(),
        y=scores,
        marker={"color": [VERMILION if score < invalid_below else BLUE for score in scores]},
    )
    made = figure(bars, y_title="quality score, 0 to 1", has_legend=False)
    made.add_hline(y=invalid_below, line={"color": VERMILION, "dash": "dash", "width": 2})
    return made


def coverage_figure(coverage: pl.DataFrame) -> go.Figure:
    """Draw the sessions held of those expected, symbol by symbol, and what is required."""
    rows = coverage.sort("symbol")
    symbols = rows["symbol"].to_list()
    expected = go.Bar(
        x=symbols, y=rows["expected"].to_list(), name="expected", marker={"color": GREY}
    )
    held = go.Bar(
        x=symbols,
        y=rows["rows"].to_list(),
        name="held",
        marker={"color": [BLUE if passes else VERMILION for passes in rows["passes"].to_list()]},
    )
    required = go.Scatter(
        x=symbols,
        y=rows["required"].to_list(),
        name="required",
        mode="markers",
        marker={"symbol": "line-ew-open", "size": 12, "color": VERMILION},
    )
    made = figure(expected, held, required, y_title="sessions")
    made.update_layout(barmode="overlay")
    return made
