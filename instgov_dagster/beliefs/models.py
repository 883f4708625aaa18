"""The mu models, one small pure class each, behind one protocol; no sigma, no judgement here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.beliefs.returns import ReturnPanel, forward_returns, rolling_sum
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

Floats = NDArray[np.float64]

BENCHMARK = "zero"


class Model(Protocol):
    """A rolling-origin forecaster of the mean return over the horizon.

    Notes
    -----
    ``predict_path`` answers for every session at once, shape ``(T, N)``; its row ``t`` may rest
    on the rows of the panel up to ``t`` alone, and is NaN where the model has nothing to say.
    """

    def predict_path(self, panel: ReturnPanel) -> Floats:
        """Forecast the return over the horizon from every session of the panel."""
        ...


class Zero:
    """The benchmark: nothing can be known about the mean."""

    def predict_path(self, panel: ReturnPanel) -> Floats:
        """Forecast zero wherever a price is known."""
        return np.where(np.isfinite(panel.prices), 0.0, np.nan)


def _window_moments(daily: Floats, window: int) -> tuple[Floats, Floats, Floats]:
    count = rolling_sum(np.isfinite(daily).astype(np.float64), window)
    mean = rolling_sum(daily, window) / np.maximum(count, 1.0)
    square = rolling_sum(daily * daily, window) / np.maximum(count, 1.0)
    variance = np.maximum(square - mean * mean, 0.0) * count / np.maximum(count - 1.0, 1.0)
    return count, mean, np.sqrt(variance)


class JamesStein:
    """Sample means shrunk toward what the whole panel earns per unit of risk.

    Notes
    -----
    Jorion (1986), Journal of Financial and Quantitative Analysis 21, Bayes-Stein: the weight of
    the common mean is ``(N + 2) / (N + 2 + sum_i n_i (z_i - z_0)^2)``. It is applied to the
    horizon means divided by their own volatility: the panel spans a cash fund and
    crypto-currencies, and a common mean under precision weights would be the cash fund's.
    ``n_i`` counts whole horizons, ``z_0`` is the count-weighted mean, and cross-correlation is
    left out of the weight, which needs no inverse of an N x N matrix.
    """

    def __init__(self, policy: ForecastPolicy) -> None:
        self._policy = policy

    def predict_path(self, panel: ReturnPanel) -> Floats:
        """Forecast each horizon mean by its shrunk Sharpe ratio times its volatility."""
        policy = self._policy
        count, mean, deviation = _window_moments(panel.daily, policy.mean_sessions)
        floor = policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year)
        deviation = np.maximum(deviation, floor)
        speaks = (count >= policy.mean_min_sessions) & np.isfinite(panel.prices)
        root = np.sqrt(panel.horizon)
        sharpe = np.where(speaks, root * mean / deviation, 0.0)
        horizons = np.where(speaks, count / panel.horizon, 0.0)
        total = np.maximum(horizons.sum(axis=1, keepdims=True), 1.0)
        common = (horizons * sharpe).sum(axis=1, keepdims=True) / total
        scatter = (horizons * (sharpe - common) ** 2).sum(axis=1, keepdims=True)
        strength = speaks.sum(axis=1, keepdims=True) + 2.0
        shrinkage = strength / (strength + scatter)
        shrunk = (1.0 - shrinkage) * sharpe + shrinkage * common
        return np.where(speaks, shrunk * root * deviation, np.nan)


class Momentum:
    """Each symbol's own past year, its last month left out, times what the panel paid for it.

    Notes
    -----
    Moskowitz, Ooi and Pedersen (2012), Journal of Financial Economics 104: past and future
    returns are scaled by volatility, so one slope serves the panel. The slope is the pooled
    least-squares slope through the origin over all pairs whose future had come to pass, so a
    symbol without a trend is forecast at zero.
    """

    def __init__(self, policy: ForecastPolicy) -> None:
        self._policy = policy

    def signal_path(self, panel: ReturnPanel) -> Floats:
        """Scale the return from the lookback to the skip by its volatility, and limit it."""
        policy = self._policy
        lookback, skip = policy.momentum_lookback_sessions, policy.momentum_skip_sessions
        prices, n_sessions = panel.prices, panel.prices.shape[0]
        signal = np.full(prices.shape, np.nan)
        if n_sessions <= lookback:
            return signal
        begin, end = prices[:-lookback], prices[lookback - skip : n_sessions - skip]
        past = (end - begin) / panel.bases[:-lookback]
        count, _, deviation = _window_moments(panel.daily, lookback)
        floor = policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year)
        scale = np.maximum(deviation[lookback:], floor) * np.sqrt(lookback - skip)
        full = (count[lookback:] == lookback) & np.isfinite(prices[lookback:])
        limit = policy.momentum_signal_limit
        signal[lookback:] = np.where(full, np.clip(past / scale, -limit, limit), np.nan)
        return signal

    def slope_path(self, panel: ReturnPanel, signal: Floats) -> Floats:
        """Regress the scaled future on the signal over the pairs known at each session.

        Returns
        -------
        Shape ``(T, 1)``; NaN until ``slope_min_sessions`` sessions of pairs are complete.
        """
        horizon = panel.horizon
        future = forward_returns(panel.prices, panel.bases, sessions=horizon) / panel.sigma
        pair = np.isfinite(future) & np.isfinite(signal)
        x, y = np.where(pair, signal, 0.0), np.where(pair, future, 0.0)
        slope = np.full((panel.prices.shape[0], 1), np.nan)
        if slope.shape[0] <= horizon:
            return slope
        cross = np.cumsum((x * y).sum(axis=1))[:-horizon]
        square = np.cumsum((x * x).sum(axis=1))[:-horizon]
        complete = np.cumsum(pair.any(axis=1))[:-horizon]
        ready = (complete >= self._policy.slope_min_sessions) & (square > 0)
        # the pair that began h sessions ago is complete today
        slope[horizon:, 0] = np.where(ready, cross / np.where(ready, square, 1.0), np.nan)
        return slope

    def predict_path(self, panel: ReturnPanel) -> Floats:
        """Forecast slope times signal times today's volatility."""
        signal = self.signal_path(panel)
        return self.slope_path(panel, signal) * signal * panel.sigma


MODELS: Mapping[str, Callable[[ForecastPolicy], Model]] = MappingProxyType(
    {
        BENCHMARK: lambda _policy: Zero(),
        "james_stein": JamesStein,
        "momentum": Momentum,
    }
)


def build_model(model_id: str, policy: ForecastPolicy) -> Model:
    """Build a model by its id.

    Raises
    ------
    ValueError
        If no model has that id.
    """
    if model_id not in MODELS:
        raise ValueError(f"model_id must be one of {sorted(MODELS)}, was {model_id!r}")
    return MODELS[model_id](policy)
