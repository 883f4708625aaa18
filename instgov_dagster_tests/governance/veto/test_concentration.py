"""One provider, one bar or one winning bet is vetoed."""

import math

import numpy as np
import pytest

from instgov_dagster.governance.veto import (
    veto_correlated_wins,
    veto_data_dependency,
)
from instgov_dagster_tests.governance.veto.worlds import POLICY, by_rule, strategies

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]


def test_a_target_that_keeps_its_shape_without_a_provider_does_not_depend_on_it() -> None:
    weights = np.array([0.04, 0.03, 0.02, 0.01])
    other = np.array([0.04, 0.03, 0.0, 0.01])  # |moved| .02 of 2 x .10
    found = by_rule(veto_data_dependency(weights, {"yahoo": other}, np.zeros(4, bool), POLICY))
    assert found["yahoo"].statistic == pytest.approx(0.1)
    assert not found["yahoo"].fired
    assert found["yahoo"].n == 4


@pytest.mark.parametrize(("kept", "fires"), [(0.0, True), (0.010001, False), (0.01, True)])
def test_a_target_that_loses_nine_tenths_without_a_provider_depends_on_it(
    kept: float, *, fires: bool
) -> None:
    weights = np.array([0.06, 0.04])
    found = by_rule(
        veto_data_dependency(
            weights, {"last_bar": np.array([kept, 0.0])}, np.zeros(2, bool), POLICY
        )
    )["last_bar"]
    assert found.fired is fires
    assert found.statistic == pytest.approx((0.1 - kept) / 0.2)


def test_the_only_route_of_a_class_is_not_held_against_it() -> None:
    weights, gone = np.array([0.1]), {"yahoo": np.array([0.0]), "polygon": np.array([0.1])}
    found = by_rule(
        veto_data_dependency(weights, gone, np.zeros(1, bool), POLICY, skipped={"yahoo"})
    )
    assert set(found) == {"polygon", "stale_gross"}


@pytest.mark.parametrize(("share", "fires"), [(0.20, False), (0.21, True)])
def test_more_than_a_fifth_of_gross_on_stale_bars_is_vetoed(share: float, *, fires: bool) -> None:
    found = veto_data_dependency(
        np.array([share, -(1.0 - share)]), {}, np.array([True, False]), POLICY
    )[0]
    assert (found.fired, found.threshold) == (fires, 0.20)
    assert found.statistic == pytest.approx(share)


def test_an_empty_target_depends_on_nothing() -> None:
    zero = np.zeros(3)
    found = veto_data_dependency(zero, {"x": np.full(3, 0.1)}, np.ones(3, bool), POLICY)
    assert [(f.fired, f.statistic, f.n) for f in found] == [(False, 0.0, 0)] * 2


def test_winners_that_move_as_one_are_vetoed() -> None:
    correlation, bets = veto_correlated_wins(strategies(0.9), POLICY)
    assert correlation.fired
    assert bets.fired
    oracle = np.corrcoef(strategies(0.9), rowvar=False)
    assert correlation.statistic == pytest.approx(float(oracle[np.triu_indices(4, 1)].mean()))
    shares = np.linalg.eigvalsh(oracle) / 4
    assert bets.statistic == pytest.approx(float(np.exp(-(shares * np.log(shares)).sum())))
    assert correlation.n == bets.n == 4


def test_winners_that_move_apart_are_not() -> None:
    correlation, bets = veto_correlated_wins(strategies(0.0), POLICY)
    assert not correlation.fired
    assert not bets.fired
    assert 3.5 < bets.statistic <= 4.0


@pytest.mark.parametrize("n", [3, 5])
def test_identical_winners_are_one_bet(n: int) -> None:
    same = np.repeat(strategies(0.0, n=1), n, axis=1)
    correlation, bets = veto_correlated_wins(same, POLICY)
    assert correlation.statistic == pytest.approx(1.0)
    assert bets.statistic == pytest.approx(1.0)
    assert correlation.fired
    assert bets.fired


def test_losers_do_not_count_and_two_winners_are_too_few() -> None:
    returns = strategies(0.9)
    returns[:, :2] -= 0.02
    correlation, bets = veto_correlated_wins(returns, POLICY)
    assert (correlation.n, correlation.fired, bets.fired) == (2, False, False)


def test_less_than_sixty_three_sessions_are_too_few() -> None:
    assert not any(f.fired for f in veto_correlated_wins(strategies(0.9, sessions=62), POLICY))
    longer = np.vstack([strategies(0.0, sessions=50), strategies(0.9)])
    assert all(f.fired for f in veto_correlated_wins(longer, POLICY)), "the last window counts"


def test_a_winner_that_never_moves_correlates_with_nothing() -> None:
    returns = np.hstack([strategies(0.0, n=2), np.full((63, 1), 0.001)])
    correlation, bets = veto_correlated_wins(returns, POLICY)
    assert math.isfinite(correlation.statistic)
    assert 2.0 < bets.statistic <= 3.0
    with pytest.raises(ValueError, match="two dimensions"):
        veto_correlated_wins(np.zeros(3), POLICY)
