"""What a walk leaves, as tables that grow by the day; nothing is measured here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import polars as pl

from instgov_dagster.governance.decisions import decisions_to_frame
from instgov_dagster.loop.proving.survival.keeping.memory import PAST_FORECASTS, Memory
from instgov_dagster.loop.proving.survival.left import Day
from instgov_dagster.loop.proving.survival.variants import GOVERNED
from instgov_dagster.loop.steps.coverage import WHOLE_BOOK

_F, _I, _S, _B, _D = pl.Float64(), pl.Int64(), pl.String(), pl.Boolean(), pl.Date()
#: One row a session and walk; what a day without a session has not is null.
SESSIONS: Final = pl.Schema(
    {
        "walk": _S, "date": _D, "state": _S, "causes": pl.List(pl.String), "halted_at": _S,
        "nav_usd": _F, "cash": _F, "gross": _F, "drawdown": _F, "orders": _I, "fills": _I,
        "turnover": _F, "trading_cost": _F, "lambda_star": _F, "auction": _S, "is_scaled": _B,
        "cvar": _F, "cvar_gate": _F, "cvar_gate_before": _F, "cvar_held": _F,
        "cvar_gate_held": _F, "cvar_current": _F, "cvar_filtered": _F, "cvar_stressed": _F,
        "e_value": _F, "e_outcomes": _I, "current_belief_normal": _F,
        "current_belief_volatile": _F, "current_belief_crisis": _F, "p_hit_crisis_5d": _F,
        "gross_multiplier": _F, "is_reduce_only": _B,
    }
)  # fmt: skip
STRATEGIES: Final = pl.Schema(
    {
        "date": _D, "strategy_id": _S, "stage": _S, "stage_cap": _F, "capital_decay": _F,
        "pnl": _F, "gross": _F, "value_usd": _F,
    }
)  # fmt: skip
MOVES: Final = pl.Schema({"date": _D, "strategy_id": _S, "from": _S, "to": _S})
REASONS: Final = pl.Schema({"date": _D, "decision": _S, "reason_code": _S, "symbols": _I})
ACTS: Final = pl.Schema({"walk": _S, "date": _D, "act": _S, "detail": _S})
#: The tables of a walk, as they are written.
TABLES: Final = {
    "sessions": SESSIONS,
    "strategies": STRATEGIES,
    "stage_changes": MOVES,
    "reasons": REASONS,
    "operator_acts": ACTS,
    "risk_forecasts": PAST_FORECASTS,
}


@dataclass(slots=True)
class Records:
    """The tables of a walk so far.

    Attributes
    ----------
    tables
        By name, see `TABLES`.
    decisions
        Of the last session held: one decision a symbol.
    """

    tables: dict[str, pl.DataFrame] = field(
        default_factory=lambda: {n: pl.DataFrame(schema=s) for n, s in TABLES.items()}
    )
    decisions: pl.DataFrame | None = None
    _rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _forecasts: list[pl.DataFrame] = field(default_factory=list)

    def take(self, found: Mapping[str, Day]) -> None:
        """Take in what one day left."""
        for walk, day in found.items():
            self._add("sessions", [{**dict.fromkeys(SESSIONS), **day.row, "walk": walk}])
        day = found[GOVERNED]
        self._add("strategies", day.strategies)
        moves = [dict(zip(MOVES, (day.date, *move), strict=True)) for move in day.moves]
        self._add("stage_changes", moves)
        self._add("reasons", _reasons(day.date, day.reasons))
        if day.forecasts is not None:
            mine = day.forecasts.filter(pl.col("scope") == WHOLE_BOOK)
            self._forecasts.append(mine.with_columns(asof=pl.lit(day.date)))
        if day.decision is not None:
            self.decisions = decisions_to_frame(day.decision.decisions)

    def settle(self, memories: Mapping[str, Memory]) -> None:
        """Bring what was taken in into the tables."""
        for name, rows in self._rows.items():
            more = pl.DataFrame(rows, schema=TABLES[name], orient="row")
            self.tables[name] = pl.concat([self.tables[name], more])
        if self._forecasts:
            more = pl.concat(self._forecasts).select(list(PAST_FORECASTS)).cast(PAST_FORECASTS)
            self.tables["risk_forecasts"] = pl.concat([self.tables["risk_forecasts"], more])
        acts = [{"walk": walk, **act} for walk, m in memories.items() for act in m.standing.acts]
        self.tables["operator_acts"] = pl.DataFrame(acts, schema=ACTS, orient="row")
        self._rows, self._forecasts = {}, []

    def _add(self, name: str, rows: list[dict[str, Any]]) -> None:
        self._rows.setdefault(name, []).extend(rows)


def _reasons(day: date, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    rows = []
    for key, symbols in sorted(counts.items()):
        decision, code = key.split("|")
        rows.append({"date": day, "decision": decision, "reason_code": code, "symbols": symbols})
    return rows
