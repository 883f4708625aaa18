"""The account on disk: one transaction an act, an id once, and no guess about a failed write."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from instgov_dagster.adapters.account import CashEntry, CashKind, OrderOutcome, OrderStatus
from instgov_dagster.adapters.paper.rows import SCHEMA_VERSION, AccountChange
from instgov_dagster.adapters.paper.store import AccountStore, read_account
from instgov_dagster.vocabulary.audit import Fill, Order, OrderSide
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

DAY = date(2024, 12, 6)
ORDER = Order(
    client_order_id="c1|SPY|BUY|0",
    cycle_id="c1",
    symbol="SPY",
    side=OrderSide.BUY,
    quantity=Decimal("2.00000001"),
    limit_price=Decimal("100.10000000"),
    decision_sequence=3,
)
FILL = Fill(
    client_order_id="c1|SPY|BUY|0",
    cycle_id="c1",
    symbol="SPY",
    side=OrderSide.BUY,
    sequence=0,
    quantity=Decimal("2.00000001"),
    price=Decimal("100.00000000"),
    mid_price=Decimal("99.99000000"),
    cost_usd=Decimal("0.00000000"),
    is_aggressive=True,
    filled_at=datetime(2024, 12, 6, 14, 30, tzinfo=UTC),
)
SPENT = CashEntry(
    sequence=1,
    kind=CashKind.FILL,
    client_order_id="c1|SPY|BUY|0",
    symbol="SPY",
    amount_usd=Decimal("-200.00000100"),
    balance_usd=Decimal("799.99999900"),
)
RESTING = OrderOutcome(
    order=ORDER, status=OrderStatus.RESTING, fills=(), reason_codes=(ReasonCode.ORDER_RESTING,)
)
FILLED = OrderOutcome(
    order=ORDER, status=OrderStatus.FILLED, fills=(FILL,), reason_codes=(ReasonCode.ORDER_FILLED,)
)
BOUGHT = AccountChange(
    outcome=FILLED,
    fills=(FILL,),
    entries=(SPENT,),
    positions={"SPY": Decimal("2.00000001")},
    traded={("SPY", DAY): Decimal("2.00000001")},
)
# Dies inside the transaction, or right after it, as its second word says.
DIE = """
import os, signal, sys
from decimal import Decimal
from pathlib import Path
from instgov_dagster.adapters.paper import store
from instgov_dagster_tests.adapters.paper.test_store import RESTING, AccountChange
account = store.AccountStore.open(Path(sys.argv[1]), opening_cash_usd=Decimal(1000))
write = store.write_change
def dying(connection, change):
    write(connection, change)
    if sys.argv[2] == "inside":
        os.kill(os.getpid(), signal.SIGKILL)
store.write_change = dying
account.record(AccountChange(outcome=RESTING, accepts=True))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paper" / "account.sqlite"


@pytest.fixture
def account(path: Path) -> Iterator[AccountStore]:
    store = AccountStore.open(path, opening_cash_usd=Decimal("1000.00000000"))
    yield store
    store.close()


@pytest.mark.roadmap("TEST.8")
def test_an_order_that_rests_and_fills_reads_back_to_the_last_digit(
    account: AccountStore, path: Path
) -> None:
    account.record(AccountChange(outcome=RESTING, accepts=True))
    assert account.resting() == (RESTING,)
    account.record(BOUGHT)
    assert account.resting() == ()
    state = read_account(path)
    assert state is not None
    assert state.outcomes == (FILLED,) == (account.outcome(ORDER.client_order_id),)
    assert state.cash_usd == Decimal("799.99999900")
    assert state.positions == (("SPY", Decimal("2.00000001")),)
    assert state.traded == (("SPY", DAY, Decimal("2.00000001")),)
    assert state.ledger[1:] == (SPENT,) == account.ledger(after=0)
    assert account.traded(date(2024, 12, 7)) == {}


def test_money_is_kept_as_text_with_eight_decimals(account: AccountStore, path: Path) -> None:
    account.record(AccountChange(outcome=RESTING, accepts=True))
    account.record(BOUGHT)
    with sqlite3.connect(path) as connection:
        kept = connection.execute("SELECT cost_usd, typeof(cost_usd) FROM fills").fetchall()
        held = connection.execute("SELECT balance_usd FROM cash ORDER BY sequence").fetchall()
    connection.close()
    assert kept == [("0.00000000", "text")]
    assert held == [("1000.00000000",), ("799.99999900",)]


def test_the_history_of_an_order_is_kept_and_its_last_word_counts(
    account: AccountStore, path: Path
) -> None:
    account.record(AccountChange(outcome=RESTING, accepts=True))
    account.record(BOUGHT)
    with sqlite3.connect(path) as connection:
        told = connection.execute("SELECT status FROM outcomes ORDER BY sequence").fetchall()
    connection.close()
    assert told == [("RESTING",), ("FILLED",)]


