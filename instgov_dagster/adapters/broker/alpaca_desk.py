"""Alpaca's trading desk: one verb a request, each answer read strictly, nothing sent twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide as AlpacaSide
from alpaca.trading.enums import QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest

from instgov_dagster.adapters.markets.live.alpaca.wire import AlpacaWire, answer_of, mount
from instgov_dagster.adapters.markets.live.asking import NoAnswerError, RawAnswer
from instgov_dagster.adapters.markets.live.history import read_json
from instgov_dagster.bars.classify import classify_symbol
from instgov_dagster.bars.providers import reason_for_status
from instgov_dagster.vocabulary.audit import Order, OrderSide, to_money
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.reasons import ReasonCode

_T = TypeVar("_T")
PAPER_URL: Final = "https://paper-api.alpaca.markets"
LIVE_URL: Final = "https://api.alpaca.markets"
_NOTHING = Decimal(0)
_SIDES = {OrderSide.BUY: AlpacaSide.BUY, OrderSide.SELL: AlpacaSide.SELL}
_FINAL = frozenset({"filled", "canceled", "expired", "rejected", "done_for_day", "replaced"})
_STANDING = frozenset(
    {
        "new", "accepted", "pending_new", "accepted_for_bidding", "partially_filled", "held",
        "pending_cancel", "pending_replace", "stopped", "suspended", "calculated",
    }
)  # fmt: skip
# Alpaca's own numbers in a 403 (docs.alpaca.markets, "Errors").
_NO_BUYING_POWER, _DAY_TRADES = 40310000, 40310100
_DOLLAR, _CENT, _FINE = Decimal(1), Decimal("0.01"), Decimal("0.0001")


class DeskRefused(Exception):  # noqa: N818  # a verdict, as the broker gave it
    """The broker took no order; it said why."""

    def __init__(self, reason_code: ReasonCode, detail: str) -> None:
        super().__init__(detail)
        self.reason_code = reason_code
        self.detail = detail


class DeskSilent(Exception):  # noqa: N818  # a state of the world, not a mistake
    """What the broker did is not known: no whole answer, a server's error, or nonsense.

    Parameters
    ----------
    status
        Of the answer; ``None`` where none came whole.
    """

    def __init__(self, detail: str, *, status: int | None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskOrder:
    """An order as the broker tells it; quantities in units, prices in dollars."""

    order_id: UUID
    client_order_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    status: str
    filled_quantity: Decimal
    filled_price: Decimal | None
    filled_at: datetime | None

    @property
    def is_final(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.status in _FINAL


class Desk(Protocol):
    """The verbs of a broker on the wire."""

    def submit(self, order: Order) -> DeskOrder:
        """Send one order."""
        ...

    def find(self, client_order_id: str) -> DeskOrder | None:
        """Look an order up; None where the broker has none of the name."""
        ...

    def standing(self) -> frozenset[str]:
        """Give the client order ids that stand."""
        ...

    def cancel(self, order_id: UUID) -> None:
        """Ask to withdraw an order; what became of it is looked up."""
        ...

    def cash_usd(self) -> Decimal:
        """Give the account's cash."""
        ...

    def positions(self) -> Mapping[str, Decimal]:
        """Give the units held of each symbol."""
        ...


class AlpacaDesk:
    """The desk of one Alpaca account.

    Parameters
    ----------
    base_url
        `PAPER_URL`, `LIVE_URL` where real money is armed, or a rehearsal on this machine.
    timeout_seconds
        For each request.
    """

    def __init__(self, key_id: str, secret: str, *, base_url: str, timeout_seconds: float) -> None:
        self._wire = AlpacaWire(timeout_seconds=timeout_seconds, max_pages=1)
        self._client = TradingClient(
            key_id, secret, paper=base_url != LIVE_URL, raw_data=True, url_override=base_url
        )
        mount(self._client, self._wire)

    def submit(self, order: Order) -> DeskOrder:
        """Send one limit order, once.

        The limit is rounded to the tick on its own side: never worse than what was approved.

        Raises
        ------
        DeskRefused
            With the reason the broker gave.
        DeskSilent
            Where it is not known whether the order stands.
        """
        kind = classify_symbol(order.symbol)
        asked = LimitOrderRequest(
            symbol=desk_symbol(order.symbol, kind),
            qty=float(order.quantity),
            side=_SIDES[order.side],
            # Alpaca takes no day orders for crypto; ours live a cycle anyway.
            time_in_force=TimeInForce.GTC if kind is AssetClass.CRYPTO else TimeInForce.DAY,
            limit_price=float(tick_price(order.limit_price, order.side, kind)),
            client_order_id=order.client_order_id,
        )
        answer = self._call(lambda: self._client.submit_order(asked))
        if 400 <= answer.status < 500 and answer.status != 429:
            raise refusal_of(answer)
        return _read(answer, read_order)

    def find(self, client_order_id: str) -> DeskOrder | None:
        """Look an order up by our own id.

        Raises
        ------
        DeskSilent
            Where the broker did not say.
        """
        answer = self._call(lambda: self._client.get_order_by_client_id(client_order_id))
        return None if answer.status == 404 else _read(answer, read_order)

    def standing(self) -> frozenset[str]:
        """Give the client order ids that stand at the broker.

        Raises
        ------
        DeskSilent
            Where the broker did not say.
        """
        asked = GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=500)
        orders = _read(self._call(lambda: self._client.get_orders(asked)), _read_orders)
        return frozenset(order.client_order_id for order in orders)

    def cancel(self, order_id: UUID) -> None:
        """Ask to withdraw an order; one that is over already cannot be, which is no error.

        Raises
        ------
        DeskSilent
            Where the broker did not say.
        """
        answer = self._call(lambda: self._client.cancel_order_by_id(order_id))
        if answer.status not in (200, 204, 207, 404, 422):
            raise DeskSilent(f"status {answer.status}", status=answer.status)

    def cash_usd(self) -> Decimal:
        """Give the account's cash.

        Raises
        ------
        DeskSilent
            Where the broker did not say.
        """
        return _read(
            self._call(self._client.get_account), lambda told: _decimal(_object(told).get("cash"))
        )

    def positions(self) -> Mapping[str, Decimal]:
        """Give the units held of each symbol, by our own spelling.

        Raises
        ------
        DeskSilent
            Where the broker did not say.
        """
        return _read(self._call(self._client.get_all_positions), _read_positions)

    def _call(self, call: Callable[[], object]) -> RawAnswer:
        try:
            return answer_of(self._wire, call)
        except NoAnswerError as error:
            raise DeskSilent(str(error), status=None) from None


