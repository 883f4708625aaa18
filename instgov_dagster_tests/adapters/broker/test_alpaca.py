"""The Alpaca broker over the real alpaca-py: each order once, each outcome known, or all stops."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.account import OrderOutcome, OrderStatus
from instgov_dagster.adapters.broker.alpaca import AlpacaBroker
from instgov_dagster.adapters.broker.alpaca_desk import AlpacaDesk, tick_price
from instgov_dagster.adapters.broker.booked import plain
from instgov_dagster.adapters.markets.live.alpaca.account import own_symbol
from instgov_dagster.adapters.paper.store import AccountStore
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.vocabulary.audit import OrderSide
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.broker.test_paper import AT, order, view
from instgov_dagster_tests.adapters.wire.server import Wire
from instgov_dagster_tests.adapters.wire.trading import Trading

POST, FIND, DELETE = "POST /v2/orders", "GET /v2/orders:by", "DELETE /v2/orders/"
TIMEOUT = 2.0


class Account:
    """One account on the loopback and the brokers opened on it."""

    def __init__(self, folder: Path) -> None:
        self.trading = Trading(prices={"SPY": (Decimal("99.9"), Decimal("100.1"))})
        self.wire = Wire(self.trading.routes())
        self.clock = VirtualClock(AT)
        self.path = folder / "alpaca" / "account.sqlite"
        self._brokers: list[AlpacaBroker] = []

    def open(self) -> AlpacaBroker:
        """Open the broker; a second opening finds what the first one left."""
        desk = AlpacaDesk("id", "secret", base_url=self.wire.url, timeout_seconds=TIMEOUT)
        broker = AlpacaBroker.open(
            self.path,
            desk,
            opening_cash_usd=Decimal(100_000),
            policy=ProviderPolicy(),
            clock=self.clock,
        )
        self._brokers.append(broker)
        return broker

    def close(self) -> None:
        """Close whatever was opened."""
        for broker in self._brokers:
            broker.close()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Serve one account for one test."""
    made = Account(tmp_path)
    with made.wire:
        yield made
        made.close()


def _resting() -> Any:
    return order(limit_price=Decimal(100))  # between bid and ask


def _stopped(act: Callable[[], object]) -> SystemHalt:
    with pytest.raises(SystemHalt) as stopped:
        act()
    return stopped.value


@pytest.mark.roadmap("9.4")
def test_a_purchase_that_crosses_is_filled_at_the_markets_price(account: Account) -> None:
    broker = account.open()
    outcome = broker.submit(order(), view())
    (fill,) = outcome.fills
    assert (outcome.status, fill.quantity, fill.price) == (
        OrderStatus.FILLED, Decimal(100), Decimal("100.1"),
    )  # fmt: skip
    assert fill.is_aggressive
    assert broker.cash_usd() == account.trading.cash == Decimal(100_000) - Decimal(10_010)
    assert broker.positions() == {"SPY": Decimal(100)}
    broker.require_agreement()


def test_what_rests_is_withdrawn_and_over(account: Account) -> None:
    broker = account.open()
    assert broker.submit(_resting(), view()).status is OrderStatus.RESTING
    assert broker.match({}) == ()
    (outcome,) = broker.cancel_all()
    assert (outcome.status, outcome.fills) == (OrderStatus.CANCELLED, ())
    assert broker.open_orders() == ()
    broker.require_agreement()


def test_a_part_filled_is_told_when_the_rest_is_withdrawn(account: Account) -> None:
    broker = account.open()
    account.trading.liquidity["SPY"] = Decimal(30)
    assert broker.submit(order(), view()).status is OrderStatus.RESTING
    (outcome,) = broker.cancel_all()
    assert outcome.status is OrderStatus.PARTIALLY_FILLED
    assert (outcome.filled_quantity, outcome.fills[0].price) == (Decimal(30), Decimal("100.1"))
    broker.require_agreement()


def test_a_cancellation_that_comes_too_late_tells_the_fill(account: Account) -> None:
    broker = account.open()
    account.trading.fills_on_cancel.add("c1-0")
    broker.submit(_resting(), view())
    (outcome,) = broker.cancel_all()
    assert outcome.status is OrderStatus.FILLED
    assert not outcome.fills[0].is_aggressive
    broker.require_agreement()


def test_what_filled_meanwhile_is_found_by_asking(account: Account) -> None:
    broker = account.open()
    broker.submit(_resting(), view())
    (standing,) = account.trading.orders.values()
    account.trading._fill(standing, Decimal(100))
    (outcome,) = broker.match({})
    assert (outcome.status, outcome.fills[0].price) == (OrderStatus.FILLED, Decimal(100))


def test_the_same_order_sent_twice_is_one_on_the_wire(account: Account) -> None:
    broker = account.open()
    first = broker.submit(order(), view())
    assert broker.submit(order(), view()) == first
    assert account.wire.count(POST) == 1


