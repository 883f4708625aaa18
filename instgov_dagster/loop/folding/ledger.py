"""What a session keeps of its own trading: cash moved, largest gross, volume, and the result."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.loop.decision.bidding import ValuedBook
from instgov_dagster.loop.decision.book import Book, BookChange
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.folding.attribution import StrategyResult, attribute, cash_by_strategy
from instgov_dagster.vocabulary.config import Policy


class SessionLedger:
    """Counts one session's trading by strategy.

    Parameters
    ----------
    opening
        Value of each strategy's holdings at the end of the last session that ended, USD.
    flows
        Cash a session moved that broke off before it ended: it belongs to this one's result.
    """

    def __init__(
        self, snapshot: Snapshot, *, opening: Mapping[str, float], flows: Mapping[str, float]
    ) -> None:
        self._snapshot = snapshot
        self._opening = dict(opening)
        self._peak_gross: dict[str, float] = {}
        self.flows: dict[str, float] = dict(flows)

    def count_changes(self, changes: Iterable[BookChange]) -> NDArray[np.float64]:
        """Take executed changes into the flows; give the dollars traded by symbol, ``(N,)``."""
        listed = tuple(changes)
        for name, cash in cash_by_strategy(listed).items():
            self.flows[name] = self.flows.get(name, 0.0) + cash
        traded = np.zeros(len(self._snapshot.symbols))
        for change in listed:
            traded[self._snapshot.symbols.index(change.symbol)] += abs(float(change.cash_usd))
        return traded

    def count_gross(self, weights: NDArray[np.float64]) -> None:
        """Remember the largest gross of each strategy; ``weights`` is ``(n_strategies, N)``."""
        gross = np.abs(weights).sum(axis=1).tolist()
        for view, share in zip(self._snapshot.strategies, gross, strict=True):
            name = view.strategy_id
            self._peak_gross[name] = max(share, self._peak_gross.get(name, 0.0))

    def results(self, book: Book, valued: ValuedBook, policy: Policy) -> tuple[StrategyResult, ...]:
        """Attribute the session's result to its strategies at the last marks."""
        snapshot = self._snapshot
        names = [view.strategy_id for view in snapshot.strategies]
        values = book.quantities(names, snapshot.symbols) * np.nan_to_num(valued.marks)
        return attribute(
            names,
            values / valued.nav_usd,
            nav_usd=valued.nav_usd,
            flows=self.flows,
            opening=self._opening,
            scenarios=snapshot.scenarios,
            places=snapshot.places,
            horizons_per_year=policy.models.forecast.sessions_per_year / policy.cvar.horizon_days,
            peak_gross=self._peak_gross,
        )
