"""A quote is traded on only when both sides are seen and fresh; a day's path stays in its bar."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.bars.quotes import Quotes, bridge_day

NOW = np.datetime64("2024-12-06T14:30:00", "us")
PRICES = st.floats(0.01, 1e6, allow_subnormal=False)


def quotes(bid: float, ask: float, age_seconds: float = 0.0) -> Quotes:
    """Give one quote of some age."""
    seen = NOW - np.timedelta64(round(age_seconds * 1e6), "us")
    return Quotes(
        symbols=("AAA",), bid=np.array([bid]), ask=np.array([ask]), observed_at=np.array([seen])
    )


@pytest.mark.parametrize(
    ("bid", "ask", "age", "valid"),
    [
        (99.0, 101.0, 0.0, True),
        (100.0, 100.0, 0.0, True),
        (101.0, 99.0, 0.0, False),
        (0.0, 101.0, 0.0, False),
        (99.0, 0.0, 0.0, False),
        (0.0, 0.0, 0.0, False),
        (-2.0, -1.0, 0.0, False),
        (float("nan"), 101.0, 0.0, False),
        (99.0, float("nan"), 0.0, False),
        (99.0, float("inf"), 0.0, False),
        (99.0, 101.0, 5.0, True),
        (99.0, 101.0, 5.000001, False),
        (99.0, 101.0, -0.000001, False),
    ],
)
def test_a_quote_is_valid_as_specified(bid: float, ask: float, age: float, *, valid: bool) -> None:
    assert quotes(bid, ask, age).valid_mask(NOW, 5.0).tolist() == [valid]


def test_a_quote_never_seen_is_invalid() -> None:
    unseen = Quotes(
        symbols=("AAA",),
        bid=np.array([1.0]),
        ask=np.array([1.0]),
        observed_at=np.array(["NaT"], dtype="datetime64[us]"),
    )
    assert unseen.valid_mask(NOW, 5.0).tolist() == [False]


@given(st.floats(), st.floats(), st.integers(-10_000_000, 10_000_000))
def test_nothing_valid_is_crossed_or_unpriced(bid: float, ask: float, age: int) -> None:
    if quotes(bid, ask, age / 1e6).valid_mask(NOW, 5.0)[0]:
        assert 0 < bid <= ask < float("inf")
        assert 0 <= age <= 5_000_000


def test_the_mid_is_the_middle_and_survives_large_numbers() -> None:
    assert quotes(99.0, 101.0).mid().tolist() == [100.0]
    assert quotes(1e308, 1.5e308).mid().tolist() == [1.25e308]
    assert np.isnan(quotes(float("nan"), 1.0).mid()).all()


def test_quotes_are_frozen_and_do_not_freeze_the_caller_s_arrays() -> None:
    bid = np.array([1.0])
    held = Quotes(symbols=("AAA",), bid=bid, ask=bid, observed_at=np.array([NOW]))
    bid[0] = 2.0
    assert held.bid.tolist() == [1.0]
    with pytest.raises(ValueError, match="read-only"):
        held.bid[0] = 3.0


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Quotes\.ask must have shape \(1,\)"):
        Quotes(symbols=("AAA",), bid=np.ones(1), ask=np.ones(2), observed_at=np.array([NOW]))


@st.composite
def whole_bars(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw bars whose high and low contain their open and close."""
    rows = draw(st.lists(st.tuples(PRICES, PRICES, PRICES, PRICES), min_size=1, max_size=4))
    table = np.array(rows).T
    return table[0], table.max(axis=0), table.min(axis=0), table[3]


@given(whole_bars(), st.integers(1, 60), st.integers(0, 2**32))
def test_a_path_begins_at_the_open_ends_at_the_close_and_stays_inside(
    bar: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], cycles: int, seed: int
) -> None:
    opens, high, low, close = bar
    path = bridge_day(opens, high, low, close, cycles=cycles, seed=seed)
    assert path.shape == (cycles, opens.size)
    assert np.array_equal(path[0], opens)
    if cycles > 1:
        assert np.array_equal(path[-1], close)
    assert (path <= high).all()
    assert (path >= low).all()
    if cycles >= 4:
        assert np.array_equal(path.max(axis=0), high)
        assert np.array_equal(path.min(axis=0), low)
    assert np.array_equal(path, bridge_day(opens, high, low, close, cycles=cycles, seed=seed))


def test_another_seed_is_another_path_and_either_extreme_may_come_first() -> None:
    n = 200
    bar = (np.full(n, 10.0), np.full(n, 12.0), np.full(n, 9.0), np.full(n, 11.0))
    path = bridge_day(*bar, cycles=100, seed=1)
    assert not np.array_equal(path, bridge_day(*bar, cycles=100, seed=2))
    is_low_first = path.argmin(axis=0) < path.argmax(axis=0)
    assert 60 < is_low_first.sum() < 140


def test_a_bar_that_does_not_contain_its_close_is_widened() -> None:
    bar = [np.array([value]) for value in (10.0, 10.5, 9.5, 11.0)]
    path = bridge_day(*bar, cycles=50, seed=3)
    assert (path[0, 0], path[-1, 0], path.max(), path.min()) == (10.0, 11.0, 11.0, 9.5)


def test_a_bar_that_is_not_whole_gives_no_price_and_leaves_the_others_alone() -> None:
    bar = [np.array([1.0, 1.0]), np.array([2.0, np.nan]), np.ones(2), np.ones(2)]
    for cycles in (1, 2, 10):
        path = bridge_day(*bar, cycles=cycles, seed=4)
        assert np.isfinite(path[:, 0]).all()
        assert np.isnan(path[:, 1]).all()


def test_a_day_that_never_moved_is_flat_and_oil_below_zero_has_a_path() -> None:
    flat = [np.array([5.0])] * 4
    assert (bridge_day(*flat, cycles=9, seed=5) == 5.0).all()
    oil = [np.array([value]) for value in (17.73, 17.85, -40.32, -37.63)]
    path = bridge_day(*oil, cycles=30, seed=6)
    assert path.min() == -40.32
    assert path[-1, 0] == -37.63


def test_no_cycles_or_unequal_shapes_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="cycles must be >= 1, was 0"):
        bridge_day(one, one, one, one, cycles=0, seed=1)
    with pytest.raises(ValueError, match="must have one shape"):
        bridge_day(one, one, np.ones(2), one, cycles=1, seed=1)
