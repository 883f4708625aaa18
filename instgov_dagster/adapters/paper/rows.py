"""The paper account's tables and what their rows mean; no transaction begins or ends here."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from instgov_dagster.adapters.account import CashEntry, CashKind, OrderOutcome, OrderStatus
from instgov_dagster.vocabulary.audit import Fill, Order, OrderSide
from instgov_dagster.vocabulary.reasons import ReasonCode

SCHEMA_VERSION: Final = 1
# Money is text: DECIMAL(20, 8) to the last digit, which no SQLite number type keeps.
SCHEMA: Final = (
    """CREATE TABLE orders (
        client_order_id TEXT PRIMARY KEY NOT NULL, cycle_id TEXT NOT NULL, symbol TEXT NOT NULL,
        side TEXT NOT NULL, quantity TEXT NOT NULL, limit_price TEXT NOT NULL,
        decision_sequence INTEGER NOT NULL)""",
    """CREATE TABLE outcomes (
        sequence INTEGER PRIMARY KEY NOT NULL, client_order_id TEXT NOT NULL, status TEXT NOT NULL,
        reason_codes TEXT NOT NULL)""",
    "CREATE INDEX outcomes_by_order ON outcomes (client_order_id, sequence)",
    """CREATE TABLE fills (
        client_order_id TEXT NOT NULL, sequence INTEGER NOT NULL, cycle_id TEXT NOT NULL,
        symbol TEXT NOT NULL, side TEXT NOT NULL, quantity TEXT NOT NULL, price TEXT NOT NULL,
        mid_price TEXT NOT NULL, cost_usd TEXT NOT NULL, is_aggressive INTEGER NOT NULL,
        filled_at TEXT NOT NULL, PRIMARY KEY (client_order_id, sequence))""",
    """CREATE TABLE cash (
        sequence INTEGER PRIMARY KEY NOT NULL, kind TEXT NOT NULL, client_order_id TEXT NOT NULL,
        symbol TEXT NOT NULL, amount_usd TEXT NOT NULL, balance_usd TEXT NOT NULL)""",
    "CREATE TABLE positions (symbol TEXT PRIMARY KEY NOT NULL, quantity TEXT NOT NULL)",
    """CREATE TABLE traded (
        symbol TEXT NOT NULL, day TEXT NOT NULL, quantity TEXT NOT NULL,
        PRIMARY KEY (symbol, day))""",
)
_ORDER = "client_order_id, cycle_id, symbol, side, quantity, limit_price, decision_sequence"
_FILL = (
    "client_order_id, sequence, cycle_id, symbol, side, quantity, price, mid_price, cost_usd,"
    " is_aggressive, filled_at"
)
_CASH = "sequence, kind, client_order_id, symbol, amount_usd, balance_usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """One act of the broker, durable as a whole or not at all.

    Attributes
    ----------
    outcome
        What became of an order; None where no order was acted on.
    accepts
        Whether the order is new to the account: its id may not be there yet.
    fills, entries
        What this act adds; never what was recorded before.
    positions, traded
        Units after the act, of what it moved; a position of 0 is gone.
    """

    outcome: OrderOutcome | None = None
    accepts: bool = False
    fills: tuple[Fill, ...] = ()
    entries: tuple[CashEntry, ...] = ()
    positions: Mapping[str, Decimal] = field(default_factory=dict)
    traded: Mapping[tuple[str, date], Decimal] = field(default_factory=dict)


def write_change(connection: sqlite3.Connection, change: AccountChange) -> None:
    """Add what one act of the broker changes."""
    if change.outcome is not None:
        order, outcome = change.outcome.order, change.outcome
        if change.accepts:
            row = (
                order.client_order_id, order.cycle_id, order.symbol, order.side.value,
                _text(order.quantity), _text(order.limit_price), order.decision_sequence,
            )  # fmt: skip
            _insert(connection, "orders", _ORDER, [row])
        codes = json.dumps([code.value for code in outcome.reason_codes])
        names = "client_order_id, status, reason_codes"
        row_of_outcome = (order.client_order_id, outcome.status.value, codes)
        _insert(connection, "outcomes", names, [row_of_outcome])
    _insert(connection, "fills", _FILL, [_fill_row(fill) for fill in change.fills])
    _insert(connection, "cash", _CASH, [_cash_row(entry) for entry in change.entries])
    for symbol, quantity in change.positions.items():
        if quantity:
            connection.execute(
                "INSERT OR REPLACE INTO positions VALUES (?, ?)", (symbol, _text(quantity))
            )
        else:
            connection.execute("DELETE FROM positions WHERE symbol = ?", (symbol,))
    for (symbol, day), quantity in change.traded.items():
        connection.execute(
            "INSERT OR REPLACE INTO traded VALUES (?, ?, ?)",
            (symbol, day.isoformat(), _text(quantity)),
        )


def _insert(
    connection: sqlite3.Connection, table: str, names: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    marks = ", ".join("?" * (names.count(",") + 1))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  # own names
    for row in rows:
        connection.execute(statement, row)


def _text(value: Decimal) -> str:
    return format(value, "f")  # str would write nothing as 0E-8


def _fill_row(fill: Fill) -> tuple[Any, ...]:
    return (
        fill.client_order_id, fill.sequence, fill.cycle_id, fill.symbol, fill.side.value,
        _text(fill.quantity), _text(fill.price), _text(fill.mid_price), _text(fill.cost_usd),
        int(fill.is_aggressive), fill.filled_at.isoformat(),
    )  # fmt: skip


def _cash_row(entry: CashEntry) -> tuple[Any, ...]:
    return (
        entry.sequence, entry.kind.value, entry.client_order_id, entry.symbol,
        _text(entry.amount_usd), _text(entry.balance_usd),
    )  # fmt: skip


def read_positions(connection: sqlite3.Connection) -> tuple[tuple[str, Decimal], ...]:
    """Give the units held of each symbol, sorted."""
    rows = connection.execute("SELECT symbol, quantity FROM positions ORDER BY symbol").fetchall()
    return tuple((symbol, Decimal(quantity)) for symbol, quantity in rows)


def read_ledger(connection: sqlite3.Connection, after: int) -> tuple[CashEntry, ...]:
    """Give every movement of cash after one sequence."""
    rows = connection.execute(
        f"SELECT {_CASH} FROM cash WHERE sequence > ? ORDER BY sequence",  # noqa: S608  # own names
        (after,),
    )
    return tuple(_entry(row) for row in rows.fetchall())


def _entry(row: tuple[Any, ...]) -> CashEntry:
    sequence, kind, name, symbol, amount, balance = row
    return CashEntry(
        sequence=sequence,
        kind=CashKind(kind),
        client_order_id=name,
        symbol=symbol,
        amount_usd=Decimal(amount),
        balance_usd=Decimal(balance),
    )


def read_outcomes(
    connection: sqlite3.Connection, where: str, *values: str
) -> tuple[OrderOutcome, ...]:
    """Give what last became of the orders that a condition on o (orders) or c (outcomes) picks."""
    names = ", ".join(f"o.{name}" for name in _ORDER.split(", "))
    rows = connection.execute(
        f"SELECT {names}, c.status, c.reason_codes FROM orders o JOIN outcomes c"  # noqa: S608  # own names
        " ON c.sequence = (SELECT max(sequence) FROM outcomes"
        f" WHERE client_order_id = o.client_order_id) {where} ORDER BY o.rowid",
        values,
    )
    found = []
    for *terms, status, codes in rows.fetchall():
        order = _order(terms)
        outcome = OrderOutcome(
            order=order,
            status=OrderStatus(status),
            fills=_fills(connection, order.client_order_id),
            reason_codes=tuple(ReasonCode(code) for code in json.loads(codes)),
        )
        found.append(outcome)
    return tuple(found)


def _order(row: Sequence[Any]) -> Order:
    name, cycle_id, symbol, side, quantity, limit_price, decision_sequence = row
    return Order(
        client_order_id=name,
        cycle_id=cycle_id,
        symbol=symbol,
        side=OrderSide(side),
        quantity=Decimal(quantity),
        limit_price=Decimal(limit_price),
        decision_sequence=decision_sequence,
    )


def _fills(connection: sqlite3.Connection, client_order_id: str) -> tuple[Fill, ...]:
    rows = connection.execute(
        f"SELECT {_FILL} FROM fills WHERE client_order_id = ? ORDER BY sequence",  # noqa: S608  # own names
        (client_order_id,),
    )
    return tuple(_fill(row) for row in rows.fetchall())


def _fill(row: tuple[Any, ...]) -> Fill:
    name, sequence, cycle_id, symbol, side, quantity, price, mid, cost, is_aggressive, at = row
    return Fill(
        client_order_id=name,
        sequence=sequence,
        cycle_id=cycle_id,
        symbol=symbol,
        side=OrderSide(side),
        quantity=Decimal(quantity),
        price=Decimal(price),
        mid_price=Decimal(mid),
        cost_usd=Decimal(cost),
        is_aggressive=bool(is_aggressive),
        filled_at=datetime.fromisoformat(at),
    )
