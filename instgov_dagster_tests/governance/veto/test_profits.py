"""Profit that positions, returns and costs do not explain is vetoed."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instgov_dagster.governance.veto import (
    veto_unexplained_profits,
)
from instgov_dagster_tests.governance.veto.worlds import POLICY, Vector, by_rule, explained_book

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]


def test_a_book_whose_profit_is_positions_times_returns_is_not_vetoed() -> None:
    found = by_rule(veto_unexplained_profits(*explained_book(), POLICY))
    level, rank = found["level"], found["rank"]
    assert not level.fired
    assert not rank.fired
    assert level.statistic == pytest.approx(0.0, abs=1e-12)
    assert (level.threshold, level.n) == (2e-4, 63)
    assert rank.statistic == pytest.approx(1.0)
    assert (rank.threshold, rank.n) == (0.70, 250)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("off_bps", "fires"), [(1.9, False), (2.1, True)])
def test_two_basis_points_of_unexplained_profit_or_loss_are_the_floor(
    sign: float, off_bps: float, *, fires: bool
) -> None:
    realised, explained, costs = explained_book()
    realised[-1] += sign * off_bps / 10_000
    level = by_rule(veto_unexplained_profits(realised, explained, costs, POLICY))["level"]
    assert level.fired is fires
    assert level.statistic == pytest.approx(off_bps / 10_000)


def test_a_noisy_book_is_held_against_four_robust_deviations_of_its_own_noise() -> None:
    # Residuals 1..63 bps have median 32 and median absolute deviation 16.
    residual = np.concatenate([np.arange(1.0, 64.0), [125.0]]) / 10_000
    zero = np.zeros(64)
    level = by_rule(veto_unexplained_profits(residual, zero, zero, POLICY))["level"]
    assert level.threshold == pytest.approx(4 * 1.4826 * 16 / 10_000)
    assert level.threshold == pytest.approx(94.8864e-4)
    assert level.fired
    residual[-1] = 94e-4
    assert not by_rule(veto_unexplained_profits(residual, zero, zero, POLICY))["level"].fired


def test_costs_explain_what_they_cost() -> None:
    realised, explained, costs = explained_book()
    costs[-1], realised[-1] = 0.01, explained[-1] - 0.01
    assert not by_rule(veto_unexplained_profits(realised, explained, costs, POLICY))["level"].fired


@pytest.mark.parametrize(("n", "fires"), [(63, False), (64, True)])
def test_the_level_needs_sixty_three_sessions_before_today(n: int, *, fires: bool) -> None:
    zero = np.zeros(n)
    realised = zero.copy()
    realised[-1] = 0.01
    level = by_rule(veto_unexplained_profits(realised, zero, zero, POLICY))["level"]
    assert (level.fired, level.n) == (fires, n - 1)


def test_profit_that_does_not_rank_like_its_explanation_is_vetoed() -> None:
    rng = np.random.default_rng(8)
    explained, noise = rng.normal(0, 0.005, 260), rng.normal(0, 0.010, 260)
    zero = np.zeros(260)
    realised = explained + noise
    rank = by_rule(veto_unexplained_profits(realised, explained, zero, POLICY))["rank"]
    oracle = scipy.stats.spearmanr(realised[-250:], explained[-250:]).statistic
    assert rank.statistic == pytest.approx(float(oracle), abs=1e-12)
    assert rank.fired
    short = by_rule(veto_unexplained_profits(realised[:249], explained[:249], zero[:249], POLICY))
    assert (short["rank"].fired, short["rank"].n) == (False, 249)


@given(hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(-3, 3).map(float)))
def test_ties_rank_as_scipy_ranks_them(explained: Vector) -> None:
    realised = np.roll(explained, 1)
    zero = np.zeros_like(explained)
    is_active = (realised != 0) | (explained != 0)
    rank = by_rule(veto_unexplained_profits(realised, explained, zero, POLICY))["rank"]
    a, b = realised[is_active], explained[is_active]
    if a.size > 1 and np.ptp(a) > 0 and np.ptp(b) > 0:
        oracle = float(scipy.stats.spearmanr(a, b).statistic)
        assert rank.statistic == pytest.approx(oracle, abs=1e-9)


def test_a_book_in_cash_says_nothing_about_its_ranking() -> None:
    zero = np.zeros(400)
    rank = by_rule(veto_unexplained_profits(zero, zero, zero, POLICY))["rank"]
    assert (rank.fired, rank.n) == (False, 0)


def test_a_constant_profit_from_a_moving_book_is_vetoed() -> None:
    _, explained, _ = explained_book(250)
    flat, zero = np.full(250, 1e-4), np.zeros(250)
    rank = by_rule(veto_unexplained_profits(flat, explained, zero, POLICY))["rank"]
    assert (rank.fired, rank.statistic) == (True, 0.0)
