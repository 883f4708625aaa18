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
from instgov_dagster.vocabulary.governance.vetoes import (
    ALL,
    CONDITIONS,
    INCREASES_ONLY,
    ScopedFinding,
    Veto,
    VetoFinding,
    VetoKey,
)

__all__ = [
    "ALL",
    "CONDITIONS",
    "INCREASES_ONLY",
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
    "ScopedFinding",
    "StageCaps",
    "StateEvent",
    "StrategyLifecycle",
    "StrategyLifecycleState",
    "SystemState",
    "SystemStateName",
    "Veto",
    "VetoFinding",
    "VetoKey",
    "VetoPolicy",
    "least_state",
    "state_code",
]
