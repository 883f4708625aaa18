"""The words of the beliefs wing: every field the roadmap names, and nothing impossible born."""

import dataclasses
import math
from contextlib import nullcontext
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.vocabulary.beliefs import (
    SUM_TOLERANCE,
    ModelForecast,
    ModelHealthMetrics,
    Regime,
    RegimeProbabilityState,
)
from instgov_dagster.vocabulary.policy.beliefs import (
    EmissionTable,
    ForecastPolicy,
    HealthPolicy,
    ModelPolicy,
    RegimePolicy,
    RegimeValues,
    StrategySpec,
    TransitionPrior,
)
from instgov_dagster.vocabulary.policy.models import SigmaPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

STATE: dict[str, Any] = {
    "p_normal_5d": 0.7,
    "p_volatile_5d": 0.25,
    "p_crisis_5d": 0.05,
    "p_hit_crisis_5d": 0.08,
    "current_belief_normal": 0.8,
    "current_belief_volatile": 0.15,
    "current_belief_crisis": 0.05,
    "spy_ma200_position": 0.04,
    "volatility_percentile": 0.4,
    "vix_level": 15.0,
    "correlation_spike": -0.02,
    "transition_matrix": ((0.9, 0.09, 0.01), (0.1, 0.8, 0.1), (0.0, 0.2, 0.8)),
}
FORECAST: dict[str, Any] = {
    "symbol": "SPY",
    "model_id": "james_stein",
    "mu": 0.002,
    "sigma": 0.02,
    "p_loss": 0.45,
    "cvar_95": 0.05,
    "lower_95": -0.04,
    "upper_95": 0.044,
    "horizon_days": 5,
    "forecast_session": date(2024, 12, 5),
}
HEALTH: dict[str, Any] = {
    "mu": 0.002,
    "sigma": 0.02,
    "p_loss": 0.45,
    "cvar_95": 0.05,
    "confidence": 0.4,
    "model_disagreement_var": 0.1,
    "disagreement_penalty": 0.93,
    "mu_adjusted": 0.0018,
    "model_age_days": 29,
    "rolling_forecast_error": 1.1,
    "autocorr_flip_detected": False,
    "age_decay_factor": 1.0,
    "error_decay_factor": 0.8,
    "final_decay_factor": 0.8,
    "reason_codes": (ReasonCode.MODEL_DECAYED,),
}
WORDS = [(RegimeProbabilityState, STATE), (ModelForecast, FORECAST), (ModelHealthMetrics, HEALTH)]
NUMBERS = [
    (word, fields, name)
    for word, fields in WORDS
    for name, value in fields.items()
    if isinstance(value, float | int) and not isinstance(value, bool)
]


@pytest.mark.roadmap("7.1", "TEST.7")
def test_the_regime_state_has_every_field_the_roadmap_names() -> None:
    asked = STATE.keys() - {"p_hit_crisis_5d"}
    assert len(asked) == 11
    assert asked <= {field.name for field in dataclasses.fields(RegimeProbabilityState)}


@pytest.mark.roadmap("6.1", "TEST.6")
def test_model_health_has_every_field_the_roadmap_names() -> None:
    asked = HEALTH.keys() - {"reason_codes"}
    assert len(asked) == 14
    assert asked <= {field.name for field in dataclasses.fields(ModelHealthMetrics)}


@pytest.mark.roadmap("6.1", "7.1")
@pytest.mark.parametrize(("word", "fields"), WORDS)
def test_a_word_is_frozen_slotted_and_says_what_it_was_given(
    word: type[Any], fields: dict[str, Any]
) -> None:
    instance = word(**fields)
    assert {name: getattr(instance, name) for name in fields} == fields
    assert not hasattr(instance, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(instance, next(iter(fields)), 0.0)


@pytest.mark.roadmap("6.1", "7.1")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("word", "fields", "name"), NUMBERS)
def test_no_number_can_be_other_than_finite(
    word: type[Any], fields: dict[str, Any], name: str, value: float
) -> None:
    with pytest.raises(ValueError, match="must"):
        word(**(fields | {name: value}))


@pytest.mark.roadmap("7.1", "TEST.7")
@given(st.floats(4e-12, 0.5), st.sampled_from([1.0, -1.0]))
def test_probabilities_that_miss_one_by_more_than_1e_12_are_refused(
    off: float, sign: float
) -> None:
    with pytest.raises(ValueError, match="must sum to 1"):
        RegimeProbabilityState(**(STATE | {"p_volatile_5d": 0.25 + sign * off * 0.5}))
    row = (0.9, 0.09 - off * 0.1, 0.01 - off * 0.01)
    matrix = (row, *STATE["transition_matrix"][1:])
    wanted = "row NORMAL must (sum to 1|lie within)"
    is_within = off * 0.11 <= SUM_TOLERANCE
    with nullcontext() if is_within else pytest.raises(ValueError, match=wanted):
        RegimeProbabilityState(**(STATE | {"transition_matrix": matrix}))


def test_an_observation_may_be_absent_but_not_impossible() -> None:
    for name in ("spy_ma200_position", "volatility_percentile", "vix_level", "correlation_spike"):
        assert getattr(RegimeProbabilityState(**(STATE | {name: None})), name) is None
    for name, value in (("volatility_percentile", 1.2), ("vix_level", 0.0)):
        with pytest.raises(ValueError, match=name):
            RegimeProbabilityState(**(STATE | {name: value}))


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="must have 3 rows"):
        RegimeProbabilityState(**(STATE | {"transition_matrix": STATE["transition_matrix"][:2]}))
    with pytest.raises(ValueError, match="must have 3 entries"):
        RegimeProbabilityState(**(STATE | {"transition_matrix": ((1.0,),) * 3}))


