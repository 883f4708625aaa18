"""What several steps of a night read of one table, read once."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.panel import PricePanel, price_panel
from instgov_dagster.loop.decision.book import Book, book_from_frame
from instgov_dagster.loop.steps.context import NightContext, Tables

Columns: TypeAlias = Mapping[str, NDArray[Any]]

# The last books read, by the very frame: the steps of one night ask for the same one again and
# again. What is handed out is a pure function of the frame: memory changes only the time.
_LAST_BOOKS: list[tuple[pl.DataFrame, Book]] = []
_BOOKS_KEPT = 2


def book_of(tables: Tables) -> Book:
    """Read the book carried into the night, see `book_from_frame`."""
    frame = tables["portfolio"]
    for held, book in _LAST_BOOKS:
        if held is frame:
            return book
    found = book_from_frame(frame)
    _LAST_BOOKS[:] = [*_LAST_BOOKS[1 - _BOOKS_KEPT :], (frame, found)]
    return found


# The last panel laid out, by the very frame, likewise.
_LAST_PANELS: list[tuple[pl.DataFrame, frozenset[str], NightContext, PricePanel]] = []


def whole_panel(tables: Tables, context: NightContext, *, beside: Iterable[str] = ()) -> PricePanel:
    """Lay out the prices of every symbol of the history, and of those named beside them."""
    frame, wanted = tables["price_history"], frozenset(beside)
    history = context.policy.history
    for held, symbols, told, panel in _LAST_PANELS:
        is_known = held is frame and wanted <= symbols
        if is_known and told.asof == context.asof and told.policy.history == history:
            return panel
    names = frozenset(frame["symbol"].unique().to_list()) | wanted
    found = price_panel(frame, tuple(sorted(names)), asof=context.asof, history=history)
    _LAST_PANELS[:] = [(frame, names, context, found)]
    return found


def last_rows(frame: pl.DataFrame, symbols: Collection[str], n_rows: int) -> pl.DataFrame:
    """Take the last rows of each of these symbols, sorted by symbol and date.

    Parameters
    ----------
    frame
        Columns ``symbol`` and ``date`` and any others, in any order; quick where each symbol's
        rows lie together and by date.
    """
    names, days = frame["symbol"], frame["date"].to_numpy()
    is_first = (names != names.shift(1)).fill_null(value=True).to_numpy()
    starts = np.flatnonzero(is_first)
    runs = dict(zip(names[starts].to_list(), starts.tolist(), strict=True))
    if len(runs) < starts.size or not (is_first[1:] | (days[1:] > days[:-1])).all():
        by_symbol = frame.filter(names.is_in(list(symbols))).sort("symbol", "date")
        return by_symbol.group_by("symbol", maintain_order=True).tail(n_rows)
    is_last = np.append(is_first, values=True)[1:] if names.len() else is_first
    ends = dict(zip(runs, (np.flatnonzero(is_last) + 1).tolist(), strict=True))
    kept = [
        np.arange(max(runs[name], ends[name] - n_rows), ends[name])
        for name in sorted(runs.keys() & set(symbols))
    ]
    return frame[np.concatenate(kept)] if kept else frame.clear()


class RowsByName:
    """Columns of a table, parted by the names in one of them.

    Parameters
    ----------
    frame
        Has a column ``date``; rows keep their order.
    name
        The column of names.
    columns
        Those to read beside ``date``.
    """

    def __init__(self, frame: pl.DataFrame, name: str, columns: tuple[str, ...]) -> None:
        self._names = frame[name]
        self._columns = {column: frame[column].to_numpy() for column in ("date", *columns)}

    def of(self, name: str, *, since: date = date.min) -> Columns:
        """Give the rows of a name from a day on; none where the table does not hold it."""
        is_mine = (self._names == name).to_numpy()
        is_mine = is_mine & (self._columns["date"] >= np.datetime64(since, "D"))
        return {column: values[is_mine] for column, values in self._columns.items()}
