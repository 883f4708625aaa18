"""A strategy rises slowly, ends for good, and a mass breakdown is a halt."""

import math
from typing import Any

import numpy as np
import pytest

from instgov_dagster.vocabulary.governance import (
    StrategyLifecycle,
    SystemStateName,
    Veto,
)
from instgov_dagster.vocabulary.reasons import ReasonCode as Code
from instgov_dagster_tests.governance.lifecycle.worlds import (
    CALENDAR,
    ENDED,
    HARVESTING,
    INCUBATING,
    SCALING,
    evaluate,
    look,
    mass_night,
    record,
    steady,
    walk,
    walk_two,
)

pytestmark = [pytest.mark.roadmap("10.3"), pytest.mark.roadmap("TEST.10")]


def test_consistent_profit_scales_at_the_sixth_look_and_harvests_at_the_twelfth() -> None:
    states = walk(steady(300))
    stages = [state.stage for state in states]
    assert stages[:126] == [INCUBATING] * 126
    assert stages[126:252] == [SCALING] * 126
    assert stages[252:] == [HARVESTING] * 49
    assert states[126].reason_codes == (Code.STRATEGY_SCALING, Code.STRATEGY_PROMOTED)
    assert states[127].reason_codes == (Code.STRATEGY_SCALING,)
    assert [state.max_capital_pct for state in (states[125], states[126], states[252])] == [
        2,
        5,
        10,
    ]
    looks = {state.looked_at_session for state in states}
    assert looks == {0, *range(21, 301, 21)}


def test_a_look_that_was_missed_is_made_up_and_counts_as_one() -> None:
    returns = steady(300)
    before = walk(returns[:120])[-1]
    late = evaluate((before,), 130, record("s", returns[:130])).states[0]
    assert (late.stage, late.looked_at_session) == (SCALING, 130)
    jump = evaluate((late,), 300, record("s", returns)).states[0]
    assert jump.stage is HARVESTING
    two_steps = evaluate((before,), 300, record("s", returns)).states[0]
    assert two_steps.stage is SCALING, "one step a look"


@pytest.mark.parametrize(
    ("changes", "record_changes"),
    [
        ({"deployed": 125}, {}),
        ({"positive_blocks": 3}, {}),
        ({"psr": 0.984}, {}),
        ({"psr": None}, {}),
        ({"max_drawdown": 0.101}, {}),
        ({}, {"error_rate": 0.011}),
    ],
)
def test_each_rule_alone_keeps_a_strategy_incubating(
    changes: dict[str, Any], record_changes: dict[str, Any]
) -> None:
    assert look(INCUBATING).stage is SCALING
    assert look(INCUBATING, record_changes, **changes).stage is INCUBATING


@pytest.mark.parametrize(
    ("changes", "record_changes"),
    [
        ({"deployed": 251}, {}),
        ({"psr": 0.994}, {}),
        ({"dsr": 0.89}, {}),
        ({"dsr": None}, {}),
        ({"return_per_cvar": 0.019}, {}),
        ({"return_per_cvar": -math.inf}, {}),
        ({}, {"e_value": 20.0}),
    ],
)
def test_each_rule_alone_keeps_a_strategy_scaling(
    changes: dict[str, Any], record_changes: dict[str, Any]
) -> None:
    assert look(SCALING).stage is HARVESTING
    assert look(SCALING, record_changes, **changes).stage is SCALING


@pytest.mark.parametrize("stage", [INCUBATING, SCALING, HARVESTING])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"max_drawdown": 0.201}, Code.STRATEGY_DRAWDOWN),
        ({"psr": 0.019, "deployed": 126}, Code.STRATEGY_PERFORMANCE_POOR),
        ({"decay": 0.099}, Code.STRATEGY_CAPITAL_DECAYED),
        ({"vetoes": 3}, Code.STRATEGY_VETOED_OFTEN),
    ],
)
def test_each_end_is_reached_from_every_stage(
    stage: StrategyLifecycle, changes: dict[str, Any], code: Code
) -> None:
    ended = look(stage, **changes)
    assert (ended.stage, ended.reason_codes) == (ENDED, (code,))


