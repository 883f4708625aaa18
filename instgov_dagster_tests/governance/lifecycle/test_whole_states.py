"""Every number of a strategy's state, whole: new, measured, broken down; and the edges of each."""

import dataclasses
import math

import numpy as np
import pytest

from instgov_dagster.governance.lifecycle import fresh_state
from instgov_dagster.governance.lifecycle.metrics import (
    deflated_sharpe,
    positive_blocks,
    probabilistic_sharpe,
    profit_factor,
    return_per_cvar,
    sharpe_odds,
    sharpe_ratio,
)
from instgov_dagster.governance.state import cause_of
from instgov_dagster.vocabulary.governance import StrategyLifecycleState
from instgov_dagster.vocabulary.reasons import ReasonCode as Code
from instgov_dagster_tests.governance.lifecycle.worlds import (
    CALENDAR,
    INCUBATING,
    POLICY,
    START,
    evaluate,
    mass_night,
    record,
    steady,
    walk,
)

pytestmark = [pytest.mark.roadmap("10.3"), pytest.mark.roadmap("10.4")]


def test_a_new_strategy_has_earned_nothing_and_lost_nothing() -> None:
    assert fresh_state("s", START, POLICY) == StrategyLifecycleState(
        strategy_id="s",
        stage=INCUBATING,
        max_capital_pct=2,
        total_return=0.0,
        sharpe_rolling=None,
        max_drawdown=0.0,
        profit_factor=None,
        signal_stale_hours=0.0,
        error_rate=0.0,
        last_profit_date=None,
        decay_rate=math.log(2.0) / 63,
        start_date=START,
        capital_decay=1.0,
        sessions_since_proof=0,
        sessions=0,
        deployed_sessions=0,
        looked_at_session=0,
        psr=None,
        psr_min_sessions=None,
        dsr=None,
        dsr_min_sessions=None,
        reason_codes=(Code.STRATEGY_INCUBATING,),
    )


def test_a_night_s_measures_are_all_told() -> None:
    returns = steady(100)
    told = record("s", returns, signal_stale_hours=7.5, error_rate=0.004)
    before = fresh_state("s", START, POLICY)
    (state,) = evaluate((before,), 100, told).states
    assert (state.signal_stale_hours, state.error_rate) == (7.5, 0.004)
    assert (state.sessions, state.deployed_sessions, state.looked_at_session) == (100, 100, 100)
    assert state.decay_rate == math.log(2.0) / 63
    unlike = [
        field.name
        for field in dataclasses.fields(state)
        if getattr(state, field.name) == getattr(before, field.name)
    ]
    assert unlike == [
        "strategy_id", "stage", "max_capital_pct", "decay_rate", "start_date", "capital_decay",
        "sessions_since_proof", "reason_codes",
    ]  # fmt: skip
    assert state.last_profit_date in set(CALENDAR[:100].tolist())
    assert state.psr is not None
    assert state.dsr is not None
    assert 0.0 < state.dsr < state.psr < 1.0
    assert state.psr_min_sessions is not None
    assert state.dsr_min_sessions is not None
    assert state.psr_min_sessions > 1.0
    assert state.dsr_min_sessions > 1.0


def test_between_two_looks_the_last_look_stands() -> None:
    states = walk(steady(45))
    assert [states[n].looked_at_session for n in (20, 21, 22, 41, 42, 43)] == [
        0, 21, 21, 21, 42, 42,
    ]  # fmt: skip


def test_a_mass_breakdown_names_who_fell_and_how_far() -> None:
    report = mass_night({"a": 20, "b": 20, "c": None, "d": None}, 21)
    detail = "2 of 4 strategies fell more than 20%: a, b"
    assert report.causes == (cause_of(Code.MASS_DRAWDOWN_REVIEW, detail),)
    reviewed = [s.strategy_id for s in report.states if Code.MASS_DRAWDOWN_REVIEW in s.reason_codes]
    assert reviewed == ["a", "b"]


