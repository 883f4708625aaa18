"""Historical means shrunk toward what the whole panel earns per unit of risk."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


@register(
    "james_stein",
    Family.MU,
    Role.OPINION,
    parameters=("mean_sessions", "mean_min_sessions", "sigma_floor_annual"),
)
class JamesStein:
    """Sample means shrunk toward their common mean.

    Notes
    -----
    Jorion (1986), Journal of Financial and Quantitative Analysis 21, Bayes-Stein: the weight of
    the common mean is ``(N + 2) / (N + 2 + sum_i n_i (z_i - z_0)^2)``. It is applied to the
    horizon means divided by their own volatility: the panel spans a cash fund and
    crypto-currencies, and a common mean under precision weights would be the cash fund's.
    ``n_i`` counts whole horizons, ``z_0`` is the count-weighted mean, and cross-correlation is
    left out of the weight, which needs no inverse of an N x N matrix.
    """

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        self._policy, self._horizon = policy, horizon

    def start(self, n_symbols: int) -> State:
        """Know nothing: the tape keeps the sums."""
        del n_symbols
        return {}

    def observe(self, state: State, session: Session) -> Floats:
        """Forecast each horizon mean by its shrunk Sharpe ratio times its volatility."""
        del state
        policy, horizon = self._policy, self._horizon
        count, mean, deviation = session.moments(policy.mean_sessions)
        floor = policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year)
        deviation = np.maximum(deviation, floor)
        speaks = (count >= policy.mean_min_sessions) & np.isfinite(session.prices)
        root = np.sqrt(horizon)
        sharpe = np.where(speaks, root * mean / deviation, 0.0)
        horizons = np.where(speaks, count / horizon, 0.0)
        pooled = np.maximum(session.pooled(horizons), 1.0)
        common = session.spread(session.pooled(horizons * sharpe) / pooled)
        scatter = session.pooled(horizons * (sharpe - common) ** 2)
        strength = session.pooled(speaks) + 2.0
        shrinkage = session.spread(strength / (strength + scatter))
        shrunk = (1.0 - shrinkage) * sharpe + shrinkage * common
        return np.where(speaks, shrunk * root * deviation, np.nan)
