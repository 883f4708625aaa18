"""The rules by which a strategy changes its stage (roadmap 10.3); no numbers are measured here."""

from dataclasses import dataclass

from instgov_dagster.governance.lifecycle.records import Measured, StrategyRecord
from instgov_dagster.vocabulary.governance import LifecyclePolicy, StrategyLifecycle
from instgov_dagster.vocabulary.reasons import ReasonCode

_NEXT = {
    StrategyLifecycle.INCUBATING: StrategyLifecycle.SCALING,
    StrategyLifecycle.SCALING: StrategyLifecycle.HARVESTING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """The stage after a look, and why it changed; no code where it did not."""

    stage: StrategyLifecycle
    reason_codes: tuple[ReasonCode, ...]


def find_ends(
    measured: Measured, capital_decay: float, policy: LifecyclePolicy
) -> tuple[ReasonCode, ...]:
    """List every reason to decommission a strategy; none where it may go on."""
    rules = policy.decommission
    found = []
    if measured.max_drawdown > rules.drawdown:
        found.append(ReasonCode.STRATEGY_DRAWDOWN)
    is_long_enough = measured.deployed >= rules.psr_sessions
    if measured.psr is not None and measured.psr < rules.psr and is_long_enough:
        found.append(ReasonCode.STRATEGY_PERFORMANCE_POOR)
    if capital_decay < rules.capital_decay:
        found.append(ReasonCode.STRATEGY_CAPITAL_DECAYED)
    if measured.vetoes >= rules.vetoes:
        found.append(ReasonCode.STRATEGY_VETOED_OFTEN)
    return tuple(found)


def may_scale(measured: Measured, record: StrategyRecord, policy: LifecyclePolicy) -> bool:
    """Judge INCUBATING to SCALING: consistent profitability. What is not measured does not pass."""
    rules = policy.promotion
    return (
        measured.deployed >= rules.scaling_sessions
        and measured.positive_blocks >= rules.scaling_positive_blocks
        and measured.psr is not None
        and measured.psr >= rules.scaling_psr
        and measured.max_drawdown <= rules.scaling_max_drawdown
        and record.error_rate <= rules.scaling_error_rate
    )


def may_harvest(
    measured: Measured, record: StrategyRecord, hurdle: float, policy: LifecyclePolicy
) -> bool:
    """Judge SCALING to HARVESTING: a strong Sharpe ratio is necessary, the tail decides."""
    rules = policy.promotion
    return (
        measured.deployed >= rules.harvesting_sessions
        and measured.psr is not None
        and measured.psr >= rules.harvesting_psr
        and measured.dsr is not None
        and measured.dsr >= rules.harvesting_dsr
        and measured.return_per_cvar >= hurdle
        and record.e_value < rules.harvesting_e_value
    )


def judge_stage(
    stage: StrategyLifecycle,
    measured: Measured,
    record: StrategyRecord,
    *,
    capital_decay: float,
    is_mass_drawdown: bool,
    hurdle: float,
    policy: LifecyclePolicy,
) -> Transition:
    """Judge one strategy at a look: at most one step up, or the end (SPEC 8).

    Parameters
    ----------
    is_mass_drawdown
        Half or more of the strategies broke down together: a person reviews, none ends here.
    hurdle
        The return per unit of CVaR that capital must earn, lambda of the auction.
    """
    if stage is StrategyLifecycle.DECOMMISSIONED:
        return Transition(stage=stage, reason_codes=())
    ends = find_ends(measured, capital_decay, policy)
    if ends and not is_mass_drawdown:
        return Transition(stage=StrategyLifecycle.DECOMMISSIONED, reason_codes=ends)
    is_promoted = not ends and (
        (stage is StrategyLifecycle.INCUBATING and may_scale(measured, record, policy))
        or (stage is StrategyLifecycle.SCALING and may_harvest(measured, record, hurdle, policy))
    )
    if is_promoted:
        return Transition(stage=_NEXT[stage], reason_codes=(ReasonCode.STRATEGY_PROMOTED,))
    return Transition(stage=stage, reason_codes=ends)
