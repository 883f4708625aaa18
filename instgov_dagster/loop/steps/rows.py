"""What several steps of a night read of one table, read once."""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.loop.decision.book import Book, book_from_frame
from instgov_dagster.loop.steps.context import Tables

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
