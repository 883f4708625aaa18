"""The shrunk means of the calmest third of the universe; it claims nothing of the rest."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

MEMBER = "james_stein"


@register("defensive", Family.MU, Role.DERIVED, needs=(MEMBER,), parameters=("defensive_share",))
class Defensive:
    """Forecast like james_stein where sigma is among the lowest third, and zero elsewhere.

    Notes
    -----
    The low-volatility effect (Ang, Hodrick, Xing and Zhang 2006, Journal of Finance 61). Zero is
    a forecast that wins no bid; it is not silence, so the strategy's health is judged on every
    symbol it may turn to.
    """

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        del horizon
        self._share = policy.defensive_share

    def start(self, n_symbols: int) -> State:
        """Know nothing of its own."""
        del n_symbols
        return {}

    def observe(self, state: State, session: Session) -> Floats:
        """Take the member's forecast on the calm third."""
        del state
        said = session.forecasts[MEMBER]
        speaks = np.isfinite(said) & np.isfinite(session.sigma)
        # a tie goes to the earlier symbol, whatever the sort would do
        calm = np.where(speaks, session.sigma, np.inf).reshape(session.lanes, -1)
        order = np.argsort(calm, axis=-1, kind="stable")
        wanted = np.ceil(self._share * session.pooled(speaks))[:, None]
        chosen = np.zeros(calm.shape, dtype=np.bool_)
        np.put_along_axis(chosen, order, np.arange(calm.shape[-1]) < wanted, axis=-1)
        return np.where(speaks, np.where(chosen.reshape(said.shape), said, 0.0), np.nan)
