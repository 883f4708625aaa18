"""Forecasts of the second: the night's models on this instant's prices, never trusted more."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.beliefs.hot.published import NightModels, restore_night, seal_night
from instgov_dagster.beliefs.hot.tape import Floats, closes_only
from instgov_dagster.loop.decision.forecasting import (
    DayModels,
    Forecasts,
    day_models,
    forecast_now,
)
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.beliefs.conftest import drawn_panel, walked

POLICY = ModelPolicy()
IDS = ("james_stein", "momentum", "reversal", "ridge", "combination")
N = 4


@functools.cache
def night_models() -> NightModels:
    night = restore_night(
        seal_night(walked(drawn_panel(seed=5, sessions=600, symbols=N))),
        policy=POLICY.forecast,
        horizon=5,
    )
    assert night is not None
    return night


def closes() -> Floats:
    return night_models().fold.last_prices()


def models(scale: float = 1.0) -> DayModels:
    night = night_models()
    return day_models(night, night.symbols, scale * closes())


@functools.cache
def night() -> Forecasts:
    """What the night said: the walk's own last row, all of it trusted."""
    found = walked(drawn_panel(seed=5, sessions=600, symbols=N))
    mu = np.stack([found.mus[name][-1] for name in IDS])
    shape, ones = mu.shape, np.ones(mu.shape)
    return Forecasts(
        model_ids=IDS,
        mu=mu,
        mu_adjusted=mu,
        sigma=np.broadcast_to(found.sigma[-1], shape).copy(),
        p_loss=0.5 * ones,
        cvar_95=ones,
        confidence=ones,
        decay=ones,
        model_age_days=ones,
        rolling_error=ones,
        has_flipped=np.zeros(shape, dtype=bool),
        is_healthy=np.ones(shape, dtype=bool),
        is_usable=np.ones(shape, dtype=bool),
        penalty=ones,
        reasons={(0, 0): (ReasonCode.MODEL_HEALTHY,)},
    )


def test_without_models_the_nights_forecasts_stand() -> None:
    assert forecast_now(night(), None, closes(), POLICY) is night()


@pytest.mark.roadmap("3.4", "6.5")
def test_a_fall_this_second_moves_the_reversal_of_that_symbol_the_other_way() -> None:
    flat = forecast_now(night(), models(), closes(), POLICY)
    fallen = forecast_now(night(), models(), closes() * np.array([0.97, 1, 1, 1]), POLICY)
    place = IDS.index("reversal")
    moved = fallen.mu[place] - flat.mu[place]
    # its signal is minus its own return less the panel's: the others' move is of the other sign
    assert moved[0] != 0.0
    assert np.sign(moved[0]) == -np.sign(moved[1])
    assert fallen.sigma[place, 0] > flat.sigma[place, 0]


def test_quotes_in_another_unit_say_the_same() -> None:
    # total-return prices against quoted ones: only the ratio to the last close counts
    marks = closes() * np.array([1.01, 0.99, 1.0, 1.02])
    one = forecast_now(night(), models(), marks, POLICY)
    two = forecast_now(night(), models(0.5), 0.5 * marks, POLICY)
    assert np.allclose(one.mu, two.mu, rtol=1e-9, atol=0)
    assert np.allclose(one.sigma, two.sigma, rtol=1e-9, atol=0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.3, 3.0), min_size=N, max_size=N))
def test_a_session_under_way_is_never_calmer_and_its_gain_never_grows_with_its_sigma(
    factors: list[float],
) -> None:
    marks = closes() * np.array(factors)
    live = forecast_now(night(), models(), marks, POLICY)
    told = night_models().fold.observe(closes_only(marks))
    assert (live.sigma >= night().sigma).all()
    for k, name in enumerate(IDS):
        assert (live.mu[k] <= told.mus[name]).all()
        sharpe = live.mu[k] / np.fmin(night().sigma[k], told.sigma)
        assert (sharpe <= math.sqrt(5 / 252) * (1 + 1e-12)).all()
    assert (live.mu_adjusted <= np.maximum(live.mu, 0.0)).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.3, 3.0), min_size=N, max_size=N), st.floats(0.0, 1.0))
def test_the_days_agreement_never_wins_back_what_the_nights_cost(
    factors: list[float], penalty: float
) -> None:
    base = replace(night(), penalty=np.full(night().mu.shape, penalty))
    live = forecast_now(base, models(), closes() * np.array(factors), POLICY)
    assert (live.mu_adjusted <= penalty * np.maximum(live.mu, 0.0) + 1e-18).all()
    unusable = replace(base, is_usable=np.zeros(base.mu.shape, dtype=bool))
    none = forecast_now(unusable, models(), closes() * np.array(factors), POLICY)
    assert (none.mu_adjusted <= 0.0).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_no_forecast_and_raises_nobody_elses(bad: float) -> None:
    marks = closes().copy()
    marks[2] = bad
    live = forecast_now(night(), models(), marks, POLICY)
    flat = forecast_now(night(), models(), closes(), POLICY)
    assert np.isnan(live.mu[:, 2]).all()
    assert np.isnan(live.mu_adjusted[:, 2]).all()
    assert np.isnan(live.sigma[:, 2]).all()
    assert np.isfinite(live.mu[:, [0, 1, 3]]).all()
    assert (live.confidence == flat.confidence).all()


def test_what_the_night_did_not_say_the_day_does_not_say_either() -> None:
    mu = night().mu.copy()
    mu[1, 0] = np.nan
    live = forecast_now(replace(night(), mu=mu), models(), closes(), POLICY)
    assert np.isnan(live.mu[1, 0])
    assert np.isfinite(np.delete(live.mu.ravel(), N)).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.5, 2.0), min_size=N, max_size=N))
def test_two_restored_nights_say_the_same_to_the_last_bit(factors: list[float]) -> None:
    marks = closes() * np.array(factors)
    first = forecast_now(night(), models(), marks, POLICY)
    night_models.cache_clear()
    second = forecast_now(night(), models(), marks, POLICY)
    assert first.sha256 == second.sha256
    assert first.mu_adjusted.tobytes() == second.mu_adjusted.tobytes()


def test_a_model_of_a_symbol_that_nobody_trades_is_refused() -> None:
    with pytest.raises(ValueError, match="S03"):
        day_models(night_models(), ("S00", "S01", "S02"), closes()[:3])
