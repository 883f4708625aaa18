"""What the broker's answers do to the book and to the ledger, as rows; nothing is written."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from instgov_dagster.adapters.account import CashEntry, OrderOutcome
from instgov_dagster.loop.decision.book import BookChange, Shares
from instgov_dagster.vocabulary.errors import SystemHalt


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What the broker answered in one go and what it did to the book.

    ``halt`` is what broke off the sending; what was answered before it still counts.
    """

    outcomes: tuple[OrderOutcome, ...]
    changes: tuple[BookChange, ...]
    shares: Mapping[str, Shares]
    ledger: tuple[dict[str, Any], ...]
    halt: SystemHalt | None = None

    @property
    def n_fills(self) -> int:
        """How many fills the answers hold."""
        return sum(len(outcome.fills) for outcome in self.outcomes)


def changes_of(
    outcomes: Iterable[OrderOutcome], shares: Mapping[str, Shares]
) -> tuple[BookChange, ...]:
    """Turn fills into changes of the book.

    Parameters
    ----------
    shares
        By client order id: the strategies the order belongs to.
    """
    return tuple(
        BookChange(
            symbol=fill.symbol,
            quantity=fill.side.sign * fill.quantity,
            cash_usd=fill.cash_usd,
            shares=shares[fill.client_order_id],
        )
        for outcome in outcomes
        for fill in outcome.fills
    )


def ledger_rows(entries: Iterable[CashEntry]) -> tuple[dict[str, Any], ...]:
    """Lay movements of cash out as rows of the ledger."""
    return tuple(
        {
            "cycle_id": entry.client_order_id.split("|", 1)[0],
            "sequence": entry.sequence,
            "entry": entry.kind.value,
            "symbol": entry.symbol or None,
            "client_order_id": entry.client_order_id or None,
            "amount_usd": entry.amount_usd,
            "balance_usd": entry.balance_usd,
        }
        for entry in entries
    )


def entries_of(
    entries: Iterable[CashEntry], outcomes: Iterable[OrderOutcome]
) -> tuple[CashEntry, ...]:
    """Keep the movements that belong to some orders, or to none at all."""
    names: Collection[str] = {"", *(outcome.order.client_order_id for outcome in outcomes)}
    return tuple(entry for entry in entries if entry.client_order_id in names)
