"""The record of one model on one panel: its last validation pass, its decay, its coverage."""

from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.models import BENCHMARK, card_of
from instgov_dagster.beliefs.predictive import LEVEL_95, standard_law
from instgov_dagster.beliefs.trust.decay import DecayState, decay_state, session_errors
from instgov_dagster.beliefs.trust.validation import (
    is_worse_than_benchmark,
    kupiec_p_value,
    validation_sessions,
)
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy, HealthPolicy, ModelPolicy

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class ModelRecord(NamedTuple):
    """One model's record on the whole panel, arrays of shape ``(N,)``."""

    decay: DecayState
    is_covered: Bools


def last_validation_pass(
    panel: Walk,
    mu: Floats,
    benchmark: Floats,
    policy: HealthPolicy,
) -> NDArray[np.intp]:
    """Find the last session on which each symbol's forecasts passed their validation.

    Parameters
    ----------
    panel
        Prices, returns and volatility of ``T`` sessions.
    mu, benchmark
        Shape ``(T, N)``, forecasts per horizon made on each session.
    policy
        Window, rhythm and significance of the validation.

    Returns
    -------
    Shape ``(N,)``, session index, -1 where no validation was passed.

    Notes
    -----
    SPEC 3, notes E2: a pass is a squared standardised loss over the last 252 outcomes known
    that is not significantly worse than the zero forecast's. Until the error windows are full
    there is nothing to validate on and no pass.
    """
    horizon, window, dates = panel.horizon, policy.validation_sessions, panel.dates
    future = panel.future()
    losses = ((future - mu) / panel.sigma) ** 2 - ((future - benchmark) / panel.sigma) ** 2
    needed = policy.error_sessions + policy.reference_sessions
    first = np.where(np.isfinite(mu).any(axis=0), np.isfinite(mu).argmax(axis=0), len(dates))
    last = np.full(mu.shape[1], -1, dtype=np.intp)
    # Only the last pass is asked for: from the newest validation back, until every symbol has one.
    left = np.arange(mu.shape[1])
    for session in validation_sessions(dates, every=policy.validation_every_sessions)[::-1]:
        # a forecast made h sessions ago is the last one whose outcome is known today
        end = session - horizon + 1
        if end < window or not left.size:
            break
        is_worse = is_worse_than_benchmark(
            np.take(losses[end - window : end], left, axis=1),
            horizon=horizon,
            significance=policy.validation_significance,
        )
        has_passed = ~is_worse & (session - first[left] >= needed)
        last[left[has_passed]] = session
        left = left[~has_passed]
    return last


def age_in_days(
    last_pass: NDArray[np.intp], dates: NDArray[np.datetime64], asof: date, max_age_days: int
) -> NDArray[np.int64]:
    """Count the days since the last pass; without one, the whole history or more than allowed."""
    age = (np.datetime64(asof, "D") - dates.astype("datetime64[D]")).astype(np.int64)
    never = max(int(age[0]), max_age_days + 1)
    return np.where(last_pass >= 0, age[np.maximum(last_pass, 0)], never)


def is_covered(errors: Floats, forecast: ForecastPolicy, policy: HealthPolicy) -> Bools:
    """Judge the 95 % interval by the last sessions it was stated for; too few are no coverage.

    Parameters
    ----------
    errors
        Shape ``(T, N)``, standardised residuals of one session: at this scale 252 outcomes are
        252 trials, where those of the full horizon overlap.
    forecast, policy
        The predictive law; the window and size of the test.
    """
    window = policy.coverage_sessions
    if errors.shape[0] < window:
        return np.zeros(errors.shape[1], dtype=np.bool_)
    recent = errors[-window:]
    half_width = standard_law(forecast.predictive_dof).half_width_95
    misses = (np.abs(recent) > half_width).sum(axis=0)
    p_value = kupiec_p_value(misses, window, expected=1.0 - LEVEL_95)
    return np.isfinite(recent).all(axis=0) & (p_value >= policy.coverage_significance)


def model_record(panel: Walk, model_id: str, asof: date, policy: ModelPolicy) -> ModelRecord:
    """Judge what came of the forecasts a model made after every session of the panel.

    Parameters
    ----------
    panel
        The walk of ``T`` sessions with the forecasts made on it.
    model_id
        The model judged.
    asof
        The day its age is counted to.
    policy
        How the model forecasts and how it is judged.

    Raises
    ------
    ValueError
        If the model is unknown or is no mu model of the walk.
    """
    health = policy.health
    if model_id not in panel.mus:
        raise ValueError(
            f"model_id must be a mu model of the walk, was {card_of(model_id).model_id!r}"
        )
    mu = panel.mus[model_id]
    last_pass = last_validation_pass(panel, mu, panel.mus[BENCHMARK], health)
    age_days = age_in_days(last_pass, panel.dates, asof, health.max_age_days)
    errors = session_errors(panel, mu)
    return ModelRecord(
        decay_state(errors, last_pass, age_days, health),
        is_covered(errors, policy.forecast, health),
    )
