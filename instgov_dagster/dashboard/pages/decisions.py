"""Decisions: what was decided when, what kept it out, how far bids came, and one taken apart."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import polars as pl

from instgov_dagster.dashboard.figures.decisions import (
    funnel_figure,
    headroom_figure,
    pareto_figure,
    refusals,
    timeline_figure,
    verdicts_figure,
)
from instgov_dagster.dashboard.model import Cell, DecisionForm, Page, Rhythm, Section, Table
from instgov_dagster.dashboard.reading.board import Board
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.reasons import ReasonCode

KEY, TITLE = "decisions", "Decisions"
FOLDERS = ("night", "live")
RHYTHM = Rhythm.PUBLICATION
#: Cycles on the timeline: more would be thinner than a pixel.
TIMELINE_CYCLES = 240
_CHECKS = ("cvar", "leverage", "drawdown", "correlation", "sector")


def page(board: Board, query: Mapping[str, str]) -> Page:
    """Lay the page out; ``symbol`` and ``cycle`` of the query choose the decision taken apart."""
    decisions, source = all_decisions(board)
    if decisions.is_empty():
        missing = "No decision is published yet: run a night and a session."
        section = Section(
            key="timeline", title="Timeline", says=missing, source=source, missing=missing
        )
        return Page(key=KEY, title=TITLE, sections=(section,))
    last = decisions["cycle_id"][-1]
    symbol, cycle = chosen(decisions, query)
    return Page(
        key=KEY,
        title=TITLE,
        sections=(
            *drilled(board, decisions, symbol, cycle, source),
            last_section(decisions, last, source),
            timeline_section(decisions, source),
            verdicts_section(decisions, source),
            pareto_section(decisions, source),
            funnel_section(board, decisions, last, source),
        ),
        form=DecisionForm(
            symbols=tuple(sorted(decisions["symbol"].unique().to_list())),
            symbol=symbol,
            cycle=cycle,
        ),
    )


def all_decisions(board: Board) -> tuple[pl.DataFrame, str]:
    """Give the published decisions of the last cycles, else of the night, and their source."""
    live = board.table("live", "governance_decisions")
    if live.height:
        return live, board.source("live")
    return board.table("night", "governance_decisions"), board.source("night")


def chosen(decisions: pl.DataFrame, query: Mapping[str, str]) -> tuple[str, str]:
    """Give symbol and cycle that were asked for; the last cycle, and in it the first order.

    What was asked for and is not there is given back as it was asked: the page says so.
    """
    cycle = query.get("cycle") or str(decisions["cycle_id"][-1])
    symbol = query.get("symbol")
    if not symbol:
        rows = decisions.filter(pl.col("cycle_id") == cycle)
        acted = rows.filter(pl.col("decision").is_in(["EXECUTE", "REDUCE", "VETO"]))
        first = acted if acted.height else rows
        symbol = str(first["symbol"][0]) if first.height else ""
    return symbol, cycle


def drilled(
    board: Board, decisions: pl.DataFrame, symbol: str, cycle: str, source: str
) -> tuple[Section, ...]:
    """Take one decision apart: its gates with their headroom, its reasons, inputs, bids, orders."""
    title = f"One decision taken apart: {symbol} in {cycle}"
    found = decisions.filter(pl.col("symbol") == symbol, pl.col("cycle_id") == cycle)
    if found.is_empty():
        missing = (
            f"{symbol or 'No symbol'} was not decided in {cycle}, or it is no longer published."
        )
        return (Section(key="decision", title=title, says=title, source=source, missing=missing),)
    row = found.row(0, named=True)
    headroom: dict[str, float] = json.loads(row["headroom"])
    size = headroom.pop("passing_size", None)
    gates = sorted(headroom.items())
    return (
        Section(
            key="decision",
            title=title,
            says=f"{symbol} was decided {row['decision']}: "
            + " ".join(ReasonCode(code).sentence for code in row["reason_codes"]),
            source=source,
            figure=headroom_figure(gates, gate_limits(board.policy)) if gates else None,
            tables=(
                _gates_table(row, gates),
                _reasons_table(row["reason_codes"]),
                _inputs_table(board, row, size),
                _bids_table(board, symbol, cycle),
                _orders_table(board, symbol, cycle),
            ),
        ),
    )


def gate_limits(policy: Policy) -> dict[str, float]:
    """Give the limit of each gate that has a fixed one, in the unit of its headroom."""
    cvar, limits = policy.cvar, policy.limits
    return {
        "cvar": cvar.portfolio_limit,
        "prefix_cvar": cvar.portfolio_limit,
        "marginal_cvar": cvar.marginal_limit,
        "leverage": limits.leverage,
        "drawdown": limits.drawdown,
        "correlation": limits.correlation,
        "sector": limits.sector,
    }


def _gates_table(row: Mapping[str, Any], gates: list[tuple[str, float]]) -> Table:
    checks = [(name, row[f"{name}_limit_check"]) for name in _CHECKS]
    held = dict(gates)
    rows: list[tuple[Cell, ...]] = [
        (name, _verdict(passed), held.pop(name, None)) for name, passed in checks
    ]
    rows += [(name, "passed" if room >= 0.0 else "failed", room) for name, room in held.items()]
    return Table(caption="Gates", columns=("gate", "verdict", "headroom"), rows=tuple(rows))


def _verdict(passed: bool | None) -> str:  # noqa: FBT001  # a cell of the table
    return "not judged" if passed is None else "passed" if passed else "failed"


def _reasons_table(codes: list[str]) -> Table:
    return Table(
        caption="Reasons",
        columns=("code", "what it means"),
        rows=tuple((code, ReasonCode(code).sentence) for code in codes),
    )


def _inputs_table(board: Board, row: Mapping[str, Any], size: float | None) -> Table:
    names = ("mu", "sigma", "cvar", "data_quality", "model_confidence", "position_size",
             "expected_return", "expected_risk", "strategy_id", "strategy_stage",
             "veto_reason")  # fmt: skip
    rows: list[tuple[Cell, ...]] = [(name, row[name]) for name in names]
    rows.append(("size that would have passed", size))
    bars = board.table("night", "bar_lineage")
    if bars.height:
        last = bars.filter(pl.col("symbol") == row["symbol"]).tail(1).to_dicts()
        rows += [
            (f"last bar: {name}", str(bar[name]))
            for bar in last
            for name in ("date", "close", "provider", "known_at", "source_sha256")
        ]
    cycles = board.table("live", "live_cycles")
    if cycles.height:
        mine = cycles.filter(pl.col("cycle_id") == row["cycle_id"]).to_dicts()
        rows += [
            (name, str(cycle[name]))
            for cycle in mine
            for name in ("state", "auction_status", "lambda_star", "inputs_hash", "config_hash",
                         "code_hash", "snapshot_id", "frame_sequence", "chain_head")
        ]  # fmt: skip
    return Table(caption="Inputs and where they come from", columns=("input", "value"),
                 rows=tuple(rows))  # fmt: skip


def _bids_table(board: Board, symbol: str, cycle: str) -> Table:
    columns = ("strategy_id", "decision", "rank", "weight", "mu_contribution", "cvar_contribution",
               "liquidity_cost", "priced_out_bps")  # fmt: skip
    rows = _of(board, "capital_allocations", symbol, cycle)
    listed = rows.sort("rank").select(columns).rows() if rows.height else []
    return Table(caption="Bids of the auction", columns=columns, rows=tuple(listed))


def _orders_table(board: Board, symbol: str, cycle: str) -> Table:
    columns = ("client_order_id", "side", "quantity", "limit_price", "status", "total_cost_bps")
    rows = _of(board, "orders", symbol, cycle)
    listed = rows.select(columns).rows() if rows.height else []
    return Table(
        caption="Orders and what became of them",
        columns=columns,
        rows=tuple(
            tuple(c if isinstance(c, str | float | None) else str(c) for c in row) for row in listed
        ),
    )


def _of(board: Board, table: str, symbol: str, cycle: str) -> pl.DataFrame:
    for folder in ("live", "night"):
        rows = board.table(folder, table)
        if rows.height:
            found = rows.filter(pl.col("symbol") == symbol, pl.col("cycle_id") == cycle)
            if found.height:
                return found
    return pl.DataFrame()


def last_section(decisions: pl.DataFrame, cycle: str, source: str) -> Section:
    """List every symbol's decision of the last cycle, each a way to its own page."""
    rows = decisions.filter(pl.col("cycle_id") == cycle).sort("symbol")
    listed = rows.select("symbol", "decision", "reason_codes", "position_size", "mu", "sigma",
                         "cvar").rows()  # fmt: skip
    return Section(
        key="last-cycle",
        title=f"Every symbol in {cycle}",
        says="The decision on every symbol of the universe, ineligible ones included.",
        source=source,
        tables=(
            Table(
                caption=f"Decisions of {cycle}",
                columns=("symbol", "decision", "reasons", "size", "mu", "sigma", "cvar"),
                rows=tuple((s, d, " ".join(codes), *rest) for s, d, codes, *rest in listed),
                links=tuple(
                    "/decisions?" + urlencode({"symbol": row[0], "cycle": cycle}) for row in listed
                ),
            ),
        ),
    )


