"""Walk the space of cycles and symbols through the real code, and hold what was sent against it.

Whoever drives is malicious: it asks for a purchase and a sale in every single state, whatever was
decided. Decisions are composed, journalled, minted and routed by the code the session uses; at the
router's port a broker writes down what reaches it.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from instgov_dagster.adapters.journal import Journal
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.governance.decisions import CycleCase, SymbolCase, compose_decisions
from instgov_dagster.governance.proof import mint_approved_order
from instgov_dagster.loop.proving.factors import (
    MINIMUM,
    STATES,
    Coordinates,
    book_gates,
    case_of,
    circumstances,
    order_gates,
    patterns,
    state_of,
    subsets,
)
from instgov_dagster.loop.proving.wire import KEY, NOON, sample_order, send, wired
from instgov_dagster.vocabulary.audit import AppendReceipt, ApprovedOrder, Order, OrderSide
from instgov_dagster.vocabulary.capital import GateResult
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain, GovernanceDecision, SystemState

CYCLE = "cycle-1"
#: Counts the cycles walked, in the walk's folder.
PROGRESS_FILE = "proof.progress"
_FRAME = "proof"
_EXAMPLES = 3

Compose = Callable[[Iterable[SymbolCase], CycleCase], tuple[GovernanceDecision, ...]]
Mint = Callable[..., ApprovedOrder]
Fold = Callable[[str], SystemState]
Where = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """The code under proof; a test puts a sabotaged part in to see the proof fail."""

    compose: Compose = compose_decisions
    mint: Mint = mint_approved_order
    fold: Fold = state_of


@dataclass(slots=True, kw_only=True)
class Invariant:
    """One sentence, in how many states it was held against what happened, and where it failed."""

    name: str
    statement: str
    states: int = 0
    violations: int = 0
    examples: list[str] = field(default_factory=list)

    def check(self, *, holds: bool, where: Where) -> None:
        """Count one state; ``where`` names it if it fails."""
        self.states += 1
        if not holds:
            self.violations += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(where())


STATEMENTS = {
    "purchase_passed_everything": (
        "A purchase is sent only in RUNNING, in time, on a snapshot that is fresh, with a valid"
        " quote, a finite forecast, an eligible symbol with a route and a bid, no veto, and every"
        " gate of the order and of the book open."
    ),
    "sale_only_shrinks": (
        "A sale is sent only for a position that shrinks, in time, with a route, in a state that"
        " allows reductions."
    ),
    "stop_sends_nothing": "In STOP_SYSTEM, and where the state is unknown, nothing is sent.",
    "halt_only_reduces": "In HALT_SYSTEM and REDUCE_ONLY nothing but reductions is sent.",
    "sent_was_audited": (
        "Whatever is sent was decided in a frame that stood in the journal before it was sent."
    ),
    "unaudited_sends_nothing": "Where the frame was not written, no approval can be had.",
    "sent_once_as_minted": "What the broker gets is what was minted, once.",
    "allowed_is_sent": (
        "Whatever the specification allows is sent: the walls are not there because nothing moves."
    ),
    "decided_with_reason": "Every symbol is decided once, with at least one reason.",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One symbol of a walk: where it stands, its case, and what is asked for it."""

    at: Coordinates
    case: SymbolCase
    buy: Order
    sell: Order


