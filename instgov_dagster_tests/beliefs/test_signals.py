"""The four observations: by hand, against numpy on each window, and blind to the future."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from instgov_dagster.beliefs.signals import (
    SIGNAL_SCHEMA,
    average_correlation,
    carry_forward,
    market_signals,
    percentile_of_latest,
)
from instgov_dagster.vocabulary.policy.beliefs import RegimePolicy
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel

POLICY = RegimePolicy()


def signals_of(panel: Panel) -> pl.DataFrame:
    return market_signals(panel.dates, panel.spy, panel.vix, panel.prices, policy=POLICY)


@pytest.mark.roadmap("7.2")
def test_spy_against_its_mean_of_200_closes_by_hand() -> None:
    # closes 1..200: the mean is 100.5, the last close 200
    n = 200
    dates = np.busday_offset("2020-01-01", np.arange(n), roll="forward")
    spy = np.arange(1.0, n + 1.0)
    frame = market_signals(dates, spy, np.full(n, 20.0), np.ones((n, 2)), policy=POLICY)
    assert frame["spy_ma200_position"][-1] == pytest.approx(200 / 100.5 - 1, abs=1e-15)
    assert frame["spy_ma200_position"][:-1].null_count() == n - 1
    assert frame.schema == SIGNAL_SCHEMA


@pytest.mark.roadmap("7.2")
def test_volatility_is_the_annualised_deviation_of_21_log_returns(drawn: Panel) -> None:
    frame = signals_of(drawn)
    returns = np.diff(np.log(drawn.spy[-22:]))
    expected = returns.std(ddof=1) * np.sqrt(252)
    assert frame["volatility_annual"][-1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.roadmap("7.2")
def test_the_percentile_is_omitted_until_252_volatilities_are_held(drawn: Panel) -> None:
    frame = signals_of(drawn)
    first = frame["volatility_percentile"].is_not_null().arg_max()
    assert first == 21 + 252 - 1
    assert frame["volatility_annual"].is_not_null().arg_max() == first
    assert frame["volatility_percentile"].drop_nulls().is_between(0.0, 1.0).all()


def test_a_percentile_ranks_the_value_among_those_held_so_far_only() -> None:
    values = np.array([3.0, 1.0, np.nan, 2.0, 9.0])
    ranks = percentile_of_latest(values, min_history=2)
    assert np.isnan(ranks[[0, 2]]).all()
    assert ranks[[1, 3, 4]].tolist() == [1 / 2, 2 / 3, 1.0]


def test_the_average_correlation_is_that_of_numpy_on_each_window() -> None:
    returns = np.random.default_rng(3).standard_normal((60, 5)) @ np.triu(np.ones((5, 5)))
    returns[:10, 4] = np.nan
    ours = average_correlation(returns, window=21)
    for end in (21, 30, 31, 60):
        columns = slice(0, 4) if end < 31 else slice(0, 5)
        matrix = np.corrcoef(returns[end - 21 : end, columns].T)
        n = matrix.shape[0]
        expected = (matrix.sum() - n) / (n * (n - 1))
        assert ours[end - 1] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(ours[:20]).all()


def test_a_constant_column_and_a_lone_column_have_no_correlation() -> None:
    rng = np.random.default_rng(4)
    pair = rng.standard_normal((40, 2))
    with_constant = np.column_stack([pair, np.full(40, 1e-12), np.zeros(40)])
    assert average_correlation(with_constant, window=21)[-1] == pytest.approx(
        average_correlation(pair, window=21)[-1], abs=1e-12
    )
    assert np.isnan(average_correlation(pair[:, :1], window=21)).all()


@pytest.mark.roadmap("7.2")
def test_a_missing_value_is_carried_three_sessions_and_not_a_fourth() -> None:
    vix = np.array([np.nan, 15.0, np.nan, -1.0, np.inf, np.nan, 17.0])
    carried = carry_forward(vix, sessions=3)
    assert carried.age_sessions.tolist() == [8, 0, 1, 2, 3, 4, 0]
    assert carried.values[1:5].tolist() == [15.0] * 4
    assert np.isnan(carried.values[[0, 5]]).all()


@pytest.mark.roadmap("7.2")
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 639), st.floats(0.1, 10.0))
def test_no_observation_moves_a_bit_when_the_future_does(known: int, factor: float) -> None:
    panel = drawn_panel(seed=5, sessions=640, symbols=4)
    before = signals_of(panel).head(known)
    changed = Panel(panel.dates, panel.symbols, *(np.array(a) for a in panel[2:]))
    for array in (changed.prices, changed.spy, changed.vix):
        array[known:] *= factor
    assert_frame_equal(before, signals_of(changed).head(known), check_exact=True)


@pytest.mark.parametrize("cut", ["dates", "spy", "vix", "prices"])
def test_series_of_other_sessions_are_refused(drawn: Panel, cut: str) -> None:
    parts = {"dates": drawn.dates, "spy": drawn.spy, "vix": drawn.vix, "prices": drawn.prices}
    parts[cut] = parts[cut][:-1]
    with pytest.raises(ValueError, match="sessions"):
        market_signals(**parts, policy=POLICY)


def test_no_session_and_sessions_out_of_order_are_refused(drawn: Panel) -> None:
    empty = np.array([], dtype="datetime64[D]")
    with pytest.raises(ValueError, match="at least one session"):
        market_signals(empty, np.ones(0), np.ones(0), np.ones((0, 1)), policy=POLICY)
    with pytest.raises(ValueError, match="increase strictly"):
        market_signals(drawn.dates[::-1], drawn.spy, drawn.vix, drawn.prices, policy=POLICY)
