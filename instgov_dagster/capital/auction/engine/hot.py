"""The auction's hot solver: one program a structure, loaded, run and grown until it is exact."""

from typing import Final

import numpy as np

from instgov_dagster.capital.auction.certificate import scale_into_limits
from instgov_dagster.capital.auction.engine.book_columns import BookColumns
from instgov_dagster.capital.auction.engine.lp import (
    OPTIMAL,
    SPENT,
    UNBOUNDED,
    Floats,
    HotLp,
    Places,
    Simplex,
)
from instgov_dagster.capital.auction.engine.ratio import RatioProgram
from instgov_dagster.capital.auction.engine.tail_rows import TailRows
from instgov_dagster.capital.auction.engine.terms import (
    Structure,
    Terms,
    best_worth,
    read_terms,
    room,
    trade_pieces,
)
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.solver import AuctionSolution, empty_solution, unsolved
from instgov_dagster.capital.cvar import cvar

#: What a solution says whose pivots ran out before it was exact.
BUDGET_SPENT: Final = "pivot budget spent"


class HotAuction:
    """The program of one structure: bids, caps and scenarios stay, every number may move.

    Only the symbols that price in and the scenarios that are violated are in the program: it is a
    relaxation in scenarios and a restriction in symbols until neither is missing, and then exact.
    """

    def __init__(self, instance: AuctionInstance, start: Floats | None) -> None:
        self.structure = Structure(instance)
        self._policy = instance.policy
        self._level = instance.confidence_level
        self._lp = HotLp(tolerance=instance.policy.solver_tolerance)
        self._tails = tuple(
            TailRows(
                tail.returns,
                (1.0 - instance.confidence_level) * tail.returns.shape[0],
                by_column=tail.measure.by_column,
            )
            for tail in instance.tails
        )
        pieces = 2 * instance.policy.impact_chords + 1
        self._columns = BookColumns(self._lp, self.structure, pieces)
        self._ratio = RatioProgram(self.structure, instance)
        self._pieces: tuple[Floats, Floats] = (np.zeros((0, pieces)), np.zeros((0, pieces)))
        self._start = start
        self._first_size = 0
        # The price of every group, and what a unit of each bid pays for caps and tails, by the
        # duals of the last answer that was looked at.
        self._prices: Floats = np.zeros(len(instance.groups))
        self._paid: Floats = np.zeros(len(instance.bid_ids))
        #: Net weights of the last answer, shape ``(n_symbols,)``.
        self.net: Floats = np.zeros(len(instance.symbols))

    @property
    def is_overgrown(self) -> bool:
        """Whether rows and columns from seconds past outweigh what the first answer needed."""
        size = self._lp.n_rows + self._lp.n_cols
        return size > self._policy.engine_growth * self._first_size

    def solve(self, instance: AuctionInstance) -> AuctionSolution:
        """Solve for the numbers of one second, going on from the last answer's basis."""
        terms = read_terms(self.structure, instance)
        left = self._policy.solver_iterations
        word, left = self._load(terms, left)
        while word == OPTIMAL:
            if left <= 0:
                word = SPENT
                break
            simplex = self._grow(terms)
            if simplex is None:
                break
            word, left = self._run(simplex, left)
        if word not in (OPTIMAL, SPENT):
            return unsolved(word)
        self._first_size = self._first_size or self._lp.n_rows + self._lp.n_cols
        return self._answer(terms, is_exact=word == OPTIMAL)

    def _run(self, simplex: Simplex, left: int) -> tuple[str, int]:
        # A round counts as one pivot at least, so that rounds end with the budget as well.
        word = self._lp.run(simplex, most_pivots=left)
        return word, left - max(self._lp.pivots, 1)

    def _load(self, terms: Terms, left: int) -> tuple[str, int]:
        columns, is_first = self._columns, not self._first_size
        inside = np.zeros(0)
        if is_first:
            self._begin(terms)
            best = best_worth(self.structure, terms, terms.values)
            new = columns.symbols
        else:
            # What pays at the last second's prices is let in before this second is solved.
            inside = columns.worth()
            best = best_worth(self.structure, terms, terms.values - self._paid)
            is_new = (terms.instance.net_held > 0.0) & ~columns.is_in
            is_new[self._entering(terms, best)] = True
            new = np.flatnonzero(is_new)
            columns.add(new, self._tails)
        self._pieces = trade_pieces(terms, columns.symbols)
        columns.add_paying(self._pieces, np.concatenate([inside, best[new]]))
        columns.load(terms, self._pieces)
        self._load_tails(terms)
        return self._run(Simplex.DUAL, left)

    def _load_tails(self, terms: Terms) -> None:
        # A tail whose CVaR has a price is in the program; one that is only limited may wait.
        for rows, tail in zip(self._tails, terms.instance.tails, strict=True):
            if tail.hurdle > 0.0 and not rows.is_open:
                self._open(rows, tail.measure.losses(self.net))
            if rows.is_open:
                rows.set_terms(self._lp, limit=tail.limit, hurdle=tail.hurdle)

    def _begin(self, terms: Terms) -> None:
        # The first symbols are the most gainful ones, the first guess of the tail is theirs.
        instance = terms.instance
        gain = best_worth(self.structure, terms, terms.values) - terms.first_cost
        most = np.maximum(room(self.structure, terms), 0.0)
        score = np.where(gain > 0.0, gain, 0.0) * most
        first = np.argsort(-score, kind="stable")[: self._policy.engine_first_symbols]
        first = first[score[first] > 0.0]
        guess = self._start
        if guess is None:
            guess = instance.net_held.copy()
            guess[first] = np.maximum(guess[first], most[first])
        held = (instance.net_held > 0.0) | (guess > 0.0)
        held[first] = True
        self._columns.add(np.flatnonzero(held), ())
        self.net = guess

    def _open(self, rows: TailRows, losses: Floats) -> None:
        columns = self._columns
        rows.open(
            self._lp, losses, columns.symbols, columns.net_cols, band=self._policy.engine_band
        )

    def _grow(self, terms: Terms) -> Simplex | None:
        # Add what the answer lacks; None where it lacks nothing and is the auction's own.
        columns, structure = self._columns, self.structure
        inside = columns.worth()
        self._look(terms)
        best = best_worth(structure, terms, terms.values - self._paid)
        entering = self._entering(terms, best)
        weights = columns.weights(terms)
        net = np.bincount(structure.symbol_of, weights=weights, minlength=structure.n_symbols)
        self.net = net.astype(np.float64)
        is_violated = self._tighten(terms)
        columns.add(entering, self._tails)
        if entering.size:
            costs, widths = trade_pieces(terms, entering)
            self._pieces = (
                np.vstack([self._pieces[0], costs]),
                np.vstack([self._pieces[1], widths]),
            )
        worth = np.concatenate([inside, best[entering]])
        if columns.add_paying(self._pieces, worth) or entering.size:
            columns.load(terms, self._pieces)
        elif not is_violated:
            return None
        return Simplex.DUAL if is_violated else Simplex.PRIMAL

    def _tighten(self, terms: Terms) -> bool:
        # Give rows to the scenarios on the wrong side, and to a tail whose limit is broken.
        lp, columns, is_violated = self._lp, self._columns, False
        for rows, tail in zip(self._tails, terms.instance.tails, strict=True):
            losses = tail.measure.losses(self.net)
            if rows.is_open:
                found = rows.violated(
                    losses,
                    rows.edge_of(lp),
                    tolerance=lp.tolerance,
                    most=self._policy.engine_batch,
                )
                rows.add(lp, found, columns.symbols, columns.net_cols)
                is_violated |= found.size > 0
            elif cvar(losses, confidence_level=self._level) > tail.limit:
                self._open(rows, losses)
                rows.set_terms(lp, limit=tail.limit, hurdle=tail.hurdle)
                is_violated = True
        return is_violated

    def _look(self, terms: Terms) -> None:
        # Read the duals: what caps and tails cost.
        structure = self.structure
        self._prices = self._columns.prices(terms)
        paid = terms.instance.membership.charges(self._prices)[structure.order]
        for rows in self._tails:
            if rows.is_open:
                paid -= rows.mean_returns(self._lp)[structure.symbol_of]
        self._paid = paid

    def _entering(self, terms: Terms, best: Floats) -> Places:
        # Symbols outside whose best bid is worth more than the first unit of it costs.
        gain = best - terms.first_cost
        gain[self._columns.is_in | (terms.buys <= 0.0)] = -UNBOUNDED
        found = np.flatnonzero(gain > 0.0)
        if found.size > self._policy.engine_batch:
            found = found[np.argsort(-gain[found], kind="stable")[: self._policy.engine_batch]]
        return found

    def _answer(self, terms: Terms, *, is_exact: bool) -> AuctionSolution:
        instance = terms.instance
        weights = np.empty(self.structure.order.size)
        weights[self.structure.order] = self._columns.weights(terms)
        if not is_exact:
            weights = scale_into_limits(instance, weights)
            self._look(terms)
        return AuctionSolution(
            is_solved=bool(np.isfinite(weights).all()),
            weights=weights,
            tail_weights=tuple(rows.weights(self._lp) for rows in self._tails),
            group_prices=self._prices,
            lambda_star=self._ratio.best(terms),
            message="optimal" if is_exact else BUDGET_SPENT,
        )


