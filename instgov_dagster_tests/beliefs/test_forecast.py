"""Tonight's forecasts: complete, finite or absent with a reason, clipped, blind to the future."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from instgov_dagster.beliefs.forecast import FORECAST_SCHEMA, forecast_models, forecast_rows
from instgov_dagster.beliefs.models import MODELS as CARDS
from instgov_dagster.beliefs.models import Family, opinions
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy, StrategySpec
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.beliefs.conftest import Panel, real_panel, walked

MODELS = ModelPolicy()
SIX = ("james_stein", "momentum", "reversal", "ridge", "combination", "defensive")
NUMBERS = ("mu", "sigma", "p_loss", "cvar_95", "lower_95", "upper_95")


def forecast(panel: Panel) -> pl.DataFrame:
    return forecast_models(walked(panel), MODELS)


@pytest.mark.roadmap("6.5")
def test_every_model_states_mu_sigma_and_an_interval_for_every_symbol(drawn: Panel) -> None:
    frame = forecast(drawn)
    assert frame.schema == FORECAST_SCHEMA
    assert frame.height == 6 * 12
    assert set(frame["model_id"]) == set(SIX)
    assert frame.select(NUMBERS).null_count().sum_horizontal()[0] == 0
    assert frame["forecast_session"].unique().to_list() == [drawn.dates[-1].item()]
    assert frame["horizon_days"].unique().to_list() == [5]
    rows = forecast_rows(frame)
    assert len(rows) == 72
    assert all(row.lower_95 < row.mu < row.upper_95 for row in rows)


@pytest.mark.roadmap("6.5")
def test_no_forecast_claims_an_annual_sharpe_above_one() -> None:
    n = 600
    rising = 100 * 1.01 ** np.arange(n)[:, None] * (1 + 0.001 * (np.arange(n) % 2))[:, None]
    dates = np.busday_offset("2020-01-01", np.arange(n), roll="forward")
    panel = Panel(dates, ("UP",), rising, rising[:, 0], rising[:, 0])
    frame = forecast(panel).filter(pl.col("model_id").is_in(["james_stein", "momentum"]))
    sharpe = frame.select(np.sqrt(252 / 5) * pl.col("mu") / pl.col("sigma")).to_series()
    assert sharpe.to_list() == pytest.approx([1.0, 1.0], rel=1e-12)


@pytest.mark.roadmap("6.5")
def test_a_symbol_without_prices_is_absent_with_its_reason_and_never_nan(drawn: Panel) -> None:
    prices = np.array(drawn.prices)
    prices[:, 0] = np.nan
    prices[:-60, 1] = np.nan
    prices[-1, 2] = np.inf
    frame = forecast(drawn._replace(prices=prices))
    absent = frame.filter(pl.col("symbol").is_in(drawn.symbols[:3]))
    assert absent.select(pl.col(NUMBERS).is_null().all()).row(0) == (True,) * 6
    assert absent["reason_codes"].to_list() == [[ReasonCode.FORECAST_NOT_FINITE]] * 18
    held = frame.filter(~pl.col("symbol").is_in(drawn.symbols[:3]))
    assert held["reason_codes"].to_list() == [[ReasonCode.FORECAST_STATED]] * 54
    assert not frame.select(pl.col(NUMBERS).is_nan().any()).row(0).count(True)
    assert len(forecast_rows(frame)) == 54


def test_no_symbol_is_no_forecast_and_no_error(drawn: Panel) -> None:
    frame = forecast(drawn._replace(symbols=(), prices=drawn.prices[:, :0]))
    assert frame.is_empty()
    assert frame.schema == FORECAST_SCHEMA


def test_a_panel_that_contradicts_itself_is_refused(drawn: Panel) -> None:
    with pytest.raises(ValueError, match="must have shape"):
        forecast(drawn._replace(symbols=drawn.symbols[:-1]))
    with pytest.raises(ValueError, match="distinct"):
        forecast(drawn._replace(symbols=("A",) * 12))
    with pytest.raises(ValueError, match="increase strictly"):
        forecast(drawn._replace(dates=drawn.dates[::-1]))


@pytest.mark.roadmap("6.5")
def test_the_real_panel_of_2024_12_06_is_forecast_without_a_gap(real_closes: pl.DataFrame) -> None:
    panel = real_panel(real_closes, asof=date(2024, 12, 6))
    frame = forecast(panel)
    assert frame.height == 6 * 56
    assert frame["mu"].null_count() == 0
    assert len(forecast_rows(frame)) == 336
    # crypto weeks are real, and so is a cash fund: the volatilities span two orders
    assert frame["sigma"].max() > 50 * frame["sigma"].min()


def test_the_strategies_of_the_rules_are_the_six_and_four_of_them_are_opinions() -> None:
    assert tuple(strategy.strategy_id for strategy in MODELS.strategies) == SIX
    assert set(opinions(Family.MU)) == {"james_stein", "momentum", "reversal", "ridge"}
    assert set(SIX) | {"zero"} == {n for n, card in CARDS.items() if card.family is Family.MU}


def test_a_strategy_of_an_unknown_model_is_refused_by_name(drawn: Panel) -> None:
    unknown = StrategySpec(strategy_id="guess", model_id="oracle", half_life_sessions=5.0)
    with pytest.raises(ValueError, match="was 'oracle'"):
        forecast_models(walked(drawn), ModelPolicy(strategies=(unknown,)))
