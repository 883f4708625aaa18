"""What a new leader finds at the broker: taken over, withdrawn, or a stop until someone looked."""

import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest

from instgov_dagster.adapters.account import MarketView
from instgov_dagster.adapters.broker import PaperBroker
from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.paper import store
from instgov_dagster.adapters.paper.rows import AccountChange
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.live.recovery import last_book
from instgov_dagster.loop.live.report import SessionReport
from instgov_dagster.loop.live.settling.invariants import units_of
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.audit import AppendReceipt, ApprovedOrder, OrderSide
from instgov_dagster.vocabulary.errors import ResumeRefused, SystemHalt
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF
from instgov_dagster_tests.loop.live.witness import LOOP, require_whole


def lead(platform: Platform, *, cycles: int = 2) -> SessionReport:
    return run_session(platform, ASOF, cycles=cycles, period_seconds=0.0, run_id="test")


def resume(platform: Platform) -> SystemStateName:
    state, _ = act(platform.home, platform.key, operator="ro", reason="looked", is_halt=False)
    return state.name


def told_by_recovery(platform: Platform, mark: str) -> list[dict[str, object]]:
    frames = read_frames(platform.home.journal_dir, LOOP)
    rows = [
        frame.table().column("orders").combine_chunks().flatten().to_pylist()
        for frame in frames
        if frame.meta.get(mark)
    ]
    return [row for group in rows for row in group]


def foreign_order(platform: Platform, *, symbol: str, price: float, limit: str) -> None:
    """Send an order the way nobody may: past governance, straight to the broker."""
    order = ApprovedOrder(
        client_order_id=f"foreign|{symbol}|BUY|0",
        cycle_id="foreign",
        symbol=symbol,
        side=OrderSide.BUY,
        quantity=Decimal(3),
        limit_price=Decimal(limit),
        decision_sequence=0,
        receipt=AppendReceipt(
            chain=LOOP, segment=1, sequence=1, offset=0, frame_sha256="a" * 64, rows=1
        ),
        mac="b" * 64,
    )
    seen = MarketView(
        bid=price,
        ask=price,
        bar_low=price,
        bar_high=price,
        impact_bps=1.0,
        adv_usd=1e9,
        max_participation=0.1,
        at=next(read_frames(platform.home.journal_dir, LOOP)).ts,
    )
    path = platform.home.paper_account
    with closing(PaperBroker.open(path, opening_cash_usd=Decimal(0))) as broker:
        broker.submit(order, seen)


def test_the_first_session_opens_the_account_with_what_its_book_begins_with(
    platform: Platform,
) -> None:
    report = lead(platform)
    account = read_account(platform.home.paper_account)
    assert account is not None
    opening = account.ledger[0]
    assert (opening.kind, opening.amount_usd) == ("OPENING", Decimal("10000000.00000000"))
    assert report.reason_codes == ("SESSION_STARTED", "SESSION_ENDED")
    assert [(row["name"], row["passed"]) for row in report.reconciliation] == [
        ("orders", True), ("fills", True), ("positions", True), ("cash", True),
    ]  # fmt: skip
    require_whole(platform.home.root)


@pytest.mark.roadmap("9.4")
def test_an_order_nobody_planned_stops_the_system_until_an_operator_resumes(
    platform: Platform,
) -> None:
    lead(platform)
    foreign_order(platform, symbol="KO", price=60.0, limit="61")
    before = last_book(platform)
    assert before is not None
    with pytest.raises(SystemHalt, match=r"no frame planned: foreign\|KO\|BUY\|0"):
        lead(platform)
    # What it moved is held, so it is in the book and in a frame; but nothing goes on.
    (row,) = told_by_recovery(platform, "unplanned")
    assert row["reason_codes"] == ["ORDER_FILLED", "RECONCILIATION_UNRESOLVED"]
    after = last_book(platform)
    assert after is not None
    assert units_of(after)["KO"] - units_of(before).get("KO", Decimal(0)) == 3
    with pytest.raises(ResumeRefused):
        resume(platform)  # nobody has seen the two agree yet
    stopped = lead(platform)
    assert (stopped.orders, stopped.state.name) == (0, SystemStateName.STOP_SYSTEM)
    assert resume(platform) is SystemStateName.RUNNING
    assert lead(platform).state.name is SystemStateName.RUNNING
    require_whole(platform.home.root)


