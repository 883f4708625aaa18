"""The book: cash and quantities per strategy and symbol, folded from fills. No orders live here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

QUANTUM = Decimal("0.00000001")

#: Whose an order is: strategies and the part that belongs to each; the parts sum to one.
Shares = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one strategy holds of one symbol, in units of the instrument."""

    strategy_id: str
    symbol: str
    quantity: Decimal

    def __post_init__(self) -> None:
        if not self.quantity.is_finite():
            raise ValueError(f"Holding.quantity must be finite, was {self.quantity}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Cash, holdings and the highest value ever reached, in USD.

    A position is worth ``quantity * price``: pairs and futures are held as notional units whose
    price moves like the instrument's, which is how the paper broker settles them.
    """

    cash_usd: Decimal
    peak_nav_usd: Decimal
    holdings: tuple[Holding, ...] = ()

    def __post_init__(self) -> None:
        if not self.cash_usd.is_finite():
            raise ValueError(f"Book.cash_usd must be finite, was {self.cash_usd}")
        if not self.peak_nav_usd.is_finite() or self.peak_nav_usd <= 0:
            raise ValueError(f"Book.peak_nav_usd must be > 0, was {self.peak_nav_usd}")
        keys = [(row.strategy_id, row.symbol) for row in self.holdings]
        if keys != sorted(set(keys)):
            raise ValueError("Book.holdings must be sorted and unique by strategy and symbol")

    def quantities(self, strategies: Sequence[str], symbols: Sequence[str]) -> NDArray[np.float64]:
        """Lay the holdings out as an array of shape ``(n_strategies, n_symbols)``, in units.

        Raises
        ------
        ValueError
            If a holding's strategy or symbol has no place: nothing held may be unseen.
        """
        rows = {name: i for i, name in enumerate(strategies)}
        columns = {name: i for i, name in enumerate(symbols)}
        out = np.zeros((len(rows), len(columns)))
        for row in self.holdings:
            if row.strategy_id not in rows or row.symbol not in columns:
                raise ValueError(f"held but not known: {row.strategy_id} {row.symbol}")
            out[rows[row.strategy_id], columns[row.symbol]] = float(row.quantity)
        return out

    def with_peak(self, nav_usd: float) -> "Book":
        """Raise the peak to ``nav_usd`` where it is higher."""
        seen = Decimal(repr(nav_usd)).quantize(QUANTUM)
        return Book(
            cash_usd=self.cash_usd,
            peak_nav_usd=max(self.peak_nav_usd, seen),
            holdings=self.holdings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BookChange:
    """One executed change: a signed quantity, its cash and the strategies it belongs to.

    Attributes
    ----------
    quantity
        Units bought (positive) or sold (negative).
    cash_usd
        Cash received (positive) or paid (negative), costs included.
    shares
        The part of the quantity that belongs to each strategy; the parts sum to one.
    """

    symbol: str
    quantity: Decimal
    cash_usd: Decimal
    shares: Shares


def fresh_book(nav_usd: float) -> Book:
    """Open a book that is all cash."""
    cash = Decimal(repr(nav_usd)).quantize(QUANTUM)
    return Book(cash_usd=cash, peak_nav_usd=cash)


def split_quantity(
    quantity: Decimal, shares: Sequence[tuple[str, float]]
) -> list[tuple[str, Decimal]]:
    """Split a quantity by shares so that the parts sum to it to the last digit.

    Raises
    ------
    ValueError
        If there is no share or the shares do not sum to one.
    """
    total = sum(share for _, share in shares)
    if not shares or not abs(total - 1.0) <= 1e-6:
        raise ValueError(f"shares must sum to 1, were {dict(shares)}")
    parts = [
        (name, (quantity * Decimal(repr(share))).quantize(QUANTUM, rounding=ROUND_DOWN))
        for name, share in shares
    ]
    rest = quantity - sum((part for _, part in parts), Decimal(0))
    largest = max(range(len(parts)), key=lambda i: (abs(parts[i][1]), parts[i][0]))
    parts[largest] = (parts[largest][0], parts[largest][1] + rest)
    return parts


def apply_changes(book: Book, changes: Iterable[BookChange]) -> Book:
    """Fold executed changes into the book."""
    cash = book.cash_usd
    held = {(row.strategy_id, row.symbol): row.quantity for row in book.holdings}
    for change in changes:
        cash += change.cash_usd
        for strategy_id, part in split_quantity(change.quantity, change.shares):
            key = (strategy_id, change.symbol)
            held[key] = held.get(key, Decimal(0)) + part
    holdings = tuple(
        Holding(strategy_id=strategy_id, symbol=symbol, quantity=quantity)
        for (strategy_id, symbol), quantity in sorted(held.items())
        if quantity != 0
    )
    return Book(cash_usd=cash, peak_nav_usd=book.peak_nav_usd, holdings=holdings)


def book_to_dict(book: Book) -> dict[str, Any]:
    """Write the book as plain JSON values, money as text."""
    return {
        "cash_usd": str(book.cash_usd),
        "peak_nav_usd": str(book.peak_nav_usd),
        "holdings": [[row.strategy_id, row.symbol, str(row.quantity)] for row in book.holdings],
    }


def book_from_dict(data: Mapping[str, Any]) -> Book:
    """Read a book written by `book_to_dict`, bit-equal."""
    return Book(
        cash_usd=Decimal(data["cash_usd"]),
        peak_nav_usd=Decimal(data["peak_nav_usd"]),
        holdings=tuple(
            Holding(strategy_id=strategy_id, symbol=symbol, quantity=Decimal(quantity))
            for strategy_id, symbol, quantity in data["holdings"]
        ),
    )


PORTFOLIO_SCHEMA = pl.Schema(
    {
        "strategy_id": pl.String(),
        "symbol": pl.String(),
        "quantity": pl.String(),
        "cash_usd": pl.String(),
        "peak_nav_usd": pl.String(),
    }
)


def book_to_frame(book: Book) -> pl.DataFrame:
    """Lay the book out as rows, money as text: one row of cash, one a holding."""
    cash, peak = str(book.cash_usd), str(book.peak_nav_usd)
    rows: list[tuple[str | None, str | None, str | None, str, str]]
    rows = [(None, None, None, cash, peak)]
    rows += [(h.strategy_id, h.symbol, str(h.quantity), cash, peak) for h in book.holdings]
    return pl.DataFrame(rows, schema=PORTFOLIO_SCHEMA, orient="row")


def book_from_frame(frame: pl.DataFrame) -> Book:
    """Read a book written by `book_to_frame`, bit-equal.

    Raises
    ------
    ValueError
        If there is no row of cash.
    """
    if frame.is_empty():
        raise ValueError("a portfolio must hold its row of cash, was empty")
    first = frame.row(0, named=True)
    held = frame.filter(pl.col("symbol").is_not_null())
    return Book(
        cash_usd=Decimal(first["cash_usd"]),
        peak_nav_usd=Decimal(first["peak_nav_usd"]),
        holdings=tuple(
            Holding(strategy_id=strategy, symbol=symbol, quantity=Decimal(quantity))
            for strategy, symbol, quantity in held.select(
                "strategy_id", "symbol", "quantity"
            ).iter_rows()
        ),
    )
