"""The benchmark of the mu models: nothing can be known about the mean."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.models.protocol import Family, Role, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


@register("zero", Family.MU, Role.BENCHMARK)
class Zero:
    """Forecast zero wherever a price is known."""

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        del policy, horizon

    def start(self, n_symbols: int) -> State:
        """Know nothing."""
        del n_symbols
        return {}

    def observe(self, state: State, session: Session) -> Floats:
        """Forecast zero."""
        del state
        return np.where(np.isfinite(session.prices), 0.0, np.nan)
