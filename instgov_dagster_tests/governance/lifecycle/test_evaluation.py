"""A strategy starts small, decays by default and proves nothing with broken numbers."""

import dataclasses
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from instgov_dagster.governance.lifecycle import (
    LIFECYCLE_SCHEMA,
    capital_decay,
    evaluate_lifecycle,
    fresh_state,
    is_proof,
    lifecycle_from_frame,
    lifecycle_to_frame,
)
from instgov_dagster.vocabulary.governance import (
    StrategyLifecycle,
)
from instgov_dagster.vocabulary.reasons import ReasonCode as Code
from instgov_dagster_tests.governance.lifecycle.worlds import (
    CALENDAR,
    ENDED,
    HURDLE,
    INCUBATING,
    POLICY,
    SCALING,
    START,
    TRIALS,
    asof_after,
    evaluate,
    measured,
    record,
    steady,
    walk,
)

pytestmark = [pytest.mark.roadmap("10.3"), pytest.mark.roadmap("TEST.10")]


@pytest.mark.roadmap("10.5")
def test_a_fresh_system_starts_incubating_tonight_at_two_percent() -> None:
    empty = np.zeros(0)
    report = evaluate_lifecycle(
        (),
        [record("b", empty), record("a", empty)],
        asof=START,
        sessions=CALENDAR[:0],
        n_trials=TRIALS,
        hurdle=HURDLE,
        policy=POLICY,
    )
    assert [state.strategy_id for state in report.states] == ["a", "b"]
    for state in report.states:
        assert (state.stage, state.start_date, state.capital_pct) == (INCUBATING, START, 2.0)
        assert state.reason_codes == (Code.STRATEGY_INCUBATING,)
    assert report.causes == ()


def test_a_new_strategy_may_join_one_that_has_lived() -> None:
    returns = steady(200)
    old = walk(returns)[-1]
    report = evaluate((old,), 201, record("s", steady(201)), record("new", np.zeros(201)))
    new = report.states[0]
    assert (new.strategy_id, new.stage, new.sessions) == ("new", INCUBATING, 0)
    assert new.start_date == asof_after(201)


@pytest.mark.roadmap("0.8")
@pytest.mark.roadmap("10.4")
@pytest.mark.parametrize(
    ("sessions", "share"), [(0, 1.0), (63, 0.5), (126, 0.25), (21, 2 ** (-1 / 3))]
)
def test_capital_halves_every_sixty_three_sessions_without_proof(
    sessions: int, share: float
) -> None:
    assert capital_decay(sessions, POLICY) == pytest.approx(share, rel=1e-15)


@pytest.mark.roadmap("0.8")
@pytest.mark.roadmap("10.4")
@given(st.integers(0, 2000))
def test_capital_never_rises_without_proof(sessions: int) -> None:
    assert 0 <= capital_decay(sessions + 1, POLICY) < capital_decay(sessions, POLICY) <= 1
    with pytest.raises(ValueError, match=">= 0"):
        capital_decay(-1 - sessions, POLICY)


@pytest.mark.roadmap("10.4")
@pytest.mark.parametrize(
    ("sessions", "pnl", "healthy", "proven"),
    [
        (126, -1.0, False, True),
        (127, -1e-9, True, False),
        (127, 0.0, True, True),
        (127, 0.1, False, False),
    ],
)
def test_proof_is_a_trailing_result_with_a_healthy_model_or_the_first_sessions(
    sessions: int,
    pnl: float,
    *,
    healthy: bool,
    proven: bool,
) -> None:
    row = measured(sessions=sessions, trailing_pnl=pnl)
    assert is_proof(row, is_model_healthy=healthy, policy=POLICY) is proven


@pytest.mark.roadmap("10.4")
def test_a_losing_strategy_decays_from_the_127th_session_on() -> None:
    states = walk(np.full(150, -1e-5))
    assert [state.sessions_since_proof for state in states[:127]] == [0] * 127
    assert [state.sessions_since_proof for state in states[127:]] == list(range(1, 25))
    last = states[-1]
    assert last.capital_decay == 2 ** (-24 / 63)
    assert last.capital_pct == pytest.approx(2 * 2 ** (-24 / 63))
    assert Code.STRATEGY_CAPITAL_DECAYED in last.reason_codes


@pytest.mark.roadmap("10.4")
def test_nights_that_were_skipped_decay_all_the_same() -> None:
    before = walk(np.full(130, -1e-5))[-1]
    after = evaluate((before,), 150, record("s", np.full(150, -1e-5))).states[0]
    assert after.sessions_since_proof == before.sessions_since_proof + 20 == 24


def test_a_night_told_twice_is_the_same_night() -> None:
    returns = steady(140)
    before = walk(returns[:139])[-1]
    first = evaluate((before,), 140, record("s", returns))
    assert evaluate((before,), 140, record("s", returns)) == first


