"""Each symbol's own past year, its last month left out, times what the panel paid for it."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.beliefs.models.slopes import learn, slopes, start_regression
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


@register(
    "momentum",
    Family.MU,
    Role.OPINION,
    parameters=(
        "momentum_lookback_sessions", "momentum_skip_sessions", "signal_limit",
        "slope_min_sessions", "sigma_floor_annual",
    ),
)  # fmt: skip
class Momentum:
    """Time-series momentum, scaled by volatility.

    Notes
    -----
    Moskowitz, Ooi and Pedersen (2012), Journal of Financial Economics 104: past and future
    returns are scaled by volatility, so one slope serves the panel. The slope is the pooled
    least-squares slope through the origin over all pairs whose future had come to pass, so a
    symbol without a trend is forecast at zero.
    """

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        self._policy, self._horizon = policy, horizon

    def start(self, n_symbols: int) -> State:
        """Begin without a slope."""
        return start_regression(n_symbols, horizon=self._horizon, n_features=1)

    def signal(self, session: Session) -> Floats:
        """Scale the return from the lookback to the skip by its volatility, and limit it."""
        policy = self._policy
        lookback, skip = policy.momentum_lookback_sessions, policy.momentum_skip_sessions
        count, _, deviation = session.moments(lookback)
        floor = policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year)
        scale = np.maximum(deviation, floor) * np.sqrt(lookback - skip)
        past = session.past_returns(lookback, skip=skip) / scale
        is_full = (count == lookback) & np.isfinite(session.prices)
        limit = policy.signal_limit
        return np.where(is_full, np.clip(past, -limit, limit), np.nan)

    def observe(self, state: State, session: Session) -> Floats:
        """Forecast slope times signal times today's volatility."""
        signal = self.signal(session)
        learn(state, session, signal[None, :])
        slope = slopes(state, min_sessions=self._policy.slope_min_sessions)[0]
        return np.asarray(session.spread(slope) * signal * session.sigma)
