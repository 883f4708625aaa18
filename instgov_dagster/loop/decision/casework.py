"""Fill governance's cases from what the other wings found about each symbol; nothing is judged."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.capital.execution import ExecutionPlan
from instgov_dagster.capital.risk import BookVerdict
from instgov_dagster.capital.trades import TradeDraft
from instgov_dagster.governance.decisions import SymbolCase, lead_bids
from instgov_dagster.loop.decision.bidding import Bids, ValuedBook
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.vocabulary.capital import GateResult
from instgov_dagster.vocabulary.governance import Cause, Veto
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """What the wings found in one cycle, before governance reads it.

    Attributes
    ----------
    wanted
        Net weights the auction asks for, shape ``(n_scenario_symbols,)``.
    draft
        What of it can be traded now.
    forced
        The symbols a cap forces out of.
    is_scaled
        The book is in breach of its CVaR limit and scaled as a whole.
    causes
        What this cycle found that stands against trading.
    """

    bids: Bids
    auction: AuctionResult
    wanted: NDArray[np.float64]
    draft: TradeDraft
    verdict: BookVerdict
    plan: ExecutionPlan
    forced: frozenset[str]
    is_scaled: bool
    causes: tuple[Cause, ...]

    @property
    def target(self) -> dict[str, float]:
        """The weight of each bid in the auction's answer, by bid id; none of a book in breach.

        A failed auction falls back on the last target: what a breach was sold out of must not be
        bought back that way.
        """
        if self.is_scaled:
            return {}
        return dict(zip(self.bids.table.bid_ids, self.auction.weights.tolist(), strict=True))


def forced_symbols(auction: AuctionResult) -> frozenset[str]:
    """Name the symbols a cap forces out of."""
    codes, word = auction.bids["reason_codes"], ReasonCode.FORCED_SELL.value
    if not (codes.explode(empty_as_null=True) == word).any():
        return frozenset()
    return frozenset(auction.bids["symbol"].filter(codes.list.contains(word)).to_list())


def _refusals(found: Findings) -> dict[str, GateResult]:
    # A trade that cannot be sized or priced is a gate that did not open, with its own reasons.
    out: dict[str, GateResult] = {}
    refused = dict(found.plan.refused)
    for i, symbol in enumerate(found.draft.symbols):
        codes = refused.get(symbol, ())
        is_dropped = found.draft.quantity[i] == 0
        blocking = tuple(c for c in found.draft.reason_codes[i] if c.severity is Severity.REJECT)
        if codes or (is_dropped and blocking):
            out[symbol] = GateResult(
                name="execution_size",
                passed=False,
                value=float(found.draft.share[i]),
                limit=1.0,
                headroom=0.0,
                reason_codes=codes or blocking,
            )
    return out


def symbol_cases(
    snapshot: Snapshot, valued: ValuedBook, found: Findings, vetoes: tuple[Veto, ...]
) -> Iterator[SymbolCase]:
    """Give one case a symbol of the universe, in the snapshot's order."""
    rows, bids = found.auction.bids, found.bids
    leads = lead_bids(
        bids.symbol_of.astype(np.int64),
        rows["weight"].to_numpy(),
        rows["rank"].to_numpy().astype(np.int64),
        n_symbols=len(snapshot.symbols),
    ).tolist()
    held, target = valued.net.tolist(), valued.net.copy()
    refusals = _refusals(found)
    reached = found.draft.after(valued.net[snapshot.places])
    for i, symbol in enumerate(found.draft.symbols):
        # What was cut down to size is judged at that size; what was refused, at what it wanted.
        target[snapshot.places[i]] = found.wanted[i] if symbol in refusals else reached[i]
    aims, facts = target.tolist(), _SymbolFacts.read(snapshot, valued)
    said = _lead_codes(rows["reason_codes"], leads)
    for n, symbol in enumerate(snapshot.symbols):
        lead, order = leads[n], found.verdict.order(symbol)
        k = int(bids.strategy_of[lead]) if lead >= 0 else None
        view = snapshot.strategies[k] if k is not None else None
        refusal = refusals.get(symbol)
        yield SymbolCase(
            symbol=symbol,
            is_eligible=facts.is_eligible[n],
            has_route=facts.has_route[n],
            eligibility_reasons=snapshot.symbol_reasons[n],
            held_weight=held[n],
            target_weight=aims[n],
            has_bid=lead >= 0,
            auction_reasons=said[n],
            mu=_of_bid(bids.table.mu, lead),
            sigma=_of_bid(bids.table.sigma, lead),
            cvar=_of_bid(bids.table.cvar_95, lead),
            data_quality=facts.data_quality[n],
            model_confidence=facts.confidence[k][n] if k is not None else 0.0,
            gates=(*(order.gates if order else ()), *((refusal,) if refusal else ())),
            vetoes=_standing(vetoes, view.strategy_id if view else None, symbol),
            is_quote_valid=facts.has_quote[n],
            quote_reason=valued.quote_reason(n),
            strategy_id=view.strategy_id if view else None,
            strategy_stage=view.stage if view else None,
            passing_size=_passing_size(order.passing_share, held[n], aims[n]) if order else None,
            is_forced_sell=symbol in found.forced,
        )


class _SymbolFacts(NamedTuple):
    # Plain lists: reading an array one number at a time costs ten times as much.
    is_eligible: list[bool]
    has_route: list[bool]
    has_quote: list[bool]
    data_quality: list[float]
    confidence: list[list[float]]

    @classmethod
    def read(cls, snapshot: Snapshot, valued: ValuedBook) -> "_SymbolFacts":
        stated = snapshot.forecasts.confidence
        return cls(
            is_eligible=snapshot.is_eligible.tolist(),
            has_route=snapshot.has_route.tolist(),
            has_quote=valued.has_quote.tolist(),
            data_quality=snapshot.data_quality.tolist(),
            confidence=np.where(np.isfinite(stated), stated, 0.0).tolist(),
        )


def _lead_codes(codes: pl.Series, leads: list[int]) -> list[tuple[ReasonCode, ...]]:
    # What the auction says of each symbol's leading bid, nothing where there is none.
    said = iter(codes.gather([lead for lead in leads if lead >= 0]).to_list())
    words: dict[tuple[str, ...], tuple[ReasonCode, ...]] = {}
    out: list[tuple[ReasonCode, ...]] = []
    for lead in leads:
        texts = tuple(next(said)) if lead >= 0 else ()
        if texts not in words:
            words[texts] = tuple(ReasonCode(text) for text in texts)
        out.append(words[texts])
    return out


def _of_bid(values: NDArray[np.float64], lead: int) -> float:
    return float(values[lead]) if lead >= 0 else float("nan")


def _standing(
    vetoes: tuple[Veto, ...], strategy_id: str | None, symbol: str
) -> tuple[ReasonCode, ...]:
    touching = (veto.reason_code for veto in vetoes if veto.touches(strategy_id, symbol))
    return tuple(dict.fromkeys(touching))


def _passing_size(share: float, held: float, target: float) -> float:
    return float(held + share * (target - held))
