"""How trust in a model decays: age, error and a flip of its residuals; no forecasts are made."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.trust.sums import ErrorSums
from instgov_dagster.vocabulary.policy.beliefs import HealthPolicy

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ages = NDArray[np.int64]

# past this an error ratio says nothing more, and exp(-2 x ratio) is zero long before
_RATIO_CEILING = 1e6


class DecayState(NamedTuple):
    """The factors of trust after the last session, each of shape ``(N,)``."""

    age_days: Ages
    rolling_error: Floats  # NaN where the windows are not filled
    has_flipped: Bools
    age_factor: Floats
    error_factor: Floats
    final_factor: Floats


def rolling_sum(values: Floats, window: int) -> Floats:
    """Sum each trailing window, shorter at the start; NaN counts as zero.

    Notes
    -----
    A difference of running sums, so a row depends on the rows before it alone.
    """
    running = _running(np.where(np.isfinite(values), values, 0.0))
    sums = running.copy(order="K")
    sums[window:] -= running[:-window]
    return sums


def _running(values: Floats) -> Floats:
    # Column by column in memory: down the rows of a C array every number is a line of its own.
    return np.cumsum(np.asfortranarray(values), axis=0)


def session_errors(panel: Walk, mu: Floats) -> Floats:
    """Standardise what each session brought by what was forecast the session before.

    Parameters
    ----------
    panel
        The returns, and the volatility stated after each session.
    mu
        Shape ``(T, N)``, forecasts per horizon made on each session.

    Returns
    -------
    Shape ``(T, N)``; row ``t`` is ``(r_t - mu_{t-1} / H) / (sigma_{t-1} / sqrt(H))``, NaN where
    there was no forecast.

    Notes
    -----
    Errors of the full horizon overlap: neighbours share H - 1 sessions, so their autocorrelation
    is about (H - 1) / H whatever the model does, and 63 of them hold 13 independent ones. The
    same forecasts read at the scale of one session keep every window at its stated number of
    observations. Only the loss comparison of the validation uses the full horizon.
    """
    errors = np.full(mu.shape, np.nan)
    root = np.sqrt(panel.horizon)
    errors[1:] = (panel.daily[1:] - mu[:-1] / panel.horizon) / (panel.sigma[:-1] / root)
    return errors


def error_ratio_path(errors: Floats, *, recent: int, reference: int) -> Floats:
    """Divide the recent mean squared error by that of the window before it.

    Parameters
    ----------
    errors
        Shape ``(T, N)``, standardised, NaN where unknown.
    recent, reference
        Sessions in the two windows; the reference window ends where the recent one begins.

    Returns
    -------
    Shape ``(T, N)``; NaN until both windows are filled. Two windows without any error give 1.
    """
    return _error_ratio(ErrorSums.of(errors), 0, recent, reference)


def _error_ratio(errors: ErrorSums, begin: int, recent: int, reference: int) -> Floats:
    # The rows from `begin` on.
    n_sessions, n_columns = errors.shape
    ratio = np.full((n_sessions - begin, n_columns), np.nan)
    first = max(begin, recent + reference - 1)
    if n_sessions <= first:
        return ratio
    count = errors.windows("count", recent + reference, first, n_sessions)
    now = errors.windows("squares", recent, first, n_sessions) / recent
    before = errors.windows("squares", reference, first - recent, n_sessions - recent) / reference
    both_silent = (now <= 0) & (before <= 0)
    quotient = np.where(both_silent, 1.0, now / np.where(before > 0, before, np.inf))
    quotient = np.where((before <= 0) & (now > 0), _RATIO_CEILING, quotient)
    bounded = np.clip(quotient, 0.0, _RATIO_CEILING)
    ratio[first - begin :] = np.where(count == recent + reference, bounded, np.nan)
    return ratio


def autocorrelation_path(errors: Floats, window: int) -> Floats:
    """Estimate the lag-one autocorrelation in each trailing window.

    Parameters
    ----------
    errors
        Shape ``(T, N)``; an unknown error counts as zero, so judge only filled windows.
    window
        Sessions in a window.

    Returns
    -------
    Shape ``(T, N)``; 0 where the window does not vary or is not filled.

    Notes
    -----
    The estimator of Box and Jenkins: ``sum (x_t - m)(x_{t-1} - m) / sum (x_t - m)^2`` with the
    mean and the denominator of the whole window, so it lies within (-1, 1).
    """
    return _autocorrelation(ErrorSums.of(errors), window, 0, errors.shape[0])


def _autocorrelation(errors: ErrorSums, window: int, begin: int, end: int) -> Floats:
    # The rows from `begin` to `end`.
    path = np.zeros((end - begin, errors.shape[1]))
    at = max(begin, window - 1)
    if end <= at:
        return path
    mean = errors.windows("total", window, at, end) / window
    scatter = errors.windows("squares", window, at, end) - window * mean * mean
    first = errors.rows("known", at - window + 1, end - window + 1)
    last = errors.rows("known", at, end)
    # the product of a window's first error with the one before it lies outside the window
    products = errors.windows("lagged", window - 1, at, end)
    covariance = products - mean * (2 * window * mean - first - last) + (window - 1) * mean * mean
    varies = scatter > window * np.finfo(np.float64).eps
    path[at - begin :] = np.where(varies, covariance / np.where(varies, scatter, 1.0), 0.0)
    return np.clip(path, -1.0, 1.0)


def flip_path(errors: Floats, *, recent: int, reference: int, critical_z: float) -> Bools:
    """Detect where the residuals' autocorrelation has changed sign beyond chance.

    Parameters
    ----------
    errors
        Shape ``(T, N)``, standardised residuals of one session.
    recent, reference
        Sessions in the two windows; the reference window ends where the recent one begins.
    critical_z
        Two-sided critical value for the difference and for the reference itself.

    Notes
    -----
    SPEC 3: Fisher's ``z = atanh(rho)`` has variance ``1 / (n - 3)``. A flip is a change of sign
    that is significant, from an autocorrelation that was significant: the sign alone changes in
    half of all windows of noise.
    """
    return _flips(ErrorSums.of(errors), 0, recent, reference, critical_z)


def _flips(errors: ErrorSums, begin: int, recent: int, reference: int, critical_z: float) -> Bools:
    # The rows from `begin` on.
    n_sessions, n_columns = errors.shape
    flips = np.zeros((n_sessions - begin, n_columns), dtype=np.bool_)
    at = max(begin, recent)
    if n_sessions < recent + reference or n_sessions <= at:
        return flips
    limit = 1.0 - np.finfo(np.float64).eps
    now = _autocorrelation(errors, recent, at, n_sessions)
    before = _autocorrelation(errors, reference, at - recent, n_sessions - recent)
    z_now = np.arctanh(np.clip(now, -limit, limit))
    z_before = np.arctanh(np.clip(before, -limit, limit))
    error_now, error_before = 1.0 / (recent - 3), 1.0 / (reference - 3)
    has_changed = np.abs(z_now - z_before) > critical_z * np.sqrt(error_now + error_before)
    was_real = np.abs(z_before) > critical_z * np.sqrt(error_before)
    count = errors.windows("count", recent + reference, at, n_sessions)
    is_filled = count == recent + reference
    flips[at - begin :] = (z_now * z_before < 0) & has_changed & was_real & is_filled
    return flips


def age_factor(age_days: Ages, policy: HealthPolicy) -> Floats:
    """Halve trust every ``age_half_life_days`` past the grace (SPEC 3, roadmap 6.4)."""
    past_grace = np.maximum(age_days - policy.age_grace_days, 0)
    return np.asarray(np.exp2(-past_grace / policy.age_half_life_days))


def error_factor(ratio: Floats, policy: HealthPolicy) -> Floats:
    """Cut trust by ``exp(-2 max(0, ratio - 1))``; an unknown ratio earns none (SPEC 3)."""
    excess = np.maximum(np.where(np.isfinite(ratio), ratio, _RATIO_CEILING) - 1.0, 0.0)
    return np.asarray(np.exp(-policy.error_decay_rate * excess))


def decay_state(
    errors: Floats, last_pass: NDArray[np.intp], age_days: Ages, policy: HealthPolicy
) -> DecayState:
    """Combine age, error and flip into the weight a model keeps after the last session.

    Parameters
    ----------
    errors
        Shape ``(T, N)``, from :func:`session_errors`.
    last_pass
        Shape ``(N,)``, index of the session of the last validation pass; -1 where there is none.
    age_days
        Shape ``(N,)``, days since that pass.
    policy
        Windows, rates and the flip's weight.

    Notes
    -----
    ``final = age x error x flip``. The error factor is the smallest, and the flip is any, since
    the last pass: a lucky month wins no trust back, only a pass does, so the weight never rises
    between passes. Without a pass they run from the first session held.
    """
    return decay_of(ErrorSums.of(errors), last_pass, age_days, policy)


def decay_of(
    errors: ErrorSums, last_pass: NDArray[np.intp], age_days: Ages, policy: HealthPolicy
) -> DecayState:
    """Give `decay_state` of errors already summed; only the rows since the pass are looked at."""
    begins = np.maximum(last_pass, 0)
    ratio = np.full(begins.shape, np.nan)
    by_error, has_flipped = np.ones(begins.shape), np.zeros(begins.shape, dtype=np.bool_)
    for begin in np.unique(begins).tolist():
        columns = np.flatnonzero(begins == begin)
        part = errors if columns.size == begins.size else errors.of_columns(columns)
        ratio[columns], by_error[columns], has_flipped[columns] = _since(part, begin, policy)
    by_age = age_factor(age_days, policy)
    by_flip = np.where(has_flipped, policy.flip_factor, 1.0)
    return DecayState(age_days, ratio, has_flipped, by_age, by_error, by_age * by_error * by_flip)


def _since(errors: ErrorSums, begin: int, policy: HealthPolicy) -> tuple[Floats, Floats, Bools]:
    # The last ratio, the worst factor and whether there was a flip, of the rows from `begin` on.
    recent, reference = policy.error_sessions, policy.reference_sessions
    ratio = _error_ratio(errors, begin, recent, reference)
    flips = _flips(errors, begin, recent, reference, policy.flip_critical_z)
    # before its windows fill a ratio is unknown; that is judged by the last session alone
    factors = error_factor(ratio, policy)
    worst = np.where(np.isfinite(ratio), factors, 1.0).min(axis=0)
    return ratio[-1], np.minimum(worst, factors[-1]), np.asarray(flips.any(axis=0))
