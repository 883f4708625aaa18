"""Execution in pictures: what orders were said to cost, what they cost, what became of them."""

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

_STATES = {
    "PLANNED": GREY,
    "RESTING": ORANGE,
    "PARTIALLY_FILLED": BLUE,
    "FILLED": GREEN,
    "CANCELLED": VERMILION,
    "REJECTED": VERMILION,
}


def cost_figure(costs: pl.DataFrame) -> go.Figure:
    """Set each filled order's realised cost against the predicted one, basis points.

    Parameters
    ----------
    costs
        ``execution_costs``; orders without a fill have no realised cost and no dot.
    """
    done = costs.drop_nulls("realised_cost_bps")
    said = done["predicted_cost_bps"].to_list()
    dots = go.Scatter(
        x=said,
        y=done["realised_cost_bps"].to_list(),
        mode="markers",
        name="orders",
        text=[f"{symbol} {side}" for symbol, side in done.select("symbol", "side").iter_rows()],
        hovertemplate="%{text}: said %{x:.2f}, was %{y:.2f} bps<extra></extra>",
        marker={"color": BLUE, "size": 9, "opacity": 0.8},
    )
    top = max(said, default=1.0)
    diagonal = go.Scatter(
        x=[0.0, top],
        y=[0.0, top],
        mode="lines",
        name="as predicted",
        line={"color": GREY, "dash": "dash"},
    )
    return figure(dots, diagonal, x_title="predicted cost, bps", y_title="realised cost, bps")


def last_states(orders: pl.DataFrame) -> pl.DataFrame:
    """Give the last state of each order: ``status``, ``orders``, the most frequent first."""
    last = orders.group_by("client_order_id", maintain_order=True).last()
    counted = last.group_by("status").agg(pl.len().alias("orders"))
    return counted.sort(["orders", "status"], descending=[True, False])


def states_figure(states: pl.DataFrame) -> go.Figure:
    """Draw how many orders ended in each state; ``states`` is what `last_states` gives."""
    names = states["status"].to_list()
    bars = go.Bar(
        x=names,
        y=states["orders"].to_list(),
        marker={"color": [_STATES.get(name, GREY) for name in names]},
        text=states["orders"].to_list(),
        textposition="auto",
    )
    return figure(bars, y_title="orders", has_legend=False, height=280)
