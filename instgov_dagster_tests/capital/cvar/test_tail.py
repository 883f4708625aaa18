import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skfolio.measures import cvar as skfolio_cvar
from skfolio.measures import value_at_risk as skfolio_value_at_risk

from instgov_dagster.capital.cvar import cvar, cvar_rows, tail_weights, value_at_risk
from instgov_dagster_tests.capital.worlds import returns_of

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")

LOSSES = arrays(np.float64, st.integers(1, 80), elements=st.floats(-1.0, 1.0, width=32))
LEVELS = st.sampled_from([0.6, 0.9, 0.95, 0.975, 0.99])


def test_the_worst_of_ten_at_ninety_percent_is_the_cvar() -> None:
    losses = np.array([0.1, -0.2, 0.3, 0.0, 0.05, -0.1, 0.2, 0.15, -0.3, 0.25])
    assert cvar(losses, confidence_level=0.9) == pytest.approx(0.3, abs=1e-15)


def test_the_atom_at_the_edge_of_the_tail_is_split() -> None:
    # 30 losses at 95 %: m = 1.5, so the worst whole and half of the next: (3 + 0.5 * 2) / 1.5.
    losses = np.zeros(30)
    losses[3], losses[17] = 3.0, 2.0
    assert cvar(losses, confidence_level=0.95) == pytest.approx(4.0 / 1.5, abs=1e-12)
    share = tail_weights(losses, confidence_level=0.95)
    assert share[3] == pytest.approx(1 / 1.5)
    assert share[17] == pytest.approx(0.5 / 1.5)
    assert np.count_nonzero(share) == 2


def test_a_whole_tail_mass_is_not_lost_to_floating_point() -> None:
    # (1 - 0.95) * 1260 is 63.00000000000006: the tail is the worst 63, not 62 and a part.
    losses = np.arange(1260, dtype=np.float64)
    assert cvar(losses, confidence_level=0.95) == pytest.approx(1228.0, rel=1e-12)
    assert value_at_risk(losses, confidence_level=0.95) == 1197.0


def test_equal_losses_enter_the_tail_by_scenario_number() -> None:
    share = tail_weights(np.ones(40), confidence_level=0.95)
    assert np.flatnonzero(share).tolist() == [0, 1]
    many = tail_weights(np.zeros(500), confidence_level=0.95)
    assert np.flatnonzero(many).tolist() == list(range(25))


@given(LOSSES, LEVELS)
def test_cvar_equals_the_measure_of_skfolio(losses: NDArray[np.float64], level: float) -> None:
    wanted = skfolio_cvar(-losses, beta=level)
    assert cvar(losses, confidence_level=level) == pytest.approx(wanted, abs=1e-12)


@given(LOSSES, LEVELS)
def test_the_tail_weights_sum_to_one_and_price_the_cvar(
    losses: NDArray[np.float64], level: float
) -> None:
    share = tail_weights(losses, confidence_level=level)
    mass = (1 - level) * losses.size
    assert share.sum() == pytest.approx(1.0, abs=1e-12)
    assert share.max() <= max(1 / mass, 1 / losses.size) + 1e-12
    assert share @ losses == pytest.approx(cvar(losses, confidence_level=level), abs=1e-12)


@given(LOSSES, LEVELS, st.floats(0.0, 10.0), st.floats(-1.0, 1.0))
def test_cvar_scales_and_shifts_with_the_losses(
    losses: NDArray[np.float64], level: float, scale: float, shift: float
) -> None:
    plain = cvar(losses, confidence_level=level)
    moved = cvar(scale * losses + shift, confidence_level=level)
    assert moved == pytest.approx(scale * plain + shift, abs=1e-9)


@given(LOSSES, LEVELS)
def test_cvar_is_subadditive_and_above_mean_and_var(
    losses: NDArray[np.float64], level: float
) -> None:
    other = np.roll(losses, 1) * 0.7
    both = cvar(losses + other, confidence_level=level)
    apart = cvar(losses, confidence_level=level) + cvar(other, confidence_level=level)
    assert both <= apart + 1e-12
    assert cvar(losses, confidence_level=level) >= losses.mean() - 1e-12
    assert (
        cvar(losses, confidence_level=level)
        >= value_at_risk(losses, confidence_level=level) - 1e-12
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_has_no_cvar(bad: float) -> None:
    losses = np.array([0.1, bad, 0.2])
    with pytest.raises(ValueError, match="finite"):
        cvar(losses, confidence_level=0.95)
    with pytest.raises(ValueError, match="finite"):
        tail_weights(losses, confidence_level=0.95)


@pytest.mark.parametrize("losses", [np.zeros(0), np.zeros((2, 2))])
def test_losses_that_are_no_list_have_no_cvar(losses: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="losses"):
        cvar(losses, confidence_level=0.95)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0, math.nan])
