"""The words of governance: decisions, vetoes, state, stamps, stages and their policies."""

from instgov_dagster.vocabulary.governance.decisions import (
    Decision,
    Gate,
    GovernanceDecision,
)
from instgov_dagster.vocabulary.governance.lifecycle import (
    StrategyLifecycle,
    StrategyLifecycleState,
)
from instgov_dagster.vocabulary.governance.policy import (
    DecommissionRules,
    LifecyclePolicy,
    PromotionRules,
    StageCaps,
    VetoPolicy,
)
from instgov_dagster.vocabulary.governance.stamps import Phase, PhaseStamp
from instgov_dagster.vocabulary.governance.state import (
    Cause,
    Chain,
    EventKind,
    StateEvent,
    SystemState,
    SystemStateName,
    least_state,
    state_code,
)
from instgov_dagster.vocabulary.governance.vetoes import ALL, Veto, VetoFinding

__all__ = [
    "ALL",
    "Cause",
    "Chain",
    "Decision",
    "DecommissionRules",
    "EventKind",
    "Gate",
    "GovernanceDecision",
    "LifecyclePolicy",
    "Phase",
    "PhaseStamp",
    "PromotionRules",
    "StageCaps",
    "StateEvent",
    "StrategyLifecycle",
    "StrategyLifecycleState",
    "SystemState",
    "SystemStateName",
    "Veto",
    "VetoFinding",
    "VetoPolicy",
    "least_state",
    "state_code",
]
