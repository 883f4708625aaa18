from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from instgov_dagster.adapters.markets.simulation.quote_defects import QuoteDefect
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.governance.state import cause_of, fold_state
from instgov_dagster.loop.cycle import CycleDecision, CycleState, decide, opening_state
from instgov_dagster.loop.decision.book import Book, BookChange, apply_changes, fresh_book
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.live.opening import open_snapshot
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.steps.decision import night_quotes
from instgov_dagster.vocabulary.audit import OrderSide, to_money
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Decision, Veto
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF

NOW = datetime(ASOF.year, ASOF.month, ASOF.day, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def snapshot(night_platform: Platform) -> Snapshot:
    return open_snapshot(night_platform, ASOF)


def told(snapshot: Snapshot) -> CycleState:
    return replace(opening_state(snapshot), cycle_id="cycle-1", timestamp=NOW)


def run(
    platform: Platform,
    snapshot: Snapshot,
    *,
    state: CycleState | None = None,
    book: Book | None = None,
    quotes: Quotes | None = None,
) -> CycleDecision:
    decision, _ = decide(
        snapshot,
        quotes or night_quotes(snapshot, NOW),
        book or fresh_book(platform.policy.nav_usd),
        state or told(snapshot),
        platform.policy,
        solver=HotSolver(),
    )
    return decision


def holding(snapshot: Snapshot, symbol: str, usd: float, strategy: str) -> Book:
    price = float(snapshot.last_close[snapshot.symbols.index(symbol)])
    change = BookChange(
        symbol=symbol,
        quantity=to_money(usd / price),
        cash_usd=to_money(-usd),
        shares=((strategy, 1.0),),
    )
    return apply_changes(fresh_book(10_000_000.0), [change])


@pytest.mark.roadmap("3.5", "0.10", "9.3")
def test_every_symbol_is_decided_once_with_a_reason(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    decision = run(night_platform, snapshot)
    assert [row.symbol for row in decision.decisions] == list(night_platform.universe.tradable)
    assert all(row.reason_codes for row in decision.decisions)


@pytest.mark.roadmap("0.3", "4.4", "0.5")
def test_nothing_is_bought_but_what_the_auction_granted_and_every_gate_passed(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    decision = run(night_platform, snapshot)
    bought = [row for row in decision.decisions if row.decision is Decision.EXECUTE]
    granted = {s for s, w in decision.auction.bids.select("symbol", "weight").iter_rows() if w > 0}
    assert bought
    assert {row.symbol for row in bought} <= granted
    assert all(False not in row.limit_checks for row in bought)
    assert {order.symbol for order in decision.orders} == {row.symbol for row in bought}


@pytest.mark.roadmap("5.4", "5.5")
def test_the_book_after_the_orders_keeps_every_measure_within_the_limit(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    decision = run(night_platform, snapshot)
    limit = night_platform.policy.cvar.portfolio_limit
    assert all(value <= limit for _, value in decision.risk.measures)
    gross = float(np.abs(decision.found.verdict.weights).sum())
    assert 0.0 < gross <= sum(view.stage_cap for view in snapshot.strategies)


def test_the_same_inputs_give_the_same_decision_byte_for_byte(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    first, second = run(night_platform, snapshot), run(night_platform, snapshot)
    assert first.inputs_hash == second.inputs_hash
    assert first.decisions == second.decisions
    assert first.orders == second.orders


def test_a_late_cycle_holds_what_is_held(night_platform: Platform, snapshot: Snapshot) -> None:
    decision = run(night_platform, snapshot, state=replace(told(snapshot), is_late=True))
    assert decision.orders == ()
    assert not any(row.decision.is_tradable for row in decision.decisions)


@pytest.mark.parametrize(
    ("code", "may_reduce"),
    [
        (ReasonCode.REGIME_CRISIS_REDUCE_ONLY, True),
        (ReasonCode.OPERATOR_HALT, True),
        (ReasonCode.CHAIN_BROKEN, False),
    ],
)
def test_no_state_but_running_lets_risk_grow_and_stop_lets_nothing_go(
    night_platform: Platform,
    snapshot: Snapshot,
    code: ReasonCode,
    may_reduce: bool,  # noqa: FBT001  # a column of the table above
) -> None:
    strategy = snapshot.strategies[0].strategy_id
    book = holding(snapshot, "SPY", 900_000.0, strategy)  # far above the strategy's cap
    state = replace(told(snapshot), system=fold_state([cause_of(code, "raised by the test")]))
    decision = run(night_platform, snapshot, state=state, book=book)
    assert not any(row.decision is Decision.EXECUTE for row in decision.decisions)
    sent = {order.symbol for order in decision.orders}
    assert sent == ({"SPY"} if may_reduce else set())


def test_a_veto_keeps_capital_from_its_strategy_and_symbol(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    won = run(night_platform, snapshot).orders[0]
    vetoes = tuple(
        Veto(
            strategy_id=view.strategy_id, symbol=won.symbol, raised_on=ASOF, n=25, trigger="level",
            reason_code=ReasonCode.VETO_UNEXPLAINED_PROFITS, statistic=9.0, threshold=2.0,
        )
        for view in snapshot.strategies
    )  # fmt: skip
    decision = run(night_platform, snapshot, state=replace(told(snapshot), vetoes=vetoes))
    row = next(row for row in decision.decisions if row.symbol == won.symbol)
    assert row.decision is Decision.VETO
    assert row.veto_reason is ReasonCode.VETO_UNEXPLAINED_PROFITS
    assert won.symbol not in {order.symbol for order in decision.orders}


@pytest.mark.parametrize("defect", ["crossed", "missing", "stale"])
def test_a_symbol_without_a_valid_quote_is_never_bought(
    night_platform: Platform, snapshot: Snapshot, defect: str
) -> None:
    good = night_quotes(snapshot, NOW)
    bid, ask, seen = good.bid.copy(), good.ask.copy(), good.observed_at.copy()
    if defect == "crossed":
        bid, ask = ask * 1.001, bid
    elif defect == "missing":
        bid[:] = np.nan
    else:
        seen -= np.timedelta64(6, "s")
    quotes = Quotes(symbols=good.symbols, bid=bid, ask=ask, observed_at=seen)
    decision = run(night_platform, snapshot, quotes=quotes)
    assert decision.orders == ()
    assert not any(row.decision is Decision.EXECUTE for row in decision.decisions)


def test_a_holding_without_any_price_stops_the_system(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    good = night_quotes(snapshot, NOW)
    quotes = Quotes(
        symbols=good.symbols,
        bid=np.full_like(good.bid, np.nan),
        ask=np.full_like(good.ask, np.nan),
        observed_at=good.observed_at,
    )
    blind = replace(told(snapshot), marks=np.full_like(snapshot.last_close, np.nan))
    strategy = snapshot.strategies[0].strategy_id
    book = holding(snapshot, "KO", 10_000.0, strategy)
    with pytest.raises(SystemHalt, match="held without any price"):
        run(night_platform, snapshot, state=blind, quotes=quotes, book=book)


def test_quotes_in_another_order_are_refused(night_platform: Platform, snapshot: Snapshot) -> None:
    good = night_quotes(snapshot, NOW)
    quotes = replace(good, symbols=tuple(reversed(good.symbols)))
    with pytest.raises(ValueError, match="in its order"):
        run(night_platform, snapshot, quotes=quotes)


@pytest.mark.roadmap("5.5")
def test_a_book_in_breach_is_scaled_as_a_whole_and_nothing_in_it_grows(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    strategy = snapshot.strategies[0].strategy_id
    book = fresh_book(10_000_000.0)
    for symbol in ("BTC-USD", "SPY"):
        price = float(snapshot.last_close[snapshot.symbols.index(symbol)])
        change = BookChange(
            symbol=symbol,
            quantity=to_money(4_500_000.0 / price),
            cash_usd=to_money(-4_500_000.0),
            shares=((strategy, 1.0),),
        )
        book = apply_changes(book, [change])
    decision = run(night_platform, snapshot, book=book)
    before = decision.found.verdict.risk_before.gate
    limit = night_platform.policy.cvar.portfolio_limit
    assert before > limit
    held = decision.valued.net[snapshot.places]
    assert (decision.found.wanted <= held * (limit / before) + 1e-12).all()
    assert not any(row.decision is Decision.EXECUTE for row in decision.decisions)
    assert {order.symbol for order in decision.orders} == {"BTC-USD", "SPY"}


@pytest.mark.roadmap("3.3")
def test_a_stale_snapshot_lets_no_risk_grow(night_platform: Platform, snapshot: Snapshot) -> None:
    decision = run(night_platform, snapshot, state=replace(told(snapshot), is_stale=True))
    assert decision.orders == ()
    codes = {code for row in decision.decisions for code in row.reason_codes}
    assert ReasonCode.STALE_DATA in codes


@pytest.mark.roadmap("3.4")
def test_the_state_of_a_cycle_is_handed_to_the_next(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    solver = HotSolver()
    _, after = decide(
        snapshot,
        night_quotes(snapshot, NOW),
        fresh_book(night_platform.policy.nav_usd),
        told(snapshot),
        night_platform.policy,
        solver=solver,
    )
    assert np.array_equal(after.marks, night_quotes(snapshot, NOW).mid(), equal_nan=True)
    assert sum(after.previous.values()) > 0.0


def spoil(quotes: Quotes, place: int, kind: QuoteDefect) -> Quotes:
    bid, ask, seen = quotes.bid.copy(), quotes.ask.copy(), quotes.observed_at.copy()
    match kind:
        case QuoteDefect.CROSSED:
            bid[place], ask[place] = 1.1 * ask[place], bid[place]
        case QuoteDefect.ONE_SIDED:
            bid[place] = 0.0
        case QuoteDefect.STALE:
            seen[place] -= np.timedelta64(6, "s")
        case QuoteDefect.MISSING:
            bid[place] = ask[place] = np.nan
        case QuoteDefect.LOCKED:
            bid[place] = ask[place] = quotes.mid()[place]
    return Quotes(symbols=quotes.symbols, bid=bid, ask=ask, observed_at=seen)


UNUSABLE = [kind for kind in QuoteDefect if kind is not QuoteDefect.LOCKED]


def decide_on_odd_quote(
    platform: Platform, snapshot: Snapshot, kind: QuoteDefect, *, usd: float
) -> CycleDecision:
    place = snapshot.symbols.index("SPY")
    return run(
        platform,
        snapshot,
        state=replace(told(snapshot), marks=0.9 * snapshot.last_close),
        book=holding(snapshot, "SPY", usd, snapshot.strategies[0].strategy_id),
        quotes=spoil(night_quotes(snapshot, NOW), place, kind),
    )


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_held_symbol_whose_quote_is_unusable_keeps_its_mark_and_sends_no_order(
    night_platform: Platform, snapshot: Snapshot, kind: QuoteDefect
) -> None:
    place = snapshot.symbols.index("SPY")
    decision = decide_on_odd_quote(night_platform, snapshot, kind, usd=900_000.0)
    row = decision.decisions[place]
    assert ReasonCode.QUOTE_INVALID in row.reason_codes
    # What must shrink is decided to; without a price nothing can be sized, so nothing is sent.
    assert row.decision is Decision.REDUCE  # far above the strategy's cap
    assert "SPY" not in {order.symbol for order in decision.orders}
    assert decision.valued.marks[place] == 0.9 * snapshot.last_close[place]


def test_a_locked_quote_is_a_normal_market_what_must_go_goes(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    place = snapshot.symbols.index("SPY")
    decision = decide_on_odd_quote(night_platform, snapshot, QuoteDefect.LOCKED, usd=900_000.0)
    row = decision.decisions[place]
    assert row.decision is Decision.REDUCE
    assert ReasonCode.QUOTE_INVALID not in row.reason_codes
    assert "SPY" in {order.symbol for order in decision.orders}
    assert decision.valued.marks[place] == night_quotes(snapshot, NOW).mid()[place]
    assert decision.valued.half_spread_bps[place] == 0.0


def held_and_wanted(platform: Platform, snapshot: Snapshot) -> tuple[int, Book]:
    # A little of everything an empty book would buy, and a name of it that is bought more of.
    book = fresh_book(platform.policy.nav_usd)
    for order in run(platform, snapshot).orders:
        price = float(snapshot.last_close[snapshot.symbols.index(order.symbol)])
        change = BookChange(
            symbol=order.symbol,
            quantity=to_money(10_000.0 / price),
            cash_usd=to_money(-10_000.0),
            shares=((order.strategy_id, 1.0),),
        )
        book = apply_changes(book, [change])
    more = [o for o in run(platform, snapshot, book=book).orders if o.side is OrderSide.BUY]
    assert len(more) >= 2
    return snapshot.symbols.index(more[0].symbol), book


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_would_be_bought_more_of_is_held_on_an_unusable_quote_and_the_others_trade_on(
    night_platform: Platform, snapshot: Snapshot, kind: QuoteDefect
) -> None:
    place, book = held_and_wanted(night_platform, snapshot)
    odd = spoil(night_quotes(snapshot, NOW), place, kind)
    decision = run(night_platform, snapshot, book=book, quotes=odd)
    row = decision.decisions[place]
    assert row.decision is Decision.HOLD
    assert ReasonCode.QUOTE_INVALID in row.reason_codes
    assert decision.orders
    assert snapshot.symbols[place] not in {order.symbol for order in decision.orders}
