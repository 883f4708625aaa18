"""Return bases, EWMA volatility and rolling sums: by hand, and blind to the future."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from instgov_dagster.beliefs.returns import (
    ewma_sigma,
    forward_returns,
    return_bases,
    return_panel,
    rolling_sum,
)
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

Floats = NDArray[np.float64]
POLICY = ForecastPolicy()


def column(*values: float) -> Floats:
    return np.array(values)[:, None]


def test_a_negative_oil_price_is_divided_by_a_quarter_of_the_median() -> None:
    # 2020-04-17, 04-20 and 04-21 after two closes at 20: on 04-20 the median is (18.27 + 20) / 2
    prices = column(20.0, 20.0, 18.27, -37.63, 10.01)
    bases = return_bases(prices, share=0.25, sessions=252)
    assert bases[:, 0] == pytest.approx([20, 20, 18.27, 0.25 * 19.135, 10.01])
    panel = return_panel(prices, policy=POLICY, horizon=1)
    assert panel.daily[3, 0] == pytest.approx((-37.63 - 18.27) / 18.27)
    assert panel.daily[4, 0] == pytest.approx((10.01 + 37.63) / (0.25 * 19.135))


def test_a_price_that_was_never_positive_has_no_return() -> None:
    panel = return_panel(column(-1.0, -2.0, 0.0), policy=POLICY, horizon=1)
    assert np.isnan(panel.daily).all()
    assert np.isnan(panel.sigma).all()


def test_a_forward_return_spans_the_sessions_and_ends_with_the_history() -> None:
    prices = column(100.0, 110.0, 121.0, 60.5)
    ahead = forward_returns(prices, prices, sessions=2)
    assert ahead[:2, 0] == pytest.approx([0.21, -0.45])
    assert np.isnan(ahead[2:]).all()


def test_ewma_by_hand_weighs_the_last_return_most() -> None:
    # weights .06 and .06*.94 normalised by their sum .1164
    sigma = ewma_sigma(column(np.nan, 0.01, 0.03), decay=0.94, min_sessions=2, floor=1e-9)
    expected = np.sqrt((0.06 * 0.03**2 + 0.06 * 0.94 * 0.01**2) / (0.06 + 0.06 * 0.94))
    assert np.isnan(sigma[:2]).all()
    assert sigma[2, 0] == pytest.approx(expected, rel=1e-14)


def test_ewma_agrees_with_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    daily = np.random.default_rng(0).standard_t(5, (300, 3)) * 0.01
    theirs = np.sqrt(pandas.DataFrame(daily**2).ewm(alpha=0.06, adjust=True).mean().to_numpy())
    ours = ewma_sigma(daily, decay=0.94, min_sessions=1, floor=1e-12)
    assert ours == pytest.approx(theirs, rel=1e-10)


def test_a_stablecoin_has_the_floor_for_a_volatility() -> None:
    prices = np.ones((100, 1))
    panel = return_panel(prices, policy=POLICY, horizon=5)
    floor = POLICY.sigma_floor_annual * np.sqrt(5 / 252)
    assert panel.sigma[-1, 0] == pytest.approx(floor, rel=1e-12)


def test_a_symbol_without_a_price_today_has_no_volatility_today() -> None:
    prices = np.random.default_rng(1).lognormal(size=(100, 1))
    prices[-1] = np.nan
    panel = return_panel(prices, policy=POLICY, horizon=5)
    assert np.isfinite(panel.sigma[-2, 0])
    assert np.isnan(panel.sigma[-1, 0])


@given(
    npst.arrays(np.float64, (30, 2), elements=st.floats(-1e3, 1e3)),
    st.integers(1, 30),
)
def test_a_rolling_sum_is_the_sum_of_its_window(values: Floats, window: int) -> None:
    ours = rolling_sum(values, window)
    for t in range(30):
        expected = values[max(0, t - window + 1) : t + 1].sum(axis=0)
        assert ours[t] == pytest.approx(expected, abs=1e-8)


prices_with_gaps = npst.arrays(
    np.float64, (90, 3), elements=st.one_of(st.floats(-50, 500), st.just(np.nan))
)


@settings(max_examples=60, deadline=None)
@given(prices_with_gaps, st.integers(1, 89), prices_with_gaps)
def test_nothing_known_at_a_session_moves_a_bit_when_later_prices_do(
    prices: Floats, known: int, other: Floats
) -> None:
    changed = np.concatenate([prices[:known], other[known:]])
    before = return_panel(prices, policy=POLICY, horizon=5)
    after = return_panel(changed, policy=POLICY, horizon=5)
    alone = return_panel(prices[:known], policy=POLICY, horizon=5)
    for name in ("bases", "daily", "sigma"):
        rows = getattr(before, name)[:known].tobytes()
        assert rows == getattr(after, name)[:known].tobytes()
        assert rows == getattr(alone, name).tobytes()


@settings(max_examples=60, deadline=None)
@given(npst.arrays(np.float64, (80, 2), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_whatever_the_prices_no_known_volatility_is_zero_or_infinite(prices: Floats) -> None:
    with np.errstate(all="ignore"):
        panel = return_panel(prices, policy=POLICY, horizon=5)
    known = panel.sigma[~np.isnan(panel.sigma)]
    assert ((known > 0) & np.isfinite(known)).all()


def test_prices_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="must have shape"):
        return_panel(np.ones(5), policy=POLICY, horizon=5)
    with pytest.raises(ValueError, match="must have shape"):
        return_panel(np.ones((0, 2)), policy=POLICY, horizon=5)