def test_one_id_is_one_order_whatever_is_asked_of_the_store(account: AccountStore) -> None:
    account.record(AccountChange(outcome=RESTING, accepts=True))
    with pytest.raises(SystemHalt) as halt:
        account.record(AccountChange(outcome=RESTING, accepts=True))
    assert halt.value.reason_code is ReasonCode.ORDER_UNKNOWN_OUTCOME
    with pytest.raises(SystemHalt, match="is closed"):
        account.record(BOUGHT)  # what a failed write left behind is not known


def test_an_act_that_fails_half_way_leaves_nothing_of_itself(
    account: AccountStore, path: Path
) -> None:
    account.record(AccountChange(outcome=RESTING, accepts=True))
    twice = AccountChange(outcome=FILLED, fills=(FILL, FILL), entries=(SPENT,))
    with pytest.raises(SystemHalt, match="ORDER_UNKNOWN_OUTCOME"):
        account.record(twice)
    state = read_account(path)
    assert state is not None
    assert (state.outcomes, state.cash_usd) == ((RESTING,), Decimal(1000))


def test_what_is_recorded_within_one_act_is_seen_by_others_when_it_is_left(
    account: AccountStore, path: Path
) -> None:
    with account.act():
        account.record(AccountChange(outcome=RESTING, accepts=True))
        account.record(BOUGHT)
        assert account.outcome(ORDER.client_order_id) == FILLED
        before = read_account(path)
    after = read_account(path)
    assert before is not None
    assert after is not None
    assert (before.outcomes, before.cash_usd) == ((), Decimal(1000))
    assert (after.outcomes, after.cash_usd) == ((FILLED,), Decimal("799.99999900"))


def test_a_record_that_fails_takes_the_whole_act_back(account: AccountStore, path: Path) -> None:
    refused = []
    with pytest.raises(SystemHalt, match="is closed"), account.act():  # noqa: PT012  # the leaving
        account.record(AccountChange(outcome=RESTING, accepts=True))
        try:
            account.record(AccountChange(outcome=RESTING, accepts=True))
        except SystemHalt as halt:
            refused.append(halt.reason_code)
    assert refused == [ReasonCode.ORDER_UNKNOWN_OUTCOME]
    state = read_account(path)
    assert state is not None
    assert (state.outcomes, state.cash_usd) == ((), Decimal(1000))


@pytest.mark.parametrize(("instant", "kept"), [("inside", ()), ("after", (RESTING,))])
def test_a_killed_act_is_there_as_a_whole_or_not_at_all(
    path: Path, instant: str, kept: tuple[OrderOutcome, ...]
) -> None:
    words = [sys.executable, "-W", "ignore", "-c", DIE, str(path), instant]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(words, check=False, cwd=root, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    state = read_account(path)
    assert state is not None
    assert state.outcomes == kept
    again = AccountStore.open(path, opening_cash_usd=Decimal(5))
    assert again.last_entry().balance_usd == Decimal(1000)
    again.close()


def test_the_deposit_is_made_once_and_is_never_negative(path: Path, account: AccountStore) -> None:
    account.close()
    again = AccountStore.open(path, opening_cash_usd=Decimal(7))
    assert [entry.amount_usd for entry in again.ledger()] == [Decimal(1000)]
    again.close()
    with pytest.raises(ValueError, match="opening_cash_usd must be >= 0"):
        AccountStore.open(path, opening_cash_usd=Decimal(-1))


def test_an_account_of_another_version_is_not_opened(path: Path, account: AccountStore) -> None:
    account.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(SystemHalt, match="SCHEMA_MISMATCH"):
        AccountStore.open(path, opening_cash_usd=Decimal(0))


def test_what_cannot_be_read_is_no_account(path: Path, account: AccountStore) -> None:
    assert read_account(path.with_name("other.sqlite")) is None
    account.record(AccountChange(outcome=RESTING, accepts=True))
    account.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE orders SET quantity = 'many'")
    connection.close()
    with pytest.raises(SystemHalt, match=r"RECONCILIATION_UNRESOLVED.*cannot be read"):
        read_account(path)


def test_a_reader_beside_the_writer_sees_whole_acts_only(account: AccountStore, path: Path) -> None:
    account.record(AccountChange(outcome=RESTING, accepts=True))
    before = read_account(path)
    account.record(BOUGHT)
    after = read_account(path)
    assert before is not None
    assert after is not None
    assert (before.outcomes, after.outcomes) == ((RESTING,), (FILLED,))
