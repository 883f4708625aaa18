"""One linear program kept inside HiGHS from one second to the next; nothing of auctions here."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import highspy
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

#: What stands for no bound.
UNBOUNDED: Final = float("inf")

# HiGHS stops within an absolute tolerance of 1e-9 in the units it is given. Powers of two, so
# that scaling is exact, put weights and values of 1e-3 well above it: two paths to one optimum
# then agree to 1e-13 of net asset value, and ties of 1e-12 in value are seen.
_WEIGHT_SCALE: Final = 2.0**13
_VALUE_SCALE: Final = 2.0**13


#: HiGHS's words for an answer, and for a budget of pivots that is spent.
OPTIMAL: Final = "Optimal"
SPENT: Final = "Iteration limit reached"


class Simplex(IntEnum):
    """Which simplex goes on from the last basis: HiGHS's numbers."""

    DUAL = 1  # rows were added or bounds moved: the basis is dual feasible
    PRIMAL = 4  # costs moved or columns were added: the basis is primal feasible


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entries:
    """Coefficients of new rows or columns: which of the new ones, where, and how much."""

    new: Places
    old: Places
    value: Floats

    @classmethod
    def none(cls) -> "Entries":
        """No coefficient at all."""
        return cls(new=np.zeros(0, np.intp), old=np.zeros(0, np.intp), value=np.zeros(0))

    @classmethod
    def join(cls, *parts: "Entries") -> "Entries":
        """Put several lists together."""
        return cls(
            new=np.concatenate([part.new for part in parts]),
            old=np.concatenate([part.old for part in parts]),
            value=np.concatenate([part.value for part in parts]),
        )

    @classmethod
    def block(cls, new: Places, old: Places, value: Floats) -> "Entries":
        """Read a full matrix of shape ``(n_new, n_old)``."""
        return cls(
            new=np.repeat(new, old.size), old=np.tile(old, new.size), value=value.reshape(-1)
        )

    def compress(self, n_new: int) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
        """Order by new row or column: where each starts, the other index, the coefficient."""
        if not self.new.size:
            return np.zeros(n_new, np.int32), np.zeros(0, np.int32), self.value
        starts = np.zeros(n_new, np.int32)
        np.cumsum(np.bincount(self.new, minlength=n_new)[:-1], out=starts[1:])
        old, value = self.old, self.value
        if (self.new[1:] < self.new[:-1]).any():
            order = np.argsort(self.new, kind="stable")
            old, value = old[order], value[order]
        return starts, old.astype(np.int32), value


class _Held:
    # Numbers of one kind as they were last sent to HiGHS.

    def __init__(self) -> None:
        self._parts: list[Floats] = [np.zeros(0)]

    def append(self, values: Floats) -> None:
        self._parts.append(values)

    def whole(self) -> Floats:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def take_in(self, places: Places, values: Floats) -> NDArray[np.bool_]:
        # Tells at which places the number is another one now.
        held = self.whole()
        is_new: NDArray[np.bool_] = held[places] != values
        held[places] = values
        return is_new


