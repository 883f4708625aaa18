"""Health on whole panels: disagreement, confidence, reasons, age, and no look-ahead."""

import time
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from instgov_dagster.beliefs.forecast import forecast_models
from instgov_dagster.beliefs.health import HEALTH_SCHEMA, assess_health, health_rows
from instgov_dagster.beliefs.models import Family, opinions
from instgov_dagster.beliefs.trust.record import is_covered, last_validation_pass
from instgov_dagster.beliefs.trust.validation import validation_sessions
from instgov_dagster.vocabulary.policy.beliefs import HealthPolicy, ModelPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, real_panel, walked

MODELS = ModelPolicy()


def health_of(panel: Panel, *, quality: float = 1.0, days_later: int = 1) -> pl.DataFrame:
    found = walked(panel)
    return assess_health(
        found,
        forecast_models(found, MODELS),
        data_quality=dict.fromkeys(panel.symbols, quality),
        policy=MODELS,
        asof=panel.dates[-1].item() + timedelta(days=days_later),
    )


@pytest.mark.roadmap("0.4", "6.1", "6.5", "TEST.6")
def test_every_output_carries_its_age_its_sigma_and_its_confidence(drawn: Panel) -> None:
    frame = health_of(drawn, quality=0.8)
    assert frame.schema == HEALTH_SCHEMA
    assert frame.height == 72
    assert frame.null_count().sum_horizontal()[0] == 0
    rows = health_rows(frame)
    assert len(rows) == 72
    for row in rows.values():
        assert row.model_age_days >= 1
        assert row.sigma > 0
        is_rejected = ReasonCode.MODEL_COVERAGE_REJECTED in row.reason_codes
        # two of the four sigma opinions speak: the range and the parameters are not held
        share = 0.0 if is_rejected else 0.8 * 2 / 4
        assert row.confidence == pytest.approx(share * row.final_decay_factor, abs=1e-15)
    product = frame.select(
        pl.col("age_decay_factor")
        * pl.col("error_decay_factor")
        * pl.when("autocorr_flip_detected").then(0.5).otherwise(1.0)
        - pl.col("final_decay_factor")
    ).to_series()
    assert product.abs().max() < 1e-15


@pytest.mark.roadmap("6.2", "TEST.6")
def test_disagreement_by_hand_is_the_variance_of_the_opinions_annual_sharpe_ratios(
    drawn: Panel,
) -> None:
    frame = health_of(drawn)
    for symbol in drawn.symbols:
        rows = frame.filter(pl.col("symbol") == symbol)
        four = rows.filter(pl.col("model_id").is_in(opinions(Family.MU)))
        sharpe = (np.sqrt(252 / 5) * four["mu"] / four["sigma"]).to_numpy()
        variance = ((sharpe - sharpe.mean()) ** 2).sum() / 3
        assert rows["model_disagreement_var"].to_list() == pytest.approx([variance] * 6, rel=1e-9)
        penalty = 2.0**-variance
        assert rows["disagreement_penalty"].to_list() == pytest.approx([penalty] * 6, rel=1e-12)
        for mu, adjusted, healthy in rows.select("mu", "mu_adjusted", "is_healthy").rows():
            expected = mu * penalty if mu > 0 and healthy else min(mu, 0.0)
            assert adjusted == pytest.approx(expected, abs=1e-18)


@pytest.mark.roadmap("6.2")
def test_a_negative_forecast_is_not_made_milder_by_disagreement() -> None:
    falling = np.array(drawn_panel(seed=11, sessions=1000, symbols=6).prices)
    falling *= np.exp(-0.002 * np.arange(1000))[:, None]
    panel = drawn_panel(seed=11, sessions=1000, symbols=6)._replace(prices=falling)
    frame = health_of(panel).filter(pl.col("mu") < 0)
    assert not frame.is_empty()
    assert frame["mu_adjusted"].to_list() == frame["mu"].to_list()


@pytest.mark.roadmap("6.2")
def test_a_symbol_with_one_healthy_model_is_a_single_model_and_earns_no_bid() -> None:
    panel = drawn_panel(seed=12, sessions=640, symbols=4)
    frame = health_of(panel)
    four = frame.filter(pl.col("model_id").is_in(opinions(Family.MU)))
    assert four.group_by("symbol").agg(pl.col("is_healthy").sum())["is_healthy"].min() >= 2
    # 520 sessions: reversal, which began at 130, has its 315 errors; the others have not
    early = health_of(panel._replace(dates=panel.dates[:520], prices=panel.prices[:520]))
    healthy = early.filter("is_healthy")
    assert set(healthy["model_id"]) == {"reversal"}
    single = [ReasonCode.SINGLE_MODEL in codes for codes in early["reason_codes"].to_list()]
    assert all(single)
    assert early["mu_adjusted"].max() <= 0.0


