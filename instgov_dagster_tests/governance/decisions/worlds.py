"""Cases that the tests of decisions share; no test here."""

from datetime import UTC, datetime
from typing import Any

from instgov_dagster.governance.decisions import (
    CycleCase,
    SymbolCase,
)
from instgov_dagster.governance.state import cause_of, fold_state
from instgov_dagster.vocabulary.capital import GateResult
from instgov_dagster.vocabulary.governance import (
    StrategyLifecycle,
    SystemState,
    SystemStateName,
)
from instgov_dagster.vocabulary.reasons import ReasonCode as Code

STATES: dict[SystemStateName, SystemState] = {
    SystemStateName.RUNNING: fold_state([]),
    SystemStateName.REDUCE_ONLY: fold_state([cause_of(Code.REGIME_CRISIS_REDUCE_ONLY, "p .6")]),
    SystemStateName.HALT_SYSTEM: fold_state([cause_of(Code.OPERATOR_HALT, "ann: drill")]),
    SystemStateName.STOP_SYSTEM: fold_state([cause_of(Code.CHAIN_BROKEN, "loop 7")]),
}


def gate(name: str, *, passed: bool = True, headroom: float | None = 0.01) -> GateResult:
    return GateResult(
        name=name,
        passed=passed,
        value=0.05,
        limit=0.06,
        headroom=headroom,
        reason_codes=(Code.CVAR_WITHIN_LIMITS if passed else Code.PORTFOLIO_CVAR_BREACH,),
    )


BOOK = tuple(gate(name) for name in ("cvar", "leverage", "drawdown"))
OWN = tuple(gate(name) for name in ("correlation", "sector"))


def symbol_case(**changes: Any) -> SymbolCase:
    base: dict[str, Any] = {
        "symbol": "SPY",
        "is_eligible": True,
        "has_route": True,
        "eligibility_reasons": (Code.DATA_VALID,),
        "held_weight": 0.01,
        "target_weight": 0.02,
        "has_bid": True,
        "auction_reasons": (Code.ALLOCATED,),
        "mu": 0.004,
        "sigma": 0.02,
        "cvar": 0.045,
        "data_quality": 0.95,
        "model_confidence": 0.8,
        "gates": OWN,
        "vetoes": (),
        "is_quote_valid": True,
        "strategy_id": "james_stein",
        "strategy_stage": StrategyLifecycle.INCUBATING,
        "passing_size": 0.03,
    }
    return SymbolCase(**{**base, **changes})


def cycle_case(**changes: Any) -> CycleCase:
    base: dict[str, Any] = {
        "cycle_id": "2024-03-04-000001",
        "timestamp": datetime(2024, 3, 4, 14, 30, tzinfo=UTC),
        "state": STATES[SystemStateName.RUNNING],
        "is_late": False,
        "is_stale": False,
        "book_gates": BOOK,
        "minimum_change": 1e-4,
    }
    return CycleCase(**{**base, **changes})