def places(rows: Iterable[tuple[Coordinates, tuple[GateResult, ...]]]) -> list[Place]:
    """Write a case and two orders for every place, in order."""
    out = []
    for n, (at, gates) in enumerate(rows):
        symbol = f"S{n:06d}"
        is_open = bool(gates) and all(gate.passed for gate in gates)
        order = sample_order(
            client_order_id=f"{CYCLE}|{symbol}|BUY|0",
            cycle_id=CYCLE,
            symbol=symbol,
            decision_sequence=n,
        )
        sale = replace(order, client_order_id=f"{CYCLE}|{symbol}|SELL|0", side=OrderSide.SELL)
        stands = replace(at, are_gates_open=is_open)
        out.append(Place(stands, case_of(symbol, stands, gates), order, sale))
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleAt:
    """Where a cycle stands in the space."""

    state: str
    is_late: bool
    is_stale: bool
    book: tuple[GateResult, ...]

    @property
    def may_buy(self) -> bool:
        """Whether nothing of the cycle stands against a purchase, by the specification."""
        is_open = bool(self.book) and all(gate.passed for gate in self.book)
        return self.state == "RUNNING" and not self.is_late and not self.is_stale and is_open

    @property
    def may_sell(self) -> bool:
        """Whether the cycle lets a reduction go, by the specification."""
        return self.state in ("RUNNING", "REDUCE_ONLY", "HALT_SYSTEM") and not self.is_late


def cycles(books: Sequence[tuple[GateResult, ...]]) -> list[CycleAt]:
    """Give every cycle: state, lateness, staleness, the answers of the book's gates."""
    flags = (False, True)
    return [
        CycleAt(state=state, is_late=late, is_stale=stale, book=book)
        for state, late, stale, book in itertools.product(STATES, flags, flags, books)
    ]


class Walk:
    """One walk over a product of cycles and places, counting what was seen.

    Parameters
    ----------
    folder
        An empty folder for the journal that is written on the way.
    """

    def __init__(self, folder: Path, mechanism: Mechanism) -> None:
        self._folder = folder
        self._mechanism = mechanism
        self.visited = self.cycles = 0
        self.invariants = {
            name: Invariant(name=name, statement=text) for name, text in STATEMENTS.items()
        }

    def over(self, listed: Sequence[CycleAt], at: Sequence[Place]) -> None:
        """Visit every pair of a cycle and a place, once with the audit written and once not."""
        table = pa.table({"symbol": [place.case.symbol for place in at]})
        with Journal.open(
            self._folder, Chain.LOOP.value, key=None, clock=VirtualClock(NOON), anchors=()
        ) as journal:
            for cycle in listed:
                decisions = self._decide(cycle, at)
                receipt = journal.append(_FRAME, table, {"cycle_id": CYCLE})
                self._ask(cycle, at, decisions, receipt)
                self._ask_unaudited(cycle, at, decisions, receipt)
                self.visited += len(at)
                self.cycles += 1

    def _decide(self, cycle: CycleAt, at: Sequence[Place]) -> tuple[GovernanceDecision, ...]:
        case = CycleCase(
            cycle_id=CYCLE,
            timestamp=NOON,
            state=self._mechanism.fold(cycle.state),
            is_late=cycle.is_late,
            is_stale=cycle.is_stale,
            book_gates=cycle.book,
            minimum_change=MINIMUM,
        )
        decisions = self._mechanism.compose([place.case for place in at], case)
        rule = self.invariants["decided_with_reason"]
        for place, row in zip(at, decisions, strict=True):
            holds = row.symbol == place.case.symbol and bool(row.reason_codes)
            rule.check(holds=holds, where=partial(_name, cycle, place))
        return decisions

    def _mint(
        self, order: Order, decision: GovernanceDecision, receipt: AppendReceipt
    ) -> ApprovedOrder | None:
        try:
            return self._mechanism.mint(order, decision, receipt, cycle_id=CYCLE, key=KEY)
        except SystemHalt:
            return None

    def _ask(
        self,
        cycle: CycleAt,
        at: Sequence[Place],
        decisions: Sequence[GovernanceDecision],
        receipt: AppendReceipt,
    ) -> None:
        minted: list[ApprovedOrder] = []
        for place, decision in zip(at, decisions, strict=True):
            for order in (place.buy, place.sell):
                approved = self._mint(order, decision, receipt)
                if approved is not None:
                    minted.append(approved)
        router, broker = wired()
        refusal = send(router, minted)
        sent = {order.client_order_id: order for order in broker.submitted}
        once = self.invariants["sent_once_as_minted"]
        once.check(
            holds=refusal is None and broker.submitted == minted and len(sent) == len(minted),
            where=lambda: f"{cycle.state}: {len(sent)} sent of {len(minted)} minted",
        )
        for n, place in enumerate(at):
            self._hold(cycle, place, sent)
            for order in (place.buy, place.sell):
                found = sent.get(order.client_order_id)
                if isinstance(found, ApprovedOrder):
                    audited = found.receipt == receipt and n < receipt.rows
                    self.invariants["sent_was_audited"].check(
                        holds=audited, where=partial(_name, cycle, place)
                    )

    def _hold(self, cycle: CycleAt, place: Place, sent: dict[str, Order]) -> None:
        is_bought = place.buy.client_order_id in sent
        is_sold = place.sell.client_order_id in sent
        may_buy = cycle.may_buy and place.at.may_buy
        may_sell = cycle.may_sell and place.at.may_sell
        rules = self.invariants
        where = partial(_name, cycle, place)
        rules["purchase_passed_everything"].check(holds=may_buy or not is_bought, where=where)
        rules["sale_only_shrinks"].check(holds=may_sell or not is_sold, where=where)
        rules["allowed_is_sent"].check(
            holds=(is_bought or not may_buy) and (is_sold or not may_sell), where=where
        )
        if cycle.state in ("STOP_SYSTEM", "UNKNOWN"):
            rules["stop_sends_nothing"].check(holds=not (is_bought or is_sold), where=where)
        elif cycle.state != "RUNNING":
            rules["halt_only_reduces"].check(holds=not is_bought, where=where)

    def _ask_unaudited(
        self,
        cycle: CycleAt,
        at: Sequence[Place],
        decisions: Sequence[GovernanceDecision],
        receipt: AppendReceipt,
    ) -> None:
        # The frame was not written: all there is are receipts of other frames.
        stale = replace(receipt, cycle_id="cycle-0")
        rule = self.invariants["unaudited_sends_nothing"]
        for place, decision in zip(at, decisions, strict=True):
            if not decision.decision.is_tradable:
                continue
            order = place.buy if place.at.move not in ("decrease", "close") else place.sell
            rule.check(
                holds=self._mint(order, decision, stale) is None, where=partial(_name, cycle, place)
            )


