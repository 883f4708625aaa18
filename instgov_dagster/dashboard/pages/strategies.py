"""Strategies: their lives, their capital under its cap, their scorecards."""

import json
from collections.abc import Mapping
from datetime import date

import polars as pl

from instgov_dagster.dashboard.figures.strategies import allocation_figure, gantt_figure
from instgov_dagster.dashboard.model import Page, Rhythm, Section, Table
from instgov_dagster.dashboard.pages.risk import last_allocations
from instgov_dagster.dashboard.reading.board import Board

KEY, TITLE = "strategies", "Strategies"
FOLDERS = ("night", "live", "dashboard")
RHYTHM = Rhythm.PUBLICATION
#: What a scorecard shows of ``performance_metrics``, in order.
SCORES = ("sessions", "deployed_sessions", "total_return", "sharpe_rolling", "psr", "dsr",
          "max_drawdown", "profit_factor", "error_rate", "decay_rate",
          "last_profit_date")  # fmt: skip


def page(board: Board, query: Mapping[str, str]) -> Page:
    """Lay the page out."""
    del query
    sections = (
        lives_section(board),
        capital_section(board),
        scorecard_section(board),
        results_section(board),
        vetoes_section(board),
    )
    return Page(key=KEY, title=TITLE, sections=sections)


def lives_section(board: Board) -> Section:
    """Show each strategy's stages from start to end."""
    lives, source = board.table("dashboard", "strategy_lifecycle"), board.source("dashboard")
    title = "Lives of the strategies"
    if lives.is_empty() or board.asof is None:
        missing = "No night has moved a strategy yet."
        return Section(key="lives", title=title, says=title, source=source, missing=missing)
    columns = ("strategy_id", "stage", "start_date", "end_date", "capital_pct", "capital_decay",
               "sessions_since_proof")  # fmt: skip
    rows = lives.sort("strategy_id", "start_date").select(columns).rows()
    return Section(
        key="lives",
        title=title,
        says="The stages each strategy has been in, from start to end.",
        source=source,
        figure=gantt_figure(lives, until=date.fromisoformat(board.asof)),
        tables=(
            Table(
                caption="Stages",
                columns=columns,
                rows=tuple(
                    tuple(str(c) if isinstance(c, date) else c for c in row) for row in rows
                ),
            ),
        ),
    )


def capital_section(board: Board) -> Section:
    """Show what each strategy was granted beside the cap of its stage."""
    told = board.table("night", "strategy_lifecycle_log")
    allocations, source = last_allocations(board)
    title = "Capital under its cap"
    if told.is_empty() or allocations.is_empty():
        missing = "No allocation is published."
        return Section(key="capital", title=title, says=title, source=source, missing=missing)
    caps = dict(told.select("strategy_id", "capital_pct").iter_rows())
    granted = dict(
        allocations.group_by("strategy_id").agg(pl.col("weight").abs().sum()).iter_rows()
    )
    rows = tuple((name, 100.0 * granted.get(name, 0.0), caps[name]) for name in sorted(caps))
    return Section(
        key="capital",
        title=title,
        says="Gross grant of each strategy, and the cap its stage and its proof allow.",
        source=source,
        figure=allocation_figure(granted, caps),
        tables=(
            Table(
                caption="Capital, percent of NAV",
                columns=("strategy", "granted", "cap"),
                rows=rows,
            ),
        ),
    )


def scorecard_section(board: Board) -> Section:
    """List each strategy's own record."""
    told, source = board.table("night", "strategy_lifecycle_log"), board.source("night")
    rows = []
    for row in told.sort("strategy_id").to_dicts() if told.height else []:
        record = json.loads(row["performance_metrics"])
        rows.append(
            (
                row["strategy_id"],
                row["stage"],
                row["sessions_since_proof"],
                *(record.get(name) for name in SCORES),
            )
        )
    return Section(
        key="scorecard",
        title="Scorecard",
        says="Each strategy's record, net of costs, per unit of deployed gross.",
        source=source,
        tables=(
            Table(
                caption="Scorecard",
                columns=("strategy", "stage", "sessions since proof", *SCORES),
                rows=tuple(rows),
            ),
        ),
    )


def results_section(board: Board) -> Section:
    """List what the last session brought, by strategy."""
    results, source = board.table("live", "session_results"), board.source("live")
    columns = ("strategy_id", "session_id", "value_usd", "pnl", "gross", "volatility_annual")
    last = (
        results.filter(pl.col("session_id") == results["session_id"][-1])
        if results.height
        else results
    )
    rows = last.sort("strategy_id").select(columns).rows() if last.height else []
    return Section(
        key="results",
        title="The last session by strategy",
        says="Value held, profit as a share of NAV, gross and volatility of each strategy's part.",
        source=source,
        tables=(Table(caption="Results", columns=columns, rows=tuple(rows)),),
    )


def vetoes_section(board: Board) -> Section:
    """List the vetoes that stand, and what each rule found."""
    vetoes, source = board.table("night", "vetoes"), board.source("night")
    columns = ("strategy_id", "symbol", "reason_code", "raised_on", "statistic", "threshold", "n",
               "is_standing", "sessions_left")  # fmt: skip
    rows = vetoes.select(columns).rows() if vetoes.height else []
    return Section(
        key="vetoes",
        title="Vetoes",
        says="Every veto that is remembered; * is every strategy.",
        source=source,
        tables=(
            Table(
                caption="Vetoes",
                columns=columns,
                rows=tuple(
                    tuple(str(c) if isinstance(c, date) else c for c in row) for row in rows
                ),
            ),
        ),
    )