def timeline_section(decisions: pl.DataFrame, source: str) -> Section:
    """Show the verdict on each symbol in each of the last cycles."""
    kept = decisions["cycle_id"].unique(maintain_order=True).tail(TIMELINE_CYCLES)
    rows = decisions.filter(pl.col("cycle_id").is_in(kept.to_list()))
    counted = rows.group_by("symbol", "decision").len().sort("symbol", "decision")
    return Section(
        key="timeline",
        title="Timeline",
        says=f"The verdict on each symbol in each of the last {kept.len()} cycles.",
        source=source,
        figure=timeline_figure(rows),
        tables=(
            Table(
                caption="Cycles by symbol and verdict",
                columns=("symbol", "decision", "cycles"),
                rows=tuple(counted.rows()),
            ),
        ),
    )


def verdicts_section(decisions: pl.DataFrame, source: str) -> Section:
    """Show how many symbols got which verdict, cycle by cycle."""
    counted = decisions["decision"].value_counts(sort=True)
    return Section(
        key="verdicts",
        title="Verdicts by cycle",
        says="How many symbols got which verdict in each cycle.",
        source=source,
        figure=verdicts_figure(decisions),
        tables=(
            Table(
                caption="Verdicts",
                columns=("decision", "times"),
                rows=tuple(counted.rows()),
            ),
        ),
    )


