import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.cvar import (
    book_losses,
    cvar,
    cvar_contributions,
    delta_cvar,
    delta_cvars,
    marginal_and_rising_cvar,
    marginal_cvar,
    rising_cvar,
)
from instgov_dagster_tests.capital.worlds import returns_of

pytestmark = pytest.mark.roadmap("5.3", "TEST.5")
BUDGET_SECONDS = 0.050


@given(st.integers(0, 1000), st.integers(1, 6))
def test_the_contributions_sum_to_the_cvar(seed: int, n_symbols: int) -> None:
    returns = returns_of(120, n_symbols, seed)
    weights = np.random.default_rng(seed).uniform(-0.2, 0.5, n_symbols)
    parts = cvar_contributions(returns, weights, confidence_level=0.95)
    whole = cvar(-returns @ weights, confidence_level=0.95)
    assert parts.sum() == pytest.approx(whole, abs=1e-12)


@given(st.integers(0, 1000), st.integers(0, 4), st.floats(0.001, 0.2))
def test_the_finite_change_lies_between_the_derivative_and_the_cvar_alone(
    seed: int, place: int, size: float
) -> None:
    returns = returns_of(150, 5, seed)
    base = np.random.default_rng(seed).uniform(0.0, 0.3, 5)
    change = np.zeros(5)
    change[place] = size
    finite = delta_cvar(returns, base + change, change, confidence_level=0.95)
    slope = marginal_cvar(returns, base, confidence_level=0.95)[place]
    alone = cvar(-returns[:, place], confidence_level=0.95)
    assert slope * size <= finite + 1e-12
    assert finite <= alone * size + 1e-12


def test_a_marginal_by_hand_is_the_symbols_loss_in_the_books_worst_scenario() -> None:
    returns = np.zeros((20, 2))
    returns[7] = [-0.4, 0.1]
    returns[9] = [0.0, -0.2]
    weights = np.array([0.5, 0.1])
    # Tail mass 1: the worst scenario of the book is number 7 with a loss of 0.19.
    assert cvar(book_losses(returns, weights), confidence_level=0.95) == pytest.approx(0.19)
    slopes = marginal_cvar(returns, weights, confidence_level=0.95)
    assert slopes == pytest.approx([0.4, -0.1])


def test_a_weight_that_is_not_finite_has_no_losses() -> None:
    with pytest.raises(ValueError, match="weights"):
        book_losses(np.zeros((3, 2)), np.array([0.1, math.nan]))
    with pytest.raises(ValueError, match="shape"):
        book_losses(np.zeros((3, 2)), np.zeros(3))