def test_a_confidence_level_outside_zero_and_one_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="confidence_level"):
        cvar(np.zeros(10), confidence_level=level)


def test_probabilities_decide_how_far_the_tail_reaches() -> None:
    # Tail 0.1: the loss of 3 has probability 0.06, so 0.04 of the loss of 2: (0.18 + 0.08) / 0.1.
    losses, chances = np.array([1.0, 3.0, 2.0]), np.array([0.74, 0.06, 0.20])
    assert cvar(losses, confidence_level=0.9, probabilities=chances) == pytest.approx(2.6)
    assert value_at_risk(losses, confidence_level=0.9, probabilities=chances) == 2.0
    share = tail_weights(losses, confidence_level=0.9, probabilities=chances)
    assert share == pytest.approx([0.0, 0.6, 0.4])


def test_a_tail_filled_by_whole_probabilities_takes_nothing_of_the_next_loss() -> None:
    losses, chances = np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.1, 0.2, 0.3, 0.4])
    share = tail_weights(losses, confidence_level=0.7, probabilities=chances)
    assert share.tolist() == pytest.approx([1 / 3, 2 / 3, 0.0, 0.0])
    assert np.count_nonzero(share) == 2
    assert value_at_risk(losses, confidence_level=0.7, probabilities=chances) == 3.0


@given(LOSSES, LEVELS)
def test_equal_probabilities_are_no_probabilities(
    losses: NDArray[np.float64], level: float
) -> None:
    even = np.full(losses.size, 1.0 / losses.size)
    weighted = cvar(losses, confidence_level=level, probabilities=even)
    assert weighted == pytest.approx(cvar(losses, confidence_level=level), abs=1e-12)
    edge = value_at_risk(losses, confidence_level=level, probabilities=even)
    assert edge == value_at_risk(losses, confidence_level=level)


@given(LOSSES, LEVELS, st.integers(0, 10_000))
def test_a_scenario_of_double_probability_is_a_scenario_told_twice(
    losses: NDArray[np.float64], level: float, seed: int
) -> None:
    counts = np.random.default_rng(seed).integers(0, 4, losses.size)
    counts[0] += 1
    told = np.repeat(losses, counts)
    weighted = cvar(losses, confidence_level=level, probabilities=counts / counts.sum())
    assert weighted == pytest.approx(cvar(told, confidence_level=level), abs=1e-12)