def desk_symbol(symbol: str, kind: AssetClass) -> str:
    """Spell a symbol as Alpaca's desk does: BRK.B, BTC/USD."""
    return symbol.replace("-", "/" if kind is AssetClass.CRYPTO else ".")


def own_symbol(told: str) -> str:
    """Spell Alpaca's symbol as ours."""
    if "/" not in told and told.endswith("USD") and len(told) > 5:
        return f"{told[:-3]}-USD"  # positions in crypto come without the stroke: BTCUSD
    return told.replace("/", "-").replace(".", "-")


def tick_price(price: Decimal, side: OrderSide, kind: AssetClass) -> Decimal:
    """Round a limit to the tick: down for a purchase, up for a sale.

    A stock from one dollar on moves in cents, below in hundredths of one (Rule 612 of Reg NMS);
    crypto takes nine decimals, more than money has here.
    """
    if kind is AssetClass.CRYPTO:
        return price
    tick = _CENT if price >= _DOLLAR else _FINE
    return price.quantize(tick, rounding=ROUND_FLOOR if side is OrderSide.BUY else ROUND_CEILING)


def refusal_of(answer: RawAnswer) -> DeskRefused:
    """Give the reason of a refused order: the status, and of a 403 the broker's own number."""
    try:
        told = read_json(answer.body)
    except ValueError:
        told = None
    body = told if isinstance(told, dict) else {}
    message = str(body.get("message", ""))[:200]
    detail = f"status {answer.status}: {message}" if message else f"status {answer.status}"
    code = body.get("code")
    if answer.status == 403 and "wash trade" in message:
        return DeskRefused(ReasonCode.BROKER_WASH_TRADE, detail)
    if answer.status == 403 and code == _NO_BUYING_POWER:
        return DeskRefused(ReasonCode.BROKER_NO_CASH, detail)
    if answer.status == 403 and code == _DAY_TRADES:
        return DeskRefused(ReasonCode.BROKER_DAY_TRADES, detail)
    if answer.status == 401:
        return DeskRefused(reason_for_status(answer.status), detail)
    return DeskRefused(ReasonCode.BROKER_REFUSED, detail)


def _read(answer: RawAnswer, read: Callable[[Any], _T]) -> _T:
    if not 200 <= answer.status < 300:
        raise DeskSilent(f"status {answer.status}", status=answer.status)
    try:
        return read(read_json(answer.body))
    except (ValueError, KeyError) as error:
        raise DeskSilent(f"nonsense: {error}", status=answer.status) from None


def _object(told: Any) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise ValueError("an object was expected")
    return told


def _decimal(told: Any) -> Decimal:
    if isinstance(told, bool) or not isinstance(told, str | int | float):
        raise ValueError(f"a number was expected, was {str(told)[:20]!r}")
    try:
        return to_money(str(told))
    except InvalidOperation as error:
        raise ValueError(f"a number was expected, was {str(told)[:20]!r}") from error


def read_order(told: Any) -> DeskOrder:
    """Read one order.

    Raises
    ------
    ValueError
        Naming what cannot be read; an unknown status is one: nobody knows what it allows.
    """
    row = _object(told)
    status = str(row.get("status"))
    if status not in _FINAL | _STANDING:
        raise ValueError(f"status {status[:30]!r} is not known")
    filled = _decimal(row.get("filled_qty") or "0")
    price = row.get("filled_avg_price")
    if filled < 0 or (filled > 0 and price is None):
        raise ValueError("a fill must have a price")
    at = row.get("filled_at")
    return DeskOrder(
        order_id=UUID(str(row.get("id"))),
        client_order_id=str(row["client_order_id"]),
        symbol=own_symbol(str(row["symbol"])),
        side=OrderSide(str(row.get("side")).upper()),
        quantity=_decimal(row.get("qty")),
        status=status,
        filled_quantity=filled,
        filled_price=None if price is None else _decimal(price),
        filled_at=None if at is None else _instant(str(at)),
    )


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"an instant must name its zone, was {text[:40]!r}")
    return found.astimezone(UTC)


def _read_orders(told: Any) -> tuple[DeskOrder, ...]:
    if not isinstance(told, list):
        raise ValueError("a list was expected")
    return tuple(read_order(row) for row in told)


def _read_positions(told: Any) -> dict[str, Decimal]:
    if not isinstance(told, list):
        raise ValueError("a list was expected")
    rows = [_object(row) for row in told]
    held = {own_symbol(str(row["symbol"])): _decimal(row.get("qty")) for row in rows}
    return {symbol: quantity for symbol, quantity in sorted(held.items()) if quantity != _NOTHING}
