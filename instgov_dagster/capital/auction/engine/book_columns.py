"""The columns of the book inside a linear program: net weights, bids, and the pieces of trades."""

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.engine.lp import UNBOUNDED, Entries, Floats, HotLp, Places
from instgov_dagster.capital.auction.engine.tail_rows import TailRows
from instgov_dagster.capital.auction.engine.terms import Structure, Terms


class BookColumns:
    """Symbols in the program, each with its net weight n, its bids x and its trade in pieces.

    sum of x - n = 0 where a symbol has several bids (one bid is its own net weight), and
    n - purchases + sales = held; groups cap sums of x. Scenarios see n alone, so bids on one
    symbol share a column. A symbol that is not in the program weighs nothing, and of a trade only
    the pieces that once paid are in it; the last, a sale at the penalty, always is, so that every
    holding can be sold.
    """

    def __init__(self, lp: HotLp, structure: Structure, n_pieces: int) -> None:
        self._lp = lp
        self._structure = structure
        n_symbols = structure.n_symbols
        self.group_rows: Places = lp.add_rows(np.zeros(structure.row_groups.size), Entries.none())
        #: Symbols in the program, in the order they entered, and the columns of their nets.
        self.symbols: Places = np.zeros(0, np.intp)
        self.net_cols: Places = np.zeros(0, np.intp)
        self.is_in = np.zeros(n_symbols, dtype=np.bool_)
        self._bid_cols: Places = np.full(structure.symbol_of.size, -1)
        self._trade_rows: Places = np.zeros(0, np.intp)
        # Column of each piece of each symbol in the program, -1 for none.
        self._piece_cols: Places = np.zeros((0, n_pieces), np.intp)
        # Costs and widths of the pieces as they were last set, NaN for those not in the program.
        self._set_pieces: tuple[Floats, Floats] = (np.zeros((0, n_pieces)),) * 2
        self._split: Places = np.zeros(0, np.intp)  # bids with a column of their own

    def add(self, symbols: Places, tails: tuple[TailRows, ...]) -> None:
        """Bring symbols into the program with all their bids; numbers are set by `load`."""
        if not symbols.size:
            return
        lp, structure, n = self._lp, self._structure, symbols.size
        new = np.arange(n)
        place = np.full(structure.n_symbols, -1)
        place[symbols] = new
        bids = np.flatnonzero(place[structure.symbol_of] >= 0)
        owner = place[structure.symbol_of[bids]]
        is_split = structure.bids_on[symbols] > 1
        trade_rows = lp.add_rows(np.zeros(n), Entries.none(), lower=np.zeros(n))
        sums = np.flatnonzero(is_split)
        sum_rows = np.full(n, -1)
        sum_rows[sums] = lp.add_rows(np.zeros(sums.size), Entries.none(), lower=np.zeros(sums.size))
        split, alone = bids[is_split[owner]], bids[~is_split[owner]]
        net_parts = [
            Entries(new=new, old=trade_rows, value=np.ones(n)),
            Entries(new=sums, old=sum_rows[sums], value=-np.ones(sums.size)),
            self._group_entries(alone, owner[~is_split[owner]]),
            *(tail.entries(symbols) for tail in tails if tail.is_open),
        ]
        none = np.zeros(n)
        nets = lp.add_cols(none, none, none, Entries.join(*net_parts))
        self._bid_cols[alone] = nets[owner[~is_split[owner]]]
        own = np.arange(split.size)
        bid_parts = [
            Entries(new=own, old=sum_rows[owner[is_split[owner]]], value=np.ones(split.size)),
            self._group_entries(split, own),
        ]
        none = np.zeros(split.size)
        self._bid_cols[split] = lp.add_cols(none, none, none, Entries.join(*bid_parts))
        self._trade_rows = np.concatenate([self._trade_rows, trade_rows])
        none_yet = np.full((n, self._piece_cols.shape[1]), -1)
        self._piece_cols = np.vstack([self._piece_cols, none_yet])
        wanted = np.zeros(self._piece_cols.shape, dtype=np.bool_)
        wanted[-n:, -1] = True
        self._add_pieces(wanted)
        self.symbols = np.concatenate([self.symbols, symbols])
        self.net_cols = np.concatenate([self.net_cols, nets])
        self._split = np.concatenate([self._split, split])
        self.is_in[symbols] = True

    def _group_entries(self, bids: Places, new: Places) -> Entries:
        structure = self._structure
        place = np.full(structure.symbol_of.size, -1)
        place[bids] = new
        kept = place[structure.pair_bid] >= 0
        return Entries(
            new=place[structure.pair_bid[kept]],
            old=self.group_rows[structure.pair_row[kept]],
            value=np.ones(int(kept.sum())),
        )

    def _add_pieces(self, wanted: NDArray[np.bool_]) -> None:
        symbols, pieces = np.nonzero(wanted & (self._piece_cols < 0))
        n, n_pieces = symbols.size, wanted.shape[1]
        is_purchase = pieces < (n_pieces - 1) // 2
        none = np.zeros(n)
        entries = Entries(
            new=np.arange(n),
            old=self._trade_rows[symbols],
            value=np.where(is_purchase, -1.0, 1.0),
        )
        self._piece_cols[symbols, pieces] = self._lp.add_cols(none, none, none, entries)

    def add_paying(self, pieces: tuple[Floats, Floats], worth: Floats) -> bool:
        """Bring in the pieces that pay at a worth of each symbol; tells whether there were any.

        Parameters
        ----------
        pieces
            From `trade_pieces`, for the symbols in the program.
        worth
            What one more unit of each is worth, shape ``(n_symbols in the program,)``.
        """
        costs, widths = pieces
        half = (costs.shape[1] - 1) // 2
        gain = np.where(np.arange(costs.shape[1]) < half, worth[:, None], -worth[:, None]) - costs
        pays = gain > 0.0
        is_missing = (widths > 0.0) & (self._piece_cols < 0)
        if not (pays & is_missing).any():
            return False
        # The piece after one that pays is likely to be the next to do so.
        pays[:, 1:half] |= pays[:, : half - 1]
        pays[:, half + 1 : -1] |= pays[:, half:-2]
        self._add_pieces(pays & is_missing)
        return True

    def worth(self) -> Floats:
        """Read what one more unit of each symbol in the program is worth, from the duals."""
        return -self._lp.row_duals[self._trade_rows]

    def load(self, terms: Terms, pieces: tuple[Floats, Floats]) -> None:
        """Set every number of the book: worths, costs, caps, widths and what is held."""
        lp, (costs, widths) = self._lp, pieces
        bids = np.flatnonzero(self._bid_cols >= 0)
        dearer, wider = self._changed(costs, widths)
        cols = np.concatenate([self._bid_cols[bids], self._piece_cols[dearer]])
        lp.set_costs(cols, np.concatenate([-terms.values[bids], costs[dearer]]))
        most = np.minimum(terms.bounds[self.symbols], self._own_caps(terms))
        cols = np.concatenate([self.net_cols, self._bid_cols[self._split], self._piece_cols[wider]])
        upper = np.concatenate([most, terms.caps[self._split], widths[wider]])
        lp.set_bounds(cols, np.zeros(cols.size), upper)
        held = terms.instance.net_held[self.symbols]
        lp.set_rows(self._trade_rows, held, held)
        caps = terms.instance.group_caps[self._structure.row_groups]
        lp.set_rows(self.group_rows, np.full(caps.size, -UNBOUNDED), caps)

    def _changed(
        self, costs: Floats, widths: Floats
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        # The pieces in the program whose cost, and those whose width, is another than it was set.
        is_in, n = self._piece_cols >= 0, self._set_pieces[0].shape[0]
        dearer, wider = is_in.copy(), is_in.copy()
        dearer[:n] &= costs[:n] != self._set_pieces[0]
        wider[:n] &= widths[:n] != self._set_pieces[1]
        self._set_pieces = (np.where(is_in, costs, np.nan), np.where(is_in, widths, np.nan))
        return dearer, wider

    def _own_caps(self, terms: Terms) -> Floats:
        # The cap of a symbol's only bid, nothing where it has several, by symbol in the program.
        caps = np.full(self._structure.n_symbols, UNBOUNDED)
        is_alone = self._bid_cols >= 0
        is_alone[self._split] = False
        caps[self._structure.symbol_of[is_alone]] = terms.caps[is_alone]
        return caps[self.symbols]

    def weights(self, terms: Terms) -> Floats:
        """Read the bids' weights from the program's answer, in the engine's order."""
        found = np.zeros(self._bid_cols.size)
        bids = np.flatnonzero(self._bid_cols >= 0)
        found[bids] = self._lp.col_values[self._bid_cols[bids]]
        return np.clip(found, 0.0, terms.caps)

    def prices(self, terms: Terms) -> Floats:
        """Read the price of every group from the program's duals, shape ``(n_groups,)``."""
        prices = np.zeros(terms.instance.group_caps.size)
        prices[self._structure.row_groups] = -self._lp.row_duals[self.group_rows]
        groups = terms.bound_by[self.symbols]
        # Where a lone bid's own cap is the tighter bound, the group it is in costs nothing.
        capped = (groups >= 0) & (terms.bounds[self.symbols] <= self._own_caps(terms))
        prices[groups[capped]] = -self._lp.duals_of(self.net_cols[capped])
        return np.maximum(prices, 0.0)