def chances_of(n: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng([seed, n]).uniform(0.1, 1.0, n)
    return drawn / drawn.sum()


@given(st.integers(0, 1000), st.integers(1, 6))
def test_the_contributions_of_weighted_scenarios_sum_to_the_cvar(seed: int, n_symbols: int) -> None:
    returns, chances = returns_of(120, n_symbols, seed), chances_of(120, seed)
    weights = np.random.default_rng(seed).uniform(-0.2, 0.5, n_symbols)
    parts = cvar_contributions(returns, weights, confidence_level=0.95, probabilities=chances)
    whole = cvar(-returns @ weights, confidence_level=0.95, probabilities=chances)
    assert parts.sum() == pytest.approx(whole, abs=1e-12)


@given(st.integers(0, 500))
def test_the_derivative_is_what_a_small_step_costs(seed: int) -> None:
    returns = returns_of(113, 4, seed)
    weights = np.random.default_rng(seed).uniform(0.05, 0.5, 4)
    slopes = marginal_cvar(returns, weights, confidence_level=0.95)
    rising = rising_cvar(returns, weights, confidence_level=0.95, tie_tolerance=1e-12)
    known = book_losses(returns, weights)
    told = {"confidence_level": 0.95, "losses": known}
    assert np.array_equal(slopes, marginal_cvar(returns, weights, **told))
    assert np.array_equal(rising, rising_cvar(returns, weights, tie_tolerance=1e-12, **told))
    assert rising == pytest.approx(slopes, abs=1e-9)  # no ties in continuous draws
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-9
        gained = delta_cvar(returns, weights + step, step, confidence_level=0.95)
        assert gained / 1e-9 == pytest.approx(slopes[i], abs=1e-5)


def test_on_an_empty_book_the_next_unit_costs_the_symbols_own_cvar() -> None:
    returns = returns_of(90, 3)
    rising = rising_cvar(returns, np.zeros(3), confidence_level=0.95, tie_tolerance=1e-12)
    own = [cvar(-returns[:, i], confidence_level=0.95) for i in range(3)]
    assert rising == pytest.approx(own, abs=1e-12)
    assert (rising >= marginal_cvar(returns, np.zeros(3), confidence_level=0.95)).all()


def test_both_derivatives_by_hand_where_three_scenarios_stand_on_the_edge() -> None:
    returns = np.zeros((50, 2))  # the tail holds two and a half scenarios
    returns[4] = [-0.5, 0.0]
    returns[[9, 17, 30]] = [[-0.2, -0.2], [-0.3, -0.1], [-0.1, -0.3]]
    losses = book_losses(returns, np.array([0.5, 0.5]))
    marginal, rising = marginal_and_rising_cvar(
        returns, losses, confidence_level=0.95, tie_tolerance=1e-12
    )
    # The worst, then of the three that lose 20 % the first and half of the second.
    assert marginal == pytest.approx([(0.5 + 0.2 + 0.15) / 2.5, (0.2 + 0.05) / 2.5])
    # From the right each symbol meets its own worst of the three first.
    assert rising == pytest.approx([(0.5 + 0.3 + 0.1) / 2.5, (0.3 + 0.1) / 2.5])


@given(st.integers(0, 500), st.integers(1, 5), st.integers(1, 4))
def test_both_derivatives_at_once_are_each_alone(seed: int, n_symbols: int, decimals: int) -> None:
    returns = returns_of(113, n_symbols, seed).round(decimals)  # coarse ones tie
    weights = np.random.default_rng(seed).uniform(0.0, 0.5, n_symbols).round(1)
    losses = book_losses(returns, weights)
    told = {"confidence_level": 0.95, "tie_tolerance": 1e-12}
    marginal, rising = marginal_and_rising_cvar(returns, losses, **told)
    alone = marginal_cvar(returns, weights, confidence_level=0.95)
    assert marginal == pytest.approx(alone, abs=1e-15)
    assert np.array_equal(rising, rising_cvar(returns, weights, **told))
    assert (rising >= marginal - 1e-15).all()
    # The right derivative is what a step so small that no further scenario is met costs.
    for i in range(n_symbols):
        step = np.zeros(n_symbols)
        step[i] = 1e-7
        gained = cvar(book_losses(returns, weights + step), confidence_level=0.95)
        gained -= cvar(losses, confidence_level=0.95)
        assert gained / 1e-7 == pytest.approx(rising[i], abs=1e-6)


def test_a_delta_by_hand_is_what_the_order_added_to_the_worst_scenario() -> None:
    returns = np.zeros((20, 2))
    returns[7], returns[9] = [-0.4, 0.1], [-0.1, -0.5]
    weights = np.array([0.5, 0.2])
    # With both: max(0.18, 0.15) = 0.18. Without the second: 0.2. Without the first: 0.1.
    losses = book_losses(returns, weights)
    deltas = delta_cvars(returns, losses, np.array([0, 1]), weights, confidence_level=0.95)
    assert deltas == pytest.approx([0.08, -0.02])


@given(st.integers(0, 500), st.integers(1, 40))
def test_all_deltas_at_once_are_the_deltas_one_by_one(seed: int, n_symbols: int) -> None:
    returns = returns_of(101, n_symbols, seed)
    rng = np.random.default_rng(seed)
    weights, changes = rng.uniform(0.0, 0.3, n_symbols), rng.normal(0.0, 0.1, n_symbols)
    columns = rng.permutation(n_symbols)
    losses = book_losses(returns, weights)
    many = delta_cvars(returns, losses, columns, changes[columns], confidence_level=0.95)
    for place, i in enumerate(columns):
        alone = np.zeros(n_symbols)
        alone[i] = changes[i]
        one = delta_cvar(returns, weights, alone, confidence_level=0.95)
        assert many[place] == pytest.approx(one, abs=1e-14)


def test_a_change_that_moves_no_scenario_adds_exactly_nothing() -> None:
    returns = returns_of(1260, 4)
    returns[:, 2] = 0.0
    losses = book_losses(returns, np.full(4, 0.1))
    deltas = delta_cvars(
        returns, losses, np.array([2, 0]), np.array([0.1, 0.0]), confidence_level=0.95
    )
    assert deltas.tolist() == [0.0, 0.0]


def test_the_deltas_of_more_changes_than_one_block_are_all_there() -> None:
    returns = returns_of(60, 3)
    losses = book_losses(returns, np.full(3, 0.2))
    columns = np.tile(np.arange(3), 200)
    deltas = delta_cvars(returns, losses, columns, np.full(600, 0.1), confidence_level=0.95)
    assert np.array_equal(deltas.reshape(200, 3), np.tile(deltas[:3], (200, 1)))


def test_a_delta_on_weighted_scenarios_is_that_of_the_scenarios_told_as_often() -> None:
    returns, change = returns_of(60, 3), np.array([0.0, 0.2, 0.0])
    weights, often = np.full(3, 0.3), np.arange(60) % 3 + 1
    told = np.repeat(returns, often, axis=0)
    weighted = delta_cvar(
        returns, weights, change, confidence_level=0.95, probabilities=often / often.sum()
    )
    plain = delta_cvar(told, weights, change, confidence_level=0.95)
    assert weighted == pytest.approx(plain, abs=1e-12)
    assert weighted != pytest.approx(
        delta_cvar(returns, weights, change, confidence_level=0.95), rel=1e-3
    )


def test_deltas_of_shapes_that_disagree_are_refused() -> None:
    returns = returns_of(60, 3)
    with pytest.raises(ValueError, match=r"shape \(60,\), was \(59,\)"):
        delta_cvars(returns, np.zeros(59), np.arange(3), np.zeros(3), confidence_level=0.95)
    with pytest.raises(ValueError, match=r"one shape, were \(3,\) and \(2,\)"):
        delta_cvars(returns, np.zeros(60), np.arange(3), np.zeros(2), confidence_level=0.95)
    with pytest.raises(ValueError, match="finite"):
        delta_cvars(
            returns, np.zeros(60), np.arange(1), np.array([math.nan]), confidence_level=0.95
        )


def test_a_book_that_holds_part_of_the_symbols_ignores_the_rest() -> None:
    returns = returns_of(60, 3)
    returns[5, 1] = math.nan  # of a symbol that is not held
    losses = book_losses(returns, np.array([0.2, 0.0, 0.3]))
    assert losses == pytest.approx(-(0.2 * returns[:, 0] + 0.3 * returns[:, 2]))


def test_five_hundred_deltas_take_less_than_fifty_milliseconds() -> None:
    returns = returns_of(1260, 500)
    weights = np.full(500, 0.002)
    losses, columns = book_losses(returns, weights), np.arange(500)
    taken = []
    for _ in range(5):  # the best of five: a busy machine is not a slow program
        started = time.process_time()
        deltas = delta_cvars(returns, losses, columns, weights, confidence_level=0.95)
        taken.append(time.process_time() - started)
    assert deltas.size == 500
    assert min(taken) < BUDGET_SECONDS
