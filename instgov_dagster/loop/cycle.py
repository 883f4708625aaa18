"""The decision of one cycle, pure: the live session, the night, replay and survival all use it."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.capital.auction.assemble import build_instance
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.capital.auction.run import run_auction
from instgov_dagster.capital.auction.solver import AuctionSolver
from instgov_dagster.capital.auction.values import AdjustedValues, adjusted_values
from instgov_dagster.capital.book import BookRisk, scale_book
from instgov_dagster.capital.execution import plan_orders
from instgov_dagster.capital.risk import judge_book
from instgov_dagster.capital.trades import TradingConditions, draft_trades
from instgov_dagster.governance.audit import Digest, inputs_hash
from instgov_dagster.governance.decisions import CycleCase, compose_decisions
from instgov_dagster.governance.state import cause_of
from instgov_dagster.loop.decision.bidding import (
    Bids,
    ValuedBook,
    assemble_bids,
    target_facts,
    value_book,
)
from instgov_dagster.loop.decision.book import Book
from instgov_dagster.loop.decision.casework import Findings, forced_symbols, symbol_cases
from instgov_dagster.loop.decision.conditions import all_vetoes, book_vetoes, execution_regime
from instgov_dagster.loop.decision.forecasting import Forecasts, forecast_now
from instgov_dagster.loop.decision.gains import lead_strategies
from instgov_dagster.loop.decision.proposing import book_proposal
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.vocabulary.capital import PlannedOrder
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import DataRejected, SystemHalt
from instgov_dagster.vocabulary.governance import (
    Cause,
    GovernanceDecision,
    SystemState,
    SystemStateName,
    Veto,
    state_code,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CycleState:
    """What a cycle is told beside snapshot, quotes and book, and what it hands to the next.

    Attributes
    ----------
    system
        The state of the system by the three chains, read before the cycle.
    is_late, is_stale
        Recorded inputs: the cycle missed its second; the snapshot outlived its time to live.
    is_cold
        A recorded input: the solver forgets what it kept from earlier cycles before this one.
    marks
        Shape ``(n_symbols,)``: the last price of each symbol the session knows.
    previous
        Weight of each bid in the last target, by bid id.
    traded_usd
        Shape ``(n_symbols,)``: what the session traded of each symbol so far.
    vetoes
        Vetoes that stand, by the snapshot; those of the book itself are found anew each cycle.
    """

    cycle_id: str
    timestamp: datetime
    system: SystemState
    is_late: bool
    is_stale: bool
    is_cold: bool
    marks: Floats
    previous: dict[str, float]
    traded_usd: Floats
    vetoes: tuple[Veto, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CycleDecision:
    """All that one cycle saw, weighed and decided; decisions are in the snapshot's order."""

    snapshot_id: str
    asof: date
    inputs: Digest
    told: CycleState
    quotes: Quotes
    valued: ValuedBook
    forecasts: Forecasts
    found: Findings
    orders: tuple[PlannedOrder, ...]
    decisions: tuple[GovernanceDecision, ...]

    @property
    def inputs_hash(self) -> str:
        """Digest of all that the cycle was told: the same inputs have the same."""
        return str(self.inputs)

    @property
    def cycle_id(self) -> str:
        """The cycle's own name."""
        return self.told.cycle_id

    @property
    def auction(self) -> AuctionResult:
        """What the auction gave every bid."""
        return self.found.auction

    @property
    def risk(self) -> BookRisk:
        """The book's tail risk with every approved order done."""
        return self.found.verdict.risk_after


def opening_state(snapshot: Snapshot) -> CycleState:
    """Give the state a session starts from: last closes as marks, no target, the night's vetoes."""
    start = datetime.combine(snapshot.asof, datetime.min.time(), tzinfo=UTC)
    return CycleState(
        cycle_id="opening",
        timestamp=start,
        system=SystemState(name=SystemStateName.RUNNING, causes=()),
        is_late=False,
        is_stale=False,
        is_cold=True,
        marks=snapshot.last_close,
        previous={},
        traded_usd=np.zeros(len(snapshot.symbols)),
        vetoes=snapshot.vetoes,
    )


