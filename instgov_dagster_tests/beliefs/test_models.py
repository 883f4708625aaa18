"""The mu models: estimators by hand and against a regression nobody here wrote."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.beliefs.models import BENCHMARK, MODELS, JamesStein, Momentum, build_model
from instgov_dagster.beliefs.returns import forward_returns, return_panel
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel

POLICY = ForecastPolicy()


def panel_of(panel: Panel, *, horizon: int = 5):  # noqa: ANN201  # a ReturnPanel, used as is
    return return_panel(panel.prices, policy=POLICY, horizon=horizon)


@pytest.mark.roadmap("6.5")
def test_bayes_stein_by_hand_shrinks_the_sharpe_ratios_toward_their_mean(drawn: Panel) -> None:
    panel = panel_of(drawn)
    ours = JamesStein(POLICY).predict_path(panel)[-1]
    daily = panel.daily[1:]
    horizons = daily.shape[0] / 5
    sharpe = np.sqrt(5) * daily.mean(axis=0) / daily.std(axis=0, ddof=1)
    common = sharpe.mean()
    n = sharpe.size
    weight = (n + 2) / (n + 2 + horizons * ((sharpe - common) ** 2).sum())
    expected = ((1 - weight) * sharpe + weight * common) * np.sqrt(5) * daily.std(axis=0, ddof=1)
    assert ours == pytest.approx(expected, rel=1e-9)
    assert 0 < weight < 1


def test_identical_symbols_are_forecast_at_their_common_mean() -> None:
    one = drawn_panel(seed=1, sessions=400, symbols=1).prices
    panel = return_panel(np.repeat(one, 4, axis=1), policy=POLICY, horizon=5)
    ours = JamesStein(POLICY).predict_path(panel)[-1]
    assert ours == pytest.approx(np.full(4, 5 * panel.daily[1:, 0].mean()), rel=1e-9)


def test_james_stein_says_nothing_before_a_year_of_returns(drawn: Panel) -> None:
    path = JamesStein(POLICY).predict_path(panel_of(drawn))
    assert np.isnan(path[:252]).all()
    assert np.isfinite(path[252:]).all()


def test_the_momentum_signal_leaves_the_last_month_out(drawn: Panel) -> None:
    panel = panel_of(drawn)
    signal = Momentum(POLICY).signal_path(panel)[-1]
    past = drawn.prices[-1 - 21] / drawn.prices[-1 - 252] - 1
    deviation = panel.daily[-252:].std(axis=0, ddof=1)
    expected = np.clip(past / (deviation * np.sqrt(231)), -3, 3)
    assert signal == pytest.approx(expected, rel=1e-9)


def test_the_momentum_slope_is_the_pooled_regression_on_what_had_come_to_pass(
    drawn: Panel,
) -> None:
    panel = panel_of(drawn)
    model = Momentum(POLICY)
    signal = model.signal_path(panel)
    ours = model.slope_path(panel, signal)[1000, 0]
    future = forward_returns(panel.prices, panel.bases, sessions=5) / panel.sigma
    x, y = signal[: 1000 - 5 + 1].ravel(), future[: 1000 - 5 + 1].ravel()
    pair = np.isfinite(x) & np.isfinite(y)
    theirs = sm.OLS(y[pair], x[pair]).fit().params[0]
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_momentum_waits_for_its_lookback_and_its_pairs(drawn: Panel) -> None:
    path = Momentum(POLICY).predict_path(panel_of(drawn))
    first = 252 + 63 - 1 + 5
    assert np.isnan(path[:first]).all()
    assert np.isfinite(path[first:]).all()


def test_a_market_that_trends_is_forecast_to_go_on() -> None:
    rng = np.random.default_rng(2)
    drift = np.array([0.002, 0.001, -0.001, -0.002])
    returns = drift + 0.01 * rng.standard_normal((900, 4))
    panel = return_panel(100 * np.cumprod(1 + returns, axis=0), policy=POLICY, horizon=5)
    forecast = Momentum(POLICY).predict_path(panel)[-1]
    assert (np.sign(forecast) == np.sign(drift)).all()


@pytest.mark.roadmap("6.5")
@pytest.mark.parametrize("model_id", sorted(MODELS))
def test_a_stablecoin_a_newcomer_and_a_negative_price_break_no_model(model_id: str) -> None:
    prices = np.array(drawn_panel(seed=3, sessions=700, symbols=5).prices)
    prices[:, 0] = 1.0
    prices[:, 1] = 1.0 + 1e-9 * np.sin(np.arange(700))
    prices[:650, 2] = np.nan
    prices[500, 3] = -37.63
    panel = return_panel(prices, policy=POLICY, horizon=5)
    forecast = build_model(model_id, POLICY).predict_path(panel)
    assert np.isfinite(forecast[-1, [0, 1, 3, 4]]).all()
    assert np.isnan(forecast[:650, 2]).all()
    assert not np.isinf(forecast).any()


@pytest.mark.roadmap("6.3")
@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)),
    st.integers(260, 699),
    st.floats(0.01, 50.0),
    st.sampled_from(["changed", "cut off"]),
)
def test_no_forecast_moves_a_bit_when_the_future_does(
    model_id: str, known: int, factor: float, future: str
) -> None:
    prices = drawn_panel(seed=4, sessions=700, symbols=3).prices
    model = build_model(model_id, POLICY)
    path = model.predict_path(return_panel(prices, policy=POLICY, horizon=5))[:known]
    changed = np.array(prices)
    changed[known:] *= factor
    other = changed if future == "changed" else changed[:known]
    after = model.predict_path(return_panel(other, policy=POLICY, horizon=5))[:known]
    assert path.tobytes() == after.tobytes()


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="was 'oracle'"):
        build_model("oracle", POLICY)


def test_the_benchmark_forecasts_zero_wherever_there_is_a_price(drawn: Panel) -> None:
    path = build_model(BENCHMARK, POLICY).predict_path(panel_of(drawn))
    assert (path == 0.0).all()
