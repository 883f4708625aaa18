"""Sessions of the market live: real quotes, a real broker's word, on the real clock's own time."""

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest

from instgov_dagster.adapters.journal import read_frames, unbundle
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.loop.folding.replay import Replay
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.live.settling.after import reconcile_home
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.governance import Chain, SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.wire.world import SECRETS
from instgov_dagster_tests.loop.homes import ASOF
from instgov_dagster_tests.loop.session.live.homes import (
    KNOWN,
    TRADING,
    LiveHome,
    believe,
    open_live,
)

POST, FIND = "POST /v2/orders", "GET /v2/orders:by"
QUOTES = "GET /v2/stocks/quotes/latest"


def orders_planned(platform: Platform) -> list[dict[str, Any]]:
    """Every order any cycle's frame means to send."""
    return [
        row
        for frame in read_frames(platform.home.journal_dir, Chain.LOOP.value)
        if frame.kind == "cycle"
        for row in unbundle(frame.table())["orders"].to_pylist()
    ]


def checked(live: LiveHome) -> dict[str, bool]:
    """Compare broker and journal as after a session."""
    found = reconcile_home(live.open(), ASOF)
    return {row.name: row.passed for row in found.invariants}


AGREED = dict.fromkeys(("orders", "fills", "positions", "cash"), True)


@pytest.mark.roadmap("9.4")
def test_a_session_trades_on_live_quotes_and_broker_and_journal_agree(live: LiveHome) -> None:
    report = live.lead(cycles=8)
    platform, trading = live.open(), live.world.trading
    assert (report.state.name, report.cycles) == (SystemStateName.RUNNING, 8)
    assert report.orders > 0
    assert [row["passed"] for row in report.reconciliation] == [True] * 4
    planned = {row["client_order_id"] for row in orders_planned(platform)}
    at_broker = [order["client_order_id"] for order in trading.orders.values()]
    assert sorted(at_broker) == sorted(planned)
    assert live.world.wire.count(POST) == len(planned)
    account = read_account(platform.home.paper_account)
    assert account is not None
    assert {s.replace("-", "/"): q for s, q in account.positions} == trading.positions
    assert abs(account.cash_usd - trading.cash) <= Decimal("0.01")
    assert checked(live) == AGREED
    replay = Replay(
        platform.home, platform.policy, key=platform.key, code_hash=platform.code_hash
    ).run()
    assert (replay.ok, replay.cycles) == (True, 8)


def test_cycles_are_stamped_by_the_real_clock_and_see_only_quotes_of_before(
    live: LiveHome,
) -> None:
    live.lead()
    for frame in read_frames(live.open().home.journal_dir, Chain.LOOP.value):
        if frame.kind == "cycle":
            quotes = unbundle(frame.table())["quotes"].to_pylist()
            seen = [row["observed_at"] for row in quotes if row["observed_at"] is not None]
            told = frame.meta["timestamp"]
            assert TRADING.isoformat() < told
            assert seen
            assert max(seen).isoformat() <= told.removesuffix("+00:00")


@pytest.mark.roadmap("1.4")
def test_currencies_and_commodities_are_named_to_no_broker_and_no_quote_service(
    live: LiveHome,
) -> None:
    report = live.lead(cycles=2)
    assert report.reasons[ReasonCode.SIM_ONLY.value] == 2 * 2
    asked = [one for one in live.world.wire.journal if one.path.startswith(("/v2/", "/v1beta3/"))]
    words = json.dumps([[one.path, one.query] for one in asked])
    assert "EURUSD" not in words
    assert "GC" not in words
    assert {row["symbol"] for row in orders_planned(live.open())}.isdisjoint({"EURUSD=X", "GC=F"})


def test_without_quotes_nothing_is_sent_and_the_reason_is_told(live: LiveHome) -> None:
    live.world.wire.fail("quotes", status=503)
    report = live.lead(cycles=2)
    assert report.orders == live.world.wire.count(POST) == 0
    assert report.reasons[ReasonCode.QUOTE_INVALID.value] > 0
    assert report.state.name is SystemStateName.RUNNING


