"""Injected faults: each is named by a reason code, and none of them raises a confidence."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from instgov_dagster.beliefs.forecast import forecast_models
from instgov_dagster.beliefs.health import assess_health
from instgov_dagster.beliefs.hot.walk import walk
from instgov_dagster.beliefs.models import MODELS, Card
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA
from instgov_dagster.beliefs.models.protocol import Family, Role
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, market_of
from instgov_dagster_tests.beliefs.hot.test_fold import Shouting, fits_through

POLICY = ModelPolicy()
PANEL = drawn_panel(seed=81, sessions=900, symbols=6)
LAST = 899


def tonight(symbols: tuple[str, ...] = PANEL.symbols) -> pl.DataFrame:
    return fits_through(PANEL, LAST, symbols=symbols)


def two_days_ago(symbols: tuple[str, ...] = PANEL.symbols) -> pl.DataFrame:
    return fits_through(PANEL, LAST - 2, symbols=symbols)


def judged(
    panel: Panel = PANEL, *, fits: pl.DataFrame | None = None, cards: dict[str, Card] | None = None
) -> pl.DataFrame:
    held = pl.concat([two_days_ago(), tonight()]) if fits is None else fits
    market = market_of(panel, fits=held)
    found = walk(market, policy=POLICY.forecast, horizon=5, cards=cards or MODELS)
    return assess_health(
        found,
        forecast_models(found, POLICY),
        data_quality=dict.fromkeys(panel.symbols, 1.0),
        policy=POLICY,
        asof=panel.dates[-1].item() + timedelta(days=1),
    )


@pytest.fixture(scope="module")
def sound() -> pl.DataFrame:
    frame = judged()
    # without a confidence to lose the tests below would show nothing
    assert frame["confidence"].max() > 0.5
    return frame


def constant_prices() -> pl.DataFrame:
    prices = np.array(PANEL.prices)
    prices[:, 0] = 100.0
    return judged(PANEL._replace(prices=prices))


def prices_that_stop() -> pl.DataFrame:
    prices = np.array(PANEL.prices)
    prices[:, 0] = np.nan
    return judged(PANEL._replace(prices=prices))


def a_price_missing_tonight() -> pl.DataFrame:
    prices = np.array(PANEL.prices)
    prices[-1, 0] = np.nan
    return judged(PANEL._replace(prices=prices))


def a_fit_that_failed() -> pl.DataFrame:
    return judged(fits=pl.concat([two_days_ago(), tonight(PANEL.symbols[1:])]))


def no_parameters_at_all() -> pl.DataFrame:
    return judged(fits=pl.DataFrame(schema=SIGMA_FIT_SCHEMA))


def parameters_two_days_old() -> pl.DataFrame:
    # the file of tonight never came: what is held was fitted two sessions ago
    return judged(fits=two_days_ago())


def a_model_that_returns_infinity() -> pl.DataFrame:
    old = MODELS["momentum"]
    card = Card(model_id="momentum", family=Family.MU, role=Role.OPINION, build=Shouting)
    assert old.family is card.family
    return judged(cards={n: card if n == "momentum" else c for n, c in MODELS.items()})


@pytest.mark.roadmap("6.4", "6.5", "TEST.6")
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (constant_prices, ReasonCode.MODEL_COVERAGE_REJECTED),
        (prices_that_stop, ReasonCode.FORECAST_NOT_FINITE),
        (a_price_missing_tonight, ReasonCode.FORECAST_NOT_FINITE),
        (a_fit_that_failed, ReasonCode.SIGMA_PARAMETERS_AGED),
        (no_parameters_at_all, ReasonCode.SIGMA_MEMBER_SILENT),
        (parameters_two_days_old, ReasonCode.SIGMA_PARAMETERS_AGED),
        (a_model_that_returns_infinity, ReasonCode.FORECAST_NOT_FINITE),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_fault_is_named_and_lowers_the_confidence_of_what_it_touches(
    sound: pl.DataFrame, fault: Callable[[], pl.DataFrame], code: ReasonCode
) -> None:
    frame = fault()
    struck = pl.col("symbol") == "S00"
    if fault is a_model_that_returns_infinity:
        struck &= pl.col("model_id") == "momentum"
    named = frame.filter(struck)["reason_codes"].to_list()
    assert all(code in codes for codes in named)
    before = sound.filter(struck)["confidence"].to_numpy()
    after = frame.filter(struck)["confidence"].to_numpy()
    assert (after <= before).all()
    assert after.sum() < before.sum() or before.sum() == 0.0
    assert frame["confidence"].is_finite().all()


@pytest.mark.roadmap("6.4")
def test_sound_parameters_of_tonight_have_no_reason_against_them(sound: pl.DataFrame) -> None:
    codes = {code for codes in sound["reason_codes"].to_list() for code in codes}
    assert ReasonCode.SIGMA_MEMBER_SILENT not in codes
    assert ReasonCode.SIGMA_PARAMETERS_AGED not in codes
