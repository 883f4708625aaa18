"""Decisions in pictures: when, what, why not, and how many came how far."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import polars as pl

from instgov_dagster.dashboard.figures.theme import (
    BLUE,
    DECISION_COLOURS,
    ORANGE,
    VERMILION,
    figure,
)

#: Verdicts after which nothing is bought: their reasons are what kept the system out.
REFUSED = ("REJECT", "VETO", "INELIGIBLE", "REDUCE")
#: Codes that say how things are; they keep nothing out.
_STANDING_CODES = ("CLASSIFIED", "HISTORY_SUFFICIENT", "HISTORY_SHORT_OF_NOMINAL", "DATA_VALID")


def timeline_figure(decisions: pl.DataFrame) -> go.Figure:
    """Draw the verdict on each symbol in each cycle, one coloured cell each.

    Parameters
    ----------
    decisions
        ``cycle_id``, ``symbol`` and ``decision`` in the order they were made.
    """
    words = list(DECISION_COLOURS)
    cycles = decisions["cycle_id"].unique(maintain_order=True).to_list()
    symbols = sorted(decisions["symbol"].unique().to_list(), reverse=True)
    held = {
        (symbol, cycle): words.index(word)
        for cycle, symbol, word in decisions.select("cycle_id", "symbol", "decision").iter_rows()
    }
    steps = len(words)
    scale = [
        stop
        for k, colour in enumerate(DECISION_COLOURS.values())
        for stop in ([k / steps, colour], [(k + 1) / steps, colour])
    ]
    cells = go.Heatmap(
        z=[[held.get((symbol, cycle)) for cycle in cycles] for symbol in symbols],
        x=[cycle.rsplit("-", 1)[-1] for cycle in cycles],
        y=symbols,
        zmin=-0.5,
        zmax=steps - 0.5,
        colorscale=scale,
        xgap=1 if len(cycles) <= 120 else 0,
        ygap=1,
        colorbar={"tickvals": list(range(steps)), "ticktext": words, "thickness": 14},
        hovertemplate="%{y} in cycle %{x}<extra></extra>",
    )
    made = figure(cells, x_title="cycle", has_legend=False, height=120 + 15 * len(symbols))
    made.update_xaxes(type="category", nticks=12)
    made.update_yaxes(tickmode="array", tickvals=symbols, tickfont={"size": 10})
    return made


def verdicts_figure(decisions: pl.DataFrame) -> go.Figure:
    """Stack the counts of each verdict, cycle by cycle; they sum to the symbols."""
    cycles = decisions["cycle_id"].unique(maintain_order=True)
    counted = decisions.group_by("cycle_id", "decision").len()
    bars = []
    for word, colour in DECISION_COLOURS.items():
        mine = dict(
            counted.filter(pl.col("decision") == word).select("cycle_id", "len").iter_rows()
        )
        if mine:
            bars.append(
                go.Bar(
                    x=[cycle.rsplit("-", 1)[-1] for cycle in cycles],
                    y=[mine.get(cycle, 0) for cycle in cycles],
                    name=word,
                    marker={"color": colour, "line": {"width": 0}},
                )
            )
    made = figure(*bars, x_title="cycle", y_title="symbols")
    made.update_layout(barmode="stack", bargap=0.0)
    made.update_xaxes(type="category", nticks=12)
    return made


def refusals(decisions: pl.DataFrame) -> pl.DataFrame:
    """Count the reasons for which nothing was bought: ``reason_code``, ``count``, ``share``.

    ``share`` is cumulative, of all reasons counted, the most frequent first.
    """
    told = (
        decisions.filter(pl.col("decision").is_in(REFUSED))
        .select(pl.col("reason_codes").alias("reason_code"))
        .explode("reason_code")
        .filter(~pl.col("reason_code").is_in(_STANDING_CODES))
    )
    counted = told.group_by("reason_code").agg(pl.len().alias("count"))
    ordered = counted.sort(["count", "reason_code"], descending=[True, False])
    return ordered.with_columns((pl.col("count").cum_sum() / pl.col("count").sum()).alias("share"))


def pareto_figure(counted: pl.DataFrame) -> go.Figure:
    """Draw the reasons of `refusals` as a Pareto chart: bars, and their cumulative share."""
    codes = counted["reason_code"].to_list()
    bars = go.Bar(x=codes, y=counted["count"].to_list(), name="times", marker={"color": BLUE})
    line = go.Scatter(
        x=codes,
        y=counted["share"].to_list(),
        name="cumulative share",
        yaxis="y2",
        mode="lines+markers",
        line={"color": ORANGE},
    )
    made = figure(bars, line, y_title="times said", height=380)
    made.update_layout(
        yaxis2={"overlaying": "y", "side": "right", "range": [0, 1.05], "tickformat": ".0%"},
        margin={"l": 64, "r": 64, "t": 12, "b": 120},
    )
    return made


def funnel_figure(stages: Sequence[tuple[str, int]]) -> go.Figure:
    """Draw how many came how far, the first stage the widest."""
    bars = go.Funnel(
        y=[name for name, _ in stages],
        x=[count for _, count in stages],
        marker={"color": BLUE},
        textinfo="value+percent initial",
    )
    return figure(bars, has_legend=False, height=90 + 44 * len(stages))


def headroom_figure(gates: Sequence[tuple[str, float]], limits: Mapping[str, float]) -> go.Figure:
    """Draw what one decision left of each gate's limit: 1 all of it, below 0 a breach.

    Parameters
    ----------
    gates
        Name and headroom in the gate's own unit.
    limits
        The gates' limits in the same units; a gate without one is not drawn.
    """
    names = [name for name, _ in gates if limits.get(name)]
    values = [room / limits[name] for name, room in gates if limits.get(name)]
    bars = go.Bar(
        x=values,
        y=names,
        orientation="h",
        marker={"color": [BLUE if value >= 0.0 else VERMILION for value in values]},
        text=[f"{value:.1%}" for value in values],
        textposition="auto",
    )
    made = figure(
        bars,
        x_title="share of the limit that is left",
        has_legend=False,
        height=90 + 34 * len(names),
    )
    made.update_xaxes(tickformat=".0%")
    made.update_yaxes(autorange="reversed")
    return made
