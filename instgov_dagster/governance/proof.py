"""No bypass: an order is minted from an audited decision, and only a minted one may be sent."""

import hashlib
import hmac
from dataclasses import fields
from typing import Any

from instgov_dagster.governance.audit import canonical_json
from instgov_dagster.vocabulary.audit import AppendReceipt, ApprovedOrder, Order, OrderSide
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain, Decision, GovernanceDecision
from instgov_dagster.vocabulary.reasons import ReasonCode

LEAST_KEY_BYTES = 16
_PURPOSE = b"instgov approved order 1\n"  # a mac made for anything else is worth nothing here
_SIDES = {Decision.EXECUTE: OrderSide.BUY, Decision.REDUCE: OrderSide.SELL}  # long only


def _refuse(detail: str) -> SystemHalt:
    return SystemHalt(ReasonCode.ORDER_NOT_APPROVED, detail)


def _mac(order: Order, receipt: AppendReceipt, key: bytes) -> str:
    if len(key) < LEAST_KEY_BYTES:
        raise _refuse(f"the key must have at least {LEAST_KEY_BYTES} bytes, had {len(key)}")
    # The fields of Order only: an approved order is an order with a receipt and this very mac.
    bound: dict[str, Any] = {field.name: getattr(order, field.name) for field in fields(Order)}
    text = canonical_json({"order": bound, "receipt": receipt})
    return hmac.new(key, _PURPOSE + text.encode("ascii"), hashlib.sha256).hexdigest()


def _find_flaw(  # noqa: PLR0911  # one return a flaw
    order: Order, decision: GovernanceDecision, receipt: AppendReceipt, cycle_id: str
) -> str | None:
    verb = decision.decision
    if not verb.is_tradable or decision.vetoed:
        return f"{verb} on {order.symbol} allows no order"
    if order.side is not _SIDES[verb]:
        return f"{verb} on {order.symbol} allows no {order.side}"
    if decision.symbol != order.symbol:
        return f"the decision is about {decision.symbol}, the order about {order.symbol}"
    if not decision.cycle_id == order.cycle_id == cycle_id:
        return f"cycles differ: {decision.cycle_id} decided, {order.cycle_id} ordered, {cycle_id}"
    if receipt.cycle_id != cycle_id:
        return f"the receipt covers cycle {receipt.cycle_id}, the decision is of {cycle_id}"
    if receipt.chain != Chain.LOOP:
        return f"the receipt is of the chain {receipt.chain}, not of {Chain.LOOP}"
    if order.decision_sequence >= receipt.rows:
        return (
            f"the frame holds {receipt.rows} decisions, the order names {order.decision_sequence}"
        )
    return None


def mint_approved_order(
    order: Order,
    decision: GovernanceDecision,
    receipt: AppendReceipt,
    *,
    cycle_id: str,
    key: bytes,
) -> ApprovedOrder:
    """Approve an order whose decision stands in the journal (roadmap 9.4, SPEC 7).

    Parameters
    ----------
    order
        What the execution plan wants to send; ``decision_sequence`` is the row of its decision.
    decision
        EXECUTE allows purchases, REDUCE allows sales, nothing else allows anything.
    receipt
        Proof that the frame with the cycle's decisions is on disk in the loop's chain.
    cycle_id
        The cycle written into that frame.
    key
        The session's secret, at least 16 bytes.

    Raises
    ------
    SystemHalt
        ORDER_NOT_APPROVED where the decision, the order, the receipt and the cycle do not belong
        together: an order that got this far without approval is a fault, not a bad bid.
    """
    flaw = _find_flaw(order, decision, receipt, cycle_id)
    if flaw is not None:
        raise _refuse(flaw)
    return ApprovedOrder(
        **{field.name: getattr(order, field.name) for field in fields(Order)},
        receipt=receipt,
        mac=_mac(order, receipt, key),
    )


def require_approved(order: object, key: bytes) -> ApprovedOrder:
    """Return the order if governance minted it with this key and nothing changed since.

    Raises
    ------
    SystemHalt
        ORDER_NOT_APPROVED.
    """
    if type(order) is not ApprovedOrder:
        raise _refuse(f"not an approved order: {type(order).__name__}")
    if not hmac.compare_digest(_mac(order, order.receipt, key), order.mac):
        raise _refuse(f"the approval of {order.client_order_id} does not verify")
    return order