@pytest.mark.roadmap("0.4", "6.4")
def test_a_model_never_validated_is_expired_and_worth_nothing() -> None:
    panel = drawn_panel(seed=13, sessions=430, symbols=3)
    frame = health_of(panel)
    assert frame["model_age_days"].min() > 365
    assert frame["final_decay_factor"].max() == 0.0
    assert frame["rolling_forecast_error"].null_count() == frame.height
    assert all(ReasonCode.MODEL_EXPIRED in codes for codes in frame["reason_codes"].to_list())
    assert health_rows(frame) == {}


@pytest.mark.roadmap("0.4", "6.4")
def test_a_model_left_alone_ages_and_expires_after_a_year(drawn: Panel) -> None:
    fresh, later = health_of(drawn), health_of(drawn, days_later=200)
    expired = health_of(drawn, days_later=400)
    assert (later["model_age_days"] - fresh["model_age_days"]).to_list() == [199] * 72
    assert (later["final_decay_factor"] <= fresh["final_decay_factor"]).all()
    assert later["age_decay_factor"].max() < 0.6
    assert not expired["is_healthy"].any()
    assert expired["mu_adjusted"].max() <= 0.0
    assert all(ReasonCode.MODEL_EXPIRED in codes for codes in expired["reason_codes"].to_list())


@pytest.mark.roadmap("6.4")
def test_the_age_counts_from_a_validation_and_not_from_tonights_refit(drawn: Panel) -> None:
    policy = HealthPolicy()
    panel = walked(drawn)
    mu = panel.mus["james_stein"]
    zero = np.zeros(mu.shape)
    passed = last_validation_pass(panel, mu, zero, policy)
    weekdays = np.busday_count("1990-01-01", drawn.dates[passed].astype("datetime64[D]"))
    assert (weekdays % 21 == 0).all()
    # a forecast that is always a standard deviation off is never validated
    wrong = np.where(np.isfinite(mu), 2 * panel.sigma, np.nan)
    assert (last_validation_pass(panel, wrong, zero, policy) == -1).all()


@pytest.mark.roadmap("6.3", "6.4", "TEST.6")
def test_from_night_to_night_no_weight_rises_without_a_new_validation() -> None:
    panel = drawn_panel(seed=14, sessions=860, symbols=4)
    nights = range(760, 860, 9)
    previous = None
    for known in nights:
        cut = panel._replace(dates=panel.dates[:known], prices=panel.prices[:known])
        frame = health_of(cut)
        passed = frame.select(pl.col("date") - pl.duration(days=pl.col("model_age_days") - 1))
        now = frame.select("final_decay_factor").with_columns(passed=passed.to_series())
        if previous is not None:
            both = pl.concat([previous, now.select(pl.all().name.prefix("new_"))], how="horizontal")
            same = both.filter(pl.col("passed") == pl.col("new_passed"))
            rise = same["new_final_decay_factor"] - same["final_decay_factor"]
            assert rise.is_empty() or rise.max() <= 1e-12
        previous = now


@pytest.mark.roadmap("6.3")
def test_a_validation_judges_only_forecasts_whose_five_sessions_have_passed(drawn: Panel) -> None:
    policy = HealthPolicy()
    night = validation_sessions(drawn.dates, every=21)[-1]
    dates, prices = drawn.dates[: night + 1], drawn.prices[: night + 1]
    panel = walked(drawn._replace(dates=dates, prices=prices))
    zero = np.zeros(prices.shape)
    honest = np.where(np.isfinite(panel.sigma), 0.0, np.nan)
    unjudged, judged = honest.copy(), honest.copy()
    unjudged[night - 4 :] += 1e3
    judged[night - 256 : night - 4] += 3 * panel.sigma[night - 256 : night - 4]
    passed = last_validation_pass(panel, unjudged, zero, policy)
    assert (passed == night).all()
    assert (last_validation_pass(panel, judged, zero, policy) < night).all()


@pytest.mark.roadmap("6.1")
def test_stablecoins_newcomers_and_absent_prices_break_nothing(drawn: Panel) -> None:
    prices = np.array(drawn.prices)
    prices[:, 0] = 1.0
    prices[:, 1] = 1.0 + 1e-4 * np.sin(np.arange(1260.0))
    prices[:-80, 2] = np.nan
    prices[:, 3] = np.nan
    prices[700, 4] = -37.63
    frame = health_of(drawn._replace(prices=prices))
    absent = frame.filter(pl.col("symbol").is_in(drawn.symbols[2:4]))
    # 80 returns are enough for a week's reversal, and for nothing else
    newcomer = frame.filter(pl.col("symbol") == drawn.symbols[2]).drop_nulls("mu")
    assert newcomer["model_id"].to_list() == ["reversal"]
    absent = absent.filter(pl.col("mu").is_null())
    assert absent.height == 11
    assert absent["mu_adjusted"].null_count() == 11
    assert absent["confidence"].to_list() == [0.0] * 11
    assert not absent["is_healthy"].any()
    assert all(
        ReasonCode.FORECAST_NOT_FINITE in codes for codes in absent["reason_codes"].to_list()
    )
    floats = frame.select(pl.selectors.float())
    assert not any(floats.select(pl.all().is_nan().any()).row(0))
    assert not any(floats.select(pl.all().is_infinite().any()).row(0))
    assert frame["reason_codes"].list.len().min() >= 1
    assert frame.filter(pl.col("symbol") == drawn.symbols[0])["mu"].abs().max() < 1e-3
    health_rows(frame)


