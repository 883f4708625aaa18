"""The tape: bases and returns by hand, window sums, and no bit of the past moved by the future."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from instgov_dagster.beliefs.hot.tape import Floats, Session, Tape, closes_only, daily_returns
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

POLICY = ForecastPolicy()


def observed(prices: Floats, *, horizon: int = 5, sigma: float = 0.05) -> list[Session]:
    """Fold prices along a tape, stating one sigma throughout; what was known after each."""
    tape = Tape(POLICY, horizon=horizon)
    state = tape.start(prices.shape[1])
    sessions = []
    with np.errstate(all="ignore"):
        for row in prices:
            session = tape.observe(state, closes_only(row))
            session.sigma = np.full(row.shape, sigma)
            tape.close(state, session)
            session.bases = session.bases.copy()
            sessions.append(session)
    return sessions


def column(*values: float) -> Floats:
    return np.array(values)[:, None]


def test_a_negative_oil_price_is_divided_by_a_quarter_of_the_median() -> None:
    # 2020-04-17, 04-20 and 04-21 after two closes at 20: on 04-20 the median is (18.27 + 20) / 2
    sessions = observed(column(20.0, 20.0, 18.27, -37.63, 10.01))
    bases = [float(session.bases[0]) for session in sessions]
    assert bases == pytest.approx([20, 20, 18.27, 0.25 * 19.135, 10.01])
    assert sessions[3].daily[0] == pytest.approx((-37.63 - 18.27) / 18.27)
    assert sessions[4].daily[0] == pytest.approx((10.01 + 37.63) / (0.25 * 19.135))


def test_the_floor_of_a_base_is_a_quarter_of_the_median_of_252_sessions_only() -> None:
    prices = column(*[100.0] * 300, *[10.0] * 250)
    bases = [float(session.bases[0]) for session in observed(prices)]
    # while a median of 252 is 100 the fallen price is floored at 25, then it stands alone
    assert bases[300] == 25.0
    assert bases[300 + 124] == 25.0
    assert bases[300 + 126] == 10.0


def test_a_price_that_was_never_positive_has_no_return() -> None:
    assert all(np.isnan(session.daily).all() for session in observed(column(-1.0, -2.0, 0.0)))


def test_moments_by_hand_over_a_window_that_is_full_and_one_that_is_not() -> None:
    prices = column(100.0, 110.0, 99.0, 103.95)
    known_after = [observed(prices[: t + 1])[-1].moments(2).known[0] for t in range(4)]
    assert known_after == [0.0, 1.0, 2.0, 2.0]
    sessions = observed(prices)
    known, mean, deviation = sessions[-1].moments(2)
    returns = np.array([-0.1, 0.05])
    assert known[0] == 2.0
    assert mean[0] == pytest.approx(returns.mean(), rel=1e-12)
    assert deviation[0] == pytest.approx(returns.std(ddof=1), rel=1e-12)


def test_a_scaled_return_matures_when_its_horizon_is_over_and_not_before() -> None:
    sessions = observed(column(100.0, 101.0, 104.0, 103.0), horizon=2)
    matured = [float(session.matured[0]) for session in sessions]
    assert np.isnan(matured[:2]).all()
    assert matured[2] == pytest.approx(0.04 / 0.05, rel=1e-12)
    assert matured[3] == pytest.approx((103.0 / 101.0 - 1) / 0.05, rel=1e-12)


def test_past_returns_reach_back_and_leave_the_last_sessions_out() -> None:
    session = observed(column(100.0, 110.0, 121.0, 60.5))[-1]
    assert session.past_returns(3)[0] == pytest.approx(-0.395)
    assert session.past_returns(3, skip=1)[0] == pytest.approx(0.21)
    assert np.isnan(session.past_returns(4)[0])


@settings(max_examples=25)
@given(
    npst.arrays(np.float64, (40, 2), elements=st.floats(1.0, 1e3)),
    st.integers(2, 39),
)
def test_the_moments_of_a_window_are_those_of_its_returns(prices: Floats, window: int) -> None:
    sessions = observed(prices)
    daily = np.stack([session.daily for session in sessions])
    held = daily[max(1, 40 - window) :]
    moments = sessions[-1].moments(window)
    assert moments.known == pytest.approx([len(held)] * 2)
    scale = np.abs(daily[1:]).sum()
    assert moments.mean == pytest.approx(held.mean(axis=0), abs=1e-13 * scale)
    assert moments.deviation == pytest.approx(
        held.std(axis=0, ddof=1) if len(held) > 1 else np.zeros(2), abs=1e-6 * scale
    )


prices_with_gaps = npst.arrays(
    np.float64, (40, 3), elements=st.one_of(st.floats(-50, 500), st.just(np.nan))
)


@settings(max_examples=30)
@given(prices_with_gaps, st.integers(1, 39), prices_with_gaps)
def test_nothing_known_at_a_session_moves_a_bit_when_later_prices_do(
    prices: Floats, known: int, other: Floats
) -> None:
    before = observed(prices)[:known]
    after = observed(np.concatenate([prices[:known], other[known:]]))[:known]
    for name in ("bases", "daily", "matured"):
        ours = np.stack([getattr(session, name) for session in before])
        theirs = np.stack([getattr(session, name) for session in after])
        assert ours.tobytes() == theirs.tobytes()


@settings(max_examples=30)
@given(npst.arrays(np.float64, (30, 2), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_whatever_the_prices_no_return_is_infinite(prices: Floats) -> None:
    daily = np.stack([session.daily for session in observed(prices)])
    assert not np.isinf(daily).any()
    assert not np.isinf(daily**2).any()


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 90))
def test_the_returns_of_all_sessions_at_once_are_the_folds_to_the_last_bit(
    seed: int, n_sessions: int
) -> None:
    random = np.random.default_rng(seed)
    steps = random.normal(0.0, 0.3, (n_sessions, 4))
    closes = 50.0 * np.exp(np.cumsum(steps, axis=0))
    closes[random.random(closes.shape) < 0.1] = np.nan
    closes[random.random(closes.shape) < 0.03] *= -0.5
    closes[random.random(closes.shape) < 0.01] = np.inf
    policy = replace(ForecastPolicy(), base_floor_sessions=21)
    tape = Tape(policy, horizon=5)
    state = tape.start(4)
    with np.errstate(all="ignore"):
        folded = np.stack([tape.observe(state, closes_only(row)).daily for row in closes])
    assert daily_returns(closes, policy).tobytes() == folded.tobytes()
