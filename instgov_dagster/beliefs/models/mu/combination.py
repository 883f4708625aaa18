"""The opinions' equal-weight mean, which is hard to beat."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

MEMBERS = ("james_stein", "momentum", "reversal", "ridge")


@register("combination", Family.MU, Role.DERIVED, needs=MEMBERS)
class Combination:
    """The mean of the members that speak of a symbol; two at least.

    Notes
    -----
    Timmermann (2006), Handbook of Economic Forecasting 1: estimated weights rarely beat equal
    ones. It repeats its members' opinions, so it counts in no disagreement.
    """

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        del policy, horizon

    def start(self, n_symbols: int) -> State:
        """Know nothing of its own."""
        del n_symbols
        return {}

    def observe(self, state: State, session: Session) -> Floats:
        """Forecast the mean of the members that speak."""
        del state
        said = np.stack([session.forecasts[name] for name in MEMBERS])
        speaks = np.isfinite(said)
        count = speaks.sum(axis=0)
        total = np.where(speaks, said, 0.0).sum(axis=0)
        return np.where(count >= 2, total / np.maximum(count, 1), np.nan)
