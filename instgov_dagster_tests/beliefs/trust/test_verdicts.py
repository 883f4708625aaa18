"""Verdicts on a market made by hand: every column, every reason and every bound of them."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from instgov_dagster.beliefs.forecast import forecast_models
from instgov_dagster.beliefs.health import HEALTH_SCHEMA, assess_health, health_rows
from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.models import BENCHMARK, Family, opinions
from instgov_dagster.beliefs.predictive import LEVEL_95, standard_law
from instgov_dagster.beliefs.trust.record import (
    ModelRecord,
    age_in_days,
    is_covered,
    last_validation_pass,
    model_record,
)
from instgov_dagster.beliefs.trust.validation import kupiec_p_value, validation_sessions
from instgov_dagster.vocabulary.policy.beliefs import HealthPolicy, ModelPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

Floats = NDArray[np.float64]
MODELS = ModelPolicy()
HEALTH = HealthPolicy()
NAMES = ("A", "B", "C", "D")
T = 700
SIGMA = 0.03
ROOT5 = np.sqrt(5.0)
LEVELS = {
    "james_stein": 0.002,
    "momentum": 0.006,
    "reversal": -0.001,
    "ridge": 0.004,
    "combination": 0.003,
    "defensive": 0.002,
}
MUS = opinions(Family.MU)
SIGMAS = opinions(Family.SIGMA)


def errors_that_flip() -> Floats:
    """Standardised residuals that trend for years and revert in the last 63 sessions."""
    noise = np.random.default_rng(9).standard_normal(T)
    path = np.zeros(T)
    for t in range(1, T):
        path[t] = (0.4 if t < T - 63 else -0.5) * path[t - 1] + 0.9 * noise[t]
    return path


def made_walk() -> Walk:
    """Four symbols of constant volatility on which each model has always said one number.

    Momentum is silent on B tonight, ridge begins too late on C, D lost a sigma model tonight and
    its residuals flipped; the sigma of B is trusted by half.
    """
    rng = np.random.default_rng(6)
    daily = SIGMA / ROOT5 * np.sqrt(3 / 5) * rng.standard_t(5, (T, 4))
    daily[1:, 3] = SIGMA / ROOT5 * errors_that_flip()[1:]
    daily[0] = np.nan
    prices = 100.0 * np.cumprod(1.0 + np.nan_to_num(daily), axis=0)
    mus = {name: np.full((T, 4), level) for name, level in LEVELS.items()}
    mus[BENCHMARK] = np.zeros((T, 4))
    mus["momentum"][-1, 1] = np.nan
    mus["ridge"][:500, 2] = np.nan
    sigmas = {name: np.full((T, 4), SIGMA) for name in SIGMAS}
    sigmas[SIGMAS[0]][-1, 3] = np.nan
    trust = np.ones((T, 4))
    trust[-1, 1] = 0.5
    return Walk(
        dates=np.busday_offset("2021-01-01", np.arange(T), roll="forward"),
        symbols=NAMES,
        horizon=5,
        prices=prices,
        bases=prices,
        daily=daily,
        sigma=np.full((T, 4), SIGMA),
        trust=trust,
        sigmas=sigmas,
        mus=mus,
        fold=None,  # type: ignore[arg-type]  # a record needs no fold
    )


WALK = made_walk()
LAST: date = WALK.dates[-1].item()
QUALITY = {"A": 1.0, "B": 0.8, "C": 0.5, "D": 0.0}


def judged(
    walked: Walk = WALK, *, health: HealthPolicy = HEALTH, days: int = 1, **given: Any
) -> pl.DataFrame:
    policy = replace(MODELS, health=health)
    terms: dict[str, Any] = {
        "forecasts": forecast_models(walked, policy),
        "data_quality": QUALITY,
        "asof": LAST + timedelta(days=days),
    }
    terms |= given
    return assess_health(walked, policy=policy, **terms)


def record_of(row: dict[str, Any], *, days: int = 1) -> tuple[ModelRecord, int]:
    asof = LAST + timedelta(days=days)
    return model_record(WALK, row["model_id"], asof, MODELS), NAMES.index(row["symbol"])


def expected_reasons(row: dict[str, Any], record: ModelRecord, j: int, *, is_single: bool) -> list:
    tests = {
        ReasonCode.FORECAST_NOT_FINITE: row["mu"] is None,
        ReasonCode.MODEL_EXPIRED: record.decay.age_days[j] > 365,
        ReasonCode.SINGLE_MODEL: is_single,
        ReasonCode.MODEL_AUTOCORR_FLIP: record.decay.has_flipped[j],
        ReasonCode.MODEL_DECAYED: record.decay.final_factor[j] < 1.0,
        ReasonCode.MODEL_COVERAGE_REJECTED: not record.is_covered[j],
        ReasonCode.SIGMA_MEMBER_SILENT: row["symbol"] == "D",
        ReasonCode.SIGMA_PARAMETERS_AGED: row["symbol"] == "B",
    }
    found = [str(code) for code, holds in tests.items() if holds]
    return found or [str(ReasonCode.MODEL_HEALTHY)]


@pytest.mark.roadmap("6.1", "6.2", "6.5", "TEST.6")
def test_every_column_is_what_the_record_and_the_forecast_make_it() -> None:
    frame = judged()
    assert frame.schema == HEALTH_SCHEMA
    keys = [(name, model) for name in NAMES for model in sorted(MODELS.model_ids)]
    assert frame.select("symbol", "model_id").rows() == keys
    seen: set[str] = set()
    for symbol in NAMES:
        rows = frame.filter(symbol=symbol).to_dicts()
        n_healthy = sum(row["is_healthy"] for row in rows if row["model_id"] in MUS)
        spoken = [row["mu"] for row in rows if row["model_id"] in MUS and row["mu"] is not None]
        variance = np.var(np.sqrt(252 / 5) * np.array(spoken) / SIGMA, ddof=1)
        for row in rows:
            record, j = record_of(row)
            decay, final = record.decay, record.decay.final_factor[j]
            assert row["date"] == LAST
            assert row["model_age_days"] == decay.age_days[j]
            error = decay.rolling_error[j]
            told = (row["rolling_error"], row["rolling_forecast_error"])
            assert told == ((None, None) if np.isnan(error) else (error, error))
            assert row["autocorr_flip"] == row["autocorr_flip_detected"] == decay.has_flipped[j]
            assert row["age_decay_factor"] == decay.age_factor[j]
            assert row["error_decay_factor"] == decay.error_factor[j]
            assert row["decay_factor"] == row["final_decay_factor"] == final
            assert row["model_disagreement_var"] == pytest.approx(variance, rel=1e-12)
            penalty = 2.0**-variance
            assert row["disagreement_penalty"] == pytest.approx(penalty, rel=1e-12)
            mu, is_known = row["mu"], row["mu"] is not None
            is_healthy = is_known and decay.age_days[j] <= 365 and final >= 0.10
            assert row["is_healthy"] == is_healthy
            trust = 0.5 if symbol == "B" else 1.0
            earned = QUALITY[symbol] * final * float(record.is_covered[j]) * trust
            assert row["confidence"] == pytest.approx(earned if is_known else 0.0, abs=1e-15)
            gain = mu * penalty if is_known and is_healthy and n_healthy >= 2 else 0.0
            wanted = None if mu is None else pytest.approx(gain if mu > 0 else mu, rel=1e-12)
            assert row["mu_adjusted"] == wanted
            reasons = expected_reasons(row, record, j, is_single=n_healthy < 2)
            assert row["reason_codes"] == reasons
            seen.update(reasons)
    # the market was made so that everything that can be said is said
    assert seen >= {
        "FORECAST_NOT_FINITE", "MODEL_EXPIRED", "MODEL_AUTOCORR_FLIP", "MODEL_DECAYED",
        "SIGMA_MEMBER_SILENT", "SIGMA_PARAMETERS_AGED",
    }  # fmt: skip


@pytest.mark.roadmap("6.2")
def test_a_model_is_healthy_down_to_the_least_decay_and_on_its_last_day() -> None:
    row = judged().filter(pl.col("is_healthy")).sort("final_decay_factor").row(0, named=True)
    mine = (pl.col("symbol") == row["symbol"]) & (pl.col("model_id") == row["model_id"])
    at = row["final_decay_factor"]
    assert 0.1 < at < 1.0
    for least, is_healthy in ((at, True), (float(np.nextafter(at, 1.0)), False)):
        told = judged(health=replace(HEALTH, min_healthy_decay=least)).filter(mine)
        assert told["is_healthy"].to_list() == [is_healthy]
    age = row["model_age_days"]
    for allowed, is_expired in ((age, False), (age - 1, True)):
        policy = replace(HEALTH, max_age_days=allowed, age_grace_days=0)
        codes = judged(health=policy).filter(mine)["reason_codes"].to_list()[0]
        assert (ReasonCode.MODEL_EXPIRED in codes) == is_expired


@pytest.mark.roadmap("6.2")
def test_as_many_healthy_opinions_as_are_asked_for_are_enough_and_one_fewer_are_not() -> None:
    frame = judged()
    healthy = frame.filter(pl.col("is_healthy") & pl.col("model_id").is_in(MUS) & (symbol_a()))
    n = healthy.height
    assert n >= 2
    for asked, is_single in ((n, False), (n + 1, True)):
        told = judged(health=replace(HEALTH, min_healthy_models=asked)).filter(symbol_a())
        codes = told["reason_codes"].to_list()
        assert all((ReasonCode.SINGLE_MODEL in each) == is_single for each in codes)
        assert (told["mu_adjusted"].max() > 0.0) != is_single


def symbol_a() -> pl.Expr:
    return pl.col("symbol") == "A"


def test_one_opinion_alone_does_not_disagree() -> None:
    mus = {name: np.full((T, 4), np.nan) for name in LEVELS} | {BENCHMARK: np.zeros((T, 4))}
    mus["reversal"] = np.full((T, 4), 0.002)
    frame = judged(replace(WALK, mus=mus))
    assert frame["model_disagreement_var"].to_list() == [0.0] * 24
    assert frame["disagreement_penalty"].to_list() == [1.0] * 24
    assert frame.drop_nulls("mu")["mu_adjusted"].to_list() == [0.0] * 4


@pytest.mark.roadmap("6.5")
def test_a_trust_in_sigma_that_is_whole_but_for_rounding_is_whole() -> None:
    trust = np.ones((T, 4))
    trust[-1] = [1.0 - 1e-13, 1.0 - 2e-12, 1.0 - 1e-12, 1.0]
    frame = judged(replace(WALK, trust=trust))
    aged = [ReasonCode.SIGMA_PARAMETERS_AGED in codes for codes in frame["reason_codes"].to_list()]
    assert aged == [False] * 6 + [True] * 6 + [False] * 12


@pytest.mark.parametrize("bad", [-0.01, 1.01, float("nan")])
def test_a_quality_that_is_no_share_is_refused_by_its_symbols_name(bad: float) -> None:
    with pytest.raises(ValueError, match=r"within \[0, 1\], does not for \['C'\]"):
        judged(data_quality=QUALITY | {"C": bad})
    with pytest.raises(ValueError, match=r"misses \['B', 'D'\]"):
        judged(data_quality={"A": 1.0, "C": 1.0})


def test_what_does_not_belong_to_the_walk_is_refused() -> None:
    forecasts = forecast_models(WALK, MODELS)
    with pytest.raises(ValueError, match="must be after"):
        judged(days=0)
    with pytest.raises(ValueError, match="one horizon"):
        judged(forecasts=forecasts.with_columns(horizon_days=pl.lit(6, dtype=pl.Int64)))
    with pytest.raises(ValueError, match="symbols of the panel"):
        judged(forecasts=forecasts.filter(pl.col("symbol") != "A"))
    with pytest.raises(ValueError, match="symbols of the panel"):
        judged(forecasts=forecasts.clear())
    with pytest.raises(ValueError, match="every model"):
        judged(forecasts=forecasts.filter(pl.col("model_id") != "momentum"))
    strange = pl.col("model_id").replace({"momentum": "another"})
    with pytest.raises(ValueError, match="every model"):
        judged(forecasts=forecasts.with_columns(strange))
    with pytest.raises(pl.exceptions.ComputeError, match="1:1"):
        judged(forecasts=pl.concat([forecasts, forecasts.head(1)]))


def test_the_rows_are_the_forecasts_that_exist_with_every_field() -> None:
    frame = judged()
    rows = health_rows(frame)
    known = frame.drop_nulls(["mu", "rolling_forecast_error"])
    assert list(rows) == known.select("symbol", "model_id").rows()
    assert ("B", "momentum") not in rows
    for told in known.iter_rows(named=True):
        row = rows[told["symbol"], told["model_id"]]
        for name in type(row).__dataclass_fields__:
            wanted = tuple(told[name]) if name == "reason_codes" else told[name]
            assert getattr(row, name) == wanted


@pytest.mark.roadmap("6.4")
def test_an_age_counts_days_from_its_pass_and_without_one_is_past_the_longest_allowed() -> None:
    dates = np.array(["2024-01-02", "2024-01-05", "2024-03-01"], dtype="datetime64[D]")
    passes = np.array([2, 1, 0, -1])
    asof = date(2024, 3, 2)
    assert age_in_days(passes, dates, asof, 30).tolist() == [1, 57, 60, 60]
    assert age_in_days(passes, dates, asof, 365).tolist() == [1, 57, 60, 366]
    late = dates.astype("datetime64[h]") + np.timedelta64(20, "h")
    assert age_in_days(passes, late, asof, 59).tolist() == [1, 57, 60, 60]


@pytest.mark.roadmap("6.3")
def test_a_first_validation_waits_for_the_error_windows_from_the_first_forecast() -> None:
    zero = np.zeros((T, 4))
    began = np.full((T, 4), np.nan)
    # the third began exactly both windows before the last look, the fourth a session later
    latest = int(validation_sessions(WALK.dates, every=21)[-1])
    starts = [0, 100, latest - 315, latest - 314]
    for j, start in enumerate(starts):
        began[start:, j] = 0.0
    passes = [last_validation_pass(cut(n), began[:n], zero[:n], HEALTH) for n in range(500, T + 1)]
    looks = sorted({int(p) for each in passes for p in each if p >= 0})
    assert all(b - a == 21 for a, b in pairwise(looks))
    for j, start in enumerate(starts):
        mine = [int(each[j]) for each in passes if each[j] >= 0]
        if not mine:
            assert start + 315 > looks[-1]
            continue
        # the first look at which both windows, 63 and 252 sessions, hold errors of its own
        assert min(mine) == min(look for look in looks if look >= max(start + 315, 256))


def cut(n: int) -> Walk:
    parts = ("dates", "prices", "bases", "daily", "sigma", "trust")
    return replace(WALK, **{name: getattr(WALK, name)[:n] for name in parts})


@pytest.mark.roadmap("6.3")
def test_the_outcomes_of_252_known_forecasts_are_enough_for_a_validation_and_251_are_not() -> None:
    policy = replace(HEALTH, error_sessions=21, reference_sessions=63, validation_every_sessions=1)
    honest = np.zeros((T, 4))
    # forecasts 0 .. 251 are known five sessions after the last of them: on session 256
    assert (last_validation_pass(cut(256), honest[:256], honest[:256], policy) == -1).all()
    assert (last_validation_pass(cut(257), honest[:257], honest[:257], policy) == 256).all()


@pytest.mark.roadmap("6.3")
def test_a_validation_measures_against_the_benchmark_in_units_of_sigma() -> None:
    future = WALK.future()
    benchmark = np.full((T, 4), 0.02)
    better = np.where(np.isfinite(future), future, 0.0)
    assert (last_validation_pass(WALK, better, benchmark, HEALTH) > 600).all()
    assert (last_validation_pass(WALK, benchmark, better, HEALTH) == -1).all()
    # the same errors weigh nothing where the volatility was a hundred times as large
    sigma = np.full((T, 4), SIGMA)
    sigma[::2] *= 1e4
    right = 0.0001 * np.sign(np.nan_to_num(future))
    mu = np.where(np.arange(T)[:, None] % 2 == 0, 0.05, right)
    assert (last_validation_pass(WALK, mu, np.zeros((T, 4)), HEALTH) == -1).all()
    scaled = last_validation_pass(replace(WALK, sigma=sigma), mu, np.zeros((T, 4)), HEALTH)
    assert (scaled > 600).all()


@pytest.mark.roadmap("6.5")
def test_coverage_is_judged_on_the_last_252_errors_each_of_them_known() -> None:
    half_width = standard_law(MODELS.forecast.predictive_dof).half_width_95
    errors = np.zeros((300, 4))
    errors[48:61] = 1.001 * half_width  # 13 of the last 252 are misses: 5.2 %
    errors[:48] = 99.0  # long forgotten
    errors[48, 1] = np.nan
    errors[61:, 2] = -1.001 * half_width
    errors[48:61, 3] = half_width  # on the edge is within
    assert is_covered(errors, MODELS.forecast, HEALTH).tolist() == [True, False, False, False]
    assert is_covered(errors[48:], MODELS.forecast, HEALTH).tolist() == [True, False, False, False]
    assert is_covered(errors[49:], MODELS.forecast, HEALTH).tolist() == [False] * 4


@pytest.mark.roadmap("6.5")
def test_coverage_that_is_exactly_as_unlikely_as_is_borne_is_borne() -> None:
    errors = np.zeros((252, 1))
    errors[:20] = 99.0
    chance = float(kupiec_p_value(np.array([20]), 252, expected=1.0 - LEVEL_95)[0])
    for borne, is_borne in ((chance, True), (float(np.nextafter(chance, 1.0)), False)):
        policy = replace(HEALTH, coverage_significance=borne)
        assert is_covered(errors, MODELS.forecast, policy).tolist() == [is_borne]


def test_a_record_of_no_mu_model_of_the_walk_is_refused() -> None:
    asof = LAST + timedelta(days=1)
    with pytest.raises(ValueError, match=r"mu model of the walk, was 'ewma_94'"):
        model_record(WALK, "ewma_94", asof, MODELS)
    with pytest.raises(ValueError, match="must be one of"):
        model_record(WALK, "astrology", asof, MODELS)
