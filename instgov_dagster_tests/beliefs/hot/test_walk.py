"""The walk: panels that contradict themselves, fits at their session, no look-ahead in them."""

import numpy as np
import polars as pl
import pytest

from instgov_dagster.beliefs.hot.walk import (
    MarketPanel,
    forward_returns,
    loads_of,
    no_fits,
    session_returns,
)
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster_tests.beliefs.conftest import drawn_panel, market_of, walked
from instgov_dagster_tests.beliefs.hot.test_fold import fits_through

PANEL = drawn_panel(seed=31, sessions=120, symbols=3)


def test_a_forward_return_spans_the_sessions_and_ends_with_the_history() -> None:
    prices = np.array([100.0, 110.0, 121.0, 60.5])[:, None]
    ahead = forward_returns(prices, prices, sessions=2)
    assert ahead[:2, 0] == pytest.approx([0.21, -0.45])
    assert np.isnan(ahead[2:]).all()


def test_the_returns_without_models_are_those_of_the_walk() -> None:
    daily = session_returns(market_of(PANEL), policy=ForecastPolicy())
    assert daily.tobytes() == walked(PANEL).daily.tobytes()


def test_a_panel_that_contradicts_itself_is_refused() -> None:
    dates, prices = PANEL.dates, PANEL.prices
    with pytest.raises(ValueError, match="close must have shape"):
        MarketPanel(dates=dates, symbols=("A", "B"), close=prices)
    with pytest.raises(ValueError, match="low must have shape"):
        MarketPanel(dates=dates, symbols=PANEL.symbols, close=prices, low=prices[1:])
    with pytest.raises(ValueError, match="with T >= 1"):
        MarketPanel(dates=dates[:0], symbols=PANEL.symbols, close=prices[:0])
    with pytest.raises(ValueError, match="distinct"):
        MarketPanel(dates=dates, symbols=("A", "A", "B"), close=prices)
    with pytest.raises(ValueError, match="increase strictly"):
        MarketPanel(dates=dates[::-1], symbols=PANEL.symbols, close=prices)


@pytest.mark.roadmap("6.3")
def test_a_fit_speaks_from_its_own_session_on_and_moves_nothing_before() -> None:
    with_fit = walked(PANEL, fits=fits_through(PANEL, 100, symbols=("S01",)))
    without = walked(PANEL)
    garch = with_fit.sigmas["gjr_garch_t"]
    assert np.isnan(garch[:100]).all()
    assert np.isfinite(garch[100:, 1]).all()
    assert np.isnan(garch[:, [0, 2]]).all()
    assert with_fit.sigma[:100].tobytes() == without.sigma[:100].tobytes()
    assert (with_fit.sigma[100:, 1] != without.sigma[100:, 1]).all()


def test_fits_of_other_symbols_other_sessions_and_failed_ones_are_left_out() -> None:
    good = fits_through(PANEL, 50, symbols=("S00", "S02"))
    stranger = fits_through(PANEL, 50, symbols=("ZZZ",))
    failed = fits_through(PANEL, 60, symbols=("S01",)).with_columns(
        omega=pl.lit(None, dtype=pl.Float64)
    )
    sunday = good.with_columns(fitted_session=pl.date(2031, 1, 5))
    fits = pl.concat([good, stranger, failed, sunday])
    loads = loads_of(market_of(PANEL, fits=fits))
    assert list(loads) == [50]
    assert loads[50].columns.tolist() == [0.0, 2.0]
    assert loads_of(market_of(PANEL, fits=no_fits())) == {}
    assert loads_of(market_of(PANEL)) == {}
