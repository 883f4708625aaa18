"""The evaluation table: worthless models are called worthless, and no score stands bare."""

import numpy as np
import polars as pl
import pytest

from instgov_dagster.beliefs.evaluation.scores import EVALUATION_SCHEMA, evaluate_models
from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.trust.validation import diebold_mariano
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, walked

POLICY = ModelPolicy()


@pytest.fixture(scope="module")
def scores(drawn_walk: Walk) -> pl.DataFrame:
    return evaluate_models(drawn_walk, POLICY)


def of(scores: pl.DataFrame, model_id: str, metric: str) -> dict[str, object]:
    return scores.row(
        by_predicate=(pl.col("model_id") == model_id) & (pl.col("metric") == metric), named=True
    )


@pytest.mark.roadmap("6.3")
def test_every_score_has_an_error_and_an_n_beside_it(scores: pl.DataFrame) -> None:
    assert scores.schema == EVALUATION_SCHEMA
    stated = scores.drop_nulls("value")
    assert stated["standard_error"].null_count() == 0
    assert stated["n"].min() >= 63
    assert (stated["standard_error"] > 0).all()
    # without ranges and parameters two sigma models say nothing; zero ranks nothing
    silent = scores.filter(pl.col("value").is_null())
    assert set(silent["model_id"]) == {"gjr_garch_t", "yang_zhang", "zero"}
    assert silent["n"].max() == 0


@pytest.mark.roadmap("6.3")
def test_the_comparison_with_zero_by_hand(drawn_walk: Walk, scores: pl.DataFrame) -> None:
    outcome = drawn_walk.future() / drawn_walk.sigma
    said = drawn_walk.mus["reversal"] / drawn_walk.sigma
    known = np.isfinite(outcome).all(axis=1) & np.isfinite(said).all(axis=1)
    a = ((outcome - said) ** 2)[known].mean(axis=1)
    b = (outcome**2)[known].mean(axis=1)
    row = of(scores, "reversal", "diebold_mariano")
    assert row["n"] == known.sum()
    assert row["value"] == pytest.approx((a - b).mean(), rel=1e-9)
    statistic = diebold_mariano((a - b)[:, None], horizon=5)[0]
    assert row["statistic"] == pytest.approx(statistic, rel=1e-9)
    assert of(scores, "reversal", "oos_r2")["value"] == pytest.approx(
        1 - a.sum() / b.sum(), rel=1e-9
    )


@pytest.mark.roadmap("6.3")
def test_on_noise_no_mu_model_is_significantly_good(scores: pl.DataFrame) -> None:
    skill = scores.filter(pl.col("metric").is_in(["oos_r2", "diebold_mariano"]))
    good = pl.when(pl.col("metric") == "oos_r2").then(pl.col("value") > 0).otherwise(
        pl.col("value") < 0
    )  # fmt: skip
    assert skill.filter(pl.col("is_significant") & good).is_empty()


def test_where_volatility_jumps_the_ewma_beats_the_rolling_year(scores: pl.DataFrame) -> None:
    row = of(scores, "ewma_94", "diebold_mariano_qlike")
    assert row["benchmark"] == "rolling_252"
    assert row["value"] < 0
    assert row["is_significant"]


def test_qlike_by_hand_in_one_session(drawn_walk: Walk) -> None:
    t, sigma = 900, drawn_walk.sigmas["ewma_94"][900]
    realised = (drawn_walk.daily[t + 1 : t + 6] ** 2).sum(axis=0)
    ratio = realised / sigma**2
    by_hand = (ratio - np.log(ratio) - 1).mean()
    from instgov_dagster.beliefs.evaluation.scores import _qlike

    path = _qlike(drawn_walk, drawn_walk.sigmas["ewma_94"], min_symbols=5)
    assert path[t] == pytest.approx(by_hand, rel=1e-12)
    assert np.isnan(path[-5:]).all()


@pytest.mark.roadmap("6.5")
def test_intervals_half_as_wide_are_caught_by_coverage_hits_and_pit(drawn_walk: Walk) -> None:
    from dataclasses import replace

    narrow = replace(drawn_walk, sigma=0.5 * drawn_walk.sigma)
    found = evaluate_models(narrow, POLICY)
    for metric in ("coverage_95", "hits_var_95", "pit_ks"):
        assert of(found, "zero", metric)["is_significant"], metric
    assert of(found, "zero", "coverage_95")["value"] < 0.85


def test_too_few_sessions_or_symbols_have_no_score_and_no_symbol_no_error() -> None:
    panel = drawn_panel(seed=61, sessions=110, symbols=4)
    assert evaluate_models(walked(panel), POLICY)["value"].null_count() >= 40
    nobody = Panel(panel.dates, (), panel.prices[:, :0], panel.spy, panel.vix)
    empty = evaluate_models(walked(nobody), POLICY)
    assert empty["value"].null_count() == empty.height
    assert empty["n"].max() == 0
