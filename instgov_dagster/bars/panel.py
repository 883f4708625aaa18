"""Prices on one clock: the sessions of the New York exchange, one column a symbol."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.adjusted import AdjustedPrices
from instgov_dagster.bars.calendars import expected_sessions, history_window, last_closed_date
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PricePanel:
    """Total-return prices on exchange sessions.

    ``dates`` ``(T,)`` are sessions (D), ascending; ``prices`` ``(T, N)`` has a column for each of
    ``symbols``, NaN before a symbol's first price and nowhere after it.
    """

    dates: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    prices: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (self.dates.size, len(self.symbols))
        if self.prices.shape != shape:
            raise ValueError(f"PricePanel.prices must have shape {shape}, was {self.prices.shape}")
        for name in ("dates", "prices"):
            seen = getattr(self, name).view()
            seen.flags.writeable = False
            object.__setattr__(self, name, seen)


def price_panel(
    price_history: pl.DataFrame,
    symbols: tuple[str, ...],
    *,
    asof: date,
    history: HistoryPolicy,
) -> PricePanel:
    """Put the last price of each symbol at or before each exchange session side by side.

    Parameters
    ----------
    price_history
        ``PRICE_SCHEMA``. Later rows than the last closed session of the exchange are left out.
    symbols
        The columns, in this order; one without prices is a column of NaN.

    Returns
    -------
    PricePanel
        Over the closed exchange sessions of the window. A bar belongs to the session of its own
        date or, on a day the exchange is shut, to the next one: returns of crypto and FX over a
        weekend compound into Monday's. A 24-hour bar ends up to three hours after the exchange
        closes; holding it back a session would set it 21 hours early.

    Raises
    ------
    InputError
        If a symbol is asked for twice.
    """
    dates = _closed_sessions(symbols, asof, history)
    start, _ = history_window(asof, history)
    held = (
        price_history.lazy()
        .filter(pl.col("date") >= start, pl.col("price").is_not_null())
        .select(
            "date",
            "price",
            column=pl.col("symbol").cast(pl.Enum(symbols), strict=False).to_physical(),
        )
        .filter(pl.col("column").is_not_null())
        .collect()
    )
    days = (held["date"].to_numpy().astype("datetime64[D]") - np.datetime64(start)).astype(np.int64)
    columns = held["column"].to_numpy().astype(np.int64)
    return _laid_out(symbols, dates, start, (columns, days, held["price"].to_numpy()))


def panel_of_prices(
    prices: AdjustedPrices, symbols: tuple[str, ...], *, asof: date, history: HistoryPolicy
) -> PricePanel:
    """Lay out prices as `price_panel` does, from their arrays.

    Parameters
    ----------
    prices
        Of the same day and history.

    Raises
    ------
    InputError
        If a symbol is asked for twice.
    """
    dates = _closed_sessions(symbols, asof, history)
    places = {symbol: column for column, symbol in enumerate(symbols)}
    columns = np.array([places.get(symbol, -1) for symbol in prices.symbols], dtype=np.int64)
    column = columns[prices.ids]
    asked = column >= 0
    rows = (column[asked], prices.days[asked], prices.price[asked])
    return _laid_out(symbols, dates, prices.start, rows)


def _closed_sessions(
    symbols: tuple[str, ...], asof: date, history: HistoryPolicy
) -> NDArray[np.datetime64]:
    if len(set(symbols)) != len(symbols):
        raise InputError("symbols must be distinct, was with duplicates")
    dates = expected_sessions(None, *history_window(asof, history))
    return dates[dates <= np.datetime64(last_closed_date(None, asof, history))]


def _laid_out(
    symbols: tuple[str, ...],
    dates: NDArray[np.datetime64],
    start: date,
    rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
) -> PricePanel:
    # ``rows``: the column, the day since ``start`` and the price of each, ``(n,)``.
    prices = np.full((dates.size, len(symbols)), np.nan)
    if not symbols or not dates.size:
        return PricePanel(dates=dates, symbols=symbols, prices=prices)
    first = np.datetime64(start)
    is_closed = rows[1] <= (dates[-1] - first).astype(np.int64)
    columns, days, values = rows if is_closed.all() else (part[is_closed] for part in rows)
    session_of = np.searchsorted(dates, first + np.arange(int(days.max(initial=-1)) + 1))
    cells = session_of[days] * len(symbols) + columns
    _put_last(prices.reshape(-1), cells, days, values)
    return PricePanel(dates=dates, symbols=symbols, prices=fill_forward(prices))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RangePanel:
    """Adjusted opens, highs and lows beside a `PricePanel`, ``(T, N)`` each, NaN without a bar."""

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]


def range_panel(
    price_history: pl.DataFrame, panel: PricePanel, *, asof: date, history: HistoryPolicy
) -> RangePanel:
    """Put the range of each symbol's bars beside its prices, in the prices' own units.

    Parameters
    ----------
    price_history
        ``PRICE_SCHEMA``; a bar's range is scaled by ``price / close``, so that it stands where
        the total return stands. A bar whose close is not positive has none.
    panel
        The prices, from the same history and day.

    Returns
    -------
    RangePanel
        Several bars of one session (a weekend of crypto) are one: first open, highest high,
        lowest low. Nothing is carried over a session without a bar.
    """
    shape = panel.prices.shape
    empty = {name: np.full(shape, np.nan) for name in ("open", "high", "low")}
    if not panel.symbols or not panel.dates.size:
        return RangePanel(**empty)
    start, end = history_window(asof, history)
    first = np.datetime64(start)
    session_of = np.searchsorted(panel.dates, first + np.arange((end - start).days))
    scale = pl.col("price") / pl.col("close")
    held = (
        price_history.lazy()
        .filter(
            pl.col("date") >= start,
            pl.col("date") <= panel.dates[-1].astype(date),
            pl.col("close") > 0.0,
            pl.col("price") > 0.0,
        )
        .select(
            "date",
            column=pl.col("symbol").cast(pl.Enum(panel.symbols), strict=False).to_physical(),
            open=pl.col("open") * scale,
            high=pl.col("high") * scale,
            low=pl.col("low") * scale,
            row=(pl.col("date") - pl.lit(start)).dt.total_days(),
        )
        .filter(pl.col("column").is_not_null())
        .collect()
    )
    cells = session_of[held["row"].to_numpy()] * shape[1] + held["column"].to_numpy()
    meets = _meeting(cells, shape[0] * shape[1])
    merged = (
        held[meets]
        .with_columns(cell=pl.Series(cells[meets], dtype=pl.Int64))
        .sort("date")
        .group_by("cell", maintain_order=True)
        .agg(pl.col("open").first(), pl.col("high").max(), pl.col("low").min())
    )
    for name, values in empty.items():
        flat = values.reshape(-1)
        flat[cells] = held[name].to_numpy()
        flat[merged["cell"].to_numpy()] = merged[name].fill_null(np.nan).to_numpy()
    return RangePanel(**empty)


def _put_last(
    flat: NDArray[np.float64],
    cells: NDArray[np.int64],
    days: NDArray[np.int64],
    values: NDArray[np.float64],
) -> None:
    # Where a weekend's bars meet in one cell, the last of them stays.
    meets = _meeting(cells, flat.size)
    flat[cells] = values
    by_day = meets[np.argsort(days[meets], kind="stable")]
    flat[cells[by_day]] = values[by_day]


def _meeting(cells: NDArray[np.int64], size: int) -> NDArray[np.intp]:
    # The places of rows that share their cell with another one.
    return np.flatnonzero(np.bincount(cells, minlength=size)[cells] > 1)


def fill_forward(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Carry each column's last finite value down, shape ``(T, N)``; leading NaN stay."""
    if not prices.size:
        return prices.copy()
    places = np.where(np.isfinite(prices), np.arange(prices.shape[0])[:, None], 0)
    np.maximum.accumulate(places, axis=0, out=places)
    return prices[places, np.arange(prices.shape[1])[None, :]]
