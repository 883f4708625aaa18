import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from instgov_dagster.adapters.journal import Journal, read_anchors, read_frames, verify_chain
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.adapters.runtime import FileLock
from instgov_dagster.adapters.store.projector import live_store
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.solver import unsolved
from instgov_dagster.loop import session as session_module
from instgov_dagster.loop.decision.book import book_from_dict, fresh_book
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.live.recovery import last_book
from instgov_dagster.loop.live.report import SessionReport
from instgov_dagster.loop.live.router import Router
from instgov_dagster.loop.live.settling.invariants import Account, require_reconciled
from instgov_dagster.loop.live.settling.told import Told, fold_account
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.audit import Order, OrderSide
from instgov_dagster.vocabulary.errors import LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.governance import Chain, SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF, run_night, settings_of

CYCLES = 4


def lead(platform: Platform, *, cycles: int = CYCLES) -> SessionReport:
    return run_session(platform, ASOF, cycles=cycles, period_seconds=0.0, run_id="test-run")


def account_of(platform: Platform) -> Account:
    """What the journal's own fills say is held."""
    told = fold_account(platform, ASOF)
    assert told.cash_usd is not None
    return Account(cash_usd=told.cash_usd, positions=told.positions)


def frames_of(platform: Platform) -> list[tuple[str, dict[str, object]]]:
    found = read_frames(platform.home.journal_dir, Chain.LOOP.value)
    return [(frame.kind, dict(frame.meta)) for frame in found]


@pytest.fixture(scope="module")
def led(night_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """An installation after one session; shared, so it is only read."""
    from instgov_dagster_tests.loop.homes import copy_home

    platform = copy_home(night_platform, tmp_path_factory.mktemp("led"))
    lead(platform)
    return platform


@pytest.mark.roadmap("3.2", "3.5", "9.4")
def test_a_session_decides_every_symbol_in_every_cycle_and_trades(led: Platform) -> None:
    told = json.loads((led.home.published / session_module.SUMMARY_FILE).read_text())
    n_symbols = len(led.universe.tradable)
    assert told["cycles"] == CYCLES
    assert told["decisions"] == CYCLES * n_symbols == sum(told["verdicts"].values())
    assert told["state"] == "RUNNING"
    assert told["orders"] > 0
    assert told["cvar_gate"] <= told["cvar_limit"]


@pytest.mark.roadmap("0.6", "9.1")
def test_every_order_has_a_frame_that_was_written_before_it(led: Platform) -> None:
    planned: set[str] = set()
    answered: set[str] = set()
    for frame in read_frames(led.home.journal_dir, Chain.LOOP.value):
        if frame.kind in ("cycle", "outcomes"):
            rows = frame.table().column("orders").combine_chunks().flatten()
            names = {row["client_order_id"] for row in rows.to_pylist()}
            if frame.kind == "cycle":
                assert not names & planned
                planned |= names
            else:
                assert names <= planned
                answered |= names
    assert answered == planned != set()


def test_the_loop_s_chain_verifies_and_is_anchored_at_its_end(led: Platform) -> None:
    anchors = read_anchors(led.home.anchors, Chain.LOOP.value)
    report = verify_chain(led.home.journal_dir, Chain.LOOP.value, anchors=anchors)
    assert report.ok
    assert report.anchored == report.frames > CYCLES


def test_every_frame_of_a_session_tells_where_the_other_chains_stood(led: Platform) -> None:
    heads = {
        chain.value: verify_chain(led.home.journal_dir, chain.value).head
        for chain in (Chain.NIGHT, Chain.OPERATOR)
    }
    told = [meta["heads"] for kind, meta in frames_of(led) if kind in ("session", "cycle")]
    assert len(told) == CYCLES + 2
    assert all({name: row[name] for name in heads} == heads for row in told)  # type: ignore[index,call-overload]  # as written


def test_the_projection_holds_what_the_journal_says(led: Platform) -> None:
    with live_store(led.home).reader() as con:
        counts = con.sql(
            "SELECT count(*), count(DISTINCT cycle_id), count(DISTINCT symbol)"
            " FROM governance_decisions"
        ).fetchall()
    n_symbols = len(led.universe.tradable)
    assert counts == [(CYCLES * n_symbols, CYCLES, n_symbols)]


def test_money_is_kept_to_the_last_decimal_by_book_and_ledger(led: Platform) -> None:
    with live_store(led.home).reader() as con:
        moved = con.sql("SELECT sum(amount_usd) FROM cash_ledger WHERE entry = 'FILL'").fetchall()
        fills = con.sql(
            "SELECT sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END)::DECIMAL(20, 8)"
            " FROM fills"
        ).fetchall()
    book = last_book(led)
    assert book is not None
    opened = fresh_book(led.policy.nav_usd).cash_usd
    assert book.cash_usd - opened == (moved[0][0] or Decimal(0))
    assert sum((h.quantity for h in book.holdings), Decimal(0)) == (fills[0][0] or Decimal(0))


def test_a_second_session_goes_on_with_the_book_of_the_first(platform: Platform) -> None:
    lead(platform)
    book = last_book(platform)
    lead(platform)
    started = [meta for kind, meta in frames_of(platform) if meta.get("event") == "started"]
    assert len(started) == 2
    assert book_from_dict(started[1]["book"]) == book  # type: ignore[arg-type]  # as written


def test_a_second_leader_is_refused_and_writes_nothing(platform: Platform) -> None:
    with FileLock(platform.home.lease), pytest.raises(LeaseHeld):
        lead(platform)
    assert frames_of(platform) == []


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("code_hash", ReasonCode.CODE_HASH_MISMATCH),
        ("config_hash", ReasonCode.CONFIG_HASH_MISMATCH),
    ],
)
def test_other_code_or_rules_than_the_night_s_stop_the_system_before_an_order(
    platform: Platform, field: str, code: ReasonCode
) -> None:
    with pytest.raises(SystemHalt) as halt:
        lead(replace(platform, **{field: "0" * 64}))
    assert halt.value.reason_code is code
    assert platform.state_log().refresh().name is SystemStateName.STOP_SYSTEM
    assert [kind for kind, _ in frames_of(platform)] == ["state"]


