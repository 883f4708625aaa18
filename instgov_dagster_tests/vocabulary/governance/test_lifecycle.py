"""Stages, states of strategies and the policies of governance."""

import dataclasses
import math
from datetime import date
from typing import Any

import pytest

from instgov_dagster.vocabulary.governance import (
    DecommissionRules,
    LifecyclePolicy,
    PromotionRules,
    StageCaps,
    StrategyLifecycle,
    StrategyLifecycleState,
    VetoPolicy,
)
from instgov_dagster.vocabulary.reasons import ReasonCode


def lifecycle_state(**changes: Any) -> StrategyLifecycleState:
    base: dict[str, Any] = {
        "strategy_id": "momentum",
        "stage": StrategyLifecycle.INCUBATING,
        "max_capital_pct": 2.0,
        "total_return": 0.0,
        "sharpe_rolling": None,
        "max_drawdown": 0.0,
        "profit_factor": None,
        "signal_stale_hours": 0.0,
        "error_rate": 0.0,
        "last_profit_date": None,
        "decay_rate": 0.011,
        "start_date": date(2024, 1, 2),
        "capital_decay": 0.5,
        "sessions_since_proof": 63,
        "sessions": 200,
        "deployed_sessions": 180,
        "looked_at_session": 189,
        "psr": None,
        "psr_min_sessions": None,
        "dsr_min_sessions": None,
        "dsr": None,
        "reason_codes": (ReasonCode.STRATEGY_INCUBATING,),
    }
    return StrategyLifecycleState(**{**base, **changes})


@pytest.mark.roadmap("10.1")
def test_the_stages_are_the_four_of_the_roadmap() -> None:
    stages = ["INCUBATING", "SCALING", "HARVESTING", "DECOMMISSIONED"]
    assert [stage.value for stage in StrategyLifecycle] == stages


@pytest.mark.roadmap("10.2")
def test_a_lifecycle_state_has_every_field_of_the_roadmap() -> None:
    wanted = {
        "strategy_id",
        "stage",
        "max_capital_pct",
        "total_return",
        "sharpe_rolling",
        "max_drawdown",
        "profit_factor",
        "signal_stale_hours",
        "error_rate",
        "last_profit_date",
        "decay_rate",
    }
    assert wanted <= {field.name for field in dataclasses.fields(StrategyLifecycleState)}


@pytest.mark.roadmap("0.8")
def test_the_cap_in_force_is_the_stages_cap_decayed() -> None:
    state = lifecycle_state()
    assert state.capital_pct == 1.0
    assert state.capital_cap == 0.01
    assert state.stage_cap == 0.02


@pytest.mark.roadmap("10.2")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strategy_id", ""),
        ("total_return", -1.01),
        ("max_drawdown", math.nan),
        ("error_rate", 1.5),
        ("capital_decay", 1.01),
        ("sessions", -1),
        ("psr", math.nan),
        ("profit_factor", math.inf),
        ("reason_codes", ()),
    ],
)
def test_a_lifecycle_state_that_could_not_be_true_cannot_exist(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field.split("_", maxsplit=1)[0]):
        lifecycle_state(**{field: value})


@pytest.mark.roadmap("10.5")
def test_a_decommissioned_strategy_holds_nothing() -> None:
    with pytest.raises(ValueError, match="0 %"):
        lifecycle_state(stage=StrategyLifecycle.DECOMMISSIONED)
    ended = lifecycle_state(stage=StrategyLifecycle.DECOMMISSIONED, max_capital_pct=0.0)
    assert ended.capital_cap == 0.0


@pytest.mark.roadmap("10.5")
def test_the_stage_caps_are_2_5_10_and_0_percent() -> None:
    caps = LifecyclePolicy().stage_caps
    assert [caps.of(stage) for stage in StrategyLifecycle] == [2.0, 5.0, 10.0, 0.0]
    with pytest.raises(ValueError, match="rise"):
        StageCaps(incubating=6.0)
    with pytest.raises(ValueError, match="decommissioned"):
        StageCaps(decommissioned=0.1)


def test_the_policies_hold_the_numbers_of_the_specification() -> None:
    veto, life = VetoPolicy(), LifecyclePolicy()
    rules, ends = life.promotion, life.decommission
    assert (veto.sticky_sessions, veto.unexplained_floor_bps) == (21, 2.0)
    assert (veto.unexplained_mad_multiple, veto.unexplained_sessions) == (4.0, 63)
    assert (veto.rank_sessions, veto.rank_correlation_min) == (250, 0.70)
    assert (veto.execution_min_fills, veto.better_than_mid_share) == (20, 0.95)
    assert (veto.better_than_mid_p_value, veto.slippage_deviation_ratio) == (0.01, 0.1)
    assert (veto.passive_fill_rate, veto.markout_minutes) == (0.95, 5.0)
    assert (veto.dependency_share, veto.stale_gross_share) == (0.45, 0.20)
    assert (veto.wins_sessions, veto.wins_correlation) == (63, 0.70)
    assert (veto.wins_effective_bets, veto.wins_min_winners) == (2.0, 3)
    assert (life.look_sessions, life.half_life_sessions, life.grace_sessions) == (21, 63, 126)
    assert (life.proof_sessions, life.target_volatility_annual) == (63, 0.08)
    assert (rules.scaling_sessions, rules.scaling_psr) == (126, 0.985)
    assert (rules.scaling_blocks, rules.scaling_positive_blocks) == (6, 4)
    assert (rules.scaling_max_drawdown, rules.scaling_error_rate) == (0.10, 0.01)
    assert (rules.harvesting_sessions, rules.harvesting_psr) == (252, 0.995)
    assert (rules.harvesting_dsr, rules.harvesting_e_value) == (0.90, 20)
    assert (ends.drawdown, ends.psr, ends.psr_sessions) == (0.20, 0.02, 126)
    assert (ends.capital_decay, ends.vetoes, ends.veto_sessions) == (0.10, 3, 63)
    assert (ends.mass_share, ends.mass_sessions) == (0.5, 21)


POLICIES = (VetoPolicy, LifecyclePolicy, StageCaps, PromotionRules, DecommissionRules)


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (p, f.name)
        for p in POLICIES
        for f in dataclasses.fields(p)
        if isinstance(f.default, int | float)
    ],
)
def test_no_policy_number_may_be_nan(policy: Any, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        policy(**{field: math.nan})


def test_more_positive_blocks_than_blocks_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="scaling_positive_blocks"):
        PromotionRules(scaling_blocks=3)
