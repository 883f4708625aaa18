"""The rows of one night, sorted and placed on their calendars; no rule judges them here."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.calendars import expected_sessions, history_window, last_closed_date
from instgov_dagster.bars.classify import class_of
from instgov_dagster.vocabulary.bars import AssetClass, Universe
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

PRICES: Final = ("open", "high", "low", "close")
# Fifteen bits hold the days of 89 years of window; the rest of a row's key is its symbol.
_DAY_BITS: Final = 15
_DAY_MASK: Final = 2**_DAY_BITS - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCalendar:
    """The sessions one class is expected to have in the window.

    ``cumulative[d]`` counts the sessions before day ``d`` of the window, shape ``(days + 1,)``.
    """

    is_session: NDArray[np.bool_]
    cumulative: NDArray[np.int64]
    last_closed: date


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRows:
    """Bars of the window on their sessions, sorted by symbol and date, as arrays ``(n,)``.

    ``days`` count from the start of the window. ``values`` holds the columns asked for; missing
    is NaN. ``first_rows`` ``(m,)`` is the row that stands for each (symbol, date), a usable one
    where there is one; the rows up to the next are its duplicates. A row is usable when its
    prices are finite (a reference: its close). ``date_ids`` ``(m,)`` is the symbol of each date;
    ``n_dates`` and ``off_session`` ``(n_symbols,)`` count dates held and rows left out.
    """

    symbols: tuple[str, ...]
    classes: tuple[AssetClass | None, ...]
    calendars: dict[AssetClass | None, ClassCalendar]
    start: date
    ids: NDArray[np.int64]
    days: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]
    is_usable: NDArray[np.bool_]
    first_rows: NDArray[np.int64]
    date_ids: NDArray[np.int64]
    n_dates: NDArray[np.int64]
    off_session: NDArray[np.int64]

    @property
    def n_symbols(self) -> int:
        """Count the symbols, those without a bar included."""
        return len(self.symbols)

    def any_by_date(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell for each (symbol, date) whether any of its rows is marked, shape ``(m,)``."""
        if self.first_rows.size == mask.size:
            return mask
        return np.logical_or.reduceat(mask, self.first_rows)

    def is_class(self, *wanted: AssetClass | None) -> NDArray[np.bool_]:
        """Tell which symbols belong to one of the classes, shape ``(n_symbols,)``."""
        return np.array([found in wanted for found in self.classes], dtype=np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One usable row for each symbol and session, sorted: what rules of sequence look at, ``(k,)``.

    ``rows`` are places in ``BarRows``; ``is_first`` marks the first row of a symbol.
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    days: NDArray[np.int64]
    is_first: NDArray[np.bool_]


def _symbols_and_classes(
    universe: Universe, also: str | None
) -> tuple[list[str], list[AssetClass | None]]:
    symbols = [entry.symbol for entry in universe.symbols]
    classes = [class_of(entry) for entry in universe.symbols]
    if also is not None and also not in set(symbols):
        symbols.append(also)
        classes.append(None)
    if not symbols:
        raise InputError("universe must hold a symbol, was empty")
    return symbols, classes


def gather_rows(
    bars: pl.DataFrame,
    *,
    universe: Universe,
    asof: date,
    history: HistoryPolicy,
    columns: tuple[str, ...],
    also: str | None = None,
) -> BarRows:
    """Cut bars to the window of a night, drop what lies off session, sort what is left.

    Parameters
    ----------
    bars
        Columns of ``BAR_SCHEMA``; any order, duplicates and NaN included. Symbols outside the
        universe and sessions not closed at the night's instant are left out.
    columns
        The columns to gather; the four prices are among them.
    also
        A symbol to gather even if the universe lacks it (an index), appended as the last one.

    Raises
    ------
    InputError
        If there is no symbol to gather.
    """
    symbols, classes = _symbols_and_classes(universe, also)
    start, _ = history_window(asof, history)
    calendars = {kind: _calendar(kind, asof, history) for kind in set(classes)}
    frame = _cut(bars, symbols, columns, start, asof)
    key = frame["key"].to_numpy()
    stays = _is_closed_session(key, classes, calendars)
    off_session = np.bincount(key[~stays] >> _DAY_BITS, minlength=len(symbols))
    if not stays.all():
        frame, key = frame.filter(pl.Series(stays)), key[stays]
    ids = key >> _DAY_BITS
    values = {name: frame[name].to_numpy() for name in columns}
    is_usable = _is_usable(values, np.array([kind is None for kind in classes])[ids])
    is_new = np.ones(key.size, dtype=np.bool_)
    is_new[1:] = key[1:] != key[:-1]
    if not is_new.all():
        order = _order_duplicates(key, is_new, is_usable, values)
        values = {name: column[order] for name, column in values.items()}
        is_usable = is_usable[order]
    first_rows = np.flatnonzero(is_new)
    return BarRows(
        symbols=tuple(symbols),
        classes=tuple(classes),
        calendars=calendars,
        start=start,
        ids=ids,
        days=key & _DAY_MASK,
        values=values,
        is_usable=is_usable,
        first_rows=first_rows,
        date_ids=ids[first_rows],
        n_dates=np.bincount(ids[first_rows], minlength=len(symbols)),
        off_session=off_session,
    )


def usable_series(rows: BarRows) -> Series:
    """Give one usable row for each symbol and session."""
    places = rows.first_rows[rows.is_usable[rows.first_rows]]
    ids = rows.ids[places]
    is_first = np.ones(places.size, dtype=np.bool_)
    is_first[1:] = ids[1:] != ids[:-1]
    return Series(rows=places, ids=ids, days=rows.days[places], is_first=is_first)


def _cut(
    bars: pl.DataFrame, symbols: list[str], columns: tuple[str, ...], start: date, asof: date
) -> pl.DataFrame:
    # The columns asked for and the key symbol * 2^15 + day, sorted by it; missing becomes NaN.
    place = pl.col("symbol").cast(pl.Enum(symbols), strict=False).to_physical().cast(pl.Int64)
    day = (pl.col("date") - pl.lit(start)).dt.total_days()
    # Adding 0.0 turns -0.0, which would sort apart from 0.0, into it.
    numbers = [pl.col(name).cast(pl.Float64).fill_null(float("nan")) + 0.0 for name in columns]
    frame = (
        bars.lazy()
        .filter(pl.col("date") >= start, pl.col("date") < asof)
        .select(*numbers, key=place * 2**_DAY_BITS + day)
        .filter(pl.col("key").is_not_null())
        .collect()
    )
    return frame if frame["key"].is_sorted() else frame.sort("key")


def _calendar(kind: AssetClass | None, asof: date, history: HistoryPolicy) -> ClassCalendar:
    start, end = history_window(asof, history)
    sessions = expected_sessions(kind, start, end)
    closed = last_closed_date(kind, asof, history)
    is_session = np.zeros((end - start).days, dtype=np.bool_)
    places = (sessions - np.datetime64(start)).astype(np.int64)
    is_session[places[sessions <= np.datetime64(closed)]] = True
    cumulative = np.concatenate([[0], np.cumsum(is_session)])
    return ClassCalendar(is_session=is_session, cumulative=cumulative, last_closed=closed)


def _is_usable(
    values: dict[str, NDArray[np.float64]], is_reference: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    is_usable: NDArray[np.bool_] = np.isfinite(values["close"])
    for name in PRICES:
        is_usable &= np.isfinite(values[name]) | is_reference
    return is_usable


def _is_closed_session(
    key: NDArray[np.int64],
    classes: list[AssetClass | None],
    calendars: dict[AssetClass | None, ClassCalendar],
) -> NDArray[np.bool_]:
    kinds = list(calendars)
    kind_of = np.array([kinds.index(kind) for kind in classes], dtype=np.int64)
    table = np.stack([calendars[kind].is_session for kind in kinds])
    found: NDArray[np.bool_] = table[kind_of[key >> _DAY_BITS], key & _DAY_MASK]
    return found


def _order_duplicates(
    key: NDArray[np.int64],
    is_new: NDArray[np.bool_],
    is_usable: NDArray[np.bool_],
    values: dict[str, NDArray[np.float64]],
) -> NDArray[np.int64]:
    # Among rows of one symbol and date the usable come first, then by value: the verdict may not
    # depend on the order in which a vendor sent them.
    is_twin = ~is_new
    is_twin[:-1] |= ~is_new[1:]
    twins = np.flatnonzero(is_twin)
    keys = [column[twins] for column in reversed(values.values())]
    order = np.arange(key.size)
    order[twins] = twins[np.lexsort((*keys, ~is_usable[twins], key[twins]))]
    return order
