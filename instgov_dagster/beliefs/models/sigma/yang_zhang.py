"""Volatility from the range of the bars: overnight, open to close, and what lay between."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

# overnight, its square, open to close, its square, Rogers-Satchell, and how many of them
_PARTS = 6


@register(
    "yang_zhang",
    Family.SIGMA,
    Role.OPINION,
    parameters=("sigma.range_sessions", "sigma.range_min_sessions", "sigma_floor_annual"),
)
class YangZhang:
    """The drift-independent range estimator, scaled to the horizon.

    Notes
    -----
    Yang and Zhang (2000), Journal of Business 73: the variance of a session is
    ``V_o + k V_c + (1 - k) V_rs`` with the sample variances of the overnight and of the
    open-to-close log returns, the mean of Rogers and Satchell's term, and
    ``k = .34 / (1.34 + (n + 1) / (n - 1))``. A bar whose range does not hold its open and close
    (a repaired FX close lies outside it) is widened to hold them.
    """

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        self._sigma, self._root = policy.sigma, np.sqrt(horizon)
        self._min_sessions = policy.sigma_min_sessions
        self._floor = policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year)

    def start(self, n_symbols: int) -> State:
        """Begin without a bar."""
        rows = self._sigma.range_sessions + 1
        return {
            "sums": np.zeros((rows, _PARTS, n_symbols)),
            "running": np.zeros((_PARTS, n_symbols)),
            "seen": np.zeros(1, dtype=np.int64),
        }

    @staticmethod
    def _parts(session: Session) -> Floats:
        _, opened, high, low = session.bars
        close, before = session.prices, session.prices_ago(1)
        top = np.maximum(high, np.maximum(opened, close))
        bottom = np.minimum(low, np.minimum(opened, close))
        is_known = np.isfinite(before) & np.isfinite(top) & (bottom > 0) & (before > 0)
        unit = np.where(is_known, opened, 1.0)
        night = np.log(unit / np.where(is_known, before, 1.0))
        day = np.log(np.where(is_known, close, 1.0) / unit)
        up = np.log(np.where(is_known, top, 1.0) / unit)
        down = np.log(np.where(is_known, bottom, 1.0) / unit)
        between = up * (up - day) + down * (down - day)
        return np.stack(
            [night, night * night, day, day * day, between, is_known.astype(np.float64)]
        )

    def observe(self, state: State, session: Session) -> Floats:
        """Add the session's bar to the window and estimate from it."""
        rows = state["sums"].shape[0]
        seen = int(state["seen"][0])
        state["running"] += self._parts(session)
        state["sums"][seen % rows] = state["running"]
        state["seen"] += 1
        total = state["running"]
        if seen >= rows - 1:
            total = total - state["sums"][(seen + 1) % rows]
        count = total[5]
        n = np.maximum(count, 2.0)
        overnight = (total[1] - total[0] ** 2 / n) / (n - 1.0)
        open_to_close = (total[3] - total[2] ** 2 / n) / (n - 1.0)
        k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0))
        variance = overnight + k * open_to_close + (1.0 - k) * total[4] / n
        estimate = np.sqrt(np.maximum(variance, 0.0))
        is_ready = (
            (count >= self._sigma.range_min_sessions)
            & (state["running"][5] >= self._min_sessions)
            & np.isfinite(session.prices)
        )
        return np.where(is_ready, np.maximum(estimate, self._floor) * self._root, np.nan)