@pytest.mark.parametrize(
    "chances",
    [[0.5, 0.6], [1.5, -0.5], [math.nan, 0.5], [1.0], [0.4, 0.5]],
)
def test_what_is_no_probability_is_refused(chances: list[float]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        cvar(np.array([0.1, 0.2]), confidence_level=0.9, probabilities=np.array(chances))


@given(LOSSES, LEVELS)
def test_value_at_risk_is_the_largest_loss_outside_the_tail_or_its_split_atom(
    losses: NDArray[np.float64], level: float
) -> None:
    share = tail_weights(losses, confidence_level=level)
    edge = value_at_risk(losses, confidence_level=level)
    assert edge == losses[share > 0.0].min()
    assert (losses > edge).mean() <= 1.0 - level + 1e-12
    mass = (1.0 - level) * losses.size
    if abs(mass - round(mass)) > 1e-9:  # skfolio reads the other end of a gap where it is whole
        assert edge == pytest.approx(skfolio_value_at_risk(-losses, beta=level), abs=1e-12)


@given(LOSSES, LEVELS, st.integers(0, 1000))
def test_a_book_that_loses_more_everywhere_has_more_cvar(
    losses: NDArray[np.float64], level: float, seed: int
) -> None:
    worse = losses + np.random.default_rng(seed).uniform(0.0, 0.5, losses.size)
    assert cvar(worse, confidence_level=level) >= cvar(losses, confidence_level=level) - 1e-12


@given(LOSSES, LOSSES, LEVELS)
def test_two_books_together_have_no_more_cvar_than_apart(
    first: NDArray[np.float64], second: NDArray[np.float64], level: float
) -> None:
    n = min(first.size, second.size)
    one, two = first[:n], second[:n]
    apart = cvar(one, confidence_level=level) + cvar(two, confidence_level=level)
    assert cvar(one + two, confidence_level=level) <= apart + 1e-12


@given(st.integers(1, 9), LEVELS, st.integers(0, 1000))
def test_many_books_at_once_are_measured_bit_for_bit_as_one_by_one(
    n_books: int, level: float, seed: int
) -> None:
    losses = np.random.default_rng(seed).standard_t(4, (n_books, 37))
    rows = cvar_rows(losses, confidence_level=level)
    assert rows.tolist() == [cvar(row, confidence_level=level) for row in losses]


def test_many_books_of_no_or_broken_scenarios_are_refused() -> None:
    for bad in (np.zeros((3, 0)), np.zeros(3)):
        with pytest.raises(ValueError, match="shape"):
            cvar_rows(bad, confidence_level=0.9)
    with pytest.raises(ValueError, match="1 were not"):
        cvar_rows(np.array([[0.0, math.inf], [0.0, 1.0]]), confidence_level=0.9)
    assert cvar_rows(np.zeros((0, 5)), confidence_level=0.9).size == 0


def test_the_ends_of_the_confidence_levels_are_the_mean_and_the_worst() -> None:
    losses = np.array([3.0, 1.0, 2.0])
    almost_none, almost_all = 1e-12, 1.0 - 1e-6
    assert cvar(losses, confidence_level=almost_none) == pytest.approx(2.0)
    assert value_at_risk(losses, confidence_level=almost_none) == 1.0
    assert tail_weights(losses, confidence_level=almost_none) == pytest.approx([1 / 3] * 3)
    assert cvar(losses, confidence_level=almost_all) == pytest.approx(3.0)
    assert value_at_risk(losses, confidence_level=almost_all) == 3.0
    assert tail_weights(losses, confidence_level=almost_all).tolist() == [1.0, 0.0, 0.0]


def test_the_losses_of_a_book_are_left_as_they_were() -> None:
    losses = -returns_of(40, 1)[:, 0]
    kept = losses.copy()
    cvar(losses, confidence_level=0.95)
    value_at_risk(losses, confidence_level=0.95)
    tail_weights(losses, confidence_level=0.95)
    assert np.array_equal(losses, kept)


def test_one_whole_scenario_of_twenty_is_not_lost_to_floating_point_either() -> None:
    # (1 - 0.95) * 20 is 1.0000000000000009.
    share = tail_weights(np.arange(20.0), confidence_level=0.95)
    assert np.flatnonzero(share).tolist() == [19]
    assert value_at_risk(np.arange(20.0), confidence_level=0.95) == 19.0


def test_a_tail_thinner_than_any_scenario_is_the_worst_of_them() -> None:
    losses = np.array([3.0, 1.0, 2.0])
    assert cvar(losses, confidence_level=1.0 - 1e-12) == 3.0
    assert cvar_rows(losses[None, :], confidence_level=1.0 - 1e-12).tolist() == [3.0]


@pytest.mark.parametrize("seed", range(5))
def test_of_thousands_in_any_order_the_right_ones_are_the_tail(seed: int) -> None:
    losses = np.random.default_rng(seed).permutation(np.arange(2003.0))
    # m = 100.15: the hundred largest, 1903 to 2002, and 0.15 of 1902.
    by_hand = (100 * (1903 + 2002) / 2 + 0.15 * 1902) / 100.15
    assert cvar(losses, confidence_level=0.95) == pytest.approx(by_hand, rel=1e-12)
    rows = cvar_rows(losses[None, :], confidence_level=0.95)
    assert rows[0] == pytest.approx(by_hand, rel=1e-12)
    assert value_at_risk(losses, confidence_level=0.95) == 1902.0
    # of a tail too wide to be sorted by the way: the 1001 largest and half of the next
    half = (1001 * (1002 + 2002) / 2 + 0.5 * 1001) / 1001.5
    assert cvar(losses, confidence_level=0.5) == pytest.approx(half, rel=1e-12)
    assert cvar_rows(losses[None, :], confidence_level=0.5)[0] == pytest.approx(half, rel=1e-12)
