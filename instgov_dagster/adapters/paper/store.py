"""The paper account on disk: orders, outcomes, fills, cash; one transaction an act of the broker.

A record of its own: nothing here reads the journal, so that the two can be held against each other.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

from instgov_dagster.adapters.account import (
    BrokerState,
    CashEntry,
    CashKind,
    OrderOutcome,
    OrderStatus,
)
from instgov_dagster.adapters.paper.rows import (
    SCHEMA,
    SCHEMA_VERSION,
    AccountChange,
    read_ledger,
    read_outcomes,
    read_positions,
    write_change,
)
from instgov_dagster.adapters.runtime import fsync_directory
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode


class AccountStore:
    """The open account; made by `open`. A write that failed closes it for good.

    Raises
    ------
    SystemHalt
        From every write: ``ORDER_UNKNOWN_OUTCOME`` on any error, for what a failed commit left
        behind is not known. From every read: ``RECONCILIATION_UNRESOLVED``.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._is_broken = False
        self._is_in_act = False

    @classmethod
    def open(cls, path: Path, *, opening_cash_usd: Decimal) -> "AccountStore":
        """Open the account, or make it with its one opening deposit where there is none.

        Parameters
        ----------
        opening_cash_usd
            The deposit of a new account; an account that exists keeps its own.

        Raises
        ------
        ValueError
            If the deposit is negative.
        SystemHalt
            ``RECONCILIATION_UNRESOLVED`` if the file cannot be read, ``SCHEMA_MISMATCH`` if it
            belongs to another version.
        """
        if opening_cash_usd < 0:
            raise ValueError(f"opening_cash_usd must be >= 0, was {opening_cash_usd}")
        with _reading(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None)
            path.chmod(0o600)  # its log and index take over the mode of the file
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                _require_schema(connection, path, opening_cash_usd)
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    def close(self) -> None:
        """Close the file; closing twice changes nothing."""
        self._is_broken = True
        self._connection.close()

    @contextlib.contextmanager
    def act(self) -> Iterator[None]:
        """Make all that is recorded within durable at one go: on disk when the block is left.

        Raises
        ------
        SystemHalt
            ``ORDER_UNKNOWN_OUTCOME`` if it is not on disk then; nothing recorded within is kept.
        """
        with self._writing("one act"):
            self._connection.execute("BEGIN IMMEDIATE")
        self._is_in_act = True
        try:
            yield
        finally:
            self._is_in_act = False
            with self._writing("one act"):  # of one whose record failed nothing is left
                self._connection.execute("COMMIT")

    def record(self, *changes: AccountChange) -> None:
        """Make one act durable, all its changes or none: they are on disk when this returns.

        Within `act` they are on disk with the rest of it.
        """
        named = [change.outcome.order.client_order_id for change in changes if change.outcome]
        with self._writing(", ".join(named) or "no order"):
            if not self._is_in_act:
                self._connection.execute("BEGIN IMMEDIATE")
            for change in changes:
                write_change(self._connection, change)
            if not self._is_in_act:
                self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        # What a failed write leaves behind is not known: it takes the whole act back, and closes.
        if self._is_broken:
            raise SystemHalt(ReasonCode.ORDER_UNKNOWN_OUTCOME, f"{self._path} is closed")
        try:
            yield
        except BaseException as error:
            self._is_broken = True
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            if not isinstance(error, sqlite3.Error):
                raise
            detail = f"{name}: the account could not be written: {error}"
            raise SystemHalt(ReasonCode.ORDER_UNKNOWN_OUTCOME, detail) from error

    def outcome(self, client_order_id: str) -> OrderOutcome | None:
        """Look up what last became of an order; None if it was never sent."""
        found = self._outcomes("WHERE o.client_order_id = ?", client_order_id)
        return found[0] if found else None

    def resting(self) -> tuple[OrderOutcome, ...]:
        """Give the orders that stand unfilled, in the order in which they came."""
        return self._outcomes("WHERE c.status = ?", OrderStatus.RESTING.value)

    def order_ids(self) -> tuple[str, ...]:
        """Give the id of every order ever sent, in the order in which they came."""
        with _reading(self._path):
            rows = self._connection.execute("SELECT client_order_id FROM orders ORDER BY rowid")
            return tuple(name for (name,) in rows.fetchall())

    def positions(self) -> dict[str, Decimal]:
        """Give the units held of each symbol."""
        with _reading(self._path):
            return dict(read_positions(self._connection))

    def traded(self, day: date) -> dict[str, Decimal]:
        """Give the units traded of each symbol on one day, either way."""
        with _reading(self._path):
            rows = self._connection.execute(
                "SELECT symbol, quantity FROM traded WHERE day = ?", (day.isoformat(),)
            )
            return {symbol: Decimal(quantity) for symbol, quantity in rows.fetchall()}

    def ledger(self, *, after: int = -1) -> tuple[CashEntry, ...]:
        """Give every movement of cash after one sequence, all by default."""
        with _reading(self._path):
            return read_ledger(self._connection, after)

    def last_entry(self) -> CashEntry:
        """Give the last movement of cash; there is always the opening deposit."""
        with _reading(self._path):
            (last,) = self._connection.execute("SELECT max(sequence) FROM cash").fetchone()
            return read_ledger(self._connection, last - 1)[0]

    def _outcomes(self, where: str, *values: str) -> tuple[OrderOutcome, ...]:
        with _reading(self._path):
            return read_outcomes(self._connection, where, *values)


def read_account(path: Path) -> BrokerState | None:
    """Read a whole account as one value, beside whoever writes it; None where there is none.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` if the file cannot be read.
    """
    if not path.exists():
        return None
    with (
        _reading(path),
        contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as connection,
    ):
        connection.execute("BEGIN")  # one snapshot for all tables
        if _version(connection) == 0:
            return None
        entries = read_ledger(connection, -1)
        days = connection.execute("SELECT symbol, day, quantity FROM traded ORDER BY symbol, day")
        return BrokerState(
            cash_usd=entries[-1].balance_usd,
            positions=read_positions(connection),
            outcomes=read_outcomes(connection, ""),
            traded=tuple((s, date.fromisoformat(d), Decimal(q)) for s, d, q in days.fetchall()),
            ledger=entries,
        )


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    # What stands in the file is the broker's word: where it cannot be read, nothing is known.
    try:
        yield
    except (sqlite3.Error, OSError, ArithmeticError, ValueError, TypeError) as error:
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED, f"{path} cannot be read: {error}"
        ) from error


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _require_schema(connection: sqlite3.Connection, path: Path, opening_cash_usd: Decimal) -> None:
    found = _version(connection)
    if found == 0:
        _make(connection, opening_cash_usd)
        fsync_directory(path.parent)
        fsync_directory(path.parent.parent)
    elif found != SCHEMA_VERSION:
        raise SystemHalt(
            ReasonCode.SCHEMA_MISMATCH, f"{path} must have schema {SCHEMA_VERSION}, had {found}"
        )


def _make(connection: sqlite3.Connection, opening_cash_usd: Decimal) -> None:
    # Tables, deposit and version in one transaction: a kill leaves the account made or not there.
    opening = CashEntry(
        sequence=0,
        kind=CashKind.OPENING,
        client_order_id="",
        symbol="",
        amount_usd=opening_cash_usd,
        balance_usd=opening_cash_usd,
    )
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA:
        connection.execute(statement)
    write_change(connection, AccountChange(entries=(opening,)))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
