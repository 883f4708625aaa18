"""In the market live only stocks and crypto reach the client of the broker, whatever is held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from instgov_dagster.adapters.account import DeskOrder, MarketView
from instgov_dagster.adapters.broker.alpaca import AlpacaBroker
from instgov_dagster.adapters.paper.store import AccountStore
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.governance.proof import mint_approved_order
from instgov_dagster.governance.state import cause_of, fold_state
from instgov_dagster.loop.cycle import opening_state
from instgov_dagster.loop.decision.book import (
    Book,
    BookChange,
    Shares,
    apply_changes,
    fresh_book,
)
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.folding.fold import CycleInputs, SessionFold
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.live.opening import open_snapshot
from instgov_dagster.loop.live.router import Router
from instgov_dagster.loop.live.settling.answers import Routed
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.audit import AppendReceipt, Order, OrderSide
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import GovernanceDecision, SystemState, SystemStateName
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF
from instgov_dagster_tests.loop.session.live.homes import TRADING, living

Floats = NDArray[np.float64]
KEY = b"k" * 32
ROUTED = (AssetClass.STOCKS, AssetClass.CRYPTO)
STATES = (SystemStateName.RUNNING, SystemStateName.REDUCE_ONLY, SystemStateName.HALT_SYSTEM)


@dataclass(slots=True)
class Desk:
    """The broker's client, but for the wire: it lets every order stand and remembers it."""

    orders: dict[str, DeskOrder] = field(default_factory=dict)

    def submit(self, order: Order) -> DeskOrder:
        told = DeskOrder(
            order_id=UUID(int=len(self.orders)),
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            is_final=False,
            status="new",
            filled_quantity=Decimal(0),
            filled_price=None,
            filled_at=None,
        )
        self.orders[order.client_order_id] = told
        return told

    def find(self, client_order_id: str) -> DeskOrder | None:
        return self.orders.get(client_order_id)

    def standing(self) -> frozenset[str]:
        return frozenset(self.orders)

    def latest(self) -> Mapping[str, DeskOrder]:
        return self.orders

    def cancel(self, order_id: UUID) -> None:
        raise AssertionError(f"nothing is withdrawn here, was {order_id}")

    def cash_usd(self) -> Decimal:
        return Decimal(0)

    def positions(self) -> Mapping[str, Decimal]:
        return {}


@pytest.fixture(scope="module")
def ground(
    live_night: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Platform, Snapshot, Path]:
    """The live night as a session opens it, and a folder for the broker's records."""
    folder = tmp_path_factory.mktemp("routes")
    with living(live_night, folder / "live") as live:
        platform = live.open()
        return platform, open_snapshot(platform, ASOF), folder


def _closes(snapshot: Snapshot) -> Floats:
    # A pair's last close is still pending at night: any price stands for it here.
    return np.where(np.isfinite(snapshot.last_close), snapshot.last_close, 1.1)


def _quotes(snapshot: Snapshot, moves: list[float]) -> Quotes:
    mid = _closes(snapshot) * np.exp(np.array(moves))
    now = np.datetime64(TRADING.replace(tzinfo=None), "us")
    return Quotes(
        symbols=snapshot.symbols,
        bid=mid * 0.9998,
        ask=mid * 1.0002,
        observed_at=np.full(mid.size, now),
    )


def _book(snapshot: Snapshot, nav_usd: float, held: dict[str, float]) -> Book:
    closes = dict(zip(snapshot.symbols, _closes(snapshot).tolist(), strict=True))
    changes = []
    for symbol, weight in held.items():
        units = Decimal(round(weight * nav_usd / closes[symbol], 4))
        cost = Decimal(repr(round(float(units) * closes[symbol], 2)))
        owner = snapshot.strategies[0].strategy_id
        changes.append(
            BookChange(symbol=symbol, quantity=units, cash_usd=-cost, shares=((owner, 1.0),))
        )
    return apply_changes(fresh_book(nav_usd), changes)


def _state(name: SystemStateName) -> SystemState:
    if name is SystemStateName.RUNNING:
        return SystemState(name=name, causes=())
    return fold_state([cause_of(ReasonCode.REGIME_CRISIS_REDUCE_ONLY, "drawn", state=name)])


