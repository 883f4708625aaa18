"""The CVaR of one tail inside a linear program: a sure tail in one row, its edge in a few more."""

from typing import Final

import numpy as np

from instgov_dagster.capital.auction.engine.lp import UNBOUNDED, Entries, Floats, HotLp, Places

# Scenarios next to the edge that get a row with those found on its wrong side.
_NEIGHBOURS: Final = 24


class TailRows:
    """Rockafellar and Uryasev's CVaR as a relaxation that is tightened where it is violated.

    With tail mass m, edge z and level v, and a guess T of the scenarios surely in the tail:

        (m - |T|) z + sum over T of L_s + sum of corrections - m v <= 0
        L_s - z - u_s <= 0  for a scenario outside T that may be in the tail
        z - L_s - e_s <= 0  for a scenario of T that may be outside it

    A scenario without a row is taken to be on the side T says, so v is never above the true CVaR;
    a scenario found on the other side gets its row. At the end v is the exact CVaR.

    Parameters
    ----------
    returns
        Shape ``(n_scenarios, n_symbols)``.
    mass
        Tail mass m in scenarios, (1 - alpha) times their number.
    by_column
        The same returns with each symbol's in one piece, where somebody keeps them so.
    """

    def __init__(self, returns: Floats, mass: float, *, by_column: Floats | None = None) -> None:
        self._by_row = returns
        self._by_column = np.asfortranarray(returns) if by_column is None else by_column
        self._mass = mass
        n_scenarios = returns.shape[0]
        self._is_sure = np.zeros(n_scenarios, dtype=np.bool_)
        self._has_row = np.zeros(n_scenarios, dtype=np.bool_)
        self._scenarios: Places = np.zeros(0, np.intp)
        self._rows: Places = np.zeros(0, np.intp)
        self._sign: Floats = np.zeros(0)
        self._sure_sum: Floats = np.zeros(returns.shape[1])
        self._row = self._edge = self._level = -1
        self._terms: tuple[float, float] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the program holds this tail; a slack one need not be in it."""
        return self._row >= 0

    def returns_of(self, symbols: Places) -> Floats:
        """Give the returns of some symbols, shape ``(n_scenarios, n)``."""
        return self._by_column[:, symbols]

    def losses(self, net: Floats) -> Floats:
        """Give the loss of each scenario, touching the columns of what is held only."""
        held = np.flatnonzero(net)
        losses: Floats = -(self._by_column[:, held] @ net[held])
        return losses

    def open(self, lp: HotLp, losses: Floats, symbols: Places, cols: Places, *, band: int) -> None:
        """Put the tail into the program, guessing from losses which scenarios are in it.

        Parameters
        ----------
        symbols, cols
            The symbols in the program and the columns of their net weights.
        band
            Scenarios to either side of the guessed edge that get a row at once.
        """
        order = np.argsort(-losses, kind="stable")
        whole = int(self._mass)
        n_sure = max(whole - band, 0)
        self._is_sure[order[:n_sure]] = True
        self._sure_sum = self._by_row[order[:n_sure]].sum(axis=0)
        ends = lp.add_cols(
            np.zeros(2), np.full(2, -UNBOUNDED), np.full(2, UNBOUNDED), Entries.none()
        )
        mine = np.array([self._mass - n_sure, -self._mass])
        row = lp.add_rows(
            np.zeros(1),
            Entries.block(
                np.array([0]),
                np.concatenate([cols, ends]),
                np.concatenate([-self._sure_sum[symbols], mine]),
            ),
        )
        self._row, self._edge, self._level = int(row[0]), int(ends[0]), int(ends[1])
        self.add(lp, order[n_sure : min(whole + band, losses.size)], symbols, cols)

    def set_terms(self, lp: HotLp, *, limit: float, hurdle: float) -> None:
        """Set what the CVaR may be and what a unit of it costs."""
        if self._terms == (limit, hurdle):
            return
        self._terms = (limit, hurdle)
        level = np.array([self._level])
        lp.set_bounds(level, np.array([-UNBOUNDED]), np.array([limit]))
        lp.set_costs(level, np.array([hurdle]))

    def entries(self, symbols: Places) -> Entries:
        """Give the coefficients that new columns of these symbols have in the tail's rows."""
        rows = np.concatenate([[self._row], self._rows])
        own = self._by_row[self._scenarios[:, None], symbols] * -self._sign[:, None]
        values = np.vstack([-self._sure_sum[symbols][None, :], own])
        return Entries.block(np.arange(symbols.size), rows, np.ascontiguousarray(values.T))

    def violated(self, losses: Floats, edge: float, *, tolerance: float, most: int) -> Places:
        """Find the scenarios on the other side of the edge than the program takes them to be.

        The worst ``most`` of them, in order of their number where they are equally bad; and with
        them those nearest to being violated, which the next answer would else be likely to.
        """
        beyond = np.where(self._is_sure, edge - losses, losses - edge)
        beyond[self._has_row] = -UNBOUNDED
        n_violated = int(np.count_nonzero(beyond > tolerance))
        if not n_violated:
            return np.zeros(0, np.intp)
        n_free = beyond.size - self._scenarios.size
        wanted = min(n_violated + _NEIGHBOURS, most, n_free)
        return np.argsort(-beyond, kind="stable")[:wanted]

    def edge_of(self, lp: HotLp) -> float:
        """Read the edge z of the tail from the program's answer."""
        return float(lp.col_values[self._edge])

    def add(self, lp: HotLp, scenarios: Places, symbols: Places, cols: Places) -> None:
        """Give scenarios a row of their own, and the correction it may need."""
        n = scenarios.size
        if not n:
            return
        sign = np.where(self._is_sure[scenarios], -1.0, 1.0)
        new = np.arange(n)
        fixes = lp.add_cols(
            np.zeros(n),
            np.zeros(n),
            np.full(n, UNBOUNDED),
            Entries(new=new, old=np.full(n, self._row), value=np.ones(n)),
        )
        size = cols.size
        places, values = np.empty((n, size + 2), np.intp), np.empty((n, size + 2))
        places[:, :size], places[:, size], places[:, size + 1] = cols, self._edge, fixes
        values[:, :size] = self._by_row[scenarios[:, None], symbols]
        values[:, :size] *= -sign[:, None]
        values[:, size], values[:, size + 1] = -sign, -1.0
        entries = Entries(
            new=np.repeat(new, size + 2), old=places.reshape(-1), value=values.reshape(-1)
        )
        rows = lp.add_rows(np.zeros(n), entries)
        self._rows = np.concatenate([self._rows, rows])
        self._scenarios = np.concatenate([self._scenarios, scenarios])
        self._sign = np.concatenate([self._sign, sign])
        self._has_row[scenarios] = True

    def weights(self, lp: HotLp) -> Floats:
        """Read the tail weights q from the program's duals, shape ``(n_scenarios,)``."""
        if not self.is_open:
            return np.zeros(self._is_sure.size)
        unit = self._unit(lp)
        share = np.where(self._is_sure, unit, 0.0)
        share[self._scenarios] += self._sign * -lp.row_duals[self._rows]
        return np.clip(share, 0.0, unit)

    def mean_returns(self, lp: HotLp) -> Floats:
        """Weigh the returns by the tail weights, R'q, shape ``(n_symbols,)``.

        The sure tail is summed once and for all; only the scenarios at its edge are touched.
        """
        if not self.is_open:
            return np.zeros(self._sure_sum.size)
        edge = self._sign * -lp.row_duals[self._rows]
        touched = np.flatnonzero(edge)
        returns: Floats = self._unit(lp) * self._sure_sum
        return returns + edge[touched] @ self._by_row[self._scenarios[touched]]

    def _unit(self, lp: HotLp) -> float:
        return max(-float(lp.row_duals[self._row]), 0.0)