@pytest.mark.roadmap("10.4")
def test_a_strategy_in_cash_keeps_proving_itself_and_is_never_promoted() -> None:
    start = fresh_state("s", START, POLICY)
    for n in (21, 126, 252):
        cash = record("s", np.zeros(n), gross=np.zeros(n), volatility_annual=np.full(n, math.nan))
        state = evaluate((start,), n, cash).states[0]
        assert (state.stage, state.deployed_sessions) == (INCUBATING, 0)
        assert (state.sessions_since_proof, state.psr, state.sharpe_rolling) == (0, None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"pnl": np.full(150, math.nan)},
        {"gross": np.full(150, math.inf)},
        {"volatility_annual": np.zeros(150)},
        {"error_rate": math.nan},
        {"error_rate": 1.5},
        {"e_value": math.nan},
        {"signal_stale_hours": -1.0},
    ],
)
def test_numbers_that_cannot_be_true_prove_and_promote_nothing(changes: dict[str, Any]) -> None:
    before = dataclasses.replace(walk(steady(125))[-1], sessions_since_proof=2)
    after = evaluate((before,), 150, record("s", steady(150), **changes)).states[0]
    assert after.stage is INCUBATING
    assert after.sessions_since_proof == 2 + 25
    assert after.looked_at_session == before.looked_at_session, "the look is still due"
    assert Code.RISK_NOT_FINITE in after.reason_codes


def test_a_strategy_that_brings_no_record_decays() -> None:
    before = walk(steady(126))[-1]
    after = evaluate((before,), 136).states[0]
    assert (after.stage, after.sessions_since_proof) == (SCALING, 10)


@pytest.mark.parametrize(
    "sessions", [CALENDAR[:11], CALENDAR[:10][::-1], np.repeat(CALENDAR[:1], 2)]
)
def test_a_calendar_that_knows_today_or_does_not_ascend_is_refused(
    sessions: NDArray[np.datetime64],
) -> None:
    with pytest.raises(ValueError, match="ascend and end before"):
        evaluate_lifecycle(
            (),
            (),
            asof=asof_after(10),
            sessions=sessions,
            n_trials=TRIALS,
            hurdle=HURDLE,
            policy=POLICY,
        )


def test_a_strategy_occurs_once_and_its_arrays_have_the_calendars_length() -> None:
    with pytest.raises(ValueError, match="once"):
        evaluate((), 3, record("s", np.zeros(3)), record("s", np.zeros(3)))
    with pytest.raises(ValueError, match="5 sessions of 3 dates"):
        evaluate((fresh_state("s", START, POLICY),), 3, record("s", np.zeros(5)))
    with pytest.raises(ValueError, match="one length"):
        record("s", np.zeros(3), gross=np.zeros(2))


@pytest.mark.roadmap("10.2")
def test_the_state_shows_what_the_strategy_earned_per_unit_of_capital() -> None:
    returns = np.array([0.10, -0.05, 0.02])
    state = evaluate((fresh_state("s", START, POLICY),), 3, record("s", returns)).states[0]
    assert state.total_return == pytest.approx(1.1 * 0.95 * 1.02 - 1)
    assert state.max_drawdown == pytest.approx(0.05)
    assert state.profit_factor == pytest.approx(0.12 / 0.05)
    assert state.last_profit_date == CALENDAR[2].item()
    assert state.sharpe_rolling == pytest.approx(
        returns.mean() / returns.std(ddof=1) * math.sqrt(252)
    )
    assert state.decay_rate == pytest.approx(math.log(2) / 63)
    assert (state.sessions, state.deployed_sessions) == (3, 3)


@pytest.mark.roadmap("DB.6")
def test_states_survive_the_table_bit_for_bit() -> None:
    states = (*walk(steady(130))[-1:], fresh_state("fresh", START, POLICY))
    frame = lifecycle_to_frame(states)
    assert frame.schema == LIFECYCLE_SCHEMA
    assert frame["capital_pct"].to_list() == [state.capital_pct for state in states]
    assert lifecycle_from_frame(frame.with_columns(asof=pl.lit(START))) == states
    assert lifecycle_from_frame(lifecycle_to_frame(())) == ()


def test_a_row_without_its_metrics_is_refused() -> None:
    frame = lifecycle_to_frame([fresh_state("s", START, POLICY)])
    with pytest.raises(ValueError, match="psr"):
        lifecycle_from_frame(frame.with_columns(performance_metrics=pl.lit("{}")))
    with pytest.raises(ValueError, match="RETIRED"):
        lifecycle_from_frame(frame.with_columns(stage=pl.lit("RETIRED")))


@given(st.integers(0, 2**32 - 1), st.floats(-0.003, 0.003))
def test_whatever_a_strategy_earns_its_cap_never_exceeds_its_stages_nor_skips_one(
    seed: int, mean: float
) -> None:
    returns = np.random.default_rng(seed).normal(mean, 0.006, 273)
    state = fresh_state("s", START, POLICY)
    ranks = {stage: rank for rank, stage in enumerate(StrategyLifecycle)}
    for n in range(21, 274, 21):
        after = evaluate((state,), n, record("s", returns[:n])).states[0]
        assert after.capital_pct <= POLICY.stage_caps.of(after.stage)
        assert after.stage is ENDED or 0 <= ranks[after.stage] - ranks[state.stage] <= 1
        assert state.stage is not ENDED or after.stage is ENDED
        state = after
