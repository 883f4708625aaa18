"""The auction as one explicit linear program, for scipy and for HiGHS without a modeller."""

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from instgov_dagster.bench.auction.engines import Answer
from instgov_dagster.capital.auction.instance import AuctionInstance, chord_grid, chord_nodes

_PRIMAL_SIMPLEX = 4
_DUAL_SIMPLEX = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearProgram:
    """Minimise cost @ x, row_lower <= matrix @ x <= row_upper, lower <= x <= upper.

    The bids' weights are the first columns. Between two seconds of one auction the matrix stays.
    """

    cost: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    matrix: Any
    row_lower: NDArray[np.float64]
    row_upper: NDArray[np.float64]


def has_trading(instance: AuctionInstance) -> bool:
    """Whether trading costs anything or is limited, so that trades must be columns."""
    return bool(
        instance.half_spread.any()
        or instance.impact.any()
        or (instance.buy_limits < 1.0).any()
        or instance.held.any()
    )


def build_program(instance: AuctionInstance) -> LinearProgram:
    """Write the auction out (Rockafellar and Uryasev 2000): a column and a row a scenario.

    Columns: weights; bought, sold, sold beyond the limit, the chords of the impact in units of
    weight; for each tail its edge, its CVaR and the excess of each scenario.
    """
    parts = _Parts(instance)
    costs = [-instance.values]
    lowers, uppers = [np.zeros(parts.n_bids)], [instance.caps]
    rows: list[list[Any]] = [[sparse.csr_array(instance.membership.astype(np.float64))]]
    row_lower = [np.full(len(instance.groups), -np.inf)]
    row_upper = [instance.group_caps]
    if parts.trades:
        parts.add_trading(costs, lowers, uppers)
        parts.add_trading_rows(rows, row_lower, row_upper)
    for place, tail in enumerate(instance.tails):
        s = tail.returns.shape[0]
        hurdle = instance.hurdle if place == 0 else 0.0
        costs.append(np.r_[0.0, hurdle, np.zeros(s)])
        lowers.append(np.r_[-np.inf, -np.inf, np.zeros(s)])
        uppers.append(np.r_[np.inf, tail.limit, np.full(s, np.inf)])
        parts.add_tail_rows(rows, row_lower, row_upper, place)
    width = 1 + int(parts.trades) + len(instance.tails)
    matrix = sparse.block_array([row + [None] * (width - len(row)) for row in rows], format="csr")
    return LinearProgram(
        cost=np.concatenate(costs),
        lower=np.concatenate(lowers),
        upper=np.concatenate(uppers),
        matrix=matrix,
        row_lower=np.concatenate(row_lower),
        row_upper=np.concatenate(row_upper),
    )


class _Parts:
    # The blocks of the program; a row is a list of blocks, one a group of columns.
    def __init__(self, instance: AuctionInstance) -> None:
        self.instance = instance
        self.n_bids, self.n_symbols = len(instance.bid_ids), len(instance.symbols)
        self.trades = has_trading(instance)
        ones = np.ones(self.n_bids)
        at = (instance.symbol_of, np.arange(self.n_bids))
        self.gather = sparse.csr_array((ones, at), shape=(self.n_symbols, self.n_bids))

    def add_trading(
        self,
        costs: list[NDArray[np.float64]],
        lowers: list[NDArray[np.float64]],
        uppers: list[NDArray[np.float64]],
    ) -> None:
        instance, n = self.instance, self.n_symbols
        widths = instance.reach[:, None] * np.diff(chord_grid(instance.policy))
        rises = np.diff(chord_nodes(instance), axis=1)
        slopes = np.divide(rises, widths, out=np.zeros_like(rises), where=widths > 0.0)
        half, penalty = instance.half_spread, instance.policy.forced_sale_penalty
        costs.append(np.r_[half, half, np.full(n, penalty), slopes.ravel()])
        lowers.append(np.zeros(3 * n + widths.size))
        free = np.full(2 * n, np.inf)
        uppers.append(np.r_[instance.buy_limits, free, widths.ravel()])

    def add_trading_rows(
        self,
        rows: list[list[Any]],
        row_lower: list[NDArray[np.float64]],
        row_upper: list[NDArray[np.float64]],
    ) -> None:
        instance, n = self.instance, self.n_symbols
        n_chords = instance.policy.impact_chords
        one, none = sparse.eye_array(n), sparse.csr_array((n, n))
        chords = sparse.kron(one, np.ones((1, n_chords)))
        no_chords = sparse.csr_array((n, n * n_chords))
        empty = sparse.csr_array((n, self.n_bids))
        rows[0].append(sparse.csr_array((len(instance.groups), 3 * n + n * n_chords)))
        held = instance.net(instance.held)
        rows.append([self.gather, sparse.hstack([-one, one, none, no_chords])])
        rows.append([empty, sparse.hstack([none, one, -one, no_chords])])
        rows.append([empty, sparse.hstack([one, one, -one, -chords])])
        row_lower += [held, np.full(n, -np.inf), np.zeros(n)]
        row_upper += [held, instance.sell_limits, np.zeros(n)]

    def add_tail_rows(
        self,
        rows: list[list[Any]],
        row_lower: list[NDArray[np.float64]],
        row_upper: list[NDArray[np.float64]],
        place: int,
    ) -> None:
        instance = self.instance
        tail = instance.tails[place]
        s = tail.returns.shape[0]
        mass = (1.0 - instance.confidence_level) * s
        before: list[Any] = [None] * (int(self.trades) + place)
        losses = sparse.csr_array(tail.returns[:, instance.symbol_of])
        edge, no_cvar = np.ones((s, 1)), sparse.csr_array((s, 1))
        rows.append([losses, *before, sparse.hstack([edge, no_cvar, sparse.eye_array(s)])])
        rows.append([None, *before, sparse.csr_array([[1.0, -1.0, *[1.0 / mass] * s]])])
        row_lower += [np.zeros(s), np.array([-np.inf])]
        row_upper += [np.full(s, np.inf), np.zeros(1)]


