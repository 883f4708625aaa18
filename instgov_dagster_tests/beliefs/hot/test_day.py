"""The day under way: a small state that says bit for bit what the whole one would say."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.beliefs.hot.day import DayFold, DayTape, seal_day
from instgov_dagster.beliefs.hot.fold import Fold
from instgov_dagster.beliefs.hot.tape import Bars, Floats, closes_only
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster_tests.beliefs.hot.test_fold import (
    SESSIONS,
    fresh,
    market_of,
    night_state,
    panel,
)

POLICY = ForecastPolicy()


def sealed_fold() -> DayFold:
    return DayFold(4, policy=POLICY, horizon=5).restore(sealed())


@functools.cache
def sealed() -> bytes:
    return seal_day(fresh().restore(night_state()))


def moved(*shares: float) -> Bars:
    """The last closes, each moved by a share of itself."""
    return closes_only(sealed_fold().last_prices() * (1.0 + np.array(shares)))


def test_two_hand_worked_sessions_give_the_first_tick_its_return() -> None:
    fold = Fold(1, policy=POLICY, horizon=5)
    for close in (100.0, 110.0):
        fold.observe(closes_only(np.array([close])))
    day = DayFold(1, policy=POLICY, horizon=5).restore(seal_day(fold))
    assert day.last_prices().tolist() == [110.0]
    # 99 after 110 is a loss of a tenth, whatever the ticks before it were
    for close, move in ((121.0, 0.1), (99.0, -0.1), (110.0, 0.0)):
        told = day.observe(closes_only(np.array([close])))
        assert told.daily.tolist() == pytest.approx([move], abs=1e-15)


@pytest.mark.roadmap("3.4", "6.5")
@settings(max_examples=40)
@given(st.lists(st.floats(-0.95, 3.0), min_size=4, max_size=4))
def test_a_tick_says_bit_for_bit_what_the_whole_state_would_say(shares: list[float]) -> None:
    bars = moved(*shares)
    whole = fresh().restore(night_state()).observe(bars)
    assert sealed_fold().observe(bars).to_bytes() == whole.to_bytes()


@pytest.mark.roadmap("3.4", "3.2")
@settings(max_examples=30)
@given(
    st.lists(
        st.lists(st.floats(-0.5, 0.5) | st.just(float("nan")), min_size=4, max_size=4), max_size=6
    )
)
def test_no_tick_leaves_a_trace_for_the_next(ticks: list[list[float]]) -> None:
    fold = sealed_fold()
    first = fold.observe(moved(0.0, 0.01, -0.02, 0.0)).to_bytes()
    for shares in ticks:
        fold.observe(moved(*shares))
    assert fold.observe(moved(0.0, 0.01, -0.02, 0.0)).to_bytes() == first


def test_sealing_leaves_the_fold_as_it_was_and_takes_a_tenth_of_it() -> None:
    fold = fresh().restore(night_state())
    small = seal_day(fold)
    assert fold.pack() == night_state()
    assert small == sealed()
    assert 10 * len(small) < len(night_state())


def test_a_price_that_is_unknown_silences_its_symbol_and_no_other() -> None:
    told = sealed_fold().observe(moved(float("nan"), 0.0, 0.0, 0.0))
    known = sealed_fold().observe(moved(0.0, 0.0, 0.0, 0.0))
    assert np.isnan(told.sigma[0])
    assert np.isfinite(told.sigma[1:]).all()
    assert all(np.isnan(mu[0]) for name, mu in told.mus.items() if name != "zero")
    assert np.array_equal(told.sigma[1:], known.sigma[1:])


def test_a_row_nobody_read_at_night_is_unknown_and_never_another_row() -> None:
    state = sealed_fold().states["tape"]
    tape = DayTape(POLICY, horizon=5)
    held = state["sums_ago"].tolist()
    missing = next(k for k in range(SESSIONS) if k not in held)
    assert np.isnan(tape.ago(state, "sums", missing)).all()
    assert np.isfinite(tape.ago(state, "sums", held[0])).all()


def test_a_day_before_any_session_and_a_state_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="must follow a session"):
        seal_day(fresh())
    with pytest.raises(ValueError, match="must have shape"):
        DayFold(5, policy=POLICY, horizon=5).restore(sealed())
    with pytest.raises(ValueError, match="must have"):
        DayFold(4, policy=POLICY, horizon=5).restore(night_state())
    with pytest.raises(ValueError, match="digest"):
        DayFold(4, policy=POLICY, horizon=5).restore(sealed()[:-1])


def test_a_price_under_its_floor_is_divided_by_the_median_of_the_year() -> None:
    # the floor binds for one symbol only: its base is a quarter of the year's median
    bars = moved(-0.95, 0.0, 0.0, 0.0)
    told = sealed_fold().observe(bars)
    market = market_of(panel())
    closes = market.close[: SESSIONS - 12, 0]
    year: Floats = np.append(closes, bars.close[0])[-POLICY.base_floor_sessions :]
    assert told.bases[0] == pytest.approx(POLICY.base_floor_share * np.median(year), rel=1e-12)
