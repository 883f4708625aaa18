"""What a broker sees, remembers and answers; the broker that acts on it is in broker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, Protocol

from instgov_dagster.vocabulary.audit import ApprovedOrder, Fill, Order, OrderSide
from instgov_dagster.vocabulary.reasons import ReasonCode

_NOTHING: Final = Decimal(0)
# Mids and bar bounds come as floats by different ways: equal to one part in a billion is inside.
_TOLERANCE: Final = 1e-9


class OrderStatus(StrEnum):
    """How an order stands at the broker."""

    FILLED = "FILLED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    RESTING = "RESTING"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


class CashKind(StrEnum):
    """Why cash moved."""

    OPENING = "OPENING"
    FILL = "FILL"
    DIVIDEND = "DIVIDEND"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """What the broker sees of one symbol at one instant.

    Attributes
    ----------
    bar_low, bar_high
        Of the day's bar: no fill lies outside them by more than half a spread.
    impact_bps
        Modelled market impact of the order, without the half spread, which the price carries.
    adv_usd, max_participation
        Dollars traded on a usual day and the share of them one day's orders may take.
    at
        The instant, UTC.
    """

    bid: float
    ask: float
    bar_low: float
    bar_high: float
    impact_bps: float
    adv_usd: float
    max_participation: float
    at: datetime

    @property
    def mid(self) -> float:
        """The price halfway between bid and ask."""
        return (self.bid + self.ask) / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOutcome:
    """What became of an order; the same order sent again gets the same answer."""

    order: Order
    status: OrderStatus
    fills: tuple[Fill, ...]
    reason_codes: tuple[ReasonCode, ...]

    def __post_init__(self) -> None:
        if not self.reason_codes:
            raise ValueError("an outcome carries at least one reason code, was without")

    @property
    def filled_quantity(self) -> Decimal:
        """Units bought or sold so far."""
        return sum((fill.quantity for fill in self.fills), _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class CashEntry:
    """One line of the cash ledger; ``balance_usd`` is the cash after it."""

    sequence: int
    kind: CashKind
    client_order_id: str
    symbol: str
    amount_usd: Decimal
    balance_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerState:
    """Everything the paper broker knows, as a value: two brokers with equal states are equal."""

    cash_usd: Decimal
    positions: tuple[tuple[str, Decimal], ...] = ()
    outcomes: tuple[OrderOutcome, ...] = ()
    traded: tuple[tuple[str, date, Decimal], ...] = ()
    ledger: tuple[CashEntry, ...] = field(default=())


class Broker(Protocol):
    """What the router needs of a broker."""

    def submit(self, order: ApprovedOrder, view: MarketView) -> OrderOutcome:
        """Take an order; a second submission of the same order changes nothing."""
        ...

    def match(self, views: Mapping[str, MarketView]) -> tuple[OrderOutcome, ...]:
        """Try the standing orders against new quotes; give those that changed."""
        ...

    def cancel(self, client_order_id: str) -> OrderOutcome:
        """Withdraw what stands of an order."""
        ...

    def positions(self) -> Mapping[str, Decimal]:
        """Give the units held of each symbol."""
        ...

    def open_orders(self) -> tuple[Order, ...]:
        """Give the orders that stand unfilled."""
        ...

    def cash_usd(self) -> Decimal:
        """Give the cash held."""
        ...


def judge_view(view: MarketView) -> tuple[ReasonCode, ...]:
    """Give the reasons why nothing can be filled on what the broker sees; none if it can.

    Raises
    ------
    ValueError
        If the instant is not UTC.
    """
    quote = (view.bid, view.ask, view.bar_low, view.bar_high)
    is_priced = all(isfinite(price) and price > 0 for price in quote) and view.bid <= view.ask
    low, high = view.bar_low * (1.0 - _TOLERANCE), view.bar_high * (1.0 + _TOLERANCE)
    reasons = []
    if not is_priced or not low <= view.mid <= high:
        reasons.append(ReasonCode.QUOTE_INVALID)
    size = (view.impact_bps, view.adv_usd, view.max_participation)
    if not all(isfinite(value) and value >= 0 for value in size) or view.adv_usd == 0:
        reasons.append(ReasonCode.NO_IMPACT_ESTIMATE)
    if view.at.utcoffset() != timedelta(0):
        raise ValueError(f"MarketView.at must be an aware UTC instant, was {view.at!r}")
    return tuple(reasons)


def state_to_dict(state: BrokerState) -> dict[str, Any]:
    """Write a broker's state as plain JSON values, money as text."""
    return {
        "cash_usd": str(state.cash_usd),
        "positions": [[symbol, str(quantity)] for symbol, quantity in state.positions],
        "outcomes": [
            {
                "order": _plain(outcome.order, _ORDER_FIELDS),
                "status": outcome.status.value,
                "fills": [_plain(fill, _FILL_FIELDS) for fill in outcome.fills],
                "reason_codes": [code.value for code in outcome.reason_codes],
            }
            for outcome in state.outcomes
        ],
        "traded": [[symbol, day.isoformat(), str(q)] for symbol, day, q in state.traded],
        "ledger": [_plain(entry, _CASH_FIELDS) for entry in state.ledger],
    }


