import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.cvar import book_losses
from instgov_dagster.capital.scenarios import ScenarioMeasure, ScenarioSet
from instgov_dagster.capital.scenarios.sets import _BLOCKS_KEPT, _BOOKS_KEPT
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster_tests.capital.worlds import returns_of, scenarios_of, small_config

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")


def test_selecting_columns_keeps_their_order_and_the_shared_matrix() -> None:
    found = scenarios_of(returns_of(50, 3), small_config())
    cut = found.select(("S002", "S000"))
    assert np.array_equal(cut.current.returns, found.current.returns[:, [2, 0]])
    assert cut.measures[1].returns is cut.current.returns
    with pytest.raises(ValueError, match="S009"):
        found.select(("S009",))


def test_the_losses_of_a_book_are_kept_and_those_of_another_are_its_own() -> None:
    current = scenarios_of(returns_of(50, 3), small_config()).current
    one, other = np.array([0.2, 0.0, 0.1]), np.array([0.2, 0.0, 0.3])
    first = current.losses(one)
    assert current.losses(one.copy()) is first
    for net, losses in ((one, first), (other, current.losses(other))):
        assert losses == pytest.approx(book_losses(current.returns, net), abs=1e-16)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0.0


@given(st.integers(0, 500), st.integers(1, 30))
def test_the_losses_of_books_one_after_another_are_those_of_each_alone(seed: int, n: int) -> None:
    current = scenarios_of(returns_of(60, n, seed), small_config()).current
    rng = np.random.default_rng(seed)
    net = np.zeros(n)
    for _ in range(6):  # books that share symbols, share none, hold few and hold all
        net = np.where(rng.random(n) < 0.5, net, rng.uniform(0.0, 0.1, n) * (rng.random(n) < 0.3))
        losses = -current.returns @ net
        assert current.losses(net) == pytest.approx(losses, abs=1e-15)
        assert current.cvar(net, 0.95) == pytest.approx(np.sort(losses)[-3:].mean(), abs=1e-15)
        assert current.cvar(net, 0.90) == pytest.approx(np.sort(losses)[-6:].mean(), abs=1e-15)


def test_no_more_than_a_few_risks_and_columns_are_kept() -> None:
    current = scenarios_of(returns_of(60, 12), small_config()).current
    for i in range(12):
        net = np.zeros(12)
        net[i] = 0.1
        current.cvar(net, 0.95)
    assert len(current._risks) == _BOOKS_KEPT
    assert len(current._blocks) == _BLOCKS_KEPT


def test_no_more_than_a_few_books_are_kept() -> None:
    current = scenarios_of(returns_of(50, 3), small_config()).current
    first = current.losses(np.array([0.5, 0.0, 0.0]))
    for k in range(_BOOKS_KEPT):
        current.losses(np.array([0.01 * k, 0.1, 0.0]))
    assert len(current._books) == _BOOKS_KEPT
    again = current.losses(np.array([0.5, 0.0, 0.0]))
    assert again is not first
    assert np.array_equal(again, first)


def test_a_book_of_another_shape_or_no_numbers_has_no_losses() -> None:
    current = scenarios_of(returns_of(50, 3), small_config()).current
    for net in (np.zeros(2), np.array([0.1, math.nan, 0.0])):
        with pytest.raises(ValueError, match="weights"):
            current.losses(net)


def test_the_returns_by_column_are_the_returns_and_nobodys_to_change() -> None:
    current = scenarios_of(returns_of(50, 3), small_config()).current
    assert np.array_equal(current.by_column, current.returns)
    assert current.by_column is current.by_column
    assert current.by_column.flags.f_contiguous
    assert not current.by_column.flags.writeable


def test_a_set_must_begin_with_the_current_measure() -> None:
    found = scenarios_of(returns_of(50, 3), small_config())
    with pytest.raises(ValueError, match="CURRENT"):
        ScenarioSet(symbols=found.symbols, measures=found.measures[1:])


def test_a_cut_keeps_the_proxies_it_still_holds() -> None:
    found = scenarios_of(returns_of(50, 3), small_config())
    stressed = ScenarioMeasure(
        name=RiskMeasure.STRESSED,
        end_dates=found.current.end_dates,
        returns=2.0 * found.current.returns,
        multiplier=1.0,
        reason_codes=(),
        proxies=("S000", "S001"),
    )
    held = ScenarioSet(symbols=found.symbols, measures=(found.current, stressed))
    assert held.select(("S002", "S001")).measures[1].proxies == ("S001",)


@pytest.mark.parametrize("multiplier", [0.99, math.nan, math.inf])
def test_a_multiplier_below_one_is_refused(multiplier: float) -> None:
    with pytest.raises(ValueError, match="multiplier"):
        ScenarioMeasure(
            name=RiskMeasure.STRESSED,
            end_dates=np.zeros(1, dtype="datetime64[D]"),
            returns=np.zeros((1, 1)),
            multiplier=multiplier,
            reason_codes=(),
        )
