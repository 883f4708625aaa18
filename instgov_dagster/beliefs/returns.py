"""Returns, volatility and rolling sums as they were known at each session; no forecasts here."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

Floats = NDArray[np.float64]


class ReturnPanel(NamedTuple):
    """What every model reads: row ``t`` holds what was known after session ``t``, NaN = unknown.

    All arrays have shape ``(T, N)``. ``sigma`` is per horizon, ``daily`` per session.
    """

    prices: Floats
    bases: Floats
    daily: Floats
    sigma: Floats
    horizon: int


def return_bases(prices: Floats, *, share: float, sessions: int) -> Floats:
    """Find the price a return starting at each session is divided by.

    Parameters
    ----------
    prices
        Shape ``(T, N)``, NaN where unknown; a price may be zero or negative.
    share, sessions
        The floor: this share of the median of the trailing sessions, the session included.

    Returns
    -------
    Shape ``(T, N)``; NaN where neither the price nor the floor is positive.

    Notes
    -----
    The return rule of the scenarios (SPEC 4): oil closed at -37.63 on 2020-04-20, and a return
    on a base near zero is no statement about risk.
    """
    bases = prices.copy()
    known = np.where(np.isfinite(prices), prices, np.inf)
    lowest = known.min(axis=0, initial=np.inf)
    highest = np.where(np.isfinite(prices), prices, -np.inf).max(axis=0, initial=-np.inf)
    # elsewhere the floor cannot bind: no median exceeds the highest price
    for j in np.flatnonzero(lowest < share * highest):
        column = pl.Series(prices[:, j]).fill_nan(None)
        median = column.rolling_median(sessions, min_samples=1).fill_null(float("nan")).to_numpy()
        bases[:, j] = np.where(np.isfinite(prices[:, j]), np.fmax(prices[:, j], share * median), 0)
    return np.where(bases > 0, bases, np.nan)


def forward_returns(prices: Floats, bases: Floats, *, sessions: int) -> Floats:
    """Measure the return of the following sessions; the last rows, not known yet, are NaN."""
    ahead = np.full(prices.shape, np.nan)
    if prices.shape[0] > sessions:
        ahead[:-sessions] = (prices[sessions:] - prices[:-sessions]) / bases[:-sessions]
    return ahead


def ewma_sigma(
    daily: Floats, *, decay: float, min_sessions: int, floor: float
) -> NDArray[np.float64]:
    """Estimate each session's volatility by exponentially weighted squared returns.

    Parameters
    ----------
    daily
        Shape ``(T, N)``, NaN where unknown; an unknown return leaves the estimate as it was.
    decay
        The weight lambda a session's estimate keeps at the next.
    min_sessions
        Returns needed before an estimate is given.
    floor
        The smallest volatility that is believed, per session.

    Returns
    -------
    Shape ``(T, N)``, per session; NaN before ``min_sessions`` returns.

    Notes
    -----
    RiskMetrics (1996) with mean zero. The weights are normalised by their sum, so the estimate
    does not depend on a starting value.
    """
    n_sessions, n_symbols = daily.shape
    variance = np.zeros(n_symbols)
    weight = np.zeros(n_symbols)
    count = np.zeros(n_symbols, dtype=np.int64)
    sigma = np.full((n_sessions, n_symbols), np.nan)
    known = np.isfinite(daily)
    # a return too large to square has an infinite variance, which is no estimate
    with np.errstate(over="ignore"):
        squares = np.where(known, daily, 0.0) ** 2
    for t in range(n_sessions):
        keep = np.where(known[t], decay, 1.0)
        variance = keep * variance + (1.0 - keep) * squares[t]
        weight = keep * weight + (1.0 - keep)
        count += known[t]
        ready = (count >= min_sessions) & np.isfinite(variance)
        estimate = np.sqrt(variance / np.where(weight > 0, weight, 1.0))
        sigma[t] = np.where(ready, np.maximum(estimate, floor), np.nan)
    return sigma


def rolling_sum(values: Floats, window: int) -> Floats:
    """Sum each trailing window, shorter at the start; NaN counts as zero.

    Notes
    -----
    A difference of running sums, so a row depends on the rows before it alone.
    """
    running = np.cumsum(np.where(np.isfinite(values), values, 0.0), axis=0)
    running[window:] -= running[:-window].copy()
    return running


def return_panel(prices: Floats, *, policy: ForecastPolicy, horizon: int) -> ReturnPanel:
    """Derive everything the models read from the prices.

    Parameters
    ----------
    prices
        Shape ``(T, N)``, one row a session; NaN or infinite where unknown.
    policy
        The return base, the EWMA and its floor.
    horizon
        Sessions a forecast looks ahead.

    Raises
    ------
    ValueError
        If ``prices`` is not two-dimensional or holds no session.
    """
    if prices.ndim != 2 or prices.shape[0] == 0:
        raise ValueError(f"prices must have shape (T, N) with T >= 1, was {prices.shape}")
    known = np.where(np.isfinite(prices), prices, np.nan)
    bases = return_bases(known, share=policy.base_floor_share, sessions=policy.base_floor_sessions)
    daily = np.full(known.shape, np.nan)
    daily[1:] = (known[1:] - known[:-1]) / bases[:-1]
    per_session = ewma_sigma(
        daily,
        decay=policy.ewma_lambda,
        min_sessions=policy.sigma_min_sessions,
        floor=policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year),
    )
    # a volatility estimate of a symbol without a price today is no estimate of today
    sigma = np.where(np.isfinite(known), per_session * np.sqrt(horizon), np.nan)
    return ReturnPanel(known, bases, daily, sigma, horizon)