FAULTS = ({"status": 504}, {"hangs": True}, {"cuts": True})


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize("how", FAULTS)
def test_an_order_whose_answer_was_lost_is_once_at_the_broker_and_once_in_the_journal(
    live: LiveHome, how: dict[str, Any]
) -> None:
    live.world.wire.fail(POST, acts=True, times=1, **how)
    report = live.lead(cycles=2)
    assert report.state.name is SystemStateName.RUNNING
    names = [row["client_order_id"] for row in orders_planned(live.open())]
    assert len(names) == len(set(names)) > 0
    assert [len(live.world.trading.named(name)) for name in names] == [1] * len(names)
    assert live.world.wire.count(POST) == len(names)
    assert checked(live) == AGREED


@pytest.mark.roadmap("0.7")
def test_an_order_nobody_knows_of_stops_everything_until_a_person_resumes(live: LiveHome) -> None:
    live.world.wire.fail(POST, times=1, status=504)
    with pytest.raises(SystemHalt) as stopped:
        live.lead(cycles=2)
    assert stopped.value.reason_code is ReasonCode.ORDER_UNKNOWN_OUTCOME
    platform = live.open()
    assert platform.state_log().refresh().name is SystemStateName.STOP_SYSTEM
    assert live.world.wire.count(POST) == 1
    live.world.wire.reset()
    live.lead(cycles=1)
    assert live.world.wire.count(POST) == 0  # nothing is sent until an operator has looked
    state, _ = act(
        platform.home, platform.key, operator="ann", reason="looked at Alpaca", is_halt=False
    )
    assert state.name is SystemStateName.RUNNING
    assert live.lead(cycles=2).orders > 0
    assert checked(live) == AGREED


@pytest.mark.roadmap("8.4")
def test_in_a_calm_market_orders_wait_at_their_own_side_and_in_a_volatile_one_slices_cross(
    live: LiveHome,
) -> None:
    trading, wire = live.world.trading, live.world.wire
    believe(live.open(), "normal")
    calm = live.lead(cycles=2)
    rested = list(trading.orders.values())
    assert calm.orders == len(rested) > 0
    for order in rested:
        bid, ask = trading.prices[order["symbol"]]
        mid, limit = (bid + ask) / 2, Decimal(order["limit_price"])
        assert limit < mid if order["side"] == "buy" else limit > mid
    # Each lives a cycle: it is withdrawn before the next one decides, the last ones at the end.
    assert {order["status"] for order in rested} == {"canceled"}
    assert wire.count("DELETE /v2/orders/") == len(rested)
    believe(live.open(), "volatile")
    volatile = live.lead(cycles=1)
    sliced = list(trading.orders.values())[len(rested) :]
    assert volatile.orders == volatile.fills == len(sliced) > 0
    whole = {order["symbol"]: Decimal(order["qty"]) for order in rested if order["side"] == "buy"}
    for order in sliced:
        _, ask = trading.prices[order["symbol"]]
        assert Decimal(order["limit_price"]) >= ask
        assert Decimal(order["qty"]) < whole[order["symbol"]] / 2
    assert checked(live) == AGREED


@pytest.mark.roadmap("8.4")
def test_in_a_crisis_nothing_is_bought_at_the_broker(live: LiveHome) -> None:
    believe(live.open(), "volatile")
    live.lead(cycles=2)
    trading = live.world.trading
    bought = len(trading.orders)
    assert bought > 0
    believe(live.open(), "crisis")
    live.lead(cycles=2)
    assert {o["side"] for o in list(trading.orders.values())[bought:]} <= {"sell"}
    assert checked(live) == AGREED


def _cash(live: LiveHome) -> None:
    live.world.trading.cash += Decimal("0.02")


def _units(live: LiveHome) -> None:
    live.world.trading.positions["SPY"] = Decimal("0.5")


def _orders(live: LiveHome) -> None:
    first = next(iter(live.world.trading.orders.values()))
    live.world.trading.orders["x"] = {**first, "client_order_id": "by-hand"}


