import numpy as np
import pytest

from instgov_dagster.capital.auction.engine.lp import (
    OPTIMAL,
    SPENT,
    UNBOUNDED,
    Entries,
    HotLp,
    Simplex,
)

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def two_goods() -> HotLp:
    """Earn 3 a unit of x and 2 of y with x + y <= 4 and x + 3 y <= 6: x = 4, y = 0."""
    lp = HotLp(tolerance=1e-9)
    rows = lp.add_rows(np.array([4.0, 6.0]), Entries.none())
    shares = np.array([[1.0, 1.0], [1.0, 3.0]])
    entries = Entries.block(np.arange(2), rows, shares)
    lp.add_cols(np.array([-3.0, -2.0]), np.zeros(2), np.full(2, UNBOUNDED), entries)
    return lp


def test_a_program_of_two_goods_worked_by_hand() -> None:
    lp = two_goods()
    assert lp.run(Simplex.DUAL, most_pivots=100) == OPTIMAL
    assert lp.col_values == pytest.approx([4.0, 0.0])
    assert lp.row_duals == pytest.approx([-3.0, 0.0])
    assert lp.duals_of(np.array([1, 0])) == pytest.approx([1.0, 0.0])


def test_a_kept_program_follows_new_costs_bounds_rows_and_columns() -> None:
    lp = two_goods()
    lp.run(Simplex.DUAL, most_pivots=100)
    lp.set_costs(np.array([1]), np.array([-5.0]))
    assert lp.run(Simplex.PRIMAL, most_pivots=100) == OPTIMAL
    assert lp.col_values == pytest.approx([3.0, 1.0])
    lp.set_bounds(np.array([0]), np.zeros(1), np.ones(1))
    assert lp.run(Simplex.DUAL, most_pivots=100) == OPTIMAL
    assert lp.col_values == pytest.approx([1.0, 5.0 / 3.0])
    lp.set_rows(np.array([1]), np.full(1, -UNBOUNDED), np.array([3.0]))
    assert lp.run(Simplex.DUAL, most_pivots=100) == OPTIMAL
    assert lp.col_values == pytest.approx([1.0, 2.0 / 3.0])
    one = Entries(new=np.zeros(1, np.intp), old=np.zeros(1, np.intp), value=np.ones(1))
    lp.add_cols(np.array([-1.0]), np.zeros(1), np.ones(1), one)
    lp.add_rows(np.array([0.5]), one)
    assert lp.run(Simplex.DUAL, most_pivots=100) == OPTIMAL
    assert lp.col_values == pytest.approx([0.5, 2.5 / 3.0, 1.0])


def test_only_what_differs_is_sent_to_the_program() -> None:
    lp = two_goods()
    lp.run(Simplex.DUAL, most_pivots=100)
    costs = np.array([-3.0, -7.0]) * lp._value
    assert lp._costs.take_in(np.arange(2), costs).tolist() == [False, True]
    assert lp._costs.take_in(np.arange(2), costs).tolist() == [False, False]
    both, lower = np.arange(2), np.array([0.0, 0.25])
    cols, _, upper = lp._differing(lp._bounds, both, lower, np.array([1.0, UNBOUNDED]))
    assert cols.tolist() == [0, 1]  # the first column's upper bound, the second's lower one
    assert upper.tolist() == [lp._weight, UNBOUNDED]
    assert not lp._differing(lp._bounds, both, lower, np.array([1.0, UNBOUNDED]))[0].size
    cols, lower, upper = lp._differing(lp._bounds, both, lower, np.array([1.0, 2.0]))
    assert (cols.tolist(), lower.tolist()) == ([1], [0.25 * lp._weight])
    assert upper.tolist() == [2.0 * lp._weight]


def test_rows_and_columns_that_are_none_change_nothing() -> None:
    lp = two_goods()
    none = np.zeros(0)
    assert lp.add_rows(none, Entries.none()).size == 0
    assert lp.add_cols(none, none, none, Entries.none()).size == 0
    assert (lp.n_rows, lp.n_cols) == (2, 2)


def test_a_budget_of_pivots_that_is_spent_is_said() -> None:
    rng = np.random.default_rng(0)
    lp = HotLp(tolerance=1e-9)
    rows = lp.add_rows(rng.uniform(1.0, 2.0, 30), Entries.none())
    entries = Entries.block(np.arange(40), rows, rng.uniform(0.0, 1.0, (40, 30)))
    lp.add_cols(-rng.uniform(0.5, 1.0, 40), np.zeros(40), np.ones(40), entries)
    assert lp.run(Simplex.DUAL, most_pivots=1) == SPENT
    assert lp.pivots == 1
    assert lp.run(Simplex.DUAL, most_pivots=1000) == OPTIMAL


def test_a_program_without_columns_is_solved_by_nothing() -> None:
    lp = HotLp(tolerance=1e-9)
    lp.add_rows(np.ones(2), Entries.none())
    assert lp.run(Simplex.DUAL, most_pivots=10) == OPTIMAL
    assert lp.row_duals.tolist() == [0.0, 0.0]


def test_entries_are_ordered_by_what_is_new() -> None:
    entries = Entries(
        new=np.array([2, 0, 2]), old=np.array([5, 6, 7]), value=np.array([1.0, 2.0, 3.0])
    )
    starts, old, value = entries.compress(3)
    assert starts.tolist() == [0, 1, 1]
    assert old.tolist() == [6, 5, 7]
    assert value.tolist() == [2.0, 1.0, 3.0]