def state_from_dict(data: Mapping[str, Any]) -> BrokerState:
    """Read a state written by `state_to_dict`, bit-equal.

    Raises
    ------
    ValueError, KeyError
        If the values are not those of a state.
    """
    return BrokerState(
        cash_usd=Decimal(data["cash_usd"]),
        positions=tuple((symbol, Decimal(q)) for symbol, q in data["positions"]),
        outcomes=tuple(
            OrderOutcome(
                order=Order(**_typed(row["order"], _ORDER_FIELDS)),
                status=OrderStatus(row["status"]),
                fills=tuple(Fill(**_typed(fill, _FILL_FIELDS)) for fill in row["fills"]),
                reason_codes=tuple(ReasonCode(code) for code in row["reason_codes"]),
            )
            for row in data["outcomes"]
        ),
        traded=tuple((s, date.fromisoformat(d), Decimal(q)) for s, d, q in data["traded"]),
        ledger=tuple(CashEntry(**_typed(row, _CASH_FIELDS)) for row in data["ledger"]),
    )


_Reader = Callable[[Any], Any]
_ORDER_FIELDS: Mapping[str, _Reader] = MappingProxyType(
    {
        "client_order_id": str,
        "cycle_id": str,
        "symbol": str,
        "side": OrderSide,
        "quantity": Decimal,
        "limit_price": Decimal,
        "decision_sequence": int,
    }
)
_FILL_FIELDS: Mapping[str, _Reader] = MappingProxyType(
    {
        "client_order_id": str,
        "cycle_id": str,
        "symbol": str,
        "side": OrderSide,
        "sequence": int,
        "quantity": Decimal,
        "price": Decimal,
        "mid_price": Decimal,
        "cost_usd": Decimal,
        "is_aggressive": bool,
        "filled_at": datetime.fromisoformat,
    }
)
_CASH_FIELDS: Mapping[str, _Reader] = MappingProxyType(
    {
        "sequence": int,
        "kind": CashKind,
        "client_order_id": str,
        "symbol": str,
        "amount_usd": Decimal,
        "balance_usd": Decimal,
    }
)


def _plain(row: object, fields: Mapping[str, _Reader]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in fields:
        value = getattr(row, name)
        if isinstance(value, datetime):
            out[name] = value.isoformat()
        else:
            out[name] = value if isinstance(value, bool | int) else str(value)
    return out


def _typed(row: Mapping[str, Any], fields: Mapping[str, _Reader]) -> dict[str, Any]:
    return {name: read(row[name]) for name, read in fields.items()}
