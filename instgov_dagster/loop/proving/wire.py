"""The router with a broker at its port that only writes down what reaches it; none is real."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from instgov_dagster.adapters.account import CashEntry, MarketView, OrderOutcome, OrderStatus
from instgov_dagster.governance.proof import mint_approved_order
from instgov_dagster.loop.live.router import Router
from instgov_dagster.vocabulary.audit import AppendReceipt, ApprovedOrder, Order, OrderSide
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain, Decision, GovernanceDecision
from instgov_dagster.vocabulary.reasons import ReasonCode

NOON = datetime(2025, 3, 12, 16, 0, tzinfo=UTC)
VIEW = MarketView(
    bid=99.99, ask=100.01, bar_low=99.0, bar_high=101.0, impact_bps=1.0, adv_usd=1e9,
    max_participation=0.1, at=NOON,
)  # fmt: skip
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@dataclass(slots=True)
class RecordingBroker:
    """A broker that takes everything, fills nothing and remembers what it was asked."""

    submitted: list[Order] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    matches: int = 0

    def submit(self, order: ApprovedOrder, view: MarketView) -> OrderOutcome:
        """Take an order and let it rest."""
        del view
        self.submitted.append(order)
        return _outcome(order, OrderStatus.RESTING)

    def one_act(self) -> AbstractContextManager[None]:
        """Keep nothing back."""
        return nullcontext()

    def match(self, views: Mapping[str, MarketView]) -> tuple[OrderOutcome, ...]:
        """Fill nothing."""
        del views
        self.matches += 1
        return ()

    def cancel(self, client_order_id: str) -> OrderOutcome:
        """Withdraw one order."""
        self.cancelled.append(client_order_id)
        (order,) = [o for o in self.submitted if o.client_order_id == client_order_id]
        return _outcome(order, OrderStatus.CANCELLED)

    def cancel_all(self) -> tuple[OrderOutcome, ...]:
        """Withdraw every order that stands."""
        return tuple(self.cancel(order.client_order_id) for order in self.open_orders())

    def positions(self) -> Mapping[str, Decimal]:
        """Hold nothing."""
        return {}

    def open_orders(self) -> tuple[Order, ...]:
        """Give what stands."""
        return tuple(o for o in self.submitted if o.client_order_id not in self.cancelled)

    def cash_usd(self) -> Decimal:
        """Hold no cash."""
        return Decimal(0)

    def outcome(self, client_order_id: str) -> OrderOutcome | None:
        """Look an order up."""
        for order in self.open_orders():
            if order.client_order_id == client_order_id:
                return _outcome(order, OrderStatus.RESTING)
        return None

    def order_ids(self) -> tuple[str, ...]:
        """Give every order's id."""
        return tuple(order.client_order_id for order in self.submitted)

    def ledger(self, *, after: int = -1) -> tuple[CashEntry, ...]:
        """Move no cash."""
        del after
        return ()

    def close(self) -> None:
        """Let go of nothing."""


def _outcome(order: Order, status: OrderStatus) -> OrderOutcome:
    code = {
        OrderStatus.RESTING: ReasonCode.ORDER_RESTING,
        OrderStatus.CANCELLED: ReasonCode.ORDER_CANCELLED,
    }[status]
    return OrderOutcome(order=order, status=status, fills=(), reason_codes=(code,))


def wired(key: bytes = KEY) -> tuple[Router, RecordingBroker]:
    """Give the real router with a broker that only records."""
    broker = RecordingBroker()
    return Router(broker, key=key), broker


def send(router: Router, orders: Sequence[Order]) -> ReasonCode | None:
    """Send orders through the router; give the code it refused them by, None where it took them."""
    views = {order.symbol: VIEW for order in orders}
    shares = {order.client_order_id: (("strategy", 1.0),) for order in orders}
    try:
        router.send(orders, views, shares)  # type: ignore[arg-type]  # forged ones too, on purpose
    except SystemHalt as halt:
        return halt.reason_code
    return None


def sample_order(**changes: object) -> Order:
    """Give a plain purchase of one cycle, with fields changed."""
    base = Order(
        client_order_id="cycle-1|SPY|BUY|0",
        cycle_id="cycle-1",
        symbol="SPY",
        side=OrderSide.BUY,
        quantity=Decimal(1),
        limit_price=Decimal(100),
        decision_sequence=0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # fields by name


def sample_receipt(**changes: object) -> AppendReceipt:
    """Give the receipt of that cycle's frame, with fields changed."""
    base = AppendReceipt(
        chain=Chain.LOOP.value,
        segment=1,
        sequence=1,
        offset=0,
        frame_sha256="a" * 64,
        rows=1,
        cycle_id="cycle-1",
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # fields by name


def sample_decision(
    verb: Decision = Decision.EXECUTE, *, symbol: str = "SPY", cycle_id: str = "cycle-1"
) -> GovernanceDecision:
    """Give a decision of that cycle."""
    is_vetoed = verb is Decision.VETO
    code = ReasonCode.VETO_CVAR if is_vetoed else ReasonCode.TARGET_INCREASE
    return GovernanceDecision(
        decision=verb,
        reason_codes=(code,),
        mu=0.01,
        sigma=0.02,
        cvar=0.03,
        data_quality=1.0,
        model_confidence=1.0,
        vetoed=is_vetoed,
        veto_reason=code if is_vetoed else None,
        veto_triggers=(code,) if is_vetoed else (),
        cycle_id=cycle_id,
        timestamp=NOON,
        symbol=symbol,
    )


def refused_forgeries() -> dict[str, tuple[ReasonCode | None, int]]:
    """Send the router three orders it must not take; give by each how it answered and what left."""
    order, receipt = sample_order(), sample_receipt()

    def minted(key: bytes) -> ApprovedOrder:
        return mint_approved_order(
            order, sample_decision(), receipt, cycle_id=order.cycle_id, key=key
        )

    forgeries: dict[str, Order] = {
        "minted with another key": minted(OTHER_KEY),
        "altered after minting": replace(minted(KEY), quantity=Decimal(1000)),
        "never minted": order,
    }
    answers = {}
    for how, forged in forgeries.items():
        router, broker = wired()
        code = send(router, [forged])
        answers[how] = (code, len(broker.submitted))
    return answers
