"""No order reaches the router but one minted from an audited decision."""

import dataclasses
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.proof import mint_approved_order, require_approved
from instgov_dagster.vocabulary.audit import AppendReceipt, ApprovedOrder, Order, OrderSide
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Decision, GovernanceDecision
from instgov_dagster.vocabulary.reasons import ReasonCode

KEY = b"k" * 32
CYCLE = "2024-03-04-000017"
SIDES = {Decision.EXECUTE: OrderSide.BUY, Decision.REDUCE: OrderSide.SELL}


def order(**changes: Any) -> Order:
    base: dict[str, Any] = {
        "client_order_id": "c-17-SPY-0",
        "cycle_id": CYCLE,
        "symbol": "SPY",
        "side": OrderSide.BUY,
        "quantity": Decimal("12.5"),
        "limit_price": Decimal("401.25"),
        "decision_sequence": 3,
    }
    return Order(**{**base, **changes})


def receipt(**changes: Any) -> AppendReceipt:
    base: dict[str, Any] = {
        "chain": "loop",
        "segment": 1,
        "sequence": 17,
        "offset": 4096,
        "frame_sha256": "ab" * 32,
        "rows": 56,
        "cycle_id": CYCLE,
    }
    return AppendReceipt(**{**base, **changes})


def decision(verb: Decision = Decision.EXECUTE, **changes: Any) -> GovernanceDecision:
    is_veto = verb is Decision.VETO
    base: dict[str, Any] = {
        "decision": verb,
        "reason_codes": (ReasonCode.TARGET_INCREASE,),
        "mu": 0.01,
        "sigma": 0.02,
        "cvar": 0.03,
        "data_quality": 1.0,
        "model_confidence": 1.0,
        "symbol": "SPY",
        "cycle_id": CYCLE,
        "vetoed": is_veto,
        "veto_reason": ReasonCode.VETO_CVAR if is_veto else None,
        "veto_triggers": (ReasonCode.VETO_CVAR,) if is_veto else (),
    }
    return GovernanceDecision(**{**base, **changes})


def mint(**changes: Any) -> ApprovedOrder:
    base: dict[str, Any] = {
        "order": order(),
        "decision": decision(),
        "receipt": receipt(),
        "cycle_id": CYCLE,
        "key": KEY,
    }
    parts = {**base, **changes}
    return mint_approved_order(
        parts.pop("order"), parts.pop("decision"), parts.pop("receipt"), **parts
    )


@pytest.mark.roadmap("9.4")
def test_an_audited_decision_mints_an_order_the_router_accepts() -> None:
    approved = mint()
    assert require_approved(approved, KEY) is approved
    assert {f.name: getattr(approved, f.name) for f in dataclasses.fields(Order)} == (
        dataclasses.asdict(order())
    )
    assert mint().mac == approved.mac


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize("side", list(OrderSide))
@pytest.mark.parametrize("verb", list(Decision))
def test_only_execute_buys_and_only_reduce_sells(verb: Decision, side: OrderSide) -> None:
    if SIDES.get(verb) is side:
        approved = mint(decision=decision(verb), order=order(side=side))
        assert approved.side is side
        return
    with pytest.raises(SystemHalt, match=f"{verb} on SPY allows no") as halt:
        mint(decision=decision(verb), order=order(side=side))
    assert halt.value.reason_code is ReasonCode.ORDER_NOT_APPROVED


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"order": order(symbol="QQQ")}, "the decision is about SPY"),
        ({"order": order(cycle_id="other")}, "cycles differ"),
        ({"decision": decision(cycle_id="other")}, "cycles differ"),
        ({"decision": decision(cycle_id=None)}, "cycles differ"),
        ({"decision": decision(symbol=None)}, "the decision is about None"),
        ({"cycle_id": "2024-03-04-000016"}, "cycles differ"),
        ({"receipt": receipt(chain="night")}, "chain night"),
        ({"receipt": receipt(cycle_id="2024-03-04-000016")}, "the receipt covers cycle"),
        ({"receipt": receipt(cycle_id=None)}, "the receipt covers cycle"),
        ({"receipt": receipt(rows=3)}, "holds 3 decisions"),
        ({"receipt": receipt(rows=0)}, "holds 0 decisions"),
        ({"key": b"short"}, "at least 16 bytes"),
        ({"key": b""}, "at least 16 bytes"),
    ],
)
def test_what_does_not_belong_together_mints_nothing(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(SystemHalt, match=why) as halt:
        mint(**changes)
    assert halt.value.reason_code is ReasonCode.ORDER_NOT_APPROVED


TAMPERED = {
    "client_order_id": "c-17-SPY-1",
    "cycle_id": "other",
    "symbol": "QQQ",
    "side": OrderSide.SELL,
    "quantity": Decimal("12.50000001"),
    "limit_price": Decimal("401.26"),
    "decision_sequence": 4,
    "receipt": receipt(sequence=18),
    "mac": "0" * 64,
}


@pytest.mark.roadmap("9.4")
def test_the_tampering_below_covers_every_field_of_an_approved_order() -> None:
    assert set(TAMPERED) == {field.name for field in dataclasses.fields(ApprovedOrder)}


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize("field", sorted(TAMPERED))
def test_an_approved_order_changed_in_any_field_is_refused(field: str) -> None:
    forged = dataclasses.replace(mint(), **{field: TAMPERED[field]})
    with pytest.raises(SystemHalt, match="does not verify"):
        require_approved(forged, KEY)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(AppendReceipt)])
def test_the_approval_binds_every_field_of_the_receipt(field: str) -> None:
    values = {"chain": "operator", "frame_sha256": "cd" * 32}
    old = receipt()
    changed = dataclasses.replace(old, **{field: values.get(field, 99)})
    with pytest.raises(SystemHalt, match="does not verify"):
        require_approved(dataclasses.replace(mint(), receipt=changed), KEY)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Impostor(ApprovedOrder):
    """A subclass that could answer anything about itself."""


@pytest.mark.roadmap("9.4")
def test_nothing_but_an_approved_order_itself_is_accepted() -> None:
    approved = mint()
    impostor = Impostor(**{f.name: getattr(approved, f.name) for f in dataclasses.fields(approved)})
    for thing in (None, order(), impostor, "approved", math.nan):
        with pytest.raises(SystemHalt, match="not an approved order"):
            require_approved(thing, KEY)


@given(st.binary(min_size=16, max_size=64))
def test_an_approval_is_worth_nothing_under_another_key(key: bytes) -> None:
    approved = mint()
    if key == KEY:
        return
    with pytest.raises(SystemHalt, match="does not verify"):
        require_approved(approved, key)
