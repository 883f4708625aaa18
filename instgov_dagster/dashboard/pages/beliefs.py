"""Beliefs: what the night holds of the regime, and what its models were worth."""

from collections.abc import Mapping

import polars as pl

from instgov_dagster.dashboard.figures.beliefs import (
    curves_figure,
    regime_figure,
    scores_figure,
    transition_figure,
)
from instgov_dagster.dashboard.model import Page, Rhythm, Section, Table
from instgov_dagster.dashboard.reading.board import Board
from instgov_dagster.vocabulary.beliefs import Regime

KEY, TITLE = "beliefs", "Beliefs"
FOLDERS = ("night", "dashboard")
RHYTHM = Rhythm.PUBLICATION
#: The metrics that are drawn, with the sentence that says what they mean.
METRICS = {
    "rank_ic": "Mean rank correlation of forecasts with outcomes; above zero is skill.",
    "oos_r2": "Out-of-sample R squared against the benchmark; above zero is skill.",
    "diebold_mariano": "Difference of squared errors against the benchmark; below zero is better.",
    "qlike": "QLIKE loss of the volatility models; lower is better.",
}


def page(board: Board, query: Mapping[str, str]) -> Page:
    """Lay the page out."""
    del query
    return Page(
        key=KEY,
        title=TITLE,
        sections=(
            picture_section(board, "regime", "Regime", "session", "probability"),
            state_section(board),
            transition_section(board),
            picture_section(board, "decay", "Decay by error", "session", "factor of the weight"),
            picture_section(board, "rank_ic", "Rank correlation", "session", "rank correlation"),
            picture_section(board, "reliability", "Reliability", "stated level", "share below"),
            *score_sections(board),
            health_section(board),
        ),
    )


def picture_section(board: Board, name: str, title: str, x: str, y: str) -> Section:
    """Draw one of the night's pictures anew from its points."""
    pictures, source = board.table("dashboard", "belief_pictures"), board.source("dashboard")
    found = pictures.filter(pl.col("name") == name) if pictures.height else pictures
    points = found["points"][0] if found.height else None
    key = name.replace("_", "-")
    if points is None:
        missing = "No night has published it yet."
        return Section(key=key, title=title, says=title, source=source, missing=missing)
    drawn = (
        regime_figure(points)
        if name == "regime"
        else curves_figure(points, x_title=x, y_title=y, is_level=name == "reliability")
    )
    last = [
        (trace.name, str(trace.x[-1]), _last_known(trace.y)) for trace in drawn.data if len(trace.x)
    ]
    return Section(
        key=key,
        title=title,
        says=str(found["title"][0]) + ".",
        source=source,
        figure=drawn,
        tables=(
            Table(caption=f"{title}, last values", columns=("series", x, y), rows=tuple(last)),
        ),
    )


def _last_known(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return float(known[-1]) if known else None


def state_section(board: Board) -> Section:
    """List what is believed of the regime tonight, and what it was believed on."""
    beliefs, source = board.table("night", "regime_beliefs"), board.source("night")
    names = ("session", "current_belief_normal", "current_belief_volatile",
             "current_belief_crisis", "p_normal_5d", "p_volatile_5d", "p_crisis_5d",
             "p_hit_crisis_5d", "spy_ma200_position", "volatility_percentile", "vix_level",
             "correlation_spike", "gross_multiplier", "is_reduce_only")  # fmt: skip
    row = beliefs.row(0, named=True) if beliefs.height else {}
    rows = tuple(
        (name, str(row[name]) if name == "session" else row[name]) for name in names if name in row
    )
    return Section(
        key="regime-state",
        title="Tonight's belief",
        says="Filtered probabilities of each regime now and five sessions ahead, and their inputs.",
        source=source,
        tables=(Table(caption="Regime", columns=("quantity", "value"), rows=rows),),
    )


def transition_section(board: Board) -> Section:
    """Show the matrix of transitions a session."""
    beliefs, source = board.table("night", "regime_beliefs"), board.source("night")
    title = "Transitions a session"
    if beliefs.is_empty():
        missing = "No night has been published."
        return Section(key="transitions", title=title, says=title, source=source, missing=missing)
    names = [regime.value for regime in Regime]
    matrix = beliefs["transition_matrix"].to_list()[0]
    rows = tuple(
        (name, *matrix[k * len(names) : (k + 1) * len(names)]) for k, name in enumerate(names)
    )
    return Section(
        key="transitions",
        title=title,
        says="Probability of each regime tomorrow (columns) from each today (rows).",
        source=source,
        figure=transition_figure(matrix, names),
        tables=(Table(caption="Transition matrix", columns=("from", *names), rows=rows),),
    )


def score_sections(board: Board) -> tuple[Section, ...]:
    """Show the models' scores, each with its own standard error and n."""
    scores, source = board.table("dashboard", "model_evaluation"), board.source("dashboard")
    if scores.is_empty():
        missing = "No night has scored its models yet."
        return (
            Section(
                key="scores-none",
                title="Scores of the models",
                says=missing,
                source=source,
                missing=missing,
            ),
        )
    columns = ("model_id", "benchmark", "value", "standard_error", "p_value", "n")
    sections = []
    for metric in sorted(set(scores["metric"].to_list()) & set(METRICS), key=list(METRICS).index):
        rows = scores.filter(pl.col("metric") == metric).drop_nulls("value").sort("model_id")
        if rows.is_empty():
            continue
        sections.append(
            Section(
                key=f"score-{metric.replace('_', '-')}",
                title=f"Score: {metric.replace('_', ' ')}",
                says=f"{METRICS[metric]} Bars are 95 % intervals of the score's own error.",
                source=source,
                figure=scores_figure(scores, metric),
                tables=(
                    Table(caption=metric, columns=columns, rows=tuple(rows.select(columns).rows())),
                ),
            )
        )
    return tuple(sections)


def health_section(board: Board) -> Section:
    """Summarise the health of each strategy's model over the symbols."""
    health, source = board.table("night", "model_decay_metrics"), board.source("night")
    rows: tuple[tuple[object, ...], ...] = ()
    if health.height:
        told = health.group_by("model_id").agg(
            pl.len().alias("symbols"),
            pl.col("is_healthy").sum().alias("healthy"),
            pl.col("final_decay_factor").min().alias("lowest"),
            pl.col("final_decay_factor").median().alias("median"),
            pl.col("model_age_days").max().alias("oldest"),
            pl.col("autocorr_flip_detected").sum().alias("flips"),
        )
        rows = tuple(told.sort("model_id").rows())
    columns = ("model", "symbols", "healthy", "lowest decay", "median decay", "oldest, days",
               "flips")  # fmt: skip
    return Section(
        key="health",
        title="Health of the models",
        says="How many symbols each model is healthy on, and what decay leaves of its weight.",
        source=source,
        tables=(Table(caption="Health", columns=columns, rows=rows),),  # type: ignore[arg-type]
    )
