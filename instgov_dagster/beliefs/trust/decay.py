"""How trust in a model decays: age, error and a flip of its residuals; no forecasts are made."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.walk import Walk
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
    return _trailing(_running(np.where(np.isfinite(values), values, 0.0)), window)


def _running(values: Floats) -> Floats:
    # Column by column in memory: down the rows of a C array every number is a line of its own.
    return np.cumsum(np.asfortranarray(values), axis=0)


def _trailing(running: Floats, window: int) -> Floats:
    sums = running.copy(order="K")
    sums[window:] -= running[:-window]
    return sums


class _Errors:
    # Errors laid out by column with the running sums that every window is a difference of.
    def __init__(self, errors: Floats) -> None:
        errors = np.asfortranarray(errors)
        is_known = np.isfinite(errors)
        self.known = np.where(is_known, errors, 0.0)
        lagged = np.zeros_like(self.known)
        lagged[1:] = self.known[1:] * self.known[:-1]
        squares = self.known * self.known
        self.count = _running(is_known.astype(np.float64))
        self.total = _running(self.known)
        self.squares = _running(np.where(np.isfinite(squares), squares, 0.0))
        self.lagged = _running(np.where(np.isfinite(lagged), lagged, 0.0))


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
    return _error_ratio(_Errors(errors), recent, reference)


def _error_ratio(errors: _Errors, recent: int, reference: int) -> Floats:
    n_sessions = errors.known.shape[0]
    ratio = np.full_like(errors.known, np.nan)
    if n_sessions < recent + reference:
        return ratio
    count = _trailing(errors.count, recent + reference)
    now = _trailing(errors.squares, recent)[recent + reference - 1 :] / recent
    before = _trailing(errors.squares, reference)[reference - 1 : n_sessions - recent] / reference
    both_silent = (now <= 0) & (before <= 0)
    quotient = np.where(both_silent, 1.0, now / np.where(before > 0, before, np.inf))
    quotient = np.where((before <= 0) & (now > 0), _RATIO_CEILING, quotient)
    filled = count[recent + reference - 1 :] == recent + reference
    bounded = np.clip(quotient, 0.0, _RATIO_CEILING)
    ratio[recent + reference - 1 :] = np.where(filled, bounded, np.nan)
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
    return _autocorrelation(_Errors(errors), window)


def _autocorrelation(errors: _Errors, window: int) -> Floats:
    x = errors.known
    path = np.zeros_like(x)
    if x.shape[0] < window:
        return path
    mean = _trailing(errors.total, window)[window - 1 :] / window
    scatter = _trailing(errors.squares, window)[window - 1 :] - window * mean * mean
    first, last = x[: x.shape[0] - window + 1], x[window - 1 :]
    # the product of a window's first error with the one before it lies outside the window
    products = _trailing(errors.lagged, window - 1)[window - 1 :]
    covariance = products - mean * (2 * window * mean - first - last) + (window - 1) * mean * mean
    varies = scatter > window * np.finfo(np.float64).eps
    path[window - 1 :] = np.where(varies, covariance / np.where(varies, scatter, 1.0), 0.0)
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
    return _flips(_Errors(errors), recent, reference, critical_z)


def _flips(errors: _Errors, recent: int, reference: int, critical_z: float) -> Bools:
    flips = np.zeros_like(errors.known, dtype=np.bool_)
    if flips.shape[0] < recent + reference:
        return flips
    limit = 1.0 - np.finfo(np.float64).eps
    now = _autocorrelation(errors, recent)[recent:]
    before = _autocorrelation(errors, reference)[:-recent]
    z_now = np.arctanh(np.clip(now, -limit, limit))
    z_before = np.arctanh(np.clip(before, -limit, limit))
    error_now, error_before = 1.0 / (recent - 3), 1.0 / (reference - 3)
    has_changed = np.abs(z_now - z_before) > critical_z * np.sqrt(error_now + error_before)
    was_real = np.abs(z_before) > critical_z * np.sqrt(error_before)
    count = _trailing(errors.count, recent + reference)[recent:]
    is_filled = count == recent + reference
    flips[recent:] = (z_now * z_before < 0) & has_changed & was_real & is_filled
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
    recent, reference = policy.error_sessions, policy.reference_sessions
    summed = _Errors(errors)
    ratio = _error_ratio(summed, recent, reference)
    flips = _flips(summed, recent, reference, policy.flip_critical_z)
    since_pass = np.arange(errors.shape[0])[:, None] >= np.maximum(last_pass, 0)[None, :]
    # before its windows fill a ratio is unknown; that is judged by the last session alone
    factors = np.where(np.isfinite(ratio), error_factor(ratio, policy), 1.0)
    worst = np.where(since_pass, factors, 1.0).min(axis=0)
    by_error = np.minimum(worst, error_factor(ratio[-1], policy))
    has_flipped = np.asarray((flips & since_pass).any(axis=0))
    by_age = age_factor(age_days, policy)
    by_flip = np.where(has_flipped, policy.flip_factor, 1.0)
    return DecayState(
        age_days, ratio[-1], has_flipped, by_age, by_error, by_age * by_error * by_flip
    )
