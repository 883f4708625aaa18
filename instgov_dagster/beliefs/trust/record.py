"""The record of one model on one panel: its last validation pass, its decay, its coverage."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.models import BENCHMARK, card_of
from instgov_dagster.beliefs.predictive import LEVEL_95, standard_law
from instgov_dagster.beliefs.trust.decay import DecayState, decay_of, session_errors
from instgov_dagster.beliefs.trust.sums import ErrorSums
from instgov_dagster.beliefs.trust.validation import (
    is_worse_than_benchmark,
    kupiec_p_value,
    validation_sessions,
)
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy, HealthPolicy, ModelPolicy

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class ModelRecord(NamedTuple):
    """One model's record on the whole panel, arrays of shape ``(N,)``; of several, ``(M N,)``."""

    decay: DecayState
    is_covered: Bools


class Trail(NamedTuple):
    """What the records of M models rest on: their errors, model by model, and their last passes."""

    errors: ErrorSums
    last_pass: NDArray[np.intp]


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
    return _Validations(panel, benchmark, policy).last_pass(mu)


class _Validations:
    # The validations of one panel: what they have in common is measured once for all models.
    def __init__(self, panel: Walk, benchmark: Floats, policy: HealthPolicy) -> None:
        self._policy, self._horizon, self._sigma = policy, panel.horizon, panel.sigma
        self._future, self._benchmark = panel.future(), benchmark
        every = policy.validation_every_sessions
        self._sessions = validation_sessions(panel.dates, every=every)[::-1].tolist()
        self._losses: dict[int, Floats] = {}

    def last_pass(self, mu: Floats) -> NDArray[np.intp]:
        policy, is_known = self._policy, np.isfinite(mu)
        needed = policy.error_sessions + policy.reference_sessions
        first = np.where(is_known.any(axis=0), is_known.argmax(axis=0), len(mu))
        last = np.full(mu.shape[1], -1, dtype=np.intp)
        # Only the last pass is asked for: from the newest validation back, until all have one.
        left = np.arange(mu.shape[1])
        for session in self._sessions:
            # a forecast made h sessions ago is the last one whose outcome is known today
            end = session - self._horizon + 1
            if end < policy.validation_sessions or not left.size:
                break
            is_worse = is_worse_than_benchmark(
                self._differences(mu, end, left),
                horizon=self._horizon,
                significance=policy.validation_significance,
            )
            has_passed = ~is_worse & (session - first[left] >= needed)
            last[left[has_passed]] = session
            left = left[~has_passed]
        return last

    def _differences(self, mu: Floats, end: int, columns: NDArray[np.intp]) -> Floats:
        # How much larger the model's loss was than the benchmark's, for the window that ends here.
        rows = slice(end - self._policy.validation_sessions, end)
        if end not in self._losses:
            self._losses[end] = self._loss(self._benchmark[rows], rows, None)
        benchmark = np.take(self._losses[end], columns, axis=1)
        return self._loss(np.take(mu[rows], columns, axis=1), rows, columns) - benchmark

    def _loss(self, mu: Floats, rows: slice, columns: NDArray[np.intp] | None) -> Floats:
        future, sigma = self._future[rows], self._sigma[rows]
        if columns is not None:
            future, sigma = (np.take(array, columns, axis=1) for array in (future, sigma))
        loss: Floats = ((future - mu) / sigma) ** 2
        return loss


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
    return _covered(ErrorSums.of(errors), forecast, policy)


def _covered(errors: ErrorSums, forecast: ForecastPolicy, policy: HealthPolicy) -> Bools:
    window, (sessions, columns) = policy.coverage_sessions, errors.shape
    if sessions < window:
        return np.zeros(columns, dtype=np.bool_)
    half_width = standard_law(forecast.predictive_dof).half_width_95
    recent = errors.rows("known", sessions - window, sessions)
    misses = (np.abs(recent) > half_width).sum(axis=0)
    p_value = kupiec_p_value(misses, window, expected=1.0 - LEVEL_95)
    is_whole = errors.windows("count", window, sessions - 1, sessions)[0] == window
    return np.asarray(is_whole & (p_value >= policy.coverage_significance))


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
    return judge_trail(trail_of(panel, (model_id,), policy), panel.dates, asof, policy)


def trail_of(panel: Walk, model_ids: Sequence[str], policy: ModelPolicy) -> Trail:
    """Gather what the records of some models rest on; see :func:`model_record`.

    Raises
    ------
    ValueError
        If a model is unknown or is no mu model of the walk.
    """
    for model_id in model_ids:
        if model_id not in panel.mus:
            raise ValueError(
                f"model_id must be a mu model of the walk, was {card_of(model_id).model_id!r}"
            )
    return Trail(
        ErrorSums.of(*(session_errors(panel, panel.mus[name]) for name in model_ids)),
        _last_passes(panel, model_ids, policy),
    )


def trail_ending(trail: Trail, panel: Walk, model_ids: Sequence[str], policy: ModelPolicy) -> Trail:
    """Give the trail of a walk that differs in its last session alone, bit for bit its own.

    Parameters
    ----------
    trail
        Of the other walk, of at least two sessions.
    panel
        The walk whose trail is asked for.
    """
    last = panel.ending(2)
    errors = [session_errors(last, last.mus[name])[-1] for name in model_ids]
    every = policy.health.validation_every_sessions
    # What came of a forecast is asked on a session of validation, and by it of the last price.
    is_validated = len(panel.dates) - 1 in validation_sessions(panel.dates, every=every)
    return Trail(
        trail.errors.ending(np.concatenate(errors)),
        _last_passes(panel, model_ids, policy) if is_validated else trail.last_pass,
    )


def judge_trail(
    trail: Trail, dates: NDArray[np.datetime64], asof: date, policy: ModelPolicy
) -> ModelRecord:
    """Judge models by their trail on sessions; see :func:`model_record`."""
    health = policy.health
    age_days = age_in_days(trail.last_pass, dates, asof, health.max_age_days)
    return ModelRecord(
        decay_of(trail.errors, trail.last_pass, age_days, health),
        _covered(trail.errors, policy.forecast, health),
    )


def _last_passes(panel: Walk, model_ids: Sequence[str], policy: ModelPolicy) -> NDArray[np.intp]:
    validations = _Validations(panel, panel.mus[BENCHMARK], policy.health)
    return np.concatenate([validations.last_pass(panel.mus[name]) for name in model_ids])
