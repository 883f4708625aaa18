"""Risk in pictures: value, CVaR against its limit, how much of each limit is used, whose tail."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import polars as pl

from instgov_dagster.dashboard.figures.theme import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    VERMILION,
    figure,
    limit_line,
)

_MEASURES = ("cvar_current", "cvar_filtered", "cvar_stressed")


def nav_figure(cycles: pl.DataFrame) -> go.Figure:
    """Draw the net asset value of each cycle, USD; ``cycles`` is ``live_cycles``."""
    line = go.Scatter(
        x=cycles["timestamp"].to_list(),
        y=cycles["nav_usd"].to_list(),
        name="NAV",
        mode="lines",
        line={"color": BLUE},
    )
    return figure(line, x_title="time of the market, UTC", y_title="USD", has_legend=False)


def cvar_figure(cycles: pl.DataFrame, *, limit: float) -> go.Figure:
    """Draw each measure of CVaR by cycle, fractions of NAV, and the limit none may exceed."""
    lines = [
        go.Scatter(
            x=cycles["timestamp"].to_list(),
            y=cycles[name].to_list(),
            name=name.removeprefix("cvar_"),
            mode="lines",
            line={"color": colour, "dash": dash},
        )
        for name, colour, dash in zip(_MEASURES, PALETTE, ("solid", "dot", "dashdot"), strict=False)
    ]
    made = figure(*lines, x_title="time of the market, UTC", y_title="CVaR, share of NAV")
    made.update_yaxes(rangemode="tozero", tickformat=".1%")
    return limit_line(made, limit, f"limit {limit:.2%}")


def limits_figure(rows: Sequence[Mapping[str, float | str | None]]) -> go.Figure:
    """Draw how much of each limit is used, as a share of it; an unknown value has no bar.

    Parameters
    ----------
    rows
        ``name``, ``value`` and ``limit`` each; a limit of 0 counts as used up by any value.
    """
    known = [row for row in rows if row["value"] is not None]
    shares = [used_share(float(row["value"] or 0.0), float(row["limit"] or 0.0)) for row in known]
    bar = go.Bar(
        x=shares,
        y=[str(row["name"]) for row in known],
        orientation="h",
        marker={"color": [alarm_colour(share) for share in shares]},
        text=[f"{share:.0%}" for share in shares],
        textposition="auto",
        textangle=0,
    )
    made = figure(
        bar, x_title="share of the limit used", has_legend=False, height=80 + 34 * len(known)
    )
    made.update_xaxes(tickformat=".0%", range=[0.0, max(1.05, *shares, 0.0)])
    made.update_yaxes(autorange="reversed")
    made.add_vline(x=1.0, line={"color": VERMILION, "dash": "dash", "width": 2})
    return made


def used_share(value: float, limit: float) -> float:
    """Give what share of a limit a value uses; below zero counts as none of it."""
    if limit <= 0.0:
        return 1.0 if value > 0.0 else 0.0
    return max(value, 0.0) / limit


def alarm_colour(share: float) -> str:
    """Colour a share of a limit: below 80 % calm, below 100 % a warning, from there an alarm."""
    if share >= 1.0:
        return VERMILION
    return ORANGE if share >= 0.8 else GREEN


def contribution_figure(rows: pl.DataFrame) -> go.Figure:
    """Draw what each symbol adds to CVaR (Euler), the largest first; they sum to the whole.

    Parameters
    ----------
    rows
        ``symbol`` and ``cvar_contribution``, fractions of NAV.
    """
    kept = rows.filter(pl.col("cvar_contribution") != 0.0).sort(
        "cvar_contribution", descending=True
    )
    values = kept["cvar_contribution"].to_list()
    bar = go.Bar(
        x=kept["symbol"].to_list(),
        y=values,
        marker={"color": [BLUE if value >= 0 else GREEN for value in values]},
    )
    made = figure(bar, y_title="contribution to CVaR, share of NAV", has_legend=False)
    made.update_yaxes(tickformat=".2%")
    return made


def loss_figure(losses: Sequence[float], *, cvar: float, quantile: float) -> go.Figure:
    """Draw the losses of the book over its scenarios, shares of NAV, and where its tail begins."""
    bars = go.Histogram(x=list(losses), nbinsx=60, marker={"color": GREY}, name="scenarios")
    made = figure(
        bars, x_title="loss over five sessions, share of NAV", y_title="scenarios", has_legend=False
    )
    made.update_xaxes(tickformat=".2%")
    for level, name, colour in ((quantile, "VaR", ORANGE), (cvar, "CVaR", VERMILION)):
        made.add_vline(
            x=level, line={"color": colour, "dash": "dash", "width": 2}, annotation_text=name
        )
    return made
