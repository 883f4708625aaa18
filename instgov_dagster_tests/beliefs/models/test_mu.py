"""The mu models: estimators by hand and against a regression nobody here wrote."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.beliefs.hot.tape import Floats
from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.models import BENCHMARK, Family, card_of
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, walked

POLICY = ForecastPolicy()
MUS = ("james_stein", "momentum", "reversal", "ridge", "combination", "defensive", "zero")


def walk_of(prices: Floats) -> Walk:
    dates = np.busday_offset("2019-01-01", np.arange(len(prices)), roll="forward")
    names = tuple(f"S{j:02d}" for j in range(prices.shape[1]))
    return walked(Panel(dates, names, prices, prices[:, 0], prices[:, 0]))


def scaled(found: Walk, t: int, lag: int, skip: int = 0) -> Floats:
    """The return from ``lag`` to ``skip`` sessions before ``t``."""
    return found.prices[t - skip] / found.prices[t - lag] - 1.0


@pytest.mark.roadmap("6.5")
def test_bayes_stein_by_hand_shrinks_the_sharpe_ratios_toward_their_mean(
    drawn_walk: Walk,
) -> None:
    ours = drawn_walk.mus["james_stein"][-1]
    daily = drawn_walk.daily[1:]
    horizons = daily.shape[0] / 5
    sharpe = np.sqrt(5) * daily.mean(axis=0) / daily.std(axis=0, ddof=1)
    common = sharpe.mean()
    n = sharpe.size
    weight = (n + 2) / (n + 2 + horizons * ((sharpe - common) ** 2).sum())
    mu = ((1 - weight) * sharpe + weight * common) * np.sqrt(5) * daily.std(axis=0, ddof=1)
    limit = drawn_walk.sigma[-1] * np.sqrt(5 / 252)
    assert ours == pytest.approx(np.clip(mu, -limit, limit), rel=1e-9)
    assert 0 < weight < 1


def test_identical_symbols_are_forecast_at_their_common_mean() -> None:
    one = drawn_panel(seed=1, sessions=400, symbols=1).prices
    found = walk_of(np.repeat(one, 4, axis=1))
    expected = 5 * found.daily[1:, 0].mean()
    limit = found.sigma[-1, 0] * np.sqrt(5 / 252)
    assert abs(expected) < limit
    assert found.mus["james_stein"][-1] == pytest.approx(np.full(4, expected), rel=1e-9)


def test_james_stein_says_nothing_before_a_year_of_returns(drawn_walk: Walk) -> None:
    path = drawn_walk.mus["james_stein"]
    assert np.isnan(path[:252]).all()
    assert np.isfinite(path[252:]).all()


def _future(found: Walk, last: int) -> Floats:
    return (found.prices[5 : last + 1] / found.prices[: last - 4] - 1.0) / found.sigma[: last - 4]


def _momentum_signal(found: Walk, t: int) -> Floats:
    past = scaled(found, t, 252, 21)
    deviation = found.daily[t - 251 : t + 1].std(axis=0, ddof=1)
    return np.clip(past / (deviation * np.sqrt(231)), -3, 3)


@pytest.mark.roadmap("6.5")
def test_momentum_is_the_pooled_slope_on_what_had_come_to_pass_times_its_signal(
    drawn_walk: Walk,
) -> None:
    last = 700
    x = np.vstack([_momentum_signal(drawn_walk, t) for t in range(252, last - 4)]).ravel()
    y = _future(drawn_walk, last)[252:].ravel()
    slope = sm.OLS(y, x).fit().params[0]
    mu = slope * _momentum_signal(drawn_walk, last) * drawn_walk.sigma[last]
    limit = drawn_walk.sigma[last] * np.sqrt(5 / 252)
    assert drawn_walk.mus["momentum"][last] == pytest.approx(np.clip(mu, -limit, limit), rel=1e-8)


def _reversal_signal(found: Walk, t: int) -> Floats:
    past = scaled(found, t, 5) / found.sigma[t]
    return np.clip(past.mean() - past, -3, 3)


@pytest.mark.roadmap("6.5")
def test_reversal_is_the_pooled_slope_on_the_weeks_losers_times_its_signal(
    drawn_walk: Walk,
) -> None:
    last = 400
    x = np.vstack([_reversal_signal(drawn_walk, t) for t in range(63, last - 4)]).ravel()
    y = _future(drawn_walk, last)[63:].ravel()
    slope = sm.OLS(y, x).fit().params[0]
    mu = slope * _reversal_signal(drawn_walk, last) * drawn_walk.sigma[last]
    limit = drawn_walk.sigma[last] * np.sqrt(5 / 252)
    assert drawn_walk.mus["reversal"][last] == pytest.approx(np.clip(mu, -limit, limit), rel=1e-8)


def _ridge_features(found: Walk, t: int) -> Floats:
    unit = found.sigma[t] / np.sqrt(5)
    rows = [scaled(found, t, k) / (unit * np.sqrt(k)) for k in POLICY.ridge_lags]
    return np.clip(np.vstack(rows), -3, 3)


@pytest.mark.roadmap("6.5")
def test_ridge_is_the_penalised_regression_of_a_library_nobody_here_wrote(
    drawn_walk: Walk,
) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    last = 500
    features = [_ridge_features(drawn_walk, t) for t in range(252, last - 4)]
    x = np.concatenate([rows.T for rows in features])
    y = _future(drawn_walk, last)[252:].ravel()
    theirs = linear.Ridge(alpha=POLICY.ridge_penalty * len(y), fit_intercept=False).fit(x, y).coef_
    mu = theirs @ _ridge_features(drawn_walk, last) * drawn_walk.sigma[last]
    limit = drawn_walk.sigma[last] * np.sqrt(5 / 252)
    assert drawn_walk.mus["ridge"][last] == pytest.approx(np.clip(mu, -limit, limit), rel=1e-8)


def test_the_regressions_wait_for_their_features_and_63_sessions_of_pairs(
    drawn_walk: Walk,
) -> None:
    for name, first in (("momentum", 252), ("ridge", 252), ("reversal", 63)):
        path = drawn_walk.mus[name]
        speaks = first + 63 - 1 + 5
        assert np.isnan(path[:speaks]).all(), name
        assert np.isfinite(path[speaks:]).all(), name


@pytest.mark.roadmap("6.5")
def test_the_combination_is_the_mean_of_its_four_members_and_of_those_that_speak(
    drawn_walk: Walk,
) -> None:
    members = ("james_stein", "momentum", "reversal", "ridge")
    said = np.stack([drawn_walk.mus[name] for name in members])
    ours = drawn_walk.mus["combination"]
    assert ours[-1] == pytest.approx(said[:, -1].mean(axis=0), rel=1e-12)
    # at session 300 only james_stein and reversal speak, at 252 reversal and james_stein begin
    assert np.isfinite(said[:, 300]).all(axis=1).tolist() == [True, False, True, False]
    assert ours[300] == pytest.approx(said[[0, 2], 300].mean(axis=0), rel=1e-12)
    assert np.isnan(ours[251]).all()


@pytest.mark.roadmap("6.5")
def test_defensive_repeats_james_stein_on_the_calmest_third_and_claims_nothing_else(
    drawn_walk: Walk,
) -> None:
    calm = np.argsort(drawn_walk.sigma[-1])[:4]
    ours, theirs = drawn_walk.mus["defensive"][-1], drawn_walk.mus["james_stein"][-1]
    others = np.setdiff1d(np.arange(12), calm)
    assert ours[calm].tolist() == theirs[calm].tolist()
    assert ours[others].tolist() == [0.0] * 8


def test_a_market_that_trends_is_forecast_to_go_on_and_one_that_turns_to_turn() -> None:
    rng = np.random.default_rng(2)
    drift = np.array([0.002, 0.001, -0.001, -0.002])
    returns = drift + 0.01 * rng.standard_normal((900, 4))
    forecast = walk_of(100 * np.cumprod(1 + returns, axis=0)).mus["momentum"][-1]
    assert (np.sign(forecast) == np.sign(drift)).all()
    # each week undoes the last: after a loss the symbol is forecast to gain on the others
    shocks = 0.02 * rng.standard_normal((180, 6))
    weeks = np.repeat(np.diff(shocks, axis=0, prepend=0.0), 5, axis=0) / 5
    found = walk_of(100 * np.cumprod(1 + weeks + 0.001 * rng.standard_normal(weeks.shape), axis=0))
    last_week = found.prices[-1] / found.prices[-6] - 1
    relative = last_week / found.sigma[-1]
    reversal = found.mus["reversal"][-1]
    assert (np.sign(reversal) == np.sign(relative.mean() - relative)).all()


@pytest.mark.roadmap("6.5")
def test_a_stablecoin_a_newcomer_and_a_negative_price_break_no_model() -> None:
    prices = np.array(drawn_panel(seed=3, sessions=700, symbols=5).prices)
    prices[:, 0] = 1.0
    prices[:, 1] = 1.0 + 1e-9 * np.sin(np.arange(700))
    prices[:650, 2] = np.nan
    prices[500, 3] = -37.63
    found = walk_of(prices)
    for name in MUS:
        forecast = found.mus[name]
        assert np.isfinite(forecast[-1, [0, 1, 3, 4]]).all(), name
        assert np.isnan(forecast[:650, 2]).all(), name
        assert not np.isinf(forecast).any(), name


@pytest.mark.roadmap("6.3")
@settings(max_examples=8, deadline=None)
@given(st.integers(260, 499), st.floats(0.01, 50.0), st.sampled_from(["changed", "cut off"]))
def test_no_forecast_moves_a_bit_when_the_future_does(
    known: int, factor: float, future: str
) -> None:
    prices = drawn_panel(seed=4, sessions=500, symbols=3).prices
    before = walk_of(prices)
    changed = np.array(prices)
    changed[known:] *= factor
    after = walk_of(changed if future == "changed" else changed[:known])
    for name in MUS:
        assert before.mus[name][:known].tobytes() == after.mus[name][:known].tobytes(), name
    for name in before.sigmas:
        assert before.sigmas[name][:known].tobytes() == after.sigmas[name][:known].tobytes(), name
    assert before.sigma[:known].tobytes() == after.sigma[:known].tobytes()


def test_the_benchmark_forecasts_zero_wherever_there_is_a_sigma(drawn_walk: Walk) -> None:
    path = drawn_walk.mus[BENCHMARK]
    assert (path[63:] == 0.0).all()
    assert np.isnan(path[:63]).all()


def test_every_mu_model_is_in_the_registry_and_an_unknown_one_is_refused_by_name() -> None:
    assert {card_of(name).family for name in MUS} == {Family.MU}
    with pytest.raises(ValueError, match="was 'oracle'"):
        card_of("oracle")
