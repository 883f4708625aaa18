import numpy as np
import pytest

from instgov_dagster.bench.auction.arrays import (
    AuctionSize,
    Programme,
    make_instance,
    next_instance,
    without_penalties,
)
from instgov_dagster.capital.auction.certificate import check_weights
from instgov_dagster.capital.auction.instance import refuse_instance

SMALL = AuctionSize(n_bids=40, n_scenarios=80)


@pytest.mark.parametrize("programme", list(Programme))
def test_the_same_size_gives_the_same_auction_and_it_may_be_solved(programme: Programme) -> None:
    one, two = make_instance(SMALL, programme), make_instance(SMALL, programme)
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.scenarios.current.returns, two.scenarios.current.returns)
    assert refuse_instance(one) == ()
    assert check_weights(one, one.held) == ()


def test_the_simple_programme_is_a_box_a_budget_and_a_hurdle() -> None:
    simple = make_instance(SMALL, Programme.SIMPLE)
    assert [group.key for group in simple.groups] == ["budget"]
    assert simple.group_caps.tolist() == [1.0]
    assert not simple.half_spread.any()
    assert not simple.impact.any()
    assert not simple.held.any()
    assert (simple.values < 0.0).any()
    # No book within its budget has a CVaR of one: the limit is none.
    assert simple.measure_limits == (1.0,)
    assert simple.scenarios.current.returns.min() >= -0.95


def test_the_full_programme_caps_strategies_names_sectors_and_classes_and_trading_costs() -> None:
    full = make_instance(SMALL, Programme.FULL)
    codes = {group.code.value for group in full.groups}
    assert len(codes) == 5
    assert (full.half_spread > 0.0).all()
    assert (full.impact > 0.0).all()
    assert full.held.any()
    assert full.measure_limits == pytest.approx((SMALL.cvar_limit,))


def test_the_second_measure_is_a_matrix_of_its_own() -> None:
    one = make_instance(SMALL, Programme.FULL)
    two = make_instance(SMALL, Programme.FULL_TWO_MEASURES)
    assert (len(one.tails), len(two.tails)) == (1, 2)
    assert np.array_equal(one.tails[0].returns, two.tails[0].returns)
    assert two.tails[1].hurdle == 0.0


def test_a_second_later_one_bid_in_a_hundred_is_forecast_again_and_the_book_drifted() -> None:
    size = AuctionSize(n_bids=200, n_scenarios=60)
    before = make_instance(size, Programme.FULL)
    after = next_instance(before, size, 0)
    assert (after.values != before.values).sum() == 2
    assert 0.0 < np.abs(after.held - before.held).max() < 0.01 * before.held.max()
    assert ((after.held > 0.0) == (before.held > 0.0)).all()
    again = next_instance(before, size, 0)
    assert np.array_equal(after.values, again.values)
    assert not np.array_equal(after.values, next_instance(before, size, 1).values)


def test_values_without_penalties_are_the_values() -> None:
    instance = make_instance(SMALL, Programme.SIMPLE)
    values = without_penalties(instance)
    assert np.array_equal(values.mu_hat, np.maximum(instance.values, 0.0))
    assert not values.data_quality_penalty.any()


@pytest.mark.parametrize("field", ["n_bids", "n_scenarios", "tick_share"])
def test_a_size_that_is_none_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        AuctionSize(**{"n_bids": 5, field: 0})