def _name(cycle: CycleAt, place: Place) -> str:
    shut = [gate.name for gate in (*cycle.book, *place.case.gates) if not gate.passed]
    return f"{cycle.state} late={cycle.is_late} stale={cycle.is_stale} {place.at} shut={shut}"


def walk_everything(folder: Path, mechanism: Mechanism) -> Walk:
    """Walk the three products of the proof.

    Every circumstance of a symbol, with each of its gates shut or blind, in every cycle whose book
    passes; every circumstance in every cycle with each of the book's gates shut or blind; and every
    subset of shut gates of an order that nothing else stands against, in every state.
    """
    walk = Walk(folder, mechanism)
    counter = folder / PROGRESS_FILE
    gates, books = order_gates(), book_gates()
    open_book, *shut_books = patterns(books)
    extremes = [next(patterns(gates)), tuple(verdicts.shut for verdicts in gates.values())]
    clear = [at for at in circumstances() if _is_clear(at)]
    passing = cycles([open_book])
    plain = [cycle for cycle in passing if not (cycle.is_late or cycle.is_stale)]
    products = (
        (passing, itertools.product(circumstances(), (*patterns(gates), ()))),
        (cycles([*shut_books, ()]), itertools.product(circumstances(), extremes)),
        (plain, itertools.product(clear, subsets(gates))),
    )
    total = sum(len(listed) for listed, _ in products)
    for listed, rows in products:
        at = places(rows)
        for cycle in listed:
            walk.over([cycle], at)
            counter.write_text(f"{walk.cycles}/{total} cycles", encoding="utf-8")
    return walk


def _is_clear(at: Coordinates) -> bool:
    return at.may_buy or (
        at.may_sell
        and at.has_quote
        and at.is_forecast
        and at.has_bid
        and at.eligibility == "eligible"
        and not at.is_vetoed
    )
