"""What one day of a walk leaves to tell, as rows; nothing is decided or traded here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from instgov_dagster.loop.cycle import CycleDecision
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.folding.attribution import StrategyResult
from instgov_dagster.loop.proving.survival.knowing.nights import KnownNight
from instgov_dagster.loop.proving.survival.trading import Traded
from instgov_dagster.loop.steps.context import Tables


@dataclass(slots=True)
class Day:
    """What one day left to tell; rows become the walk's tables.

    Attributes
    ----------
    halted_at
        The step the night ended at; None where it was published.
    decision
        The session's decision; None where no session was held.
    inputs, known, tables
        What the night was told beside its bars, what it knew before any book, and all it made.
    forecasts
        What the night expects of the book it was handed (`FORECAST_SCHEMA`).
    moves
        Strategies that changed their stage: which, from and to.
    reasons
        How often each verdict was given for each reason, as ``verdict|reason``.
    """

    date: date
    row: dict[str, Any] = field(default_factory=dict)
    strategies: list[dict[str, Any]] = field(default_factory=list)
    halted_at: str | None = None
    decision: CycleDecision | None = None
    inputs: Tables = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)
    known: KnownNight | None = None
    forecasts: pl.DataFrame | None = None
    moves: list[tuple[str, str, str]] = field(default_factory=list)
    reasons: Mapping[str, int] = field(default_factory=dict)


def stage_moves(before: pl.DataFrame, after: pl.DataFrame) -> list[tuple[str, str, str]]:
    """List the strategies that changed their stage: which, from and to."""
    stages = dict(before.select("strategy_id", "stage").iter_rows())
    rows = after.select("strategy_id", "stage").iter_rows()
    return [(name, stages[name], to) for name, to in rows if stages.get(name, to) != to]


def beliefs_row(known: KnownNight, day: Day) -> None:
    """Say what the night believed of the market, where it came so far."""
    beliefs = known.tables.get("regime_beliefs")
    if beliefs is None:
        return
    row = beliefs.row(0, named=True)
    names = (
        "current_belief_normal", "current_belief_volatile", "current_belief_crisis",
        "p_hit_crisis_5d", "gross_multiplier", "is_reduce_only",
    )  # fmt: skip
    day.row |= {name: row[name] for name in names}


def decision_row(decision: CycleDecision) -> dict[str, Any]:
    """Say what a session's decision came to: orders, auction, the book's tail."""
    measures = {name.value.lower(): value for name, value in decision.risk.measures}
    return {
        "orders": len(decision.orders),
        "lambda_star": decision.auction.lambda_star,
        "auction": decision.auction.status.value,
        "cvar": decision.risk.current,
        "cvar_gate": decision.risk.gate,
        "cvar_gate_before": decision.found.verdict.risk_before.gate,
        "is_scaled": decision.found.is_scaled,
        **{f"cvar_{name}": value for name, value in measures.items()},
    }


def reason_counts(decision: CycleDecision) -> dict[str, int]:
    """Count the symbols by ``verdict|reason``."""
    counts: dict[str, int] = {}
    for row in decision.decisions:
        for code in row.reason_codes:
            key = f"{row.decision.value}|{code.value}"
            counts[key] = counts.get(key, 0) + 1
    return counts


def account_rows(
    day: date,
    results: Sequence[StrategyResult],
    traded: Traded,
    *,
    explained: Mapping[str, float],
    nav_usd: float,
) -> list[tuple[Any, ...]]:
    """Lay out rows of `ACCOUNT_SCHEMA`: what was booked, and what explains it."""
    return [
        (
            day,
            row.strategy_id,
            row.pnl,
            explained.get(row.strategy_id, 0.0) / nav_usd,
            traded.costs.get(row.strategy_id, 0.0) / nav_usd,
            traded.orders.get(row.strategy_id, 0.0),
            traded.errors.get(row.strategy_id, 0.0),
        )
        for row in results
    ]


def strategy_rows(snapshot: Snapshot, results: Sequence[StrategyResult]) -> list[dict[str, Any]]:
    """Lay out where each strategy stood and what it did."""
    return [
        {
            "date": snapshot.asof,
            "strategy_id": view.strategy_id,
            "stage": view.stage.value,
            "stage_cap": view.stage_cap,
            "capital_decay": view.capital_decay,
            "pnl": row.pnl,
            "gross": row.gross,
            "value_usd": row.value_usd,
        }
        for view, row in zip(snapshot.strategies, results, strict=True)
    ]
