"""Lifecycle states as rows of the table strategy_lifecycle_log, there and back."""

import json
from collections.abc import Iterable
from dataclasses import fields
from datetime import date
from typing import Any

import polars as pl

from instgov_dagster.governance.audit import canonical_json
from instgov_dagster.vocabulary.governance import StrategyLifecycle, StrategyLifecycleState
from instgov_dagster.vocabulary.reasons import ReasonCode

LIFECYCLE_SCHEMA = pl.Schema(
    {
        "strategy_id": pl.String(),
        "stage": pl.String(),
        "start_date": pl.Date(),
        "capital_pct": pl.Float64(),
        "capital_decay": pl.Float64(),
        "sessions_since_proof": pl.Int64(),
        "performance_metrics": pl.String(),
        "reason_codes": pl.List(pl.String),
    }
)
_OWN_COLUMNS = (*LIFECYCLE_SCHEMA, "asof", "run_id", "recorded_at")
_METRICS = tuple(
    field.name for field in fields(StrategyLifecycleState) if field.name not in _OWN_COLUMNS
)


def _metrics(state: StrategyLifecycleState) -> str:
    return canonical_json({name: getattr(state, name) for name in _METRICS})


def lifecycle_to_frame(states: Iterable[StrategyLifecycleState]) -> pl.DataFrame:
    """Lay states out as rows; ``capital_pct`` is the cap in force, decay included.

    Every field without a column of its own stands in ``performance_metrics``, a JSON object.
    """
    rows = [
        {
            "strategy_id": state.strategy_id,
            "stage": state.stage.value,
            "start_date": state.start_date,
            "capital_pct": state.capital_pct,
            "capital_decay": state.capital_decay,
            "sessions_since_proof": state.sessions_since_proof,
            "performance_metrics": canonical_json(
                {name: getattr(state, name) for name in _METRICS}
            ),
            "reason_codes": [code.value for code in state.reason_codes],
        }
        for state in states
    ]
    return pl.DataFrame(rows, schema=LIFECYCLE_SCHEMA)


def lifecycle_from_frame(frame: pl.DataFrame) -> tuple[StrategyLifecycleState, ...]:
    """Read rows written by `lifecycle_to_frame`, bit-equal; further columns are ignored.

    Raises
    ------
    ValueError
        If a row names no stage, no reason code or lacks a metric.
    """
    return tuple(_read(row) for row in frame.iter_rows(named=True))


def _read(row: dict[str, Any]) -> StrategyLifecycleState:
    metrics = json.loads(row["performance_metrics"])
    missing = sorted(set(_METRICS) - metrics.keys())
    if missing:
        raise ValueError(f"performance_metrics must hold {missing}, was without")
    last = metrics["last_profit_date"]
    metrics["last_profit_date"] = None if last is None else date.fromisoformat(last)
    return StrategyLifecycleState(
        strategy_id=row["strategy_id"],
        stage=StrategyLifecycle(row["stage"]),
        start_date=row["start_date"],
        capital_decay=row["capital_decay"],
        sessions_since_proof=row["sessions_since_proof"],
        reason_codes=tuple(ReasonCode(code) for code in row["reason_codes"]),
        **{name: metrics[name] for name in _METRICS},
    )
