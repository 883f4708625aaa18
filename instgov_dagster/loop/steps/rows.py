"""A table's columns as arrays, read once, and of each name its own rows."""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Columns: TypeAlias = Mapping[str, NDArray[Any]]


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
