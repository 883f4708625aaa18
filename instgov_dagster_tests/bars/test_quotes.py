"""A quote is traded on only when both sides are seen and fresh; a day's path stays in its bar."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.bars.quotes import DayPath, Quotes, day_path

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


def keys(n: int, seed: int = 0) -> np.ndarray:
    """Give n keys of chance that differ."""
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


def path_of(*bar: float, day_seconds: int = 23_400, key: int = 7) -> DayPath:
    """Lay the path of one symbol."""
    prices = [np.array([value]) for value in bar]
    return day_path(*prices, day_seconds=day_seconds, keys=np.array([key], dtype=np.uint64))


def walk(path: DayPath, day_seconds: int = 23_400, step: int = 1) -> np.ndarray:
    """Give the price of the first symbol at every step of the day."""
    return np.array([path.at(moment)[0] for moment in range(0, day_seconds + 1, step)])


def test_a_day_begins_at_the_open_visits_both_extremes_and_ends_at_the_close() -> None:
    prices = walk(path_of(100.0, 104.0, 99.0, 101.0))
    assert (prices[0], prices[-1]) == (100.0, 101.0)
    assert (prices.min(), prices.max()) == (99.0, 104.0)
    # One second never moves a quarter of the bar: the path walks, it does not jump.
    assert np.abs(np.diff(prices)).max() < 1.25
    assert (np.diff(prices) != 0.0).mean() > 0.99


@given(whole_bars(), st.integers(60, 500), st.integers(0, 2**32))
def test_a_path_stays_inside_its_bar_and_passes_all_four_of_its_prices(
    bar: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], day_seconds: int, seed: int
) -> None:
    opens, high, low, close = bar
    path = day_path(opens, high, low, close, day_seconds=day_seconds, keys=keys(opens.size, seed))
    prices = np.stack([path.at(moment) for moment in range(day_seconds + 1)])
    assert np.array_equal(prices[0], opens)
    assert np.array_equal(prices[-1], close)
    assert np.array_equal(prices.max(axis=0), high)
    assert np.array_equal(prices.min(axis=0), low)
    assert np.array_equal(path.at(-1.0), opens)
    assert np.array_equal(path.at(day_seconds + 3600.0), close)


@given(
    st.lists(st.floats(0.0, 30_000.0), min_size=1, max_size=20),
    st.integers(0, 2**32),
    st.randoms(use_true_random=False),
)
def test_any_order_of_asking_and_any_company_sees_the_same_prices(
    moments: list[float], seed: int, chance: Any
) -> None:
    bar = np.array([[10.0, 20.0, 30.0], [11.0, 22.0, 31.0], [9.0, 19.0, 28.0], [9.5, 21.0, 29.0]])
    names = keys(3, seed)
    path = day_path(*bar, day_seconds=23_400, keys=names)
    asked = {moment: path.at(moment) for moment in moments}
    alone = day_path(*bar[:, 1:2], day_seconds=23_400, keys=names[1:2])
    chance.shuffle(moments)
    for moment in moments:
        assert np.array_equal(path.at(moment), asked[moment])
        assert alone.at(moment)[0] == asked[moment][1]


@given(
    st.integers(0, 2**63),
    st.floats(0.0, 50.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 50.0),
    st.floats(0.0, 1.0),
)
def test_prices_so_far_tell_nothing_of_the_anchors_to_come(
    key: int, rise: float, to: float, other_rise: float, other_to: float
) -> None:
    # Two days with one open and one first extreme (the low or the high, as the key draws).
    is_low_first = path_of(100.0, 104.0, 99.0, 101.0, key=key).values[1, 0] == 99.0
    days = []
    for more, share in ((rise, to), (other_rise, other_to)):
        high, low = (101.0 + more, 95.0) if is_low_first else (105.0, 99.0 - more)
        days.append(path_of(100.0, high, low, low + share * (high - low), key=key))
    one, two = days
    assert np.array_equal(one.times, two.times)
    first, second = int(one.times[1, 0]), int(one.times[2, 0])
    for moment in np.linspace(0.0, first - 0.25, 7):
        assert one.at(moment) == two.at(moment)
    # Between the extremes only the close is still to come.
    high, low = one.values[1:3, 0].max(), one.values[1:3, 0].min()
    closes = [path_of(100.0, high, low, c, key=key) for c in (high, low)]
    for moment in np.linspace(0.0, second, 9):
        assert closes[0].at(moment) == closes[1].at(moment)


def test_another_key_is_another_path_and_either_extreme_may_come_first() -> None:
    n = 400
    bar = [np.full(n, value) for value in (10.0, 12.0, 9.0, 11.0)]
    path = day_path(*bar, day_seconds=23_400, keys=keys(n))
    assert np.unique(path.at(1000.0)).size == n
    share = (path.values[1] == 9.0).mean()
    assert abs(share - 0.5) < 4.0 * 0.5 / np.sqrt(n)
    assert np.all(path.times[1] < path.times[2])


def test_the_walk_between_two_anchors_has_the_spread_of_a_brownian_bridge() -> None:
    n = 4000
    bar = [np.full(n, value) for value in (0.0, 100.0, -100.0, 0.0)]
    path = day_path(*bar, day_seconds=23_400, keys=keys(n))
    half = (path.times[2] + path.times[3]) / 2.0
    middle = np.array([path.at(float(moment))[i] for i, moment in enumerate(half)])
    line = (path.values[2] + path.values[3]) / 2.0
    # A quarter of the bar's range times the half that a bridge deviates by in its middle; the
    # middle has one coefficient, the tents below it vanish there: a uniform, not a normal.
    reach = 0.25 * 200.0 * 0.5 * np.sqrt(3.0)
    moved = np.abs(middle - line)
    assert moved.max() <= reach * (1.0 + 1e-12)
    assert moved.max() > 0.98 * reach
    assert np.abs(moved).mean() == pytest.approx(reach / 2.0, rel=0.05)


def test_an_open_at_the_first_extreme_sets_out_for_the_second_at_once() -> None:
    low_first = [k for k in range(20) if path_of(9.5, 10.0, 9.0, 9.5, key=k).values[1, 0] == 9.0]
    path = path_of(9.0, 10.0, 9.0, 9.5, key=low_first[0])
    assert path.times[1, 0] == 0
    prices = walk(path, step=60)
    assert prices[0] == 9.0
    assert (np.diff(prices) != 0.0).mean() > 0.95


def test_a_bar_that_does_not_contain_its_close_is_widened() -> None:
    prices = walk(path_of(10.0, 10.5, 9.5, 11.0))
    assert (prices[0], prices[-1], prices.max(), prices.min()) == (10.0, 11.0, 11.0, 9.5)


def test_a_bar_that_is_not_whole_gives_no_price_and_leaves_the_others_alone() -> None:
    bar = [np.array([1.0, 1.0]), np.array([2.0, np.nan]), np.ones(2), np.ones(2)]
    path = day_path(*bar, day_seconds=23_400, keys=keys(2))
    for moment in (0.0, 11_000.0, 23_400.0):
        price = path.at(moment)
        assert np.isfinite(price[0])
        assert np.isnan(price[1])
    nobody = [np.ones(0)] * 4
    assert day_path(*nobody, day_seconds=23_400, keys=keys(0)).at(5.0).shape == (0,)


def test_a_day_that_never_moved_is_flat_and_oil_below_zero_has_a_path() -> None:
    assert (walk(path_of(5.0, 5.0, 5.0, 5.0), step=100) == 5.0).all()
    oil = walk(path_of(17.73, 17.85, -40.32, -37.63))
    assert (oil.min(), oil[-1]) == (-40.32, -37.63)


def test_no_day_or_unequal_shapes_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="day_seconds must be >= 60, was 59"):
        day_path(one, one, one, one, day_seconds=59, keys=keys(1))
    with pytest.raises(ValueError, match="must have one shape"):
        day_path(one, one, np.ones(2), one, day_seconds=60, keys=keys(1))
    with pytest.raises(ValueError, match="must have one shape"):
        day_path(one, one, one, one, day_seconds=60, keys=keys(2))
