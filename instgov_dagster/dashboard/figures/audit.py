"""The audit in pictures: how far each chain goes and how much of it is witnessed elsewhere."""

from collections.abc import Mapping

import plotly.graph_objects as go
import polars as pl

from instgov_dagster.dashboard.figures.theme import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    figure,
)

_STATUSES = {
    "drilled": GREEN,
    "never drilled": ORANGE,
    "SILENT": VERMILION,
    "not applicable": GREY,
}


def chains_figure(heads: Mapping[str, tuple[int, str]], anchored: Mapping[str, int]) -> go.Figure:
    """Draw the frames of each chain, those up to its last anchor apart from those after it."""
    names = list(heads)
    covered = [min(anchored.get(name, 0), heads[name][0]) for name in names]
    rest = [heads[name][0] - n for name, n in zip(names, covered, strict=True)]
    bars = (
        go.Bar(y=names, x=covered, orientation="h", name="anchored", marker={"color": BLUE}),
        go.Bar(y=names, x=rest, orientation="h", name="since the anchor", marker={"color": ORANGE}),
    )
    made = figure(*bars, x_title="frames", height=230)
    made.update_layout(barmode="stack")
    return made


def card_figure(card: pl.DataFrame) -> go.Figure:
    """Count the report card's clauses by regulation and by what their control last did."""
    counted = card.group_by("regulation", "status").len().sort("regulation")
    bars = []
    for status, colour in _STATUSES.items():
        rows = counted.filter(pl.col("status") == status)
        if rows.height:
            bars.append(
                go.Bar(
                    y=rows["regulation"].to_list(),
                    x=rows["len"].to_list(),
                    orientation="h",
                    name=status,
                    marker={"color": colour},
                )
            )
    n_rows = card["regulation"].n_unique()
    made = figure(*bars, x_title="clauses", height=130 + 34 * n_rows)
    made.update_layout(barmode="stack")
    return made