@pytest.mark.parametrize(
    ("crashes", "is_mass"),
    [
        ({"a": 20, "b": None}, True),  # exactly half
        ({"a": 20, "b": None, "c": None}, False),
        ({"a": None, "b": None}, False),
        ({"a": 20, "b": 20, "c": None, "d": None, "e": None}, False),
    ],
)
def test_half_of_the_strategies_are_a_mass(
    crashes: dict[str, int | None], *, is_mass: bool
) -> None:
    report = mass_night(crashes, 21)
    assert bool(report.causes) is is_mass
    fallen = sorted(name for name, at in crashes.items() if at is not None)
    ended = [s.strategy_id for s in report.states if s.stage.value == "DECOMMISSIONED"]
    assert ended == ([] if is_mass else fallen)


@pytest.mark.parametrize(("age", "counts"), [(20, True), (21, False)])
def test_a_fall_counts_for_twenty_one_sessions(age: int, *, counts: bool) -> None:
    # One falls tonight; whether the other fell with it hangs on how long ago that was.
    n = 84
    report = mass_night({"a": n - 1 - age, "b": n - 1, "c": None, "d": None}, n)
    assert bool(report.causes) is counts


def test_a_ratio_of_nothing_of_one_and_of_equals_is_none() -> None:
    for returns in ([], [0.1], [0.0, 0.0], [0.1, 0.1, 0.1]):
        assert sharpe_ratio(np.array(returns)) is None
    assert sharpe_ratio(np.array([0.1, 0.3])) == pytest.approx(0.2 / math.sqrt(0.02))
    assert sharpe_ratio(np.array([1e-13, 3e-13])) == pytest.approx(0.2 / math.sqrt(0.02))


def test_odds_need_three_returns() -> None:
    two, three = np.array([0.1, 0.3]), np.array([0.1, 0.3, 0.2])
    assert probabilistic_sharpe(two) is None
    assert probabilistic_sharpe(three) is not None
    assert sharpe_odds(0.1, n=2, skewness=0.0, kurtosis=3.0, benchmark=0.0) is None
    assert sharpe_odds(0.0, n=3, skewness=0.0, kurtosis=3.0, benchmark=0.0) == 0.5
    # The spread 1 - skewness * ratio + ... is exactly 0 here: nothing can be said.
    assert sharpe_odds(1.0, n=9, skewness=1.5, kurtosis=3.0, benchmark=0.0) is None
    assert probabilistic_sharpe(three, 0.5) != probabilistic_sharpe(three)


def test_one_trial_deflates_and_none_says_nothing() -> None:
    returns = steady(100)
    assert deflated_sharpe(returns, 0, 0.1) is None
    assert deflated_sharpe(returns, 1, 0.1) is not None
    assert deflated_sharpe(returns, 4, math.inf) is None


def test_a_return_of_nothing_is_neither_gain_nor_loss() -> None:
    assert profit_factor(np.array([0.2, 0.0, -0.1])) == pytest.approx(2.0)
    assert profit_factor(np.array([0.2, 0.0])) is None
    assert profit_factor(np.array([0.0, -0.1])) == 0.0


def test_blocks_are_counted_where_all_are_held_and_an_even_one_is_not_positive() -> None:
    returns = np.array([1.0, -1.0, 1.0, 1.0])
    assert positive_blocks(returns, blocks=2, length=2) == 1
    assert positive_blocks(returns[1:], blocks=2, length=2) == 0
    assert positive_blocks(np.concatenate([[9.0], returns]), blocks=2, length=2) == 1


def test_the_return_per_tail_needs_one_horizon() -> None:
    assert return_per_cvar(np.full(4, -0.1), horizon=5, confidence_level=0.95) == -math.inf
    one = return_per_cvar(np.full(5, -0.1), horizon=5, confidence_level=0.95)
    assert one == pytest.approx(-1.0)
