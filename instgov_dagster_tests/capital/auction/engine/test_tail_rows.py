"""The CVaR of a tail inside a program is the exact one, however little of it the program holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.capital.auction.engine.lp import OPTIMAL, Entries, HotLp, Simplex
from instgov_dagster.capital.auction.engine.tail_rows import TailRows
from instgov_dagster.capital.cvar import cvar
from instgov_dagster_tests.capital.worlds import returns_of

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def priced(returns: np.ndarray, weights: np.ndarray, *, band: int) -> tuple[float, np.ndarray, int]:
    """Price the CVaR of a fixed book at one a unit; its cost, the tail weights and the rows."""
    lp = HotLp(tolerance=1e-9)
    symbols = np.arange(weights.size)
    cols = lp.add_cols(np.zeros(weights.size), weights, weights, Entries.none())
    tail = TailRows(returns, 0.05 * returns.shape[0])
    tail.open(lp, np.zeros(returns.shape[0]), symbols, cols, band=band)  # the worst of guesses
    tail.set_terms(lp, limit=np.inf, hurdle=1.0)
    losses = tail.losses(weights)
    while True:
        assert lp.run(Simplex.DUAL, most_pivots=10_000) == OPTIMAL
        found = tail.violated(losses, tail.edge_of(lp), tolerance=1e-13, most=5)
        if not found.size:
            break
        tail.add(lp, found, symbols, cols)
    share = tail.weights(lp)
    assert tail.mean_returns(lp) == pytest.approx(share @ returns, abs=1e-12)
    return float(share @ losses), share, lp.n_rows


def test_three_of_sixty_scenarios_are_the_tail() -> None:
    returns = np.zeros((60, 1))
    returns[[7, 20, 41], 0] = (-0.3, -0.2, -0.1)
    cost, share, _ = priced(returns, np.array([0.5]), band=2)
    assert cost == pytest.approx(0.5 * 0.2)  # half of the mean of 30, 20 and 10 %
    assert np.flatnonzero(share > 1e-12).tolist() == [7, 20, 41]
    assert share[[7, 20, 41]] == pytest.approx([1 / 3] * 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 200), st.integers(2, 20))
def test_the_priced_level_is_the_exact_cvar_with_its_fraction(
    seed: int, n_scenarios: int, band: int
) -> None:
    rng = np.random.default_rng(seed)
    returns, weights = returns_of(n_scenarios, 4, seed), rng.uniform(0.0, 0.3, 4)
    cost, share, n_rows = priced(returns, weights, band=band)
    exact = cvar(-returns @ weights, confidence_level=0.95)
    assert cost == pytest.approx(exact, abs=1e-12)
    assert share.sum() == pytest.approx(1.0, abs=1e-9)
    assert n_rows <= n_scenarios + 1


def test_a_tail_that_is_not_open_weighs_nothing() -> None:
    lp, tail = HotLp(tolerance=1e-9), TailRows(np.zeros((60, 2)), 3.0)
    assert not tail.is_open
    assert not tail.weights(lp).any()
    assert tail.mean_returns(lp).tolist() == [0.0, 0.0]


def test_with_a_scenario_on_the_wrong_side_its_neighbours_get_rows() -> None:
    returns = returns_of(60, 3)
    lp = HotLp(tolerance=1e-9)
    cols = lp.add_cols(np.zeros(3), np.zeros(3), np.ones(3), Entries.none())
    tail = TailRows(returns, 3.0)
    losses = np.arange(60.0)
    tail.open(lp, losses, np.arange(3), cols, band=2)  # rows for 55 to 58, 59 is surely in
    known = {"tolerance": 0.5, "most": 120}
    assert tail.violated(losses, 57.0, **known).size == 0  # nearest are no reason by themselves
    worst = losses.copy()
    worst[7] = 100.0
    found = tail.violated(worst, 57.0, **known)
    assert found.tolist() == [7, 59, *range(54, 31, -1)]
    assert tail.violated(worst, 57.0, tolerance=0.5, most=2).tolist() == [7, 59]
    worst[:50] = 100.0 + np.arange(50.0)
    tail.add(lp, np.arange(3, 55), np.arange(3), cols)
    assert tail.violated(worst, 57.0, **known).tolist() == [2, 1, 0, 59]  # no more are left