class ScipyLinprog:
    """`scipy.optimize.linprog(method="highs-ds")`: nothing is kept between two seconds."""

    def solve(self, instance: AuctionInstance) -> Answer:
        """Solve from nothing."""
        program = build_program(instance)
        is_equal = program.row_lower == program.row_upper
        above = np.isfinite(program.row_upper) & ~is_equal
        below = np.isfinite(program.row_lower) & ~is_equal
        matrix = program.matrix
        found = linprog(
            program.cost,
            A_ub=sparse.vstack([matrix[above], -matrix[below]]),
            b_ub=np.r_[program.row_upper[above], -program.row_lower[below]],
            A_eq=matrix[is_equal] if is_equal.any() else None,
            b_eq=program.row_lower[is_equal] if is_equal.any() else None,
            bounds=np.column_stack([program.lower, program.upper]),
            method="highs-ds",
            options={
                "primal_feasibility_tolerance": instance.policy.solver_tolerance,
                "dual_feasibility_tolerance": instance.policy.solver_tolerance,
            },
        )
        return Answer(weights=found.x[: len(instance.bid_ids)], status=str(found.message))


class HighspyFull:
    """HiGHS itself on the whole program, kept hot: only costs and bounds change."""

    def __init__(self) -> None:
        self._model: Any = None

    def solve(self, instance: AuctionInstance) -> Answer:
        """Solve; after the first time from the last basis, with the primal simplex."""
        program = build_program(instance)
        if self._model is None:
            self._model = _load(program, tolerance=instance.policy.solver_tolerance)
        else:
            self._change(program)
        self._model.run()
        status = self._model.getModelStatus()
        values = np.array(self._model.getSolution().col_value)
        return Answer(
            weights=values[: len(instance.bid_ids)],
            status=self._model.modelStatusToString(status),
        )

    def _change(self, program: LinearProgram) -> None:
        # The basis stays; the primal simplex goes on from it where only costs have changed.
        columns = np.arange(program.cost.size, dtype=np.int32)
        self._model.changeColsCost(columns.size, columns, program.cost)
        self._model.changeColsBounds(columns.size, columns, program.lower, program.upper)
        for row in np.flatnonzero(program.row_lower == program.row_upper).tolist():
            self._model.changeRowBounds(row, program.row_lower[row], program.row_upper[row])
        self._model.setOptionValue("simplex_strategy", _PRIMAL_SIMPLEX)


def _load(program: LinearProgram, *, tolerance: float) -> Any:
    model = highspy.Highs()
    model.silent()
    model.setOptionValue("simplex_strategy", _DUAL_SIMPLEX)
    model.setOptionValue("primal_feasibility_tolerance", tolerance)
    model.setOptionValue("dual_feasibility_tolerance", tolerance)
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = program.matrix.shape
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = program.cost, program.lower, program.upper
    lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = program.matrix.indptr
    lp.a_matrix_.index_ = program.matrix.indices
    lp.a_matrix_.value_ = program.matrix.data
    model.passModel(lp)
    return model