@pytest.mark.roadmap("6.5")
def test_an_interval_that_fails_its_coverage_leaves_no_confidence() -> None:
    good = np.random.default_rng(0).standard_t(5, (252, 1)) * np.sqrt(3 / 5)
    errors = np.column_stack([good, 2.0 * good, 0.01 * good])
    covered = is_covered(errors, MODELS.forecast, MODELS.health)
    assert covered.tolist() == [True, False, False]
    assert not is_covered(errors[1:], MODELS.forecast, MODELS.health).any()


def test_inputs_that_speak_of_other_symbols_are_refused(drawn: Panel) -> None:
    found = walked(drawn)
    forecasts = forecast_models(found, MODELS)
    after = drawn.dates[-1].item() + timedelta(days=1)

    def assess(frame: pl.DataFrame, quality: dict[str, float], asof: date) -> pl.DataFrame:
        return assess_health(found, frame, data_quality=quality, policy=MODELS, asof=asof)

    quality = dict.fromkeys(drawn.symbols, 1.0)
    with pytest.raises(ValueError, match="misses"):
        assess(forecasts, {"S00": 1.0}, after)
    with pytest.raises(ValueError, match=r"within \[0, 1\]"):
        assess(forecasts, quality | {"S03": float("nan")}, after)
    with pytest.raises(ValueError, match="symbols of the panel"):
        assess(forecasts.filter(pl.col("symbol") != "S00"), quality, after)
    with pytest.raises(ValueError, match="every model"):
        assess(forecasts.filter(pl.col("model_id") == "momentum"), quality, after)
    with pytest.raises(ValueError, match="must be after"):
        assess(forecasts, quality, drawn.dates[-1].item())


def test_no_symbol_is_no_health_and_no_error(drawn: Panel) -> None:
    frame = health_of(drawn._replace(symbols=(), prices=drawn.prices[:, :0]))
    assert frame.is_empty()
    assert frame.schema == HEALTH_SCHEMA


@pytest.mark.roadmap("6.1", "6.2", "6.3", "6.4", "6.5", "TEST.6")
def test_the_real_panel_of_2024_12_06_is_judged_in_under_three_seconds(
    real_closes: pl.DataFrame,
) -> None:
    panel = real_panel(real_closes, asof=date(2024, 12, 6))
    started = time.process_time()
    frame = health_of(panel)
    assert time.process_time() - started < 3.0
    assert len(health_rows(frame)) == 336
    assert frame["final_decay_factor"].is_between(0.0, 1.0).all()
    assert (frame["mu_adjusted"] > 0).sum() >= 150
    assert frame["is_healthy"].mean() > 0.9


@pytest.mark.roadmap("6.2")
def test_models_that_repeat_others_make_no_symbol_healthy_and_cause_no_disagreement(
    drawn: Panel,
) -> None:
    found = walked(drawn)
    derived = ModelPolicy(
        strategies=tuple(
            s
            for s in MODELS.strategies
            if s.model_id in {"james_stein", "combination", "defensive"}
        )
    )
    frame = assess_health(
        found,
        forecast_models(found, derived),
        data_quality=dict.fromkeys(drawn.symbols, 1.0),
        policy=derived,
        asof=drawn.dates[-1].item() + timedelta(days=1),
    )
    assert frame["model_disagreement_var"].max() == 0.0
    assert all(ReasonCode.SINGLE_MODEL in codes for codes in frame["reason_codes"].to_list())
    assert frame["mu_adjusted"].max() <= 0.0


@pytest.mark.roadmap("6.4")
def test_a_model_is_expired_the_day_after_its_365th_and_a_quality_may_be_nothing_or_all(
    drawn: Panel,
) -> None:
    fresh = health_of(drawn, quality=1.0).row(0, named=True)
    same = (pl.col("symbol") == fresh["symbol"]) & (pl.col("model_id") == fresh["model_id"])
    for age, is_expired in ((365, False), (366, True)):
        later = health_of(drawn, quality=0.0, days_later=1 + age - fresh["model_age_days"])
        row = later.row(by_predicate=same, named=True)
        assert row["model_age_days"] == age
        assert (ReasonCode.MODEL_EXPIRED in row["reason_codes"]) == is_expired
        assert row["confidence"] == 0.0