def pareto_section(decisions: pl.DataFrame, source: str) -> Section:
    """Show what kept the system out, the most frequent reason first."""
    counted = refusals(decisions)
    return Section(
        key="pareto",
        title="What kept it out",
        says="Reasons of every rejection, veto, reduction and ineligibility, most frequent first.",
        source=source,
        figure=pareto_figure(counted) if counted.height else None,
        tables=(
            Table(
                caption="Reasons",
                columns=("code", "times", "cumulative share"),
                rows=tuple(counted.rows()),
            ),
        ),
        missing="" if counted.height else "Nothing was refused.",
    )


def funnel(board: Board, decisions: pl.DataFrame, cycle: str) -> list[tuple[str, int]]:
    """Count how far the symbols of one cycle came, from the universe to a fill."""
    rows = decisions.filter(pl.col("cycle_id") == cycle)
    eligible = rows.filter(pl.col("decision") != "INELIGIBLE")
    priced = eligible.filter(pl.col("mu") > 0.0)
    live, night = (board.table(f, "capital_allocations") for f in ("live", "night"))
    bids = live if live.height else night
    mine = bids.filter(pl.col("cycle_id") == cycle) if bids.height else bids
    granted = mine.filter(pl.col("weight") > 0.0)["symbol"].n_unique() if mine.height else 0
    acted = rows.filter(pl.col("decision").is_in(["EXECUTE", "REDUCE"]))
    fills = board.table("live", "fills")
    filled = fills.filter(pl.col("cycle_id") == cycle) if fills.height else fills
    return [
        ("symbols decided", rows.height),
        ("eligible", eligible.height),
        ("mean above zero", priced.height),
        ("granted capital", granted),
        ("order sent", acted.height),
        ("filled", filled["symbol"].n_unique() if filled.height else 0),
    ]


def funnel_section(board: Board, decisions: pl.DataFrame, cycle: str, source: str) -> Section:
    """Show how many symbols of the last cycle came how far."""
    stages = funnel(board, decisions, cycle)
    return Section(
        key="funnel",
        title="From symbol to fill",
        says=f"How many symbols of {cycle} came how far.",
        source=source,
        figure=funnel_figure(stages),
        tables=(Table(caption="Stages", columns=("stage", "symbols"), rows=tuple(stages)),),
    )
