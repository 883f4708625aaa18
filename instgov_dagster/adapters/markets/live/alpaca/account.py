"""An Alpaca account as it can be looked at, read strictly; nothing here can send an order."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from instgov_dagster.adapters.account import AccountWord, DeskOrder
from instgov_dagster.adapters.markets.live.asking import Asker, ProviderRefused
from instgov_dagster.adapters.markets.live.clients import provider_addresses
from instgov_dagster.adapters.markets.live.history import read_json
from instgov_dagster.adapters.markets.live.plain import Getter, plain_getter
from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.vocabulary.audit import OrderSide, to_money
from instgov_dagster.vocabulary.bars import BrokerAccount, Purpose
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

PAPER_URL: Final = "https://paper-api.alpaca.markets"
LIVE_URL: Final = "https://api.alpaca.markets"
KEY_VARIABLES: Final = ("ALPACA_API_KEY_ID", "ALPACA_API_SECRET_KEY")
_PROVIDER: Final = "alpaca"
_PAGE: Final = 500
_NOTHING = Decimal(0)
_FINAL = frozenset({"filled", "canceled", "expired", "rejected", "done_for_day", "replaced"})
_STANDING = frozenset(
    {
        "new", "accepted", "pending_new", "accepted_for_bidding", "partially_filled", "held",
        "pending_cancel", "pending_replace", "stopped", "suspended", "calculated",
    }
)  # fmt: skip


def desk_address(account: BrokerAccount, environment: Mapping[str, str]) -> str:
    """Give the address of an account: Alpaca's own, or the one set for a proxy or a rehearsal.

    Raises
    ------
    InputError
        If the address set may not be sent a key, or is the one of real money for a paper account.
    """
    own = LIVE_URL if account is BrokerAccount.ALPACA_LIVE else PAPER_URL
    url = provider_addresses(environment).get("alpaca_trading", own)
    is_real = urlsplit(url).hostname == urlsplit(LIVE_URL).hostname
    if is_real and account is not BrokerAccount.ALPACA_LIVE:
        raise InputError(
            "INSTGOV_ALPACA_TRADING_URL must not be the address of real money while "
            f"providers.broker is {account}, was {url!r}"
        )
    return url


def account_keys(environment: Mapping[str, str]) -> tuple[str, str]:
    """Give key and secret as the environment has them."""
    key_id, secret = (environment.get(name, "").strip() for name in KEY_VARIABLES)
    return key_id, secret


def alpaca_word(
    account: BrokerAccount,
    environment: Mapping[str, str],
    policy: ProviderPolicy,
    *,
    clock: Clock,
    day: date,
) -> AccountWord:
    """Ask what an account holds, and what became of its orders since a day began.

    It is asked with a batch's patience: nothing waits for it but a comparison.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` where it does not say, or says what cannot be read.
    """
    teller = _Teller(
        Asker(policy, clock=clock),
        plain_getter(policy.broker_timeout_seconds),
        keys=account_keys(environment),
        base_url=desk_address(account, environment),
        max_pages=policy.max_pages,
    )
    try:
        orders = {order.client_order_id: order for order in teller.orders(day)}
        cash, positions = teller.cash_usd(), teller.positions()
    except (ProviderRefused, ValueError, KeyError) as error:
        detail = error.detail if isinstance(error, ProviderRefused) else str(error)
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED, f"the account does not say: {detail}"
        ) from None
    return AccountWord(day=day, cash_usd=cash, positions=positions, orders=orders)


class _Teller:
    def __init__(
        self,
        asker: Asker,
        get: Getter,
        *,
        keys: tuple[str, str],
        base_url: str,
        max_pages: int,
    ) -> None:
        self._asker, self._get, self._max_pages = asker, get, max_pages
        self._base_url = base_url
        self._headers = {"APCA-API-KEY-ID": keys[0], "APCA-API-SECRET-KEY": keys[1]}

    def cash_usd(self) -> Decimal:
        return read_cash(self._ask("/v2/account", {}))

    def positions(self) -> Mapping[str, Decimal]:
        return read_positions(self._ask("/v2/positions", {}))

    def orders(self, day: date) -> list[DeskOrder]:
        """Give what stands, whenever it came, and all that came since the day began."""
        plain = {"limit": str(_PAGE), "direction": "asc"}
        found = list(read_orders(self._ask("/v2/orders", {**plain, "status": "open"})))
        if len(found) >= _PAGE:
            raise ValueError(f"so many orders stand that they are not told at once: {_PAGE}")
        after = datetime.combine(day, time(), tzinfo=UTC)
        for _ in range(self._max_pages):
            asked = {**plain, "status": "all", "after": after.isoformat()}
            told = self._ask("/v2/orders", asked)
            found += read_orders(told)
            if len(told) < _PAGE:
                return found
            after = max(read_instant(str(row["submitted_at"])) for row in told)
        raise ValueError(f"the account tells more orders than {self._max_pages} pages hold")

    def _ask(self, path: str, params: Mapping[str, str]) -> Any:
        answer = self._asker.ask(
            lambda: self._get(f"{self._base_url}{path}", params, self._headers),
            provider=_PROVIDER,
            symbol=path,
            purpose=Purpose.REFERENCE,
        )
        return read_json(answer.body)


def own_symbol(told: str) -> str:
    """Spell Alpaca's symbol as ours."""
    if "/" not in told and told.endswith("USD") and len(told) > 5:
        return f"{told[:-3]}-USD"  # positions in crypto come without the stroke: BTCUSD
    return told.replace("/", "-").replace(".", "-")


def read_cash(told: Any) -> Decimal:
    """Read the account's cash.

    Raises
    ------
    ValueError
        If it is no number.
    """
    return _decimal(_object(told).get("cash"))


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
        is_final=status in _FINAL,
        status=status,
        filled_quantity=filled,
        filled_price=None if price is None else _decimal(price),
        filled_at=None if at is None else read_instant(str(at)),
    )


def read_orders(told: Any) -> tuple[DeskOrder, ...]:
    """Read a list of orders; see `read_order`."""
    return tuple(read_order(row) for row in _list(told))


def read_positions(told: Any) -> dict[str, Decimal]:
    """Read the units held of each symbol, by our own spelling.

    Raises
    ------
    ValueError
        Naming what cannot be read.
    """
    rows = [_object(row) for row in _list(told)]
    held = {own_symbol(str(row["symbol"])): _decimal(row.get("qty")) for row in rows}
    return {symbol: quantity for symbol, quantity in sorted(held.items()) if quantity != _NOTHING}


def read_instant(text: str) -> datetime:
    """Read an instant that names its zone, as UTC.

    Raises
    ------
    ValueError
        If it names none.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"an instant must name its zone, was {text[:40]!r}")
    return found.astimezone(UTC)


def _object(told: Any) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise ValueError("an object was expected")
    return told


def _list(told: Any) -> list[Any]:
    if not isinstance(told, list):
        raise ValueError("a list was expected")
    return told


def _decimal(told: Any) -> Decimal:
    if isinstance(told, bool) or not isinstance(told, str | int | float):
        raise ValueError(f"a number was expected, was {str(told)[:20]!r}")
    try:
        return to_money(str(told))
    except InvalidOperation as error:
        raise ValueError(f"a number was expected, was {str(told)[:20]!r}") from error