def test_meeting_a_crisis_cannot_be_less_likely_than_standing_in_one() -> None:
    with pytest.raises(ValueError, match="must be >= p_crisis_5d"):
        RegimeProbabilityState(**(STATE | {"p_hit_crisis_5d": 0.04}))


@pytest.mark.roadmap("7.1")
def test_a_tie_between_regimes_goes_to_the_worse_one() -> None:
    tie = {"current_belief_normal": 0.5, "current_belief_volatile": 0.5} | {
        "current_belief_crisis": 0.0
    }
    assert RegimeProbabilityState(**(STATE | tie)).regime is Regime.VOLATILE
    assert RegimeProbabilityState(**STATE).regime is Regime.NORMAL


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mu": 0.05}, "within its interval"),
        ({"cvar_95": -0.003}, "cvar_95 must be"),
        ({"sigma": 0.0}, "sigma"),
        ({"p_loss": 1.1}, "p_loss"),
        ({"symbol": ""}, "must name"),
    ],
)
def test_a_forecast_that_contradicts_itself_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ModelForecast(**(FORECAST | change))


@pytest.mark.roadmap("6.1", "6.4")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"final_decay_factor": 0.81}, "age x error"),
        ({"confidence": 0.81}, "confidence must be"),
        ({"mu_adjusted": 0.0021}, "mu_adjusted must be"),
        ({"mu": -0.001, "mu_adjusted": 0.0001}, "mu_adjusted must be"),
        ({"model_age_days": -1}, "model_age_days"),
        ({"reason_codes": ()}, "at least one reason code"),
    ],
)
def test_health_that_contradicts_itself_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ModelHealthMetrics(**(HEALTH | change))


def test_the_policies_hold_the_numbers_of_the_specification() -> None:
    regime, models = RegimePolicy(), ModelPolicy()
    assert regime.vix.location.as_tuple() == (14.0, 22.0, 38.0)
    assert regime.volatility.location.as_tuple() == (0.10, 0.17, 0.40)
    assert (regime.derisk_threshold, regime.reduce_only_threshold) == (0.20, 0.50)
    assert (regime.release_threshold, regime.release_sessions) == (0.15, 5)
    assert regime.transition_pseudo_counts == 1000.0
    assert regime.degrees_of_freedom == 5.0
    assert models.health.disagreement_beta == math.log(2.0)
    assert (models.health.age_grace_days, models.health.max_age_days) == (30, 365)
    halves = {"james_stein": 126, "momentum": 63, "reversal": 5, "ridge": 21, "combination": 21}
    halves |= {"defensive": 21}
    assert models.model_ids == tuple(halves)
    assert {name: models.half_life_of(name) for name in halves} == halves
    sigma = models.forecast.sigma
    assert (sigma.ewma_fast, sigma.ewma_slow, sigma.rolling_sessions) == (0.94, 0.97, 252)
    assert sigma.garch_refit_sessions == 5
    with pytest.raises(ValueError, match="'oracle'"):
        models.half_life_of("oracle")


def test_policies_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="release_threshold < derisk_threshold"):
        RegimePolicy(release_threshold=0.3)
    with pytest.raises(ValueError, match="mean_min_sessions must be <="):
        ForecastPolicy(mean_sessions=252, mean_min_sessions=253)
    with pytest.raises(ValueError, match="momentum_skip_sessions must be <"):
        ForecastPolicy(momentum_lookback_sessions=63, momentum_skip_sessions=63)
    for lags in ((), (5, 1), (0, 1), (1, 1), (1, 2000)):
        with pytest.raises(ValueError, match="ridge_lags must increase"):
            ForecastPolicy(ridge_lags=lags)
    with pytest.raises(ValueError, match="range_min_sessions must be <= range_sessions"):
        SigmaPolicy(range_sessions=10, range_min_sessions=11)
    with pytest.raises(ValueError, match="garch_min_sessions must be <= garch_sessions"):
        SigmaPolicy(garch_sessions=300)
    with pytest.raises(ValueError, match="age_grace_days must be <"):
        HealthPolicy(age_grace_days=300, max_age_days=200)
    with pytest.raises(ValueError, match="at least one strategy"):
        ModelPolicy(strategies=())
    twice = StrategySpec(strategy_id="a", model_id="zero", half_life_sessions=1.0)
    with pytest.raises(ValueError, match="distinct ids"):
        ModelPolicy(strategies=(twice, twice))
    with pytest.raises(ValueError, match="must name its strategy"):
        StrategySpec(strategy_id="", model_id="zero", half_life_sessions=1.0)


def test_an_emission_or_a_prior_that_forbids_something_is_refused() -> None:
    one = RegimeValues(normal=1.0, volatile=1.0, crisis=1.0)
    zero = RegimeValues(normal=0.0, volatile=0.5, crisis=0.5)
    with pytest.raises(ValueError, match="scale must be > 0"):
        EmissionTable(location=one, scale=zero, is_logarithmic=False)
    with pytest.raises(ValueError, match="location must be > 0"):
        EmissionTable(location=zero, scale=one, is_logarithmic=True)
    with pytest.raises(ValueError, match=r"within \(0, 1\)"):
        TransitionPrior(normal=zero, volatile=zero, crisis=zero)
    half = RegimeValues(normal=0.5, volatile=0.4, crisis=0.2)
    with pytest.raises(ValueError, match="must sum to 1"):
        TransitionPrior(normal=half, volatile=half, crisis=half)
    with pytest.raises(ValueError, match="finite"):
        RegimeValues(normal=math.nan, volatile=1.0, crisis=1.0)
