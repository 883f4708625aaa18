"""The smaller spaces of the proof: approvals, the gates' own numbers, cancels by state."""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from types import MappingProxyType

from instgov_dagster.capital.risk.gates import gate_cvar
from instgov_dagster.loop.live.settling.told import Leftover, Told
from instgov_dagster.loop.proving.enumeration import Invariant, Mechanism
from instgov_dagster.loop.proving.factors import CVAR, STATES, order_gates, risk_of
from instgov_dagster.loop.proving.wire import (
    KEY,
    OTHER_KEY,
    sample_decision,
    sample_order,
    sample_receipt,
    send,
    wired,
)
from instgov_dagster.vocabulary.audit import ApprovedOrder, Order, OrderSide
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain, Decision
from instgov_dagster.vocabulary.reasons import ReasonCode

_VALUES = (0.01, CVAR.portfolio_limit, 0.07, math.nan)
_BOTH = (False, True)


def _other_side(order: ApprovedOrder) -> Order:
    other = OrderSide.SELL if order.side is OrderSide.BUY else OrderSide.BUY
    return replace(order, side=other)


def _other_mac(order: ApprovedOrder) -> Order:
    return replace(order, mac=("1" if order.mac[0] == "0" else "0") + order.mac[1:])


def _untouched(order: ApprovedOrder) -> Order:
    return order


_OTHER_KEY = "another key"
_HANDLERS: Mapping[str, Callable[[ApprovedOrder], Order]] = MappingProxyType(
    {
        "untouched": _untouched,
        _OTHER_KEY: _untouched,  # it is minted with another one
        "another quantity": lambda order: replace(order, quantity=order.quantity + Decimal(1)),
        "another side": _other_side,
        "another symbol": lambda order: replace(order, symbol="TLT"),
        "another price": lambda order: replace(order, limit_price=Decimal(1)),
        "another name": lambda order: replace(order, client_order_id="another"),
        "another receipt": lambda order: replace(order, receipt=replace(order.receipt, sequence=2)),
        "another mac": _other_mac,
        "never minted": lambda order: sample_order(side=order.side),
    }
)
#: What may happen to an approval on its way to the router.
HANDLING = tuple(_HANDLERS)
_COVERED = ("cycle-1", "cycle-0", None)


def prove_approvals(mechanism: Mechanism) -> Invariant:
    """Offer the router every combination of verb, order, receipt and handling.

    Only an order of the decision's symbol, cycle and side, whose receipt is of the loop's chain, of
    that cycle and covers the decision's row, minted with the session's key and unchanged since,
    may leave.
    """
    rule = Invariant(
        name="approval_is_whole",
        statement=(
            "An order leaves only if its decision is tradable and of its symbol, side and cycle,"
            " its receipt is of the loop's chain, of that cycle and holds the decision's row, and"
            " its approval was minted with the session's key and not touched since."
        ),
    )
    factors = (Decision, OrderSide, _BOTH, _BOTH, _BOTH, Chain, _COVERED, (0, 1), HANDLING)
    for at in itertools.product(*factors):
        verb, side, same_symbol, same_decided, same_ordered, chain, covered, row, handling = at
        order = sample_order(
            side=side,
            cycle_id="cycle-1" if same_ordered else "cycle-2",
            decision_sequence=row,
        )
        decision = sample_decision(
            verb,
            symbol="SPY" if same_symbol else "TLT",
            cycle_id="cycle-1" if same_decided else "cycle-2",
        )
        receipt = sample_receipt(chain=chain.value, cycle_id=covered)
        wanted = {Decision.EXECUTE: OrderSide.BUY, Decision.REDUCE: OrderSide.SELL}.get(verb)
        is_one = same_symbol and same_decided and same_ordered and wanted is side
        is_covered = chain is Chain.LOOP and covered == "cycle-1" and row == 0
        may = is_one and is_covered and handling == "untouched"
        key = OTHER_KEY if handling == _OTHER_KEY else KEY
        sent: Order = order
        with contextlib.suppress(SystemHalt):
            approved = mechanism.mint(order, decision, receipt, cycle_id="cycle-1", key=key)
            sent = _HANDLERS[handling](approved)
        router, broker = wired()
        refused = send(router, [sent])
        is_sent = bool(broker.submitted)
        holds = is_sent is may and (is_sent or refused is ReasonCode.ORDER_NOT_APPROVED)
        rule.check(holds=holds, where=partial(str, at))
    return rule


def prove_gates() -> tuple[Invariant, Invariant]:
    """Show every gate its numbers: within, above and unseen, on each measure and before the trade.

    The joint gate opens on a book if every measure is within the limit, or if the book was in
    breach before and does not get worse; and never on a number that is not one.
    """
    joint = Invariant(
        name="joint_gate_is_exact",
        statement=(
            "The joint gate opens exactly if every measure, before and after, is a number and the"
            " largest after is at most the limit, or the largest before where that was more."
        ),
    )
    measures = list(itertools.product(_VALUES, repeat=3))
    for before, after in itertools.product(measures, measures):
        numbers = (*before, *after)
        is_seen = all(math.isfinite(value) for value in numbers)
        may = is_seen and max(after) <= max(CVAR.portfolio_limit, *before)
        gate = gate_cvar(risk_of(*before), risk_of(*after), config=CVAR)
        joint.check(holds=gate.passed is may, where=partial(str, numbers))
    three = Invariant(
        name="every_gate_shuts",
        statement="Every gate opens on a number within its limit, shuts above it and on none.",
    )
    for name, verdicts in order_gates().items():
        answers = (verdicts.open, verdicts.shut, verdicts.blind)
        for answer, may in zip(answers, (True, False, False), strict=True):
            holds = answer.passed is may and bool(answer.reason_codes)
            three.check(holds=holds, where=partial(str, name))
    return joint, three


def prove_cancels(mechanism: Mechanism) -> Invariant:
    """Recover a resting order in every state, asked as the session asks."""
    rule = Invariant(
        name="stop_cancels_nothing",
        statement=(
            "What an earlier leader left resting is withdrawn in every state but STOP_SYSTEM and"
            " the unknown one, where the broker hears nothing at all."
        ),
    )
    for state, side, is_heard in itertools.product(STATES, OrderSide, _BOTH):
        router, broker = wired()
        order = sample_order(side=side)
        broker.submitted.append(order)
        leftover = Leftover(order=order, shares=(("momentum", 1.0),), is_resting=is_heard)
        told = Told(asof=date(2025, 3, 12), leftovers={order.client_order_id: leftover})
        may = state not in ("STOP_SYSTEM", "UNKNOWN")
        router.recover(told, may_cancel=mechanism.fold(state).allows_cancel)
        holds = bool(broker.cancelled) is may and broker.submitted == [order]
        rule.check(holds=holds, where=partial(str, (state, side, is_heard)))
    return rule


def small_spaces(mechanism: Mechanism) -> Iterator[Invariant]:
    """Give what is proved of each of the smaller spaces."""
    yield prove_approvals(mechanism)
    yield from prove_gates()
    yield prove_cancels(mechanism)
