"""Lambda-star, the best ratio of value to current CVaR on offer, kept hot beside the auction."""

from typing import Final

import numpy as np

from instgov_dagster.capital.auction.engine.lp import (
    OPTIMAL,
    UNBOUNDED,
    Entries,
    Floats,
    HotLp,
    Places,
    Simplex,
)
from instgov_dagster.capital.auction.engine.tail_rows import TailRows
from instgov_dagster.capital.auction.engine.terms import Structure, Terms, best_worth
from instgov_dagster.capital.auction.instance import AuctionInstance

# Of the trace, added to the diagonal of the guess's moments, which may be singular.
_RIDGE: Final = 1e-9


class RatioProgram:
    """The most value a book of CVaR one can have: costs are half the spread, from cash.

    Caps play no part, because a ratio has no size, so a symbol is worth what its best open bid
    is; a bid that may hold nothing offers nothing. `AuctionPolicy.ratio_gross_bound` bounds the
    book where some book has no risk at all.
    """

    def __init__(self, structure: Structure, instance: AuctionInstance) -> None:
        policy = instance.policy
        self._structure = structure
        self._policy = policy
        self._lp = HotLp(tolerance=policy.solver_tolerance, is_scaled=False)
        current = instance.scenarios.current
        mass = (1.0 - instance.confidence_level) * current.returns.shape[0]
        self._alone = current.standalone_cvar(instance.confidence_level)
        self._tail = TailRows(current.returns, mass, by_column=current.by_column)
        self._gross = self._lp.add_rows(np.array([policy.ratio_gross_bound]), Entries.none())
        self._symbols: Places = np.zeros(0, np.intp)
        self._cols: Places = np.zeros(0, np.intp)
        self._asked: Floats | None = None
        self._best = float("nan")
        self._worth: Floats = np.zeros(0)
        # What a unit of each symbol pays for the tail and the bound, by the last answer's duals.
        self._paid: Floats = np.zeros(0)
        # By how much each column's cost may fall before it enters; None where nothing stands.
        self._slack: Floats | None = None

    def best(self, terms: Terms) -> float:
        """Return lambda-star, NaN where it was not found; the last question is remembered."""
        spread = terms.instance.half_spread
        worth = best_worth(self._structure, terms, terms.values) - spread
        worth = np.where(np.isfinite(worth), worth, -UNBOUNDED)
        if self._asked is None or not np.array_equal(worth, self._asked):
            self._asked = worth
            self._best = self._solve(worth)
        return self._best

    def _solve(self, worth: Floats) -> float:
        if not (worth > 0.0).any():
            return 0.0
        lp, left = self._lp, self._policy.solver_iterations
        simplex = Simplex.PRIMAL
        if not self._tail.is_open:
            self._worth = worth
            self._open(worth)
        elif self._stands(worth):
            return self._best
        while left > 0:
            word = lp.run(simplex, most_pivots=left)
            left -= max(lp.pivots, 1)
            if word != OPTIMAL:
                self._slack = None
                return float("nan")
            self._slack = lp.duals_of(self._cols)
            self._paid = self._tail.mean_returns(lp) + float(lp.row_duals[self._gross[0]])
            found = self._grow(worth)
            if found is None:
                held = lp.col_values[self._cols]
                return max(float(worth[self._symbols[held > 0.0]] @ held[held > 0.0]), 0.0)
            self._slack, simplex = None, found
        return float("nan")

    def _stands(self, worth: Floats) -> bool:
        # Takes the new worths in. The last answer is still the best one where no symbol in the
        # book is worth anything else and no other is worth more than its price.
        lp, slack = self._lp, self._slack
        costs = -np.where(np.isfinite(worth), worth, -1.0)[self._symbols]
        before = -np.where(np.isfinite(self._worth), self._worth, -1.0)[self._symbols]
        self._worth = worth
        lp.set_costs(self._cols, costs)
        if slack is None:
            return False
        self._slack = slack = slack + (costs - before)
        is_same = (costs == before) | (lp.col_values[self._cols] == 0.0)
        return bool(is_same.all() and (slack >= 0.0)[costs != before].all()) and not (
            self._entering(worth).size
        )

    def _open(self, worth: Floats) -> None:
        first, guess = self._guess(worth)
        self._add(first)
        losses = self._tail.losses(guess / max(float(guess.sum()), 1e-300))
        self._tail.open(self._lp, losses, self._symbols, self._cols, band=self._policy.ratio_band)
        self._tail.set_terms(self._lp, limit=1.0, hurdle=0.0)

    def _guess(self, worth: Floats) -> tuple[Places, Floats]:
        # Among the symbols of the best ratio alone, the book of the best ratio of value to the
        # root of the mean squared return (Markowitz): its tail is near the one looked for. Symbols
        # it would sell short are left out, all at once, until there are none.
        risk = np.maximum(self._alone, 1.0 / self._policy.ratio_gross_bound)
        ratio = np.where(worth > 0.0, worth, 0.0) / risk
        first = np.argsort(-ratio, kind="stable")[: self._policy.ratio_first_symbols]
        first = first[ratio[first] > 0.0]
        own = self._tail.returns_of(first)
        moments = (own.T @ own) / np.outer(risk[first], risk[first])
        moments[np.diag_indices_from(moments)] += _RIDGE * (1.0 + np.trace(moments))
        kept = np.arange(first.size)
        while True:
            book = np.linalg.solve(moments[np.ix_(kept, kept)], ratio[first[kept]])
            if not (book < 0.0).any():
                break
            kept = kept[book > 0.0]
        first = first[kept]
        guess = np.zeros(worth.size)
        guess[first] = book / risk[first]
        return first, guess

    def _add(self, symbols: Places) -> None:
        n = symbols.size
        new = np.arange(n)
        entries = [Entries(new=new, old=np.repeat(self._gross, n), value=np.ones(n))]
        if self._tail.is_open:
            entries.append(self._tail.entries(symbols))
        most = np.full(n, self._policy.ratio_gross_bound)
        cols = self._lp.add_cols(-self._worth[symbols], np.zeros(n), most, Entries.join(*entries))
        self._symbols = np.concatenate([self._symbols, symbols])
        self._cols = np.concatenate([self._cols, cols])

    def _grow(self, worth: Floats) -> Simplex | None:
        # None where the answer is exact; else how to go on after what was violated was added.
        lp, policy = self._lp, self._policy
        net = np.zeros(worth.size)
        net[self._symbols] = lp.col_values[self._cols]
        edge, losses = self._tail.edge_of(lp), self._tail.losses(net)
        slack = lp.tolerance * max(abs(edge), 1.0)
        rows = self._tail.violated(losses, edge, tolerance=slack, most=policy.engine_batch)
        cols = self._entering(worth)
        if not (rows.size or cols.size):
            return None
        self._add(cols)
        self._tail.add(lp, rows, self._symbols, self._cols)
        return Simplex.DUAL if rows.size else Simplex.PRIMAL

    def _entering(self, worth: Floats) -> Places:
        # Symbols outside the program that are worth more than their price, the dearest first.
        most = self._policy.engine_batch
        gain = worth + self._paid
        gain[self._symbols] = -UNBOUNDED
        found = np.flatnonzero(gain > 0.0)
        if found.size > most:
            found = found[np.argsort(-gain[found], kind="stable")[:most]]
        return found