def _views(quotes: Quotes) -> dict[str, MarketView]:
    return {
        symbol: MarketView(
            bid=float(quotes.bid[n]), ask=float(quotes.ask[n]), bar_low=float(quotes.bid[n]),
            bar_high=float(quotes.ask[n]), impact_bps=1.0, adv_usd=1e9, max_participation=0.1,
            at=TRADING,
        )
        for n, symbol in enumerate(quotes.symbols)
    }  # fmt: skip


def _send(
    orders: Sequence[Order],
    decisions: Sequence[GovernanceDecision],
    shares: Mapping[str, Shares],
    views: Mapping[str, MarketView],
    folder: Path,
) -> tuple[Desk, Routed]:
    # From decided orders to the broker's client by the way every order goes.
    receipt = AppendReceipt(
        chain="loop",
        segment=1,
        sequence=1,
        offset=0,
        frame_sha256="0" * 64,
        rows=len(decisions),
        cycle_id=decisions[0].cycle_id,
    )
    approved = [
        mint_approved_order(
            order,
            decisions[order.decision_sequence],
            receipt,
            cycle_id=order.cycle_id,
            key=KEY,
        )
        for order in orders
    ]
    desk, path = Desk(), folder / "account.sqlite"
    path.unlink(missing_ok=True)
    store = AccountStore.open(path, opening_cash_usd=Decimal(10_000_000))
    broker = AlpacaBroker(store, desk, policy=ProviderPolicy(), clock=VirtualClock(TRADING))
    try:
        routed = Router(broker, key=KEY).send(approved, views, shares)
    finally:
        broker.close()
    return desk, routed


@pytest.mark.roadmap("1.4", "0.9")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_currencies_and_commodities_never_reach_the_broker_s_client(
    ground: tuple[Platform, Snapshot, Path], data: st.DataObject
) -> None:
    platform, snapshot, folder = ground
    policy, symbols = platform.policy, snapshot.symbols
    classes = dict(zip(symbols, snapshot.asset_class, strict=True))
    moves = data.draw(st.lists(st.floats(-0.2, 0.2), min_size=len(symbols), max_size=len(symbols)))
    routed = [symbol for symbol in symbols if classes[symbol] in ROUTED]
    unrouted = [symbol for symbol in symbols if classes[symbol] not in ROUTED]
    # Every fifth book or so holds what it cannot hold: then nothing is decided at all.
    held_from = routed if data.draw(st.integers(0, 4)) else symbols
    held = data.draw(
        st.dictionaries(st.sampled_from(held_from), st.floats(0.001, 0.05), max_size=6)
    )
    quotes = _quotes(snapshot, moves)
    fold = SessionFold(
        snapshot,
        policy,
        session_id=f"live-{ASOF}-00000001",
        book=_book(snapshot, policy.nav_usd, held),
        state=opening_state(snapshot),
        ledger=SessionLedger(snapshot, opening={}, flows={}),
        solver=HotSolver(),
    )
    try:
        turn = fold.cycle(
            CycleInputs(
                number=0,
                timestamp=TRADING + timedelta(milliseconds=1),
                quotes=quotes,
                system=_state(data.draw(st.sampled_from(STATES))),
                is_late=data.draw(st.booleans()),
                is_stale=data.draw(st.booleans()),
            )
        )
    except SystemHalt as halt:
        event(f"halted: {halt.reason_code}")
        return
    bought = {o.symbol for o in turn.orders if o.side is OrderSide.BUY}
    assert {classes[symbol] for symbol in bought} <= set(ROUTED)
    decisions, views = turn.decision.decisions, _views(quotes)
    desk, _ = _send(turn.orders, decisions, turn.shares, views, folder)
    assert {order.client_order_id for order in turn.orders} == set(desk.orders)
    assert {classes[order.symbol] for order in desk.orders.values()} <= set(ROUTED)
    # Had decide and governance both erred, the broker would still not say it on the wire.
    wrong = data.draw(st.sampled_from(unrouted))
    desk, answers = _send(
        [replace(order, symbol=wrong) for order in turn.orders],
        [replace(row, symbol=wrong) for row in decisions],
        turn.shares,
        views,
        folder,
    )
    assert desk.orders == {}
    for outcome in answers.outcomes:
        assert outcome.reason_codes[1:] == (ReasonCode.SIM_ONLY,)
    event(f"orders of {sorted({classes[o.symbol].value for o in turn.orders})}")
