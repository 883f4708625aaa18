"""GJR-GARCH(1,1) carried forward from parameters the night estimated; nothing is fitted here."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

PARAMETERS = ("omega", "alpha", "gamma", "beta", "variance")


@register(
    "gjr_garch_t",
    Family.SIGMA,
    Role.OPINION,
    parameters=(
        "sigma.garch_sessions", "sigma.garch_min_sessions", "sigma.garch_refit_sessions",
        "sigma.garch_max_persistence", "sigma.garch_max_age_sessions", "sigma_floor_annual",
    ),
)  # fmt: skip
class GjrGarch:
    """The variance recursion of Glosten, Jagannathan and Runkle.

    Notes
    -----
    Journal of Finance 48 (1993), mean zero, Student-t errors:
    ``h' = omega + (alpha + gamma [r < 0]) r^2 + beta h``; an unknown return counts as the
    expected one. The horizon's variance is the sum of its sessions', with
    ``E h_(k+1) = omega + (alpha + gamma / 2 + beta) h_k`` for a symmetric law. Parameters are
    loaded before the session they were fitted through, with that session's own variance.
    """

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        self._sigma, self._horizon = policy.sigma, horizon
        self._floor = policy.sigma_floor_annual / np.sqrt(policy.sessions_per_year)

    def start(self, n_symbols: int) -> State:
        """Begin without parameters."""
        unknown = {name: np.full(n_symbols, np.nan) for name in PARAMETERS}
        return {**unknown, "age": np.zeros(n_symbols, dtype=np.int64)}

    def load(self, state: State, columns: Floats, parameters: dict[str, Floats]) -> None:
        """Take over what was fitted through the session that is observed next."""
        at = np.asarray(columns, dtype=np.intp)
        for name in PARAMETERS:
            state[name][at] = parameters[name]
        state["age"][at] = -1

    def trust(self, state: State) -> Floats:
        """Halve the trust in parameters every so many sessions after their fit; 0 past the limit.

        Notes
        -----
        Parameters do not spoil in a week, but nobody has looked at them since: their age is a
        cost that only a new fit takes away.
        """
        age = np.maximum(state["age"], 0)
        is_held = np.isfinite(state["omega"]) & (age <= self._sigma.garch_max_age_sessions)
        return np.where(is_held, np.exp2(-age / self._sigma.age_half_life_sessions), 0.0)

    def observe(self, state: State, session: Session) -> Floats:
        """Step the variance over the session and add up the expected ones of the horizon."""
        state["age"] = state["age"] + np.isfinite(state["omega"])
        is_known = np.isfinite(session.daily)
        daily = np.where(is_known, session.daily, 0.0)
        shock = state["alpha"] + state["gamma"] * (daily < 0.0)
        persistence = state["alpha"] + 0.5 * state["gamma"] + state["beta"]
        surprise = np.where(
            is_known,
            shock * daily * daily + state["beta"] * state["variance"],
            persistence * state["variance"],
        )
        state["variance"] = state["omega"] + surprise
        ahead, total = state["variance"], np.zeros(daily.shape)
        for _ in range(self._horizon):
            total = total + ahead
            ahead = state["omega"] + persistence * ahead
        speaks = (
            np.isfinite(total)
            & (state["age"] <= self._sigma.garch_max_age_sessions)
            & np.isfinite(session.prices)
        )
        floor = self._floor * np.sqrt(self._horizon)
        return np.where(speaks, np.maximum(np.sqrt(np.where(speaks, total, 0.0)), floor), np.nan)