def decide(
    snapshot: Snapshot,
    quotes: Quotes,
    book: Book,
    state: CycleState,
    config: Policy,
    *,
    solver: AuctionSolver,
) -> tuple[CycleDecision, CycleState]:
    """Decide every symbol once (roadmap 3.5, 4.4) and give the state for the next cycle.

    Parameters
    ----------
    snapshot
        The night's knowledge; where it carries models they forecast from this instant's prices.
    quotes
        The quotes of this instant, in the snapshot's symbol order.
    book
        What is held.
    state
        What the cycle is told: instant, system state, lateness, marks, vetoes.
    solver
        A fold of the session's inputs; what it says is checked before it is used.

    Raises
    ------
    SystemHalt
        Where the book cannot be valued, scaled out of a breach, or not even cash is feasible.
    ValueError
        If the quotes are not in the snapshot's order.
    """
    snapshot, valued, told = _value(snapshot, quotes, book, state, config)
    if state.is_cold:
        solver.restart()
    found = _find(snapshot, quotes, valued, told, config, solver)
    vetoes = all_vetoes(state.vetoes, snapshot, valued, found.verdict.risk_before, config)
    cases = symbol_cases(snapshot, valued, found, vetoes)
    case = cycle_case(state, found, nav_usd=valued.nav_usd, config=config)
    decisions = compose_decisions(cases, case)
    tradable = {row.symbol for row in decisions if row.decision.is_tradable}
    decision = CycleDecision(
        snapshot_id=snapshot.snapshot_id,
        asof=snapshot.asof,
        inputs=Digest(partial(_hash_inputs, snapshot.content, quotes, book, state)),
        told=state,
        quotes=quotes,
        valued=valued,
        forecasts=snapshot.forecasts,
        found=found,
        orders=tuple(order for order in found.plan.orders if order.symbol in tradable),
        decisions=decisions,
    )
    return decision, replace(state, marks=valued.marks, previous=found.target)


def hold_auction(
    snapshot: Snapshot,
    quotes: Quotes,
    book: Book,
    state: CycleState,
    config: Policy,
    *,
    solver: AuctionSolver,
) -> AuctionResult:
    """Hold the auction that `decide` holds, alone: nothing is judged, planned or decided."""
    snapshot, valued, told = _value(snapshot, quotes, book, state, config)
    if state.is_cold:
        solver.restart()
    return _compete(snapshot, _bid(snapshot, valued, told, config), told, config, solver)


def _value(
    snapshot: Snapshot, quotes: Quotes, book: Book, state: CycleState, config: Policy
) -> tuple[Snapshot, ValuedBook, CycleState]:
    # The snapshot with the forecasts of this instant, the book at it, and what the book forbids.
    if quotes.symbols != snapshot.symbols:
        raise ValueError("quotes must have the snapshot's symbols, in its order")
    instant = np.datetime64(state.timestamp.replace(tzinfo=None), "us")
    has_quote = quotes.valid_mask(instant, config.loop.quote_max_age_seconds)
    valued = value_book(snapshot, quotes, book, state.marks, has_quote=has_quote)
    forecasts = forecast_now(snapshot.forecasts, snapshot.models, valued.marks, config.models)
    snapshot = replace(snapshot, forecasts=forecasts)
    vetoes = (*state.vetoes, *book_vetoes(snapshot, valued, config))
    return snapshot, valued, replace(state, vetoes=vetoes)


def _bid(snapshot: Snapshot, valued: ValuedBook, state: CycleState, config: Policy) -> Bids:
    return assemble_bids(
        snapshot,
        valued,
        config,
        freeze_codes=_freeze_codes(snapshot, state),
        traded_usd=state.traded_usd,
        vetoes=state.vetoes,
    )


def cycle_case(state: CycleState, found: Findings, *, nav_usd: float, config: Policy) -> CycleCase:
    """Give what all the decisions of one cycle share."""
    return CycleCase(
        cycle_id=state.cycle_id,
        timestamp=state.timestamp,
        state=state.system,
        is_late=state.is_late,
        is_stale=state.is_stale,
        book_gates=found.verdict.book_gates,
        minimum_change=config.impact.orders.min_order_usd / nav_usd,
    )


def _find(
    snapshot: Snapshot,
    quotes: Quotes,
    valued: ValuedBook,
    state: CycleState,
    config: Policy,
    solver: AuctionSolver,
) -> Findings:
    # Bids, auction, trades, gates, plan: each wing says its part before governance decides.
    bids = _bid(snapshot, valued, state, config)
    auction = _compete(snapshot, bids, state, config, solver)
    forced = forced_symbols(auction)
    conditions = _conditions(snapshot, quotes, valued, state)
    before = valued.net[snapshot.places]
    wanted = before if state.is_late else auction.net(snapshot.scenarios.symbols)
    scaled, causes = _scale_on_breach(snapshot, before, config)
    wanted = wanted if scaled is None else np.minimum(wanted, scaled)
    draft = draft_trades(conditions, before=before, target=wanted, policy=config.impact)
    verdict = judge_book(
        book_proposal(snapshot, valued, bids, auction, draft, config, scaled, forced),
        snapshot.scenarios,
        config=config.cvar,
        limits=config.limits,
    )
    names = [conditions.symbols[i] for i in verdict.sequence]
    plan = plan_orders(
        draft,
        conditions,
        sequence=verdict.sequence,
        lead_strategies=lead_strategies(auction, names),
        policy=config.impact,
    )
    return Findings(
        bids=bids,
        auction=auction,
        draft=draft,
        wanted=wanted,
        verdict=verdict,
        plan=plan,
        forced=forced,
        is_scaled=scaled is not None,
        causes=causes,
    )


