"""The benchmark of the sigma models: last year's sample deviation."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


@register(
    "rolling_252",
    Family.SIGMA,
    Role.BENCHMARK,
    parameters=("sigma.rolling_sessions", "sigma_min_sessions", "sigma_floor_annual"),
)
class Rolling:
    """The sample standard deviation of a trailing year, scaled to the horizon."""

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        self._policy, self._root = policy, np.sqrt(horizon)
        self._floor = policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year)

    def start(self, n_symbols: int) -> State:
        """Know nothing: the tape keeps the sums."""
        del n_symbols
        return {}

    def observe(self, state: State, session: Session) -> Floats:
        """Scale the window's deviation to the horizon."""
        del state
        count, _, deviation = session.moments(self._policy.sigma.rolling_sessions)
        is_ready = (count >= self._policy.sigma_min_sessions) & np.isfinite(session.prices)
        return np.where(is_ready, np.maximum(deviation, self._floor) * self._root, np.nan)