def test_a_damaged_snapshot_stops_the_system(platform: Platform) -> None:
    path = next((platform.home.published / "night").glob("*/market_impact.parquet"))
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(bytes(body))
    with pytest.raises(SystemHalt) as halt:
        lead(platform)
    assert halt.value.reason_code is ReasonCode.SNAPSHOT_MISSING


@pytest.mark.roadmap("0.6")
def test_a_frame_that_cannot_be_written_sends_nothing_and_stops(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, sent = Journal.append, []

    def full(self: Journal, kind: str, table: pa.Table, meta: dict[str, object]) -> object:
        if kind == "cycle":
            raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, "no space left on device")
        return append(self, kind, table, meta)

    monkeypatch.setattr(Journal, "append", full)
    monkeypatch.setattr(Router, "send", lambda *words: sent.append(words))
    with pytest.raises(SystemHalt):
        lead(platform)
    assert sent == []
    assert platform.state_log().refresh().name is SystemStateName.STOP_SYSTEM


def test_a_halted_system_sends_no_order_that_adds_risk_until_it_is_resumed(
    platform: Platform,
) -> None:
    state, _ = act(platform.home, platform.key, operator="ro", reason="drill", is_halt=True)
    assert state.name is SystemStateName.HALT_SYSTEM
    halted = lead(platform)
    assert (halted.orders, halted.verdicts.get("EXECUTE", 0)) == (0, 0)
    state, _ = act(platform.home, platform.key, operator="ro", reason="drill over", is_halt=False)
    assert state.name is SystemStateName.RUNNING
    assert lead(platform).orders > 0


def test_the_router_takes_nothing_governance_did_not_mint(platform: Platform) -> None:
    order = Order(
        client_order_id="c|SPY|BUY|0",
        cycle_id="c",
        symbol="SPY",
        side=OrderSide.BUY,
        quantity=Decimal(1),
        limit_price=Decimal(1),
        decision_sequence=0,
    )
    told = Told(asof=ASOF)
    with (
        Router.opened(platform, told, key=b"k" * 32) as router,
        pytest.raises(SystemHalt) as halt,
    ):
        router.send([order], {}, {order.client_order_id: (("a", 1.0),)})  # type: ignore[list-item]  # on purpose
    assert halt.value.reason_code is ReasonCode.ORDER_NOT_APPROVED