def test_crypto_goes_out_in_its_own_spelling_and_comes_back_in_ours(account: Account) -> None:
    account.trading.prices["BTC/USD"] = (Decimal(99), Decimal(100))
    broker = account.open()
    coin = order(symbol="BTC-USD", quantity=Decimal("0.12345678"), limit_price=Decimal(100))
    assert broker.submit(coin, view()).status is OrderStatus.FILLED
    assert broker.positions() == {"BTC-USD": Decimal("0.12345678")}
    broker.require_agreement()


LOST = [{"status": 504}, {"status": 500}, {"hangs": True}, {"cuts": True}, {"status": 429},
        {"status": 200, "body": b"{"}, {"status": 200, "body": b'{"id":1}'}]  # fmt: skip


@pytest.mark.parametrize("how", LOST)
def test_an_order_taken_whose_answer_was_lost_exists_exactly_once(
    account: Account, how: dict[str, Any]
) -> None:
    broker = account.open()
    account.wire.fail(POST, acts=True, times=1, **how)
    outcome = broker.submit(order(), view())
    assert outcome.status is OrderStatus.FILLED
    assert len(account.trading.named("c1-0")) == len(broker.order_ids()) == 1
    assert account.wire.count(POST) == 1
    broker.require_agreement()


@pytest.mark.parametrize("how", [how for how in LOST if how != {"status": 429}])
def test_an_order_of_which_nobody_knows_stops_everything(
    account: Account, how: dict[str, Any]
) -> None:
    broker = account.open()
    account.wire.fail(POST, times=1, **how)
    stopped = _stopped(lambda: broker.submit(order(), view()))
    assert stopped.reason_code is ReasonCode.ORDER_UNKNOWN_OUTCOME
    assert (account.wire.count(POST), account.wire.count(FIND)) == (1, 3)


def test_a_broker_that_is_silent_about_a_lost_order_stops_everything(account: Account) -> None:
    broker = account.open()
    account.wire.fail(POST, acts=True, status=504, times=1)
    account.wire.fail(FIND, status=503)
    stopped = _stopped(lambda: broker.submit(order(), view()))
    assert stopped.reason_code is ReasonCode.ORDER_UNKNOWN_OUTCOME


def test_an_order_turned_away_for_asking_too_often_is_rejected(account: Account) -> None:
    broker = account.open()
    account.wire.fail(POST, status=429, body=b'{"message":"rate limit exceeded"}', times=1)
    outcome = broker.submit(order(), view())
    assert outcome.status is OrderStatus.REJECTED
    assert ReasonCode.PROVIDER_RATE_LIMITED in outcome.reason_codes
    assert account.wire.count(POST) == 1


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, '{"code":40310000,"message":"insufficient buying power"}', "BROKER_NO_CASH"),
        (403, '{"code":40310000,"message":"potential wash trade detected."}', "BROKER_WASH_TRADE"),
        (403, '{"code":40310100,"message":"pattern day trading"}', "BROKER_DAY_TRADES"),
        (403, '{"message":"forbidden."}', "BROKER_REFUSED"),
        (401, '{"message":"unauthorized."}', "PROVIDER_UNAUTHORIZED"),
        (400, '{"code":40010001,"message":"too long"}', "BROKER_REFUSED"),
        (404, "<html>", "BROKER_REFUSED"),
        (422, '{"code":42210000,"message":"asset not found"}', "BROKER_REFUSED"),
    ],
)
def test_a_refused_order_is_rejected_by_name_after_one_request(
    account: Account, status: int, body: str, reason: str
) -> None:
    broker = account.open()
    account.wire.reset()
    account.wire.fail(POST, status=status, body=body.encode())
    outcome = broker.submit(order(), view())
    assert outcome.status is OrderStatus.REJECTED
    assert outcome.reason_codes == (ReasonCode.ORDER_REJECTED_BY_BROKER, ReasonCode(reason))
    assert account.wire.count("orders") == 1
    broker.require_agreement()


def test_a_quote_nobody_can_trade_on_sends_nothing(account: Account) -> None:
    broker = account.open()
    assert broker.submit(order(), view(bid=101.0, ask=100.0)).status is OrderStatus.REJECTED
    assert account.wire.count(POST) == 0


def test_only_an_approved_order_is_sent(account: Account) -> None:
    broker = account.open()
    stopped = _stopped(lambda: broker.submit(plain(order()), view()))  # type: ignore[arg-type]  # the point
    assert stopped.reason_code is ReasonCode.ORDER_NOT_APPROVED
    assert account.wire.count(POST) == 0


def test_another_order_under_the_same_name_stops_everything(account: Account) -> None:
    broker = account.open()
    broker.submit(order(), view())
    stopped = _stopped(lambda: broker.submit(order(quantity=Decimal(7)), view()))
    assert stopped.reason_code is ReasonCode.RECONCILIATION_UNRESOLVED


def test_a_broker_that_took_other_terms_stops_everything(account: Account) -> None:
    broker = account.open()
    terms = {"client_order_id": "c1-0", "symbol": "SPY", "side": "buy", "qty": "700"}
    lie = json.dumps({"id": "0" * 32, "status": "new", **terms})
    account.wire.fail(POST, status=200, body=lie.encode())
    stopped = _stopped(lambda: broker.submit(order(), view()))
    assert stopped.reason_code is ReasonCode.RECONCILIATION_UNRESOLVED