class HotLp:
    """min c'x, l <= x <= u, row bounds on A x; weights and values are scaled on the way in.

    Parameters
    ----------
    tolerance
        Primal and dual feasibility asked of HiGHS, in its scaled units.
    is_scaled
        Whether columns are weights of a book; a ratio's columns have no size and stay as they are.
    """

    def __init__(self, *, tolerance: float, is_scaled: bool = True) -> None:
        self._weight = _WEIGHT_SCALE if is_scaled else 1.0
        self._value = _VALUE_SCALE
        self._highs: Any = highspy.Highs()
        self._highs.silent()
        options: dict[str, Any] = {
            "presolve": "off",
            "solver": "simplex",
            "primal_feasibility_tolerance": tolerance,
            "dual_feasibility_tolerance": tolerance,
            "simplex_scale_strategy": 0,
            "simplex_initial_condition_check": False,
            "small_matrix_value": 1e-12,
        }
        for name, value in options.items():
            self._highs.setOptionValue(name, value)
        #: The tolerance in the units of the program itself.
        self.tolerance = tolerance / self._weight
        self.n_rows = 0
        self.n_cols = 0
        self.pivots = 0
        # What HiGHS holds: costs, bounds of columns and of rows. Only what differs is sent.
        self._costs = _Held()
        self._bounds = (_Held(), _Held())
        self._limits = (_Held(), _Held())
        self.col_values: Floats = np.zeros(0)
        self.row_duals: Floats = np.zeros(0)
        self._col_duals: list[float] = []

    def add_rows(self, upper: Floats, entries: Entries, *, lower: Floats | None = None) -> Places:
        """Add rows below ``upper`` and above ``lower``, if any; returns their numbers."""
        n = upper.size
        if not n:
            return np.zeros(0, np.intp)
        least = np.full(n, -UNBOUNDED) if lower is None else lower * self._weight
        most = upper * self._weight
        starts, cols, values = entries.compress(n)
        self._highs.addRows(n, least, most, values.size, starts, cols, values)
        for held, values in zip(self._limits, (least, most), strict=True):
            held.append(values)
        self.n_rows += n
        return np.arange(self.n_rows - n, self.n_rows)

    def add_cols(self, costs: Floats, lower: Floats, upper: Floats, entries: Entries) -> Places:
        """Add columns; returns their numbers."""
        n = costs.size
        if not n:
            return np.zeros(0, np.intp)
        starts, rows, values = entries.compress(n)
        costs, lower, upper = costs * self._value, lower * self._weight, upper * self._weight
        self._highs.addCols(n, costs, lower, upper, values.size, starts, rows, values)
        self._costs.append(costs)
        for held, values in zip(self._bounds, (lower, upper), strict=True):
            held.append(values)
        self.n_cols += n
        return np.arange(self.n_cols - n, self.n_cols)

    def set_costs(self, cols: Places, costs: Floats) -> None:
        """Change what columns cost."""
        costs = costs * self._value
        is_new = self._costs.take_in(cols, costs)
        if is_new.any():
            cols = cols[is_new].astype(np.int32)
            self._highs.changeColsCost(cols.size, cols, costs[is_new])

    def set_bounds(self, cols: Places, lower: Floats, upper: Floats) -> None:
        """Change the bounds of columns."""
        cols, lower, upper = self._differing(self._bounds, cols, lower, upper)
        if cols.size:
            self._highs.changeColsBounds(cols.size, cols.astype(np.int32), lower, upper)

    def set_rows(self, rows: Places, lower: Floats, upper: Floats) -> None:
        """Change the bounds of rows."""
        rows, lower, upper = self._differing(self._limits, rows, lower, upper)
        if rows.size:
            self._highs.changeRowsBounds(rows.size, rows.astype(np.int32), lower, upper)

    def _differing(
        self, held: tuple[_Held, _Held], places: Places, lower: Floats, upper: Floats
    ) -> tuple[Places, Floats, Floats]:
        # Where either bound is another one, and both bounds there, in HiGHS's units.
        lower, upper = lower * self._weight, upper * self._weight
        is_new = held[0].take_in(places, lower) | held[1].take_in(places, upper)
        return places[is_new], lower[is_new], upper[is_new]

    def run(self, simplex: Simplex, *, most_pivots: int) -> str:
        """Go on from the last basis; returns HiGHS's word, `OPTIMAL` where it found an answer."""
        if not self.n_cols:  # HiGHS has a word of its own for a program without columns
            self.pivots, self.row_duals = 0, np.zeros(self.n_rows)
            return OPTIMAL
        self._highs.setOptionValue("simplex_strategy", int(simplex))
        self._highs.setOptionValue("simplex_iteration_limit", most_pivots)
        self._highs.run()
        _, pivots = self._highs.getInfoValue("simplex_iteration_count")
        self.pivots = max(int(pivots), 0)
        solution = self._highs.getSolution()
        self.col_values = np.asarray(solution.col_value, dtype=np.float64) / self._weight
        self._col_duals = solution.col_dual
        self.row_duals = np.asarray(solution.row_dual, dtype=np.float64) / self._value
        return str(self._highs.modelStatusToString(self._highs.getModelStatus()))

    def duals_of(self, cols: Places) -> Floats:
        """Read the reduced costs of some columns from the last answer."""
        found = [self._col_duals[col] for col in cols.tolist()]
        return np.array(found, dtype=np.float64) / self._value