def test_an_order_nobody_planned_in_what_no_book_can_hold_stays_a_stop(platform: Platform) -> None:
    lead(platform)
    foreign_order(platform, symbol="ZZZ", price=60.0, limit="61")
    for _ in range(2):
        with pytest.raises(SystemHalt, match="RECONCILIATION_UNRESOLVED"):
            lead(platform)
    assert told_by_recovery(platform, "unplanned") == []


def test_an_order_that_rests_is_withdrawn_by_the_next_leader(platform: Platform) -> None:
    lead(platform)
    foreign_order(platform, symbol="KO", price=60.0, limit="50")
    with pytest.raises(SystemHalt, match="no frame planned"):
        lead(platform)
    (row,) = told_by_recovery(platform, "unplanned")
    assert row["status"] == "RESTING"
    stopped = lead(platform)  # STOP lets nothing be sent, a withdrawal neither
    assert stopped.state.name is SystemStateName.STOP_SYSTEM
    assert told_by_recovery(platform, "recovered") == []
    assert resume(platform) is SystemStateName.RUNNING
    assert lead(platform).recovered == 1
    (row,) = told_by_recovery(platform, "recovered")
    assert (row["status"], row["reason_codes"]) == (
        "CANCELLED",
        ["ORDER_CANCELLED", "ORDER_RECOVERED"],
    )
    require_whole(platform.home.root)


def test_an_account_that_is_lost_is_not_opened_anew_behind_the_journal_s_back(
    platform: Platform,
) -> None:
    assert lead(platform).fills > 0
    for path in platform.home.paper_account.parent.iterdir():
        path.unlink()
    with pytest.raises(SystemHalt, match=r"RECONCILIATION_UNRESOLVED: orders: \d+ of 0"):
        lead(platform)
    assert platform.state_log().refresh().name is SystemStateName.STOP_SYSTEM


def test_an_account_that_cannot_be_read_stops_the_system(platform: Platform) -> None:
    lead(platform)
    path = platform.home.paper_account
    path.write_bytes(b"\0" * 512 + path.read_bytes()[512:])
    with pytest.raises(SystemHalt, match="RECONCILIATION_UNRESOLVED"):
        lead(platform)


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_answer_that_cannot_be_established_stops_and_is_looked_up_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    write, left = store.write_change, [2]  # the deposit, then the first order

    def failing(connection: sqlite3.Connection, change: AccountChange) -> None:
        left[0] -= 1
        if left[0] == 0 and moment == "after":
            write(connection, change)
            connection.execute("COMMIT")
        if left[0] == 0:
            raise sqlite3.OperationalError("disk I/O error")
        write(connection, change)

    monkeypatch.setattr(store, "write_change", failing)
    with pytest.raises(SystemHalt) as halt:
        lead(platform)
    assert halt.value.reason_code is ReasonCode.ORDER_UNKNOWN_OUTCOME
    monkeypatch.undo()
    stopped = lead(platform)  # looks it up; sends nothing before an operator resumes
    assert (stopped.orders, stopped.state.name) == (0, SystemStateName.STOP_SYSTEM)
    statuses = [row["status"] for row in told_by_recovery(platform, "recovered")]
    wanted = "FILLED" if moment == "after" else "NEVER_SENT"
    assert statuses[0] == wanted
    assert set(statuses[1:]) == {"NEVER_SENT"}
    assert resume(platform) is SystemStateName.RUNNING
    require_whole(platform.home.root)