def test_a_cancellation_that_never_ends_stops_everything_at_its_deadline(account: Account) -> None:
    broker = account.open()
    account.trading.never_over.add("c1-0")
    broker.submit(_resting(), view())
    begun = account.clock.now()
    stopped = _stopped(broker.cancel_all)
    assert stopped.reason_code is ReasonCode.ORDER_UNKNOWN_OUTCOME
    assert account.clock.now() - begun <= timedelta(seconds=6)


def _crashed(account: Account, *, was_taken: bool) -> None:
    # The process ends between putting an order on record and hearing of it.
    broker = account.open()
    account.wire.fail(POST, acts=was_taken, status=504, times=1)
    account.wire.fail(FIND, status=503)
    _stopped(lambda: broker.submit(order(), view()))
    broker.close()
    account.wire.reset()


def test_after_a_crash_an_order_that_was_taken_is_found(account: Account) -> None:
    _crashed(account, was_taken=True)
    broker = account.open()
    outcome = broker.outcome("c1-0")
    assert isinstance(outcome, OrderOutcome)
    assert outcome.status is OrderStatus.FILLED
    assert len(account.trading.named("c1-0")) == 1
    assert account.wire.count(POST) == 0


def test_after_a_crash_an_order_that_never_got_there_is_not_sent_again(account: Account) -> None:
    _crashed(account, was_taken=False)
    broker = account.open()
    outcome = broker.outcome("c1-0")
    assert isinstance(outcome, OrderOutcome)
    assert (outcome.status, outcome.reason_codes) == (
        OrderStatus.CANCELLED, (ReasonCode.ORDER_NEVER_SENT,),
    )  # fmt: skip
    assert account.wire.count(POST) == 0


def _foreign(trading: Trading) -> None:
    trading.orders["1"] = {
        "id": "0" * 32, "client_order_id": "by-hand", "symbol": "SPY", "side": "buy", "qty": "1",
        "status": "new", "submitted_at": AT.isoformat(),
    }  # fmt: skip


def _cash(trading: Trading) -> None:
    trading.cash += Decimal("0.02")


def _units(trading: Trading) -> None:
    trading.positions["SPY"] = Decimal("0.00000001")


@pytest.mark.parametrize("act", [_foreign, _cash, _units])
def test_an_account_that_differs_does_not_open(
    account: Account, act: Callable[[Trading], None]
) -> None:
    account.open().close()
    act(account.trading)
    stopped = _stopped(account.open)
    assert stopped.reason_code is ReasonCode.RECONCILIATION_UNRESOLVED


@pytest.mark.parametrize("act", [_cash, _units])
def test_a_record_begins_on_an_account_of_its_cash_and_nothing_else(
    account: Account, act: Callable[[Trading], None]
) -> None:
    act(account.trading)
    with pytest.raises(InputError, match="nothing but that cash"):
        account.open()
    assert not account.path.exists()


@pytest.mark.roadmap("1.4")
@pytest.mark.parametrize("symbol", ["EURUSD=X", "GC=F", "^VIX"])
def test_what_has_no_live_route_is_rejected_before_the_wire(account: Account, symbol: str) -> None:
    broker = account.open()
    outcome = broker.submit(order(symbol=symbol), view())
    assert outcome.status is OrderStatus.REJECTED
    assert account.wire.count(POST) == 0


@pytest.mark.parametrize("path", ["account", "positions", "orders"])
def test_an_account_that_cannot_be_asked_does_not_open(account: Account, path: str) -> None:
    account.open().close()
    account.wire.fail(f"GET /v2/{path}", status=503)
    assert _stopped(account.open).reason_code is ReasonCode.ORDER_UNKNOWN_OUTCOME


def test_the_record_is_on_disk_before_an_order_leaves(account: Account) -> None:
    broker = account.open()
    account.wire.fail(POST, hangs=True)
    account.wire.fail(FIND, status=503)
    _stopped(lambda: broker.submit(order(), view()))
    broker.close()
    store = AccountStore.open(account.path, opening_cash_usd=Decimal(0))
    (resting,) = store.resting()
    store.close()
    assert resting.reason_codes == (ReasonCode.ORDER_SENT,)


@given(price=st.decimals("0.0001", "99999", places=8), side=st.sampled_from(OrderSide))
def test_a_tick_never_makes_a_limit_worse(price: Decimal, side: OrderSide) -> None:
    rounded = tick_price(price, side, AssetClass.STOCKS)
    assert (rounded - price) * side.sign <= 0
    assert abs(rounded - price) < Decimal("0.01")
    assert tick_price(rounded, side, AssetClass.STOCKS) == rounded or rounded < 1


@pytest.mark.parametrize(
    ("told", "ours"),
    [("BRK.B", "BRK-B"), ("BTC/USD", "BTC-USD"), ("BTCUSD", "BTC-USD"), ("SPY", "SPY")],
)
def test_a_symbol_comes_back_in_our_spelling(told: str, ours: str) -> None:
    assert own_symbol(told) == ours
