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
class LinearBounds:
    """Minimise cost @ x, row_lower <= A @ x <= row_upper, lower <= x <= upper; A is apart.

    The bids' weights are the first columns. Between two seconds of one auction A stays.
    """

    cost: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
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


def group_rows(instance: AuctionInstance) -> Any:
    """Write which bids stand under which caps as a sparse matrix, ``(n_groups, n_bids)``."""
    pairs = instance.membership
    at = (pairs.group_of, pairs.bid_of)
    return sparse.csr_array((np.ones(at[0].size), at), shape=(pairs.n_groups, pairs.n_bids))


def chord_slopes(instance: AuctionInstance) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give width and slope of each symbol's chords, both ``(n_symbols, n_chords)``."""
    everything = np.arange(len(instance.symbols))
    widths = instance.reach[:, None] * np.diff(chord_grid(instance.policy))
    rises = np.diff(chord_nodes(instance, everything), axis=1)
    return widths, np.divide(rises, widths, out=np.zeros_like(rises), where=widths > 0.0)


def build_bounds(instance: AuctionInstance) -> LinearBounds:
    """Write costs and bounds of the auction, in the order of `build_matrix`."""
    costs, lowers, uppers = [-instance.values], [np.zeros(instance.values.size)], [instance.caps]
    row_lower, row_upper = [np.full(len(instance.groups), -np.inf)], [instance.group_caps]
    if has_trading(instance):
        n = len(instance.symbols)
        widths, slopes = chord_slopes(instance)
        half, penalty = instance.half_spread, instance.policy.forced_sale_penalty
        costs.append(np.r_[half, half, np.full(n, penalty), slopes.ravel()])
        lowers.append(np.zeros(3 * n + widths.size))
        uppers.append(np.r_[instance.buy_limits, np.full(2 * n, np.inf), widths.ravel()])
        held = instance.net_held
        row_lower += [held, np.full(n, -np.inf), np.zeros(n)]
        row_upper += [held, instance.sell_limits, np.zeros(n)]
    for tail in instance.tails:
        s = tail.returns.shape[0]
        costs.append(np.r_[0.0, tail.hurdle, np.zeros(s)])
        lowers.append(np.r_[-np.inf, -np.inf, np.zeros(s)])
        uppers.append(np.r_[np.inf, tail.limit, np.full(s, np.inf)])
        row_lower += [np.zeros(s), np.array([-np.inf])]
        row_upper += [np.full(s, np.inf), np.zeros(1)]
    return LinearBounds(
        cost=np.concatenate(costs),
        lower=np.concatenate(lowers),
        upper=np.concatenate(uppers),
        row_lower=np.concatenate(row_lower),
        row_upper=np.concatenate(row_upper),
    )


def build_matrix(instance: AuctionInstance) -> Any:
    """Write the rows of the auction (Rockafellar and Uryasev 2000): one a scenario, sparse.

    Columns: weights; bought, sold, sold beyond the limit, the chords of the impact in units of
    weight; for each tail its edge, its CVaR and the excess of each scenario.
    """
    n_bids, n = len(instance.bid_ids), len(instance.symbols)
    trades = has_trading(instance)
    rows: list[list[Any]] = [[group_rows(instance)]]
    if trades:
        at = (instance.symbol_of, np.arange(n_bids))
        gather = sparse.csr_array((np.ones(n_bids), at), shape=(n, n_bids))
        one, none = sparse.eye_array(n), sparse.csr_array((n, n))
        chords = sparse.kron(one, np.ones((1, instance.policy.impact_chords)))
        no_chords = sparse.csr_array(chords.shape)
        rows += [
            [gather, sparse.hstack([-one, one, none, no_chords])],
            [None, sparse.hstack([none, one, -one, no_chords])],
            [None, sparse.hstack([one, one, -one, -chords])],
        ]
    for place, tail in enumerate(instance.tails):
        s = tail.returns.shape[0]
        mass = (1.0 - instance.confidence_level) * s
        before: list[Any] = [None] * (int(trades) + place)
        losses = sparse.csr_array(tail.returns[:, instance.symbol_of])
        edge, no_cvar = np.ones((s, 1)), sparse.csr_array((s, 1))
        rows.append([losses, *before, sparse.hstack([edge, no_cvar, sparse.eye_array(s)])])
        rows.append([None, *before, sparse.csr_array([[1.0, -1.0, *[1.0 / mass] * s]])])
    width = 1 + int(trades) + len(instance.tails)
    return sparse.block_array([row + [None] * (width - len(row)) for row in rows], format="csr")


class ScipyLinprog:
    """`scipy.optimize.linprog(method="highs-ds")`: nothing is kept between two seconds."""

    def solve(self, instance: AuctionInstance) -> Answer:
        """Solve from nothing."""
        program, matrix = build_bounds(instance), build_matrix(instance)
        is_equal = program.row_lower == program.row_upper
        above = np.isfinite(program.row_upper) & ~is_equal
        below = np.isfinite(program.row_lower) & ~is_equal
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
        bounds = build_bounds(instance)
        if self._model is None:
            matrix = build_matrix(instance)
            self._model = _load(bounds, matrix, tolerance=instance.policy.solver_tolerance)
        else:
            self._change(bounds)
        self._model.run()
        status = self._model.getModelStatus()
        values = np.array(self._model.getSolution().col_value)
        return Answer(
            weights=values[: len(instance.bid_ids)],
            status=self._model.modelStatusToString(status),
        )

    def _change(self, bounds: LinearBounds) -> None:
        # The basis stays; the primal simplex goes on from it where only costs have changed.
        columns = np.arange(bounds.cost.size, dtype=np.int32)
        rows = np.arange(bounds.row_lower.size, dtype=np.int32)
        self._model.changeColsCost(columns.size, columns, bounds.cost)
        self._model.changeColsBounds(columns.size, columns, bounds.lower, bounds.upper)
        self._model.changeRowsBounds(rows.size, rows, bounds.row_lower, bounds.row_upper)
        self._model.setOptionValue("simplex_strategy", _PRIMAL_SIMPLEX)


def _load(bounds: LinearBounds, matrix: Any, *, tolerance: float) -> Any:
    model = highspy.Highs()
    model.silent()
    model.setOptionValue("simplex_strategy", _DUAL_SIMPLEX)
    model.setOptionValue("primal_feasibility_tolerance", tolerance)
    model.setOptionValue("dual_feasibility_tolerance", tolerance)
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = matrix.shape
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = bounds.cost, bounds.lower, bounds.upper
    lp.row_lower_, lp.row_upper_ = bounds.row_lower, bounds.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    model.passModel(lp)
    return model