def _scale_on_breach(
    snapshot: Snapshot, before: Floats, config: Policy
) -> tuple[Floats | None, tuple[Cause, ...]]:
    # A book in breach is scaled as a whole and nothing in it grows (roadmap 5.5), late or not.
    # Where scaling is refused the system halts: nothing grows either, an operator decides.
    try:
        scaled = scale_book(before, snapshot.scenarios, config=config.cvar)
    except DataRejected as refusal:
        if refusal.reason_code is not ReasonCode.CVAR_SCALE_REFUSED:
            raise SystemHalt(refusal.reason_code, refusal.detail) from refusal
        return before, (cause_of(refusal.reason_code, refusal.reason_code.sentence),)
    return (None if scaled.scale >= 1.0 else scaled.weights), ()


def _freeze_codes(snapshot: Snapshot, state: CycleState) -> tuple[ReasonCode, ...]:
    # Whatever forbids every increase in this cycle keeps every bid from growing.
    codes = []
    if not state.system.allows_increase:
        codes.append(state_code(state.system.name))
    if snapshot.regime.is_reduce_only:
        codes.append(ReasonCode.REGIME_CRISIS_REDUCE_ONLY)
    if state.is_stale:
        codes.append(ReasonCode.STALE_DATA)
    if state.is_late:
        codes.append(ReasonCode.LATE_CYCLE_HOLD)
    return tuple(codes)


def compose_auction(
    snapshot: Snapshot, bids: Bids, state: CycleState, config: Policy
) -> tuple[AuctionInstance, AdjustedValues]:
    """Give the auction a cycle holds: its numbers, and what each penalty took from each bid."""
    age = max((state.timestamp.date() - snapshot.asof).days, 0)
    values = adjusted_values(
        bids.table,
        final_decay_factor=bids.decay,
        sessions_since_forecast=np.full(len(bids.table), float(age)),
        policy=config.auction,
    )
    instance = build_instance(
        bids.table,
        values,
        snapshot.scenarios,
        bids.terms,
        policy=config.auction,
        cvar_config=config.cvar,
    )
    return instance, values


def _compete(
    snapshot: Snapshot, bids: Bids, state: CycleState, config: Policy, solver: AuctionSolver
) -> AuctionResult:
    instance, values = compose_auction(snapshot, bids, state, config)
    ids = instance.bid_ids
    known = bool(state.previous) and all(name in state.previous for name in ids)
    previous = np.array([state.previous[name] for name in ids]) if known else None
    return run_auction(instance, values, solver=solver, previous=previous)


def _conditions(
    snapshot: Snapshot, quotes: Quotes, valued: ValuedBook, state: CycleState
) -> TradingConditions:
    places, has_quote = snapshot.places, valued.has_quote
    mid = np.where(has_quote, quotes.mid(), np.nan)
    return TradingConditions(
        symbols=snapshot.scenarios.symbols,
        asset_classes=tuple(snapshot.asset_class[n] for n in places),
        mid=mid[places],
        spread_bps=2.0 * valued.half_spread_bps[places],
        is_quoted=has_quote[places],
        adv_usd=snapshot.adv_usd[places],
        traded_usd=state.traded_usd[places],
        volatility_annual=snapshot.volatility_annual[places],
        nav_usd=valued.nav_usd,
        regime=execution_regime(snapshot),
    )


def _hash_inputs(content: Digest, quotes: Quotes, book: Book, state: CycleState) -> str:
    return inputs_hash(
        {
            "snapshot_sha256": str(content),
            "bid": quotes.bid,
            "ask": quotes.ask,
            "observed_at": quotes.observed_at,
            **({} if quotes.is_open is None else {"is_open": quotes.is_open}),
            "book": book,
            "cycle_id": state.cycle_id,
            "timestamp": state.timestamp,
            "system": state.system,
            "is_late": state.is_late,
            "is_stale": state.is_stale,
            "is_cold": state.is_cold,
            "marks": state.marks,
            "traded_usd": state.traded_usd,
            **target_facts(state.previous),
            "vetoes": state.vetoes,
        }
    )