class HotSolver:
    """The exact engine of the auction, kept hot across calls (`AuctionSolver`).

    It is a fold: the same calls in the same order give the same answers bit for bit, because it
    stops by pivots and never by a clock. An answer is a function of its instance up to the last
    digits, which quantising removes. It is built again where bids, caps or scenarios are others,
    where it has grown too large, and where HiGHS gave up on a program kept from before.
    """

    def __init__(self) -> None:
        self._hot: HotAuction | None = None

    def restart(self) -> None:
        """Forget everything: the next solve starts from nothing."""
        self._hot = None

    def solve(self, instance: AuctionInstance) -> AuctionSolution:
        """Solve one instance; a solver's failure is an answer with ``is_solved`` false."""
        if not instance.bid_ids:
            return empty_solution(instance)
        kept = self._kept(instance)
        self._hot = None  # an exception must not leave a half-loaded program behind
        hot = kept or HotAuction(instance, None)
        solution = hot.solve(instance)
        if kept is not None and not solution.is_solved:
            hot = HotAuction(instance, None)
            solution = hot.solve(instance)
        self._hot = hot if solution.is_solved else None
        return solution

    def _kept(self, instance: AuctionInstance) -> HotAuction | None:
        hot = self._hot
        if hot is None or not hot.structure.fits(instance):
            return None
        return HotAuction(instance, hot.net) if hot.is_overgrown else hot
