"""The four invariants between broker and journal: orders, fills, positions, cash; to the digit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from instgov_dagster.adapters.account import AccountWord, BrokerState, OrderStatus
from instgov_dagster.loop.decision.book import Book
from instgov_dagster.loop.live.settling.told import Told, fill_terms, order_terms
from instgov_dagster.loop.live.settling.word import told_differently
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

#: How many of the things that differ an invariant names; their count beside them is whole.
LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A word on cash and units held, to hold a book against."""

    cash_usd: Decimal
    positions: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One comparison of the journal's word with the broker's.

    Attributes
    ----------
    ours, theirs
        How many orders, fills or positions each knows; of cash the amounts.
    n_different
        How many differ.
    different
        The first of them, by name.
    """

    name: str
    passed: bool
    ours: str
    theirs: str
    n_different: int
    different: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Write the comparison as plain JSON values."""
        return {
            "name": self.name,
            "passed": self.passed,
            "ours": self.ours,
            "theirs": self.theirs,
            "n_different": self.n_different,
            "different": list(self.different),
        }


def reconcile(
    told: Told, book: Book, state: BrokerState | None, word: AccountWord | None = None
) -> tuple[Invariant, ...]:
    """Hold the journal and its book against the broker's own record, to the last digit.

    Parameters
    ----------
    told
        What the loop's chain says; nothing left over in it.
    book
        What it last wrote as held.
    state
        What stands in the paper account; None where there is none, which agrees with a journal
        that has nothing to tell.
    word
        What whoever keeps the account says of it; None where we keep it ourselves.
    """
    otherwise = {} if state is None else told_differently(state, word)
    return tuple(
        _with(row, otherwise.get(row.name, []))
        for row in (
            _orders(told, state),
            _fills(told, state),
            _positions(told, book, state),
            _cash(told, book, state),
        )
    )


def _with(row: Invariant, otherwise: list[str]) -> Invariant:
    return replace(
        row,
        passed=row.passed and not otherwise,
        n_different=row.n_different + len(otherwise),
        different=(*row.different, *otherwise)[:LISTED],
    )


def require_agreement(found: Iterable[Invariant]) -> None:
    """Stop where an invariant does not hold.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` naming each that failed and what differs.
    """
    broken = [row for row in found if not row.passed]
    if broken:
        words = [
            f"{row.name}: {row.ours} of {row.theirs}, {row.n_different} different"
            f" ({', '.join(row.different)})"
            for row in broken
        ]
        raise SystemHalt(ReasonCode.RECONCILIATION_UNRESOLVED, "; ".join(words))


def require_reconciled(account: Account, book: Book) -> None:
    """Hold the book against an account to the last digit; strategies' parts must add up.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` naming what differs.
    """
    mine = units_of(book)
    different = _differing(mine, account.positions)
    short = sorted({row.symbol for row in book.holdings if row.quantity < 0})
    if different or short or account.cash_usd != book.cash_usd:
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED,
            f"positions {different}, short {short}, cash {book.cash_usd} of {account.cash_usd}",
        )


def units_of(book: Book) -> dict[str, Decimal]:
    """Add up what all strategies hold of each symbol."""
    units: dict[str, Decimal] = {}
    for row in book.holdings:
        units[row.symbol] = units.get(row.symbol, Decimal(0)) + row.quantity
    return {symbol: quantity for symbol, quantity in units.items() if quantity}


def _orders(told: Told, state: BrokerState | None) -> Invariant:
    ours = {n: row for n, row in told.orders.items() if row[0] != OrderStatus.NEVER_SENT}
    theirs = {
        o.order.client_order_id: (o.status.value, order_terms(o.order))
        for o in (state.outcomes if state else ())
    }
    return _compared("orders", len(ours), len(theirs), _differing(ours, theirs))


def _fills(told: Told, state: BrokerState | None) -> Invariant:
    theirs = {fill_terms(fill) for o in (state.outcomes if state else ()) for fill in o.fills}
    different = sorted({f"{fill[0]} #{fill[1]}" for fill in told.fills ^ theirs})
    return _compared("fills", len(told.fills), len(theirs), different)


def _positions(told: Told, book: Book, state: BrokerState | None) -> Invariant:
    theirs = dict(state.positions) if state else {}
    mine = units_of(book)
    different = {*_differing(mine, theirs), *_differing(told.positions, theirs)}
    different |= {row.symbol for row in book.holdings if row.quantity < 0}
    return _compared("positions", len(mine), len(theirs), sorted(different))


def _cash(told: Told, book: Book, state: BrokerState | None) -> Invariant:
    rows = state.ledger if state else ()
    theirs = {
        e.sequence: (e.kind.value, e.client_order_id, e.amount_usd, e.balance_usd) for e in rows
    }
    different = [f"entry {n}" for n in _differing(told.entries, theirs)]
    if state is None:
        different += ["no account"] if told.cash_usd is not None else []
        return _compared("cash", book.cash_usd, "no account", different)
    summed = sum((entry.amount_usd for entry in rows), Decimal(0))
    # Before the first session began the journal tells no cash: the book alone does.
    words = {"book": book.cash_usd, "fills": told.cash_usd, "ledger": summed}
    different += [
        f"{name} {value}"
        for name, value in words.items()
        if value is not None and value != state.cash_usd
    ]
    return _compared("cash", book.cash_usd, state.cash_usd, different)


def _differing(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> list[Any]:
    return sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))


def _compared(name: str, ours: object, theirs: object, different: list[str]) -> Invariant:
    return Invariant(
        name=name,
        passed=not different,
        ours=str(ours),
        theirs=str(theirs),
        n_different=len(different),
        different=tuple(different[:LISTED]),
    )
