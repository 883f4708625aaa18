"""What the audit hands out and the broker takes: receipts, orders, fills; no storage lives here."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum

MONEY_QUANTUM = Decimal("0.00000001")
MONEY_LIMIT = Decimal(10) ** 12
_DIGEST = re.compile(r"[0-9a-f]{64}")


class OrderSide(StrEnum):
    """Which way an order moves the position."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """Plus one for a purchase, minus one for a sale."""
        return 1 if self is OrderSide.BUY else -1


def to_money(value: Decimal | float | str) -> Decimal:
    """Round a quantity, price or amount to the eight decimals the ledger keeps.

    Parameters
    ----------
    value
        A finite number; a float enters through its shortest text, so ``0.1`` stays 0.1.

    Raises
    ------
    ValueError
        If the value is not a finite number that fits DECIMAL(20, 8).
    """
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(f"money must be a number, was {value!r}") from error
    if not number.is_finite() or abs(number) >= MONEY_LIMIT:
        raise ValueError(f"money must be finite and below {MONEY_LIMIT}, was {value!r}")
    return number.quantize(MONEY_QUANTUM, rounding=ROUND_HALF_EVEN)


def _require_money(name: str, value: Decimal, *, positive: bool = False) -> None:
    if not isinstance(value, Decimal) or not value.is_finite() or abs(value) >= MONEY_LIMIT:
        raise ValueError(f"{name} must be a finite Decimal below {MONEY_LIMIT}, was {value!r}")
    if value != value.quantize(MONEY_QUANTUM):
        raise ValueError(f"{name} must have at most 8 decimals, was {value}")
    if positive and value <= 0:
        raise ValueError(f"{name} must be > 0, was {value}")


def _require_text(**texts: str) -> None:
    for name, value in texts.items():
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be a non-empty text, was {value!r}")


def _require_count(name: str, value: int, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}, was {value!r}")


def _require_digest(name: str, value: str) -> None:
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        raise ValueError(f"{name} must be 64 lower-case hex digits, was {value!r}")


def _require_utc(name: str, value: datetime) -> None:
    if not isinstance(value, datetime) or value.utcoffset() != timedelta(0):
        raise ValueError(f"{name} must be an aware UTC instant, was {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendReceipt:
    """Proof that one frame stands on disk in a chain: nothing acts without it (roadmap 0.6).

    ``offset`` is the byte at which the frame begins in its segment; ``frame_sha256`` is the
    chained digest of the frame, which is also the head of the chain once it stands; ``cycle_id``
    is the cycle the frame names, None for a frame of no cycle. ``rows`` counts a frame's rows, of
    a bundle those of its first table.
    """

    chain: str
    segment: int
    sequence: int
    offset: int
    frame_sha256: str
    rows: int
    cycle_id: str | None = None

    def __post_init__(self) -> None:
        _require_text(chain=self.chain)
        _require_count("segment", self.segment, least=1)
        _require_count("sequence", self.sequence, least=1)
        _require_count("offset", self.offset, least=0)
        _require_count("rows", self.rows, least=0)
        _require_digest("frame_sha256", self.frame_sha256)

    @property
    def head(self) -> str:
        """The chain's head right after this frame."""
        return self.frame_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as planned: what it would do, not yet allowed to do it."""

    client_order_id: str
    cycle_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    limit_price: Decimal
    decision_sequence: int

    def __post_init__(self) -> None:
        _require_text(
            client_order_id=self.client_order_id, cycle_id=self.cycle_id, symbol=self.symbol
        )
        if not isinstance(self.side, OrderSide):
            raise ValueError(f"side must be an OrderSide, was {self.side!r}")
        _require_money("quantity", self.quantity, positive=True)
        _require_money("limit_price", self.limit_price)
        _require_count("decision_sequence", self.decision_sequence, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedOrder(Order):
    """An order governance minted from a decision that already stands in the journal (9.4).

    ``mac`` binds the order's fields to the receipt; the router takes no other type.
    """

    receipt: AppendReceipt
    mac: str

    def __post_init__(self) -> None:
        Order.__post_init__(self)
        if not isinstance(self.receipt, AppendReceipt):
            raise ValueError(f"receipt must be an AppendReceipt, was {self.receipt!r}")
        _require_digest("mac", self.mac)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution of a part of an order, with every amount as ``Decimal``.

    ``price`` is the fill price before modelled costs, ``mid_price`` the mid when the order was
    sent, ``cost_usd`` the modelled impact and fees (>= 0), ``sequence`` the number of the fill
    within its order.
    """

    client_order_id: str
    cycle_id: str
    symbol: str
    side: OrderSide
    sequence: int
    quantity: Decimal
    price: Decimal
    mid_price: Decimal
    cost_usd: Decimal
    is_aggressive: bool
    filled_at: datetime

    def __post_init__(self) -> None:
        _require_text(
            client_order_id=self.client_order_id, cycle_id=self.cycle_id, symbol=self.symbol
        )
        if not isinstance(self.side, OrderSide):
            raise ValueError(f"side must be an OrderSide, was {self.side!r}")
        _require_count("sequence", self.sequence, least=0)
        _require_money("quantity", self.quantity, positive=True)
        _require_money("price", self.price)
        _require_money("mid_price", self.mid_price)
        _require_money("cost_usd", self.cost_usd)
        if self.cost_usd < 0:
            raise ValueError(f"cost_usd must be >= 0, was {self.cost_usd}")
        _require_utc("filled_at", self.filled_at)

    @property
    def cash_usd(self) -> Decimal:
        """Change of cash, in dollars: a purchase and every cost are negative."""
        return to_money(-self.side.sign * self.quantity * self.price - self.cost_usd)
