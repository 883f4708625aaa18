"""A panel autoregression: the scaled past of a day to a year, all slopes shrunk together."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.beliefs.models.slopes import learn, slopes, start_regression
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


@register(
    "ridge",
    Family.MU,
    Role.OPINION,
    parameters=("ridge_lags", "ridge_penalty", "signal_limit", "slope_min_sessions"),
)
class Ridge:
    """Ridge regression of the scaled future on the scaled past, one for the whole panel.

    Notes
    -----
    Hoerl and Kennard (1970), Technometrics 12. The features are the returns of the last day,
    week, month, quarter and year, each over its own volatility, so their slopes are of one kind
    and one penalty serves all. No intercept: what the panel earns on average is james_stein's.
    """

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        self._policy, self._horizon = policy, horizon

    def start(self, n_symbols: int) -> State:
        """Begin without slopes."""
        n_features = len(self._policy.ridge_lags)
        return start_regression(n_symbols, horizon=self._horizon, n_features=n_features)

    def features(self, session: Session) -> Floats:
        """Scale the returns of each lag by their volatility and limit them, ``(F, N)``."""
        per_session = session.sigma / np.sqrt(self._horizon)
        limit = self._policy.signal_limit
        rows = [
            np.clip(session.past_returns(lag) / (per_session * np.sqrt(lag)), -limit, limit)
            for lag in self._policy.ridge_lags
        ]
        return np.stack(rows)

    def observe(self, state: State, session: Session) -> Floats:
        """Forecast the slopes times the features times today's volatility."""
        features = self.features(session)
        learn(state, session, features)
        policy = self._policy
        slope = slopes(state, min_sessions=policy.slope_min_sessions, penalty=policy.ridge_penalty)
        return np.asarray((session.spread(slope) * features).sum(axis=0) * session.sigma)