def _fills(live: LiveHome) -> None:
    first = next(iter(live.world.trading.orders.values()))
    first["filled_avg_price"] = "1.01"


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize(
    ("name", "act_of_others"),
    [("cash", _cash), ("positions", _units), ("orders", _orders), ("fills", _fills)],
)
def test_a_difference_is_a_state_that_stops_until_an_operator_resumes(
    live: LiveHome, name: str, act_of_others: Any
) -> None:
    live.lead(cycles=2)
    trading, platform = live.world.trading, live.open()
    cash, held, orders = trading.cash, dict(trading.positions), json.dumps(trading.orders)
    act_of_others(live)
    assert checked(live) == {**AGREED, name: False}
    state = platform.state_log().refresh()
    assert state.name is SystemStateName.STOP_SYSTEM
    assert [c.reason_code for c in state.causes] == [ReasonCode.RECONCILIATION_UNRESOLVED]
    trading.cash, trading.positions, trading.orders = cash, held, json.loads(orders)
    assert checked(live) == AGREED
    assert platform.state_log().refresh().name is SystemStateName.STOP_SYSTEM  # until an act
    act(platform.home, platform.key, operator="ann", reason="found out why", is_halt=False)
    assert live.lead(cycles=1).state.name is SystemStateName.RUNNING


def test_an_account_that_does_not_say_what_it_holds_stops_the_system(live: LiveHome) -> None:
    live.lead(cycles=1)
    live.world.wire.fail("GET /v2/positions", status=500)
    with pytest.raises(SystemHalt) as stopped:
        checked(live)
    assert stopped.value.reason_code is ReasonCode.RECONCILIATION_UNRESOLVED
    assert live.open().state_log().refresh().name is SystemStateName.STOP_SYSTEM


def test_a_book_begins_on_an_account_that_holds_its_cash_and_nothing_else(live: LiveHome) -> None:
    live.world.trading.cash = Decimal(100_000)
    with pytest.raises(InputError, match="set nav_usd to it"):
        live.lead()
    platform = live.open()
    assert not platform.home.paper_account.exists()
    assert platform.state_log().refresh().name is SystemStateName.RUNNING


def test_a_day_that_has_not_begun_is_not_traded(live: LiveHome) -> None:
    live.clock._now = KNOWN.replace(hour=5)  # type: ignore[attr-defined]  # a test's own clock
    with pytest.raises(InputError, match="asof must have begun"):
        live.lead()


def test_a_night_of_days_ago_carries_no_increase(live: LiveHome) -> None:
    live.clock._now = TRADING.replace(day=15)  # type: ignore[attr-defined]  # a test's own clock
    report = live.lead(cycles=1)
    assert report.orders == 0
    assert report.reasons[ReasonCode.STALE_DATA.value] > 0


def test_no_key_is_in_any_file_of_the_home_after_a_session_with_faults(
    live: LiveHome, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = b" ".join(SECRETS)
    live.world.wire.fail(POST, status=403, body=echo, times=1)
    live.world.wire.fail(POST, status=422, body=b'{"message":"%s"}' % echo, times=1)
    live.world.wire.fail(QUOTES, status=401, body=echo, spares=1)
    live.lead(cycles=3)
    live.world.wire.fail("GET /v2/account", status=404, body=b'{"message":"%s"}' % echo)
    with pytest.raises(SystemHalt):
        checked(live)
    files = [path for path in live.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".igj" for path in files)
    for path in files:
        body = path.read_bytes()
        plain = gzip.decompress(body) if path.suffix == ".gz" else body
        assert not [s for s in SECRETS if s in plain], path
    captured = capfd.readouterr()
    told = (caplog.text + captured.out + captured.err + repr(live.open())).encode()
    assert not [s for s in SECRETS if s in told]


@pytest.mark.parametrize("armed", [{}, {"INSTGOV_LIVE_ARMED": "yes"}])
def test_real_money_takes_both_arms(live: LiveHome, armed: dict[str, str]) -> None:
    policy = live.folder / "config" / "policy.yaml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace("broker: alpaca_paper", "broker: alpaca_live"))
    with pytest.raises(InputError, match="INSTGOV_LIVE_ARMED must be 1"):
        live.open(**armed)


def test_a_home_of_one_account_is_not_opened_for_another(live: LiveHome) -> None:
    policy = live.folder / "config" / "policy.yaml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace("broker: alpaca_paper", "broker: alpaca_live"))
    with pytest.raises(InputError, match="account alpaca_paper"):
        live.open(INSTGOV_LIVE_ARMED="1")


def test_a_paper_account_is_never_asked_for_at_the_address_of_real_money(live: LiveHome) -> None:
    environment = live.world.environment()
    environment["INSTGOV_ALPACA_TRADING_URL"] = "https://api.alpaca.markets"
    with pytest.raises(InputError, match="must not be the address of real money"):
        open_live(live.folder, environment, clock=live.clock)
