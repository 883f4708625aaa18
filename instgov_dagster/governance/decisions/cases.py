"""What a decision is made from, as plain scalars: one case a symbol, one for the whole cycle."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.capital import GateResult
from instgov_dagster.vocabulary.governance import StrategyLifecycle, SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolCase:
    """Everything the wings found about one symbol, on the net of all its bids.

    Numbers may be NaN where they could not be measured: that blocks an increase, it is never
    guessed at.

    Attributes
    ----------
    is_eligible
        The status is VALID and the history suffices (data_governance).
    has_route
        The market has a route for execution in the symbol's class.
    eligibility_reasons
        Why not; required where one of the two is False.
    held_weight, target_weight
        Fractions of NAV: now, and as the auction wants it.
    has_bid
        At least one strategy bid for the symbol.
    auction_reasons
        Of the leading bid: why it won or lost; required where there is a bid.
    mu, sigma, cvar
        Of the leading bid, per horizon, fractions of the position.
    gates
        The gates of this symbol's order; those of the book are in `CycleCase`.
    vetoes
        Codes of the vetoes that stand or fired on the symbol and its leading strategy, the
        gravest first.
    quote_reason
        Why the quote is not valid.
    strategy_id, strategy_stage
        The strategy with the largest grant, else with the best-ranked bid; see `lead_bids`.
    passing_size
        The largest target weight that would pass every gate; None if unknown.
    is_forced_sell
        The holding exceeds a cap.
    """

    symbol: str
    is_eligible: bool
    has_route: bool
    eligibility_reasons: tuple[ReasonCode, ...]
    held_weight: float
    target_weight: float
    has_bid: bool
    auction_reasons: tuple[ReasonCode, ...]
    mu: float
    sigma: float
    cvar: float
    data_quality: float
    model_confidence: float
    gates: tuple[GateResult, ...]
    vetoes: tuple[ReasonCode, ...]
    is_quote_valid: bool
    quote_reason: ReasonCode = ReasonCode.QUOTE_INVALID
    strategy_id: str | None = None
    strategy_stage: StrategyLifecycle | None = None
    passing_size: float | None = None
    is_forced_sell: bool = False

    def __post_init__(self) -> None:
        if not self.symbol:
            raise ValueError("SymbolCase.symbol must not be empty")
        if not (self.is_eligible and self.has_route) and not self.eligibility_reasons:
            raise ValueError(f"{self.symbol} is not eligible: eligibility_reasons must say why")
        if self.has_bid and not self.auction_reasons:
            raise ValueError(f"{self.symbol} has a bid: auction_reasons must not be empty")
        for code in self.vetoes:
            if not code.startswith("VETO_"):
                raise ValueError(f"SymbolCase.vetoes must hold codes of vetoes, was {code}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleCase:
    """What all the decisions of one cycle share.

    Attributes
    ----------
    timestamp
        Of the cycle, UTC.
    is_late
        The cycle missed its second: an input recorded in its frame, never a clock read here.
    is_stale
        The published snapshot has outlived its time to live.
    book_gates
        The gates of the whole target book.
    minimum_change
        The smallest change of weight worth an order, a fraction of NAV.
    """

    cycle_id: str
    timestamp: datetime
    state: SystemState
    is_late: bool
    is_stale: bool
    book_gates: tuple[GateResult, ...]
    minimum_change: float

    def __post_init__(self) -> None:
        if not self.cycle_id:
            raise ValueError("CycleCase.cycle_id must not be empty")
        if not 0.0 < self.minimum_change < 1.0:  # NaN fails this as well
            raise ValueError(
                f"CycleCase.minimum_change must be in (0, 1), was {self.minimum_change}"
            )


def lead_bids(
    symbol_of_bid: NDArray[np.int64],
    grants: NDArray[np.float64],
    ranks: NDArray[np.int64],
    *,
    n_symbols: int,
) -> NDArray[np.int64]:
    """Find the bid that speaks for each symbol: the largest grant, else the best rank (SPEC 7).

    Parameters
    ----------
    symbol_of_bid
        Shape ``(n_bids,)``: the place of each bid's symbol, 0 to ``n_symbols - 1``.
    grants
        Shape ``(n_bids,)``: weight granted; a grant that is not finite counts as none.
    ranks
        Shape ``(n_bids,)``: 1 is the best; equal grants and ranks go to the first bid.

    Returns
    -------
    Shape ``(n_symbols,)``: the place of the leading bid, -1 where there is no bid.

    Raises
    ------
    ValueError
        If the shapes differ or a symbol is out of range.
    """
    if not symbol_of_bid.shape == grants.shape == ranks.shape or symbol_of_bid.ndim != 1:
        raise ValueError(
            f"bids must share one shape, was {symbol_of_bid.shape} {grants.shape} {ranks.shape}"
        )
    leads = np.full(n_symbols, -1, dtype=np.int64)
    if not symbol_of_bid.size:
        return leads
    if symbol_of_bid.min() < 0 or symbol_of_bid.max() >= n_symbols:
        raise ValueError(f"symbol_of_bid must be in [0, {n_symbols}), was {symbol_of_bid}")
    granted = np.where(np.isfinite(grants), np.maximum(grants, 0.0), 0.0)
    order = np.lexsort((np.arange(ranks.size), ranks, -granted, symbol_of_bid))
    symbols, first = np.unique(symbol_of_bid[order], return_index=True)
    leads[symbols] = order[first]
    return leads