def test_a_cut_tail_of_the_chain_is_noticed_by_the_next_leader(
    platform: Platform, tmp_path: Path
) -> None:
    del tmp_path
    lead(platform)
    frames = list(read_frames(platform.home.journal_dir, Chain.LOOP.value))
    segment = next((platform.home.journal_dir / "loop").glob("*.igj"))
    with segment.open("r+b") as stream:
        stream.truncate(frames[-1].offset)
    with pytest.raises(SystemHalt) as halt:
        lead(platform)
    assert halt.value.reason_code is ReasonCode.ANCHOR_MISMATCH


def tighten(platform: Platform, limit: float) -> Platform:
    """Run the night again under a CVaR limit that what is held breaks."""
    path = platform.home.root.parent / "config" / "policy.yaml"
    text = path.read_text().replace("portfolio_limit: 0.06", f"portfolio_limit: {limit}")
    path.write_text(text)
    tight = open_platform(settings_of(platform.home.root), {})
    run_night(tight, ASOF, run_id="tight-night")
    return tight


@pytest.mark.roadmap("5.5")
def test_a_breach_is_sold_out_of_even_where_the_auction_fails(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = lead(platform, cycles=12)
    assert held.fills > 0
    before = last_book(platform)
    assert before is not None
    limit = round(0.5 * (held.cvar_gate or 0.0), 6)
    tight = tighten(platform, limit)
    monkeypatch.setattr(HotSolver, "solve", lambda *_: unsolved("the solver failed"))
    report = lead(tight, cycles=40)
    after = last_book(tight)
    assert after is not None
    assert report.verdicts.get("EXECUTE", 0) == 0
    assert report.fills > 0
    units_before = {(h.strategy_id, h.symbol): h.quantity for h in before.holdings}
    for row in after.holdings:
        assert 0 <= row.quantity <= units_before[(row.strategy_id, row.symbol)]
    assert sum(h.quantity for h in after.holdings) < sum(h.quantity for h in before.holdings)
    require_reconciled(account_of(tight), after)


def test_a_failure_no_rule_foresees_stops_the_system_and_loses_no_fill(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(SessionLedger, "count_gross", broken)
    with pytest.raises(ZeroDivisionError):
        lead(platform)
    state = platform.state_log().refresh()
    assert state.name is SystemStateName.STOP_SYSTEM
    assert [cause.reason_code for cause in state.causes] == [ReasonCode.UNEXPECTED_FAILURE]
    monkeypatch.undo()
    stopped = lead(platform)
    assert (stopped.orders, stopped.verdicts.get("EXECUTE", 0)) == (0, 0)


def test_a_book_that_differs_from_its_fills_stops_the_system(platform: Platform) -> None:
    lead(platform, cycles=12)
    book = last_book(platform)
    account = account_of(platform)
    assert book is not None
    require_reconciled(account, book)
    more = account.positions.get("SPY", Decimal(0)) + Decimal("0.00000001")
    other = replace(account, positions={**account.positions, "SPY": more})
    with pytest.raises(SystemHalt, match="RECONCILIATION_UNRESOLVED"):
        require_reconciled(other, book)


def test_what_a_day_traded_counts_in_the_next_session_of_the_day(platform: Platform) -> None:
    lead(platform, cycles=12)
    account = fold_account(platform, ASOF)
    assert account.traded_usd
    assert sum(account.traded_usd.values()) > 0.0
    state = read_account(platform.home.paper_account)
    assert state is not None
    assert {symbol: quantity for symbol, _, quantity in state.traded} == account.traded


def test_a_cause_is_latched_elsewhere_where_the_loop_s_chain_is_broken(platform: Platform) -> None:
    lead(platform)
    frames = list(read_frames(platform.home.journal_dir, Chain.LOOP.value))
    segment = next((platform.home.journal_dir / "loop").glob("*.igj"))
    with segment.open("r+b") as stream:
        stream.truncate(frames[-1].offset)
    with pytest.raises(SystemHalt):
        lead(platform)
    written = [f.kind for f in read_frames(platform.home.journal_dir, Chain.NIGHT.value)]
    assert written[-1] == "state"
    assert platform.state_log().refresh().name is SystemStateName.STOP_SYSTEM
