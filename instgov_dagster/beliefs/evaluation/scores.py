"""The evaluation table: every model's scores at the rolling origin, none without its error."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from instgov_dagster.beliefs.evaluation.statistics import (
    Estimate,
    Floats,
    clark_west,
    mean_estimate,
    nothing,
    out_of_sample_r2,
    rank_correlations,
    session_means,
    uniform_distance,
)
from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.models import BENCHMARK, SIGMA_BENCHMARK, Family
from instgov_dagster.beliefs.predictive import LEVEL_95, StandardLaw, standard_law
from instgov_dagster.beliefs.trust.decay import session_errors
from instgov_dagster.beliefs.trust.validation import diebold_mariano
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster.vocabulary.policy.models import EvaluationPolicy

EVALUATION_SCHEMA = pl.Schema(
    {
        "model_id": pl.String(),
        "family": pl.String(),
        "metric": pl.String(),
        "benchmark": pl.String(),
        "value": pl.Float64(),
        "standard_error": pl.Float64(),
        "statistic": pl.Float64(),
        "p_value": pl.Float64(),
        "n": pl.Int64(),
        "is_significant": pl.Boolean(),
        "last_session": pl.Date(),
    }
)


class _Score(NamedTuple):
    metric: str
    benchmark: str | None
    estimate: Estimate


def _compared(losses: Floats, benchmark: Floats, *, horizon: int) -> Estimate:
    # Diebold and Mariano with the correction of Harvey, Leybourne and Newbold; positive = worse.
    from scipy.special import stdtr  # scipy is heavy at import

    differences = losses - benchmark
    held = differences[np.isfinite(differences)]
    n = held.shape[0]
    if n <= 2 * horizon:
        return nothing(n)
    value = float(held.mean())
    statistic = float(diebold_mariano(held[:, None], horizon=horizon)[0])
    if statistic == 0.0 or not np.isfinite(statistic):
        return Estimate(value, np.nan, np.nan, np.nan, n)
    p_value = 2.0 * float(stdtr(n - 1, -abs(statistic)))
    return Estimate(value, value / statistic, statistic, p_value, n)


def _coverage(
    scaled: Floats, law: StandardLaw, *, policy: EvaluationPolicy, horizon: int
) -> Iterator[_Score]:
    known = np.isfinite(scaled)
    inside = np.where(known, np.abs(scaled) <= law.half_width_95, np.nan)
    below = np.where(known, scaled < -law.quantile_95, np.nan)
    for name, hits, expected in (
        ("coverage_95", inside, LEVEL_95),
        ("hits_var_95", below, 1.0 - LEVEL_95),
    ):
        rate = session_means(hits, min_symbols=policy.min_symbols)
        yield _Score(name, None, mean_estimate(rate, horizon=horizon, expected=expected))


def _pit(errors: Floats, law: StandardLaw) -> Estimate:
    n_sessions = int((~np.isnan(errors)).any(axis=1).sum())
    return uniform_distance(errors.ravel(), law.levels, n=n_sessions)


def _mu_scores(walked: Walk, mu: Floats, policy: ModelPolicy) -> Iterator[_Score]:
    rules, horizon = policy.evaluation, walked.horizon
    law = standard_law(policy.forecast.predictive_dof)
    outcome, said = walked.future() / walked.sigma, mu / walked.sigma
    least = rules.min_symbols
    correlations = rank_correlations(said, outcome, min_symbols=least)
    yield _Score("rank_ic", None, mean_estimate(correlations, horizon=horizon))
    known = np.isfinite(outcome) & np.isfinite(said)
    a, b, spread = (
        session_means(np.where(known, values, np.nan), min_symbols=least)
        for values in ((outcome - said) ** 2, outcome**2, said**2)
    )
    yield _Score("oos_r2", BENCHMARK, out_of_sample_r2(a, b, horizon=horizon))
    yield _Score("diebold_mariano", BENCHMARK, _compared(a, b, horizon=horizon))
    yield _Score("clark_west", BENCHMARK, clark_west(a, b, spread, horizon=horizon))
    scaled = np.where(known, outcome - said, np.nan)
    yield from _coverage(scaled, law, policy=rules, horizon=horizon)
    yield _Score("pit_ks", None, _pit(session_errors(walked, mu), law))


def _qlike(walked: Walk, sigma: Floats, *, min_symbols: int) -> Floats:
    # Patton (2011), Journal of Econometrics 160: robust to a noisy proxy of the variance. The
    # proxy is the sum of the squared returns of the horizon; a week without a move has none.
    squares = np.where(np.isfinite(walked.daily), walked.daily**2, np.nan)
    realised = np.full(squares.shape, np.nan)
    horizon = walked.horizon
    if squares.shape[0] > horizon:
        windows = np.lib.stride_tricks.sliding_window_view(squares[1:], horizon, axis=0)
        realised[: windows.shape[0]] = windows.sum(axis=-1)
    ratio = np.where(realised > 0.0, realised, np.nan) / sigma**2
    return session_means(ratio - np.log(ratio) - 1.0, min_symbols=min_symbols)


def _sigma_scores(walked: Walk, sigma: Floats, policy: ModelPolicy) -> Iterator[_Score]:
    rules, horizon = policy.evaluation, walked.horizon
    law = standard_law(policy.forecast.predictive_dof)
    rival = walked.sigmas[SIGMA_BENCHMARK]
    both = np.isfinite(sigma) & np.isfinite(rival)
    ours, theirs = (
        _qlike(walked, np.where(both, values, np.nan), min_symbols=rules.min_symbols)
        for values in (sigma, rival)
    )
    yield _Score("qlike", None, mean_estimate(ours, horizon=horizon))
    yield _Score("diebold_mariano_qlike", SIGMA_BENCHMARK, _compared(ours, theirs, horizon=horizon))
    yield from _coverage(walked.future() / sigma, law, policy=rules, horizon=horizon)


def _row(
    model_id: str, family: Family, score: _Score, policy: EvaluationPolicy, last: Any
) -> dict[str, Any]:
    enough = score.estimate.n >= policy.min_sessions
    estimate = score.estimate if enough else nothing(score.estimate.n)
    # a loss by itself is measured against nothing: only a comparison can be significant
    is_tested = score.metric != "qlike" and np.isfinite(estimate.p_value)
    return {
        "model_id": model_id,
        "family": family.value,
        "metric": score.metric,
        "benchmark": score.benchmark,
        "value": estimate.value,
        "standard_error": estimate.standard_error,
        "statistic": estimate.statistic if is_tested else None,
        "p_value": estimate.p_value if is_tested else None,
        "n": estimate.n,
        "is_significant": bool(is_tested and estimate.p_value < policy.significance),
        "last_session": last,
    }


def evaluate_models(walked: Walk, policy: ModelPolicy) -> pl.DataFrame:
    """Score every model on what came of the forecasts it made after every session.

    Parameters
    ----------
    walked
        The panel walked: each forecast rests on what was known when it was made.
    policy
        The law of the forecasts, and what a score needs.

    Returns
    -------
    One row a model and metric (``EVALUATION_SCHEMA``); ``n`` counts sessions. Values are null
    where the sessions are too few. A positive ``diebold_mariano`` is worse than the benchmark.
    ``stated`` is the sigma that every forecast is read with.

    Notes
    -----
    SPEC 3. Returns and forecasts are divided by the stated sigma first, so that a crypto-currency
    does not outweigh a cash fund; every session weighs the same, whatever the symbols it holds.
    Standard errors are those of Newey and West over the overlapping horizons.
    """
    last = walked.dates[-1].astype("datetime64[D]").item()
    sigmas = {**walked.sigmas, "stated": walked.sigma}
    with np.errstate(all="ignore"):
        rows = [
            _row(name, Family.MU, score, policy.evaluation, last)
            for name, mu in walked.mus.items()
            for score in _mu_scores(walked, mu, policy)
            if name != BENCHMARK or score.benchmark is None
        ]
        rows += [
            _row(name, Family.SIGMA, score, policy.evaluation, last)
            for name, sigma in sigmas.items()
            for score in _sigma_scores(walked, sigma, policy)
            if score.benchmark != name
        ]
    frame = pl.DataFrame(rows, schema=EVALUATION_SCHEMA).fill_nan(None)
    return frame.sort("family", "model_id", "metric")
