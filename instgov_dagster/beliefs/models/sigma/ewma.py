"""Exponentially weighted volatility, fast and slow."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


class _Ewma:
    # RiskMetrics (1996) with mean zero. The weights are normalised by their sum, so the estimate
    # does not depend on a starting value; an unknown return leaves it as it was.
    _decay: float

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        self._root = np.sqrt(horizon)
        self._min_sessions = policy.sigma_min_sessions
        self._floor = policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year)

    def start(self, n_symbols: int) -> State:
        """Begin without a return."""
        return {
            "variance": np.zeros(n_symbols),
            "weight": np.zeros(n_symbols),
            "count": np.zeros(n_symbols, dtype=np.int64),
        }

    def observe(self, state: State, session: Session) -> Floats:
        """Weigh the session's squared return in and scale the estimate to the horizon."""
        is_known = np.isfinite(session.daily)
        keep = np.where(is_known, self._decay, 1.0)
        square = np.where(is_known, session.daily, 0.0) ** 2
        state["variance"] = keep * state["variance"] + (1.0 - keep) * square
        state["weight"] = keep * state["weight"] + (1.0 - keep)
        state["count"] = state["count"] + is_known
        is_ready = (state["count"] >= self._min_sessions) & np.isfinite(session.prices)
        estimate = np.sqrt(state["variance"] / np.where(state["weight"] > 0, state["weight"], 1.0))
        return np.where(is_ready, np.maximum(estimate, self._floor) * self._root, np.nan)


@register(
    "ewma_94",
    Family.SIGMA,
    Role.OPINION,
    parameters=("sigma.ewma_fast", "sigma_min_sessions", "sigma_floor_annual"),
)
class EwmaFast(_Ewma):
    """The daily decay of RiskMetrics."""

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        super().__init__(policy, horizon)
        self._decay = policy.sigma.ewma_fast


@register(
    "ewma_97",
    Family.SIGMA,
    Role.OPINION,
    parameters=("sigma.ewma_slow", "sigma_min_sessions", "sigma_floor_annual"),
)
class EwmaSlow(_Ewma):
    """The monthly decay of RiskMetrics, on daily returns."""

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        super().__init__(policy, horizon)
        self._decay = policy.sigma.ewma_slow