@pytest.mark.parametrize(
    "changes",
    [
        {"max_drawdown": 0.2},
        {"psr": 0.019, "deployed": 125},
        {"psr": None},
        {"psr": 0.02},
        {"decay": 0.1},
        {"vetoes": 2},
    ],
)
def test_at_its_limit_no_rule_ends_a_strategy(changes: dict[str, Any]) -> None:
    assert look(HARVESTING, **changes).stage is HARVESTING


def test_every_reason_to_end_is_named() -> None:
    ended = look(SCALING, max_drawdown=0.3, psr=0.0, vetoes=5, decay=0.01)
    assert len(ended.reason_codes) == 4


def test_the_end_is_terminal_whatever_is_earned_after_it() -> None:
    returns = np.concatenate([[-0.3], steady(400, mean=0.01)])
    states = walk_two(returns)
    ended_at = next(i for i, state in enumerate(states) if state.stage is ENDED)
    # The limit passed on session 1; the look of session 21 ends it (one of three: no review).
    assert ended_at == 21
    assert {state.stage for state in states[ended_at:]} == {ENDED}
    assert {state.capital_cap for state in states[ended_at:]} == {0.0}
    assert states[-1].reason_codes == (Code.STRATEGY_DECOMMISSIONED,)
    assert states[-1].sessions == returns.size


def test_correlated_wins_never_count_toward_the_end() -> None:
    def vetoes(code: Code) -> tuple[Veto, ...]:
        return tuple(
            Veto(
                strategy_id="s",
                symbol="*",
                reason_code=code,
                trigger="test.rule",
                raised_on=CALENDAR[k].item(),
                statistic=1.0,
                threshold=0.5,
                n=9,
            )
            for k in (60, 80, 100)
        )

    returns = steady(105)
    before = walk(returns[:104])[-1]
    for code, stage in ((Code.VETO_CORRELATED_WINS, INCUBATING), (Code.VETO_DRAWDOWN, ENDED)):
        after = evaluate((before,), 105, record("s", returns, vetoes=vetoes(code))).states[0]
        assert after.stage is stage
    # The window of 63 sessions begins at session 42 of 105 and at session 63 of 126.
    longer = steady(126)
    before = walk(longer[:125])[-1]
    later = evaluate((before,), 126, record("s", longer, vetoes=vetoes(Code.VETO_DRAWDOWN)))
    assert later.states[0].stage is SCALING


def test_half_of_the_strategies_down_together_halt_for_review_and_none_ends() -> None:
    report = mass_night({"a": 20, "b": 5, "c": None, "d": None}, 21)
    assert [cause.reason_code for cause in report.causes] == [Code.MASS_DRAWDOWN_REVIEW]
    cause = report.causes[0]
    assert cause.state is SystemStateName.HALT_SYSTEM
    assert cause.detail == "2 of 4 strategies fell more than 20%: a, b"
    assert [state.stage for state in report.states] == [INCUBATING] * 4
    reviewed = [Code.MASS_DRAWDOWN_REVIEW in state.reason_codes for state in report.states]
    assert reviewed == [True, True, False, False]


def test_fewer_than_half_end_and_halt_nothing() -> None:
    report = mass_night({"a": 20, "b": None, "c": None}, 21)
    assert report.causes == ()
    assert [state.stage for state in report.states] == [ENDED, INCUBATING, INCUBATING]


def test_breakdowns_further_apart_than_the_window_are_not_together() -> None:
    report = mass_night({"a": 41, "b": 20, "c": None, "d": None}, 42)
    assert report.causes == ()
    assert [state.stage for state in report.states][:2] == [ENDED, ENDED]
    together = mass_night({"a": 41, "b": 21, "c": None, "d": None}, 42)
    assert len(together.causes) == 1


def test_a_review_is_called_on_the_night_it_is_new_and_not_on_each_night_after() -> None:
    first = mass_night({"a": 29, "b": 25, "c": None, "d": None}, 30)
    assert len(first.causes) == 1
    second = mass_night({"a": 29, "b": 25, "c": None, "d": None}, 31, first.states)
    assert second.causes == ()
    assert [state.stage for state in second.states] == [INCUBATING] * 4
    look_after = mass_night({"a": 29, "b": 25, "c": None, "d": None}, 63, second.states)
    assert [state.stage for state in look_after.states][:2] == [ENDED, ENDED]
