"""What a broker sees, remembers and answers; the broker that acts on it is in broker."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from typing import Final, Protocol
from uuid import UUID

from instgov_dagster.vocabulary.audit import ApprovedOrder, Fill, Order, OrderSide
from instgov_dagster.vocabulary.reasons import ReasonCode

_NOTHING: Final = Decimal(0)
# Mids and bar bounds come as floats by different ways: equal to one part in a billion is inside.
_TOLERANCE: Final = 1e-9


class OrderStatus(StrEnum):
    """How an order stands at the broker; NEVER_SENT is the journal's word for one it lacks."""

    FILLED = "FILLED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    RESTING = "RESTING"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    NEVER_SENT = "NEVER_SENT"

    @property
    def is_final(self) -> bool:
        """Whether nothing more can become of the order."""
        return self is not OrderStatus.RESTING


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
    """Everything that stands in a paper account, as a value to hold against the journal."""

    cash_usd: Decimal
    positions: tuple[tuple[str, Decimal], ...] = ()
    outcomes: tuple[OrderOutcome, ...] = ()
    traded: tuple[tuple[str, date, Decimal], ...] = ()
    ledger: tuple[CashEntry, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskOrder:
    """An order as a broker on the wire tells it; quantities in units, prices in dollars."""

    order_id: UUID
    client_order_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    is_final: bool
    status: str
    filled_quantity: Decimal
    filled_price: Decimal | None
    filled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountWord:
    """What somebody else who keeps the account says of it.

    Attributes
    ----------
    day
        Since the beginning of which (UTC) ``orders`` are told, standing ones of before as well.
    orders
        By client order id.
    """

    day: date
    cash_usd: Decimal
    positions: Mapping[str, Decimal]
    orders: Mapping[str, DeskOrder]


class Broker(Protocol):
    """What the router needs of a broker."""

    def submit(self, order: ApprovedOrder, view: MarketView) -> OrderOutcome:
        """Take an order; a second submission of the same order changes nothing."""
        ...

    def one_act(self) -> AbstractContextManager[None]:
        """Keep what is submitted within as one act on disk, where no order leaves this process."""
        ...

    def match(self, views: Mapping[str, MarketView]) -> tuple[OrderOutcome, ...]:
        """Try the standing orders against new quotes; give those that changed."""
        ...

    def cancel(self, client_order_id: str) -> OrderOutcome:
        """Withdraw what stands of an order."""
        ...

    def cancel_all(self) -> tuple[OrderOutcome, ...]:
        """Withdraw every standing order, all of them or none; give what became of them."""
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

    def outcome(self, client_order_id: str) -> OrderOutcome | None:
        """Look up what became of an order; None if it was never sent."""
        ...

    def order_ids(self) -> tuple[str, ...]:
        """Give the id of every order ever sent."""
        ...

    def ledger(self, *, after: int = -1) -> tuple[CashEntry, ...]:
        """Give the movements of cash after one sequence, all by default."""
        ...

    def close(self) -> None:
        """Let go of the account."""
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
