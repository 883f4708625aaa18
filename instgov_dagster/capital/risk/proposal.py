"""What is proposed and what is said of it: proposals and verdicts as values; nothing is judged."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.book import BookRisk
from instgov_dagster.vocabulary.capital import ExecutionRegime, GateResult
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The symbol of a gate that judges the whole book.
BOOK: Final = "*"

#: The columns of `BookVerdict.to_frame`.
VERDICT_SCHEMA: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "gate": pl.String(),
        "passed": pl.Boolean(),
        "value": pl.Float64(),
        "limit_value": pl.Float64(),
        "headroom": pl.Float64(),
        "reason_codes": pl.List(pl.String()),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookProposal:
    """What would be done to the book, arrays of shape ``(n_symbols,)`` in ``symbols``' order.

    ``before`` and ``after`` are weights; ``net_gain`` what each order is expected to earn after
    its costs, a fraction of net asset value; ``correlations`` with the book held; ``sectors`` the
    sector of each symbol; ``is_forced`` whether a cap forces the symbol's reduction; ``drawdown``
    the book's, from its peak, a loss positive; ``hurdle`` lambda; ``regime`` how the market is
    traded: in a crisis only a reduction that takes CVaR off goes.
    """

    symbols: tuple[str, ...]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    net_gain: NDArray[np.float64]
    correlations: NDArray[np.float64]
    sectors: tuple[str, ...]
    is_forced: NDArray[np.bool_]
    drawdown: float
    hurdle: float
    regime: ExecutionRegime

    def __post_init__(self) -> None:
        n = len(self.symbols)
        for name in ("before", "after", "net_gain", "correlations", "is_forced"):
            if getattr(self, name).shape != (n,):
                raise ValueError(
                    f"BookProposal.{name} must have shape ({n},), was {getattr(self, name).shape}"
                )
        if len(self.sectors) != n:
            raise ValueError(f"BookProposal.sectors must have {n} rows, was {len(self.sectors)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderVerdict:
    """What the gates say of one order, and the largest share of it that would have passed."""

    symbol: str
    passed: bool
    delta_cvar: float
    passing_share: float
    gates: tuple[GateResult, ...]

    @property
    def reason_codes(self) -> tuple[ReasonCode, ...]:
        """Why it failed, each reason once; why it passed where it did."""
        wanted = [gate for gate in self.gates if gate.passed == self.passed]
        return tuple(dict.fromkeys(code for gate in wanted for code in gate.reason_codes))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookVerdict:
    """The verdict on a proposal: the book it leads to, and every gate on the way.

    ``weights`` (n_symbols,) is the book with the approved orders alone; ``sequence`` the numbers
    of the approved symbols in the order they may be sent, reductions first; ``orders`` one
    verdict for every symbol that would have traded.
    """

    symbols: tuple[str, ...]
    weights: NDArray[np.float64]
    sequence: tuple[int, ...]
    risk_before: BookRisk
    risk_after: BookRisk
    book_gates: tuple[GateResult, ...]
    orders: tuple[OrderVerdict, ...]

    def order(self, symbol: str) -> OrderVerdict | None:
        """Look up the verdict on one symbol's order; ``None`` where it had none."""
        return next((order for order in self.orders if order.symbol == symbol), None)

    def to_frame(self) -> pl.DataFrame:
        """Write one row a gate; the book's gates have the symbol ``*``."""
        rows = [(BOOK, gate) for gate in self.book_gates]
        rows += [(order.symbol, gate) for order in self.orders for gate in order.gates]
        return pl.DataFrame(
            [
                (
                    symbol,
                    gate.name,
                    gate.passed,
                    gate.value,
                    gate.limit,
                    gate.headroom,
                    [code.value for code in gate.reason_codes],
                )
                for symbol, gate in rows
            ],
            schema=VERDICT_SCHEMA,
            orient="row",
        )
