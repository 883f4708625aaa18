"""Decisions as rows of the table governance_decisions; no deciding happens here."""

import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import polars as pl

from instgov_dagster.vocabulary.governance import GovernanceDecision

DECISION_SCHEMA = pl.Schema(
    {
        "cycle_id": pl.String(),
        "sequence": pl.Int64(),
        "symbol": pl.String(),
        "decision": pl.String(),
        "reason_codes": pl.List(pl.String),
        "mu": pl.Float64(),
        "sigma": pl.Float64(),
        "cvar": pl.Float64(),
        "data_quality": pl.Float64(),
        "model_confidence": pl.Float64(),
        "vetoed": pl.Boolean(),
        "veto_reason": pl.String(),
        "timestamp": pl.Datetime("us", "UTC"),
        "position_size": pl.Float64(),
        "expected_return": pl.Float64(),
        "expected_risk": pl.Float64(),
        "strategy_id": pl.String(),
        "strategy_stage": pl.String(),
        "cvar_limit_check": pl.Boolean(),
        "leverage_limit_check": pl.Boolean(),
        "drawdown_limit_check": pl.Boolean(),
        "correlation_limit_check": pl.Boolean(),
        "sector_limit_check": pl.Boolean(),
        "veto_triggers": pl.List(pl.String),
        "headroom": pl.String(),
    }
)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def _headroom(pairs: tuple[tuple[str, float], ...]) -> str:
    # Two gates may share a name, one of the symbol and one of the book: the tighter one counts.
    tightest: dict[str, float] = {}
    for name, value in pairs:
        tightest[name] = min(value, tightest.get(name, value))
    return _ENCODER.encode(tightest)


def _lists(name: str, rows: Sequence[tuple[str, ...]]) -> pl.Series:
    # Few distinct lists, many rows: each is written once and then referred to.
    places: dict[tuple[str, ...], int] = {}
    index = [places.setdefault(row, len(places)) for row in rows]
    distinct = [[str(code) for code in row] for row in places]
    return pl.Series(name, distinct, dtype=pl.List(pl.String)).gather(index)


def decisions_to_frame(decisions: Sequence[GovernanceDecision]) -> pl.DataFrame:
    """Lay the decisions of one cycle out as rows, `DECISION_SCHEMA`, in their order.

    ``sequence`` counts from 0 inside the cycle and is what an order refers to; ``headroom`` is a
    JSON object of gate to headroom.
    """
    columns: dict[str, Any] = {}
    for name in DECISION_SCHEMA:
        if name == "sequence":
            columns[name] = range(len(decisions))
        elif name == "headroom":
            # Where nothing trades the book's own gates are all there is: one text for many rows.
            texts = {row.headroom: "" for row in decisions}
            texts = {pairs: _headroom(pairs) for pairs in texts}
            columns[name] = [texts[row.headroom] for row in decisions]
        elif name in ("reason_codes", "veto_triggers"):
            columns[name] = _lists(name, [getattr(row, name) for row in decisions])
        else:
            columns[name] = list(map(attrgetter(name), decisions))
    return pl.DataFrame(columns, schema=DECISION_SCHEMA)
