"""The losers of the last week against its winners, times what the panel paid for them."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.beliefs.models.slopes import learn, slopes, start_regression
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


@register(
    "reversal",
    Family.MU,
    Role.OPINION,
    parameters=("reversal_sessions", "signal_limit", "slope_min_sessions"),
)
class Reversal:
    """Short-term reversal of returns relative to the panel's.

    Notes
    -----
    Lehmann (1990), Quarterly Journal of Economics 105: weights are minus last week's return less
    the mean of all. Here returns are scaled by volatility first, and the pooled slope through
    the origin says what the panel paid for one unit: where past weeks went on instead of turning
    round, the slope is negative and so is the forecast of a loser.
    """

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        self._policy, self._horizon = policy, horizon

    def start(self, n_symbols: int) -> State:
        """Begin without a slope."""
        return start_regression(n_symbols, horizon=self._horizon, n_features=1)

    def signal(self, session: Session) -> Floats:
        """Turn the week's scaled return round, less the panel's mean, and limit it."""
        sessions = self._policy.reversal_sessions
        scale = session.sigma * np.sqrt(sessions / self._horizon)
        past = session.past_returns(sessions) / scale
        is_known = np.isfinite(past)
        count = np.maximum(session.pooled(is_known), 1)
        mean = session.spread(session.pooled(np.where(is_known, past, 0.0)) / count)
        limit = self._policy.signal_limit
        return np.where(is_known, np.clip(mean - past, -limit, limit), np.nan)

    def observe(self, state: State, session: Session) -> Floats:
        """Forecast slope times signal times today's volatility."""
        signal = self.signal(session)
        learn(state, session, signal[None, :])
        slope = slopes(state, min_sessions=self._policy.slope_min_sessions)[0]
        return np.asarray(session.spread(slope) * signal * session.sigma)
