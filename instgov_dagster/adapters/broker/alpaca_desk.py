"""Alpaca's trading desk: one verb a request, each answer read strictly, nothing sent twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Protocol, Self, TypeVar
from uuid import UUID

from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide as AlpacaSide
from alpaca.trading.enums import QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest

from instgov_dagster.adapters.account import DeskOrder
from instgov_dagster.adapters.markets.live.alpaca.account import (
    LIVE_URL,
    account_keys,
    desk_address,
    read_cash,
    read_order,
    read_orders,
    read_positions,
)
from instgov_dagster.adapters.markets.live.alpaca.wire import (
    PROVIDER,
    AlpacaWire,
    answer_of,
    mount,
)
from instgov_dagster.adapters.markets.live.asking import NoAnswerError, RawAnswer
from instgov_dagster.adapters.markets.live.history import read_json
from instgov_dagster.adapters.markets.live.limits import TokenBucket
from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.bars.classify import classify_symbol
from instgov_dagster.bars.providers import reason_for_status
from instgov_dagster.vocabulary.audit import Order, OrderSide
from instgov_dagster.vocabulary.bars import AssetClass, BrokerAccount
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_T = TypeVar("_T")
_SIDES = {OrderSide.BUY: AlpacaSide.BUY, OrderSide.SELL: AlpacaSide.SELL}
# Orders come in bursts: with the long-run rate they stay below Alpaca's 200 a minute, and what a
# cycle sent at once can be withdrawn before its leader is taken for hung.
_BURST = 10
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

    def latest(self) -> Mapping[str, DeskOrder]:
        """Give the latest orders, standing or over, by client order id."""
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
    bucket
        What a request waits for, so that none is turned away for asking too often; None for none.
    """

    def __init__(
        self,
        key_id: str,
        secret: str,
        *,
        base_url: str,
        timeout_seconds: float,
        bucket: TokenBucket | None = None,
    ) -> None:
        self._bucket = bucket
        self._wire = AlpacaWire(timeout_seconds=timeout_seconds, max_pages=1)
        self._client = TradingClient(
            key_id, secret, paper=base_url != LIVE_URL, raw_data=True, url_override=base_url
        )
        mount(self._client, self._wire)

    @classmethod
    def of(
        cls,
        account: BrokerAccount,
        environment: Mapping[str, str],
        policy: ProviderPolicy,
        *,
        clock: Clock,
    ) -> Self:
        """Make the desk of an account that is keyed in the environment.

        Raises
        ------
        InputError
            If the address set in the environment may not be the account's.
        """
        rate = dict(policy.requests_per_minute)[PROVIDER]
        key_id, secret = account_keys(environment)
        return cls(
            key_id,
            secret,
            base_url=desk_address(account, environment),
            timeout_seconds=policy.broker_timeout_seconds,
            bucket=TokenBucket(rate, burst=_BURST, clock=clock),
        )

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
        return frozenset(self._orders(QueryOrderStatus.OPEN))

    def latest(self) -> Mapping[str, DeskOrder]:
        """Give the latest orders, as many as one answer holds, by client order id.

        Raises
        ------
        DeskSilent
            Where the broker did not say.
        """
        return self._orders(QueryOrderStatus.ALL)

    def _orders(self, status: QueryOrderStatus) -> dict[str, DeskOrder]:
        asked = GetOrdersRequest(status=status, limit=500)
        orders = _read(self._call(lambda: self._client.get_orders(asked)), read_orders)
        return {order.client_order_id: order for order in orders}

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
        return _read(self._call(self._client.get_account), read_cash)

    def positions(self) -> Mapping[str, Decimal]:
        """Give the units held of each symbol, by our own spelling.

        Raises
        ------
        DeskSilent
            Where the broker did not say.
        """
        return _read(self._call(self._client.get_all_positions), read_positions)

    def _call(self, call: Callable[[], object]) -> RawAnswer:
        if self._bucket is not None:
            self._bucket.take()
        try:
            return answer_of(self._wire, call)
        except NoAnswerError as error:
            raise DeskSilent(str(error), status=None) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What an account holds: its cash, its units, the names of the orders that stand."""

    cash_usd: Decimal
    positions: Mapping[str, Decimal]
    standing: frozenset[str]


def holdings_of(desk: Desk, policy: ProviderPolicy, *, clock: Clock) -> Holdings:
    """Ask what an account holds, as often as an order is looked up: reading changes nothing.

    Raises
    ------
    DeskSilent
        Where it did not say each time.
    """
    for tries_left in reversed(range(policy.lookup_tries)):
        try:
            return Holdings(
                cash_usd=desk.cash_usd(), positions=desk.positions(), standing=desk.standing()
            )
        except DeskSilent:
            if not tries_left:
                raise
        clock.sleep_until(clock.now() + timedelta(seconds=policy.lookup_pause_seconds))
    raise ValueError(f"lookup_tries must be >= 1, was {policy.lookup_tries}")


def require_fresh(
    desk: Desk, opening_cash_usd: Decimal, policy: ProviderPolicy, *, clock: Clock
) -> None:
    """Refuse to begin a record on an account that holds anything but the cash it begins with.

    Raises
    ------
    InputError
        Naming both.
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` where the account does not say what it holds.
    """
    try:
        held = holdings_of(desk, policy, clock=clock)
    except DeskSilent as silent:
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED, f"the account does not say: {silent.detail}"
        ) from None
    if held.cash_usd != opening_cash_usd or held.positions:
        raise InputError(
            f"a book of {opening_cash_usd} USD must begin on an account of nothing but that cash, "
            f"was {held.cash_usd} USD and {len(held.positions)} positions: set nav_usd to it, "
            "or reset the account"
        )


def desk_symbol(symbol: str, kind: AssetClass) -> str:
    """Spell a symbol as Alpaca's desk does: BRK.B, BTC/USD."""
    return symbol.replace("-", "/" if kind is AssetClass.CRYPTO else ".")


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
