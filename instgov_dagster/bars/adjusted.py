"""The adjusted layer: splits the vendor left in, FX closes a day late, one total-return price."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.classify import class_word
from instgov_dagster.bars.quality.rows import PRICES, BarRows, Series, gather_rows, usable_series
from instgov_dagster.bars.quality.rules import matches_split
from instgov_dagster.bars.quality.verdicts import Schema
from instgov_dagster.bars.quality.volume import measure_fx_closes, next_opens
from instgov_dagster.vocabulary.bars import AssetClass, Universe
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, QualityPolicy

#: One row a symbol and session, sorted by both; ``price`` is null where a price is impossible.
PRICE_SCHEMA: Final[Schema] = {
    "symbol": pl.String,
    "date": pl.Date,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "adj_close": pl.Float64,
    "volume": pl.Float64,
    "asset_class": pl.String,
    "price": pl.Float64,
    "is_repaired": pl.Boolean,
}

_COLUMNS: Final = (*PRICES, "adj_close", "volume", "dividend", "split")


def adjust_bars(
    bars: pl.DataFrame,
    *,
    universe: Universe,
    asof: date,
    policy: QualityPolicy,
    history: HistoryPolicy,
) -> pl.DataFrame:
    """Bring raw bars to one comparable series a symbol: the table price_history.

    Rows off session, duplicates and rows without finite prices are dropped. A recorded split is
    applied to the rows before it only where that day's close moved as the split says. The close
    of an FX symbol whose vendor is a day late becomes the next session's open; its last bar, and
    one before a long hole, are pending and left out.

    Parameters
    ----------
    bars
        Columns of ``BAR_SCHEMA`` as received; what lies outside the window of ``asof`` or is not
        closed at its instant is left out.

    Returns
    -------
    pl.DataFrame
        ``PRICE_SCHEMA``. ``open`` to ``close`` and ``volume`` are what trades are sized and
        simulated on; ``price`` is the total return: ``adj_close`` where the vendor gives it on
        every row, else the close with recorded dividends reinvested.
    """
    found = _adjusted(bars, universe=universe, asof=asof, policy=policy, history=history)
    is_kept, rows = found.is_kept, found.rows
    ids = pl.Series(found.series.ids[is_kept])
    words = pl.Series([class_word(kind) for kind in rows.classes], dtype=pl.String)
    symbols = pl.Series(rows.symbols, dtype=pl.String)
    return pl.DataFrame(
        {
            "symbol": symbols.gather(ids),
            "date": np.datetime64(rows.start) + _timed(found.series.days[is_kept]),
            **{name: found.values[name][is_kept] for name in (*PRICES, "adj_close", "volume")},
            "asset_class": words.gather(ids),
            "price": found.price[is_kept],
            "is_repaired": found.is_repaired[is_kept],
        },
        schema=PRICE_SCHEMA,
        nan_to_null=True,
    ).select(PRICE_SCHEMA.keys())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdjustedPrices:
    """The total-return prices of `adjust_bars` alone, each array ``(n,)``, by symbol and day.

    Attributes
    ----------
    ids
        Places in ``symbols``.
    days
        Counted from ``start``, the first day of the window.
    price
        Never NaN: a row without a price is left out.
    """

    symbols: tuple[str, ...]
    start: date
    ids: NDArray[np.int64]
    days: NDArray[np.int64]
    price: NDArray[np.float64]

    def kept(self, is_kept: NDArray[np.bool_]) -> "AdjustedPrices":
        """Give only some of the rows."""
        rows = {name: getattr(self, name)[is_kept] for name in ("ids", "days", "price")}
        return replace(self, **rows)


def adjusted_prices(
    bars: pl.DataFrame,
    *,
    universe: Universe,
    asof: date,
    policy: QualityPolicy,
    history: HistoryPolicy,
) -> AdjustedPrices:
    """Give the prices of `adjust_bars`, of the same bars, without laying its table out."""
    found = _adjusted(bars, universe=universe, asof=asof, policy=policy, history=history)
    has_price = found.is_kept & ~np.isnan(found.price)
    return AdjustedPrices(
        symbols=found.rows.symbols,
        start=found.rows.start,
        ids=found.series.ids[has_price],
        days=found.series.days[has_price],
        price=found.price[has_price],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Adjusted:
    # Arrays (k,) over the rows of the series; what is not kept is pending.
    rows: BarRows
    series: Series
    values: dict[str, NDArray[np.float64]]
    price: NDArray[np.float64]
    is_repaired: NDArray[np.bool_]
    is_kept: NDArray[np.bool_]


def _adjusted(
    bars: pl.DataFrame,
    *,
    universe: Universe,
    asof: date,
    policy: QualityPolicy,
    history: HistoryPolicy,
) -> _Adjusted:
    rows = gather_rows(bars, universe=universe, asof=asof, history=history, columns=_COLUMNS)
    series = usable_series(rows)
    values = {name: rows.values[name][series.rows] for name in _COLUMNS}
    is_repaired = _apply_splits(values, series, policy)
    is_late = measure_fx_closes(rows, series, policy).is_late[series.ids]
    if is_late.any():
        _shift_closes(values, next_opens(rows, series, policy), is_late)
        is_repaired |= is_late
    return _Adjusted(
        rows=rows,
        series=series,
        values=values,
        price=_price(values, series, rows),
        is_repaired=is_repaired,
        is_kept=np.isfinite(values["close"]),
    )


def _timed(days: NDArray[np.int64]) -> NDArray[np.timedelta64]:
    return days.astype("timedelta64[D]")


def report_fx_closes(
    bars: pl.DataFrame,
    *,
    universe: Universe,
    asof: date,
    policy: QualityPolicy,
    history: HistoryPolicy,
) -> pl.DataFrame:
    """Tell how the closes of each FX symbol lie in their bars, before and after the repair.

    Returns
    -------
    pl.DataFrame
        Columns symbol, body_before, body_after (medians of ``|close - open| / (high - low)``),
        is_late, is_suspect; one row an FX symbol.
    """
    rows = gather_rows(bars, universe=universe, asof=asof, history=history, columns=_COLUMNS)
    closes = measure_fx_closes(rows, usable_series(rows), policy)
    is_fx = rows.is_class(AssetClass.FX)
    return pl.DataFrame(
        {
            "symbol": np.array(rows.symbols, dtype=np.str_)[is_fx],
            "body_before": closes.body_before[is_fx],
            "body_after": closes.body_after[is_fx],
            "is_late": closes.is_late[is_fx],
            "is_suspect": closes.is_suspect[is_fx],
        }
    )


def _apply_splits(
    values: dict[str, NDArray[np.float64]], series: Series, policy: QualityPolicy
) -> NDArray[np.bool_]:
    # Changes the arrays in place and tells which rows changed. The vendor's adj_close is judged by
    # its own move: it is often adjusted where the close is not.
    is_changed = np.zeros(series.ids.size, dtype=np.bool_)
    splits = values["split"]
    if not ((splits > 0) & (splits != 1)).any():
        return is_changed
    for base, scaled in (("close", PRICES), ("adj_close", ("adj_close",))):
        moves = _log_moves(values[base], series)
        is_split = matches_split(moves, splits, tolerance=policy.split_match_tolerance)
        if not is_split.any():
            continue
        factor = _earlier_product(
            np.where(is_split, 1.0 / np.where(is_split, splits, 1.0), 1.0), series
        )
        for name in scaled:
            values[name] = values[name] * factor
        if base == "close":
            values["volume"] = values["volume"] / factor
            # A dividend of the time before the split was paid on the old, larger share.
            values["dividend"] = values["dividend"] * factor
        is_changed |= factor != 1.0
    return is_changed


def _shift_closes(
    values: dict[str, NDArray[np.float64]],
    following: NDArray[np.float64],
    is_late: NDArray[np.bool_],
) -> None:
    # NaN marks what is pending. The bar is widened to hold its new close.
    closes = np.where(is_late, following, values["close"])
    values["close"] = closes
    values["adj_close"] = np.where(is_late, closes, values["adj_close"])
    values["high"] = np.where(is_late, np.fmax(values["high"], closes), values["high"])
    values["low"] = np.where(is_late, np.fmin(values["low"], closes), values["low"])


def _price(
    values: dict[str, NDArray[np.float64]], series: Series, rows: BarRows
) -> NDArray[np.float64]:
    closes, adjusted = values["close"], values["adj_close"]
    is_commodity = rows.is_class(AssetClass.COMMODITIES)[series.ids]
    is_given = np.isfinite(adjusted) & ((adjusted > 0) | is_commodity)
    # One series, one convention: a single row without adj_close disowns it for the symbol.
    without = np.bincount(series.ids[~is_given & np.isfinite(closes)], minlength=rows.n_symbols)
    total = adjusted
    if without.any():
        reinvested = closes * _reinvested(values, series)
        total = np.where((without == 0)[series.ids], adjusted, reinvested)
    price: NDArray[np.float64] = np.where((total > 0) | is_commodity, total, np.nan)
    return price


def _reinvested(values: dict[str, NDArray[np.float64]], series: Series) -> NDArray[np.float64]:
    # The factor 1 - dividend / close before it, on every row before the day it was paid.
    closes, dividends = values["close"], values["dividend"]
    before = np.full(closes.size, np.nan)
    before[1:] = closes[:-1]
    before[series.is_first] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = 1.0 - dividends / before
    is_paid = (dividends > 0) & (kept > 0) & (kept < 1)
    if not is_paid.any():
        return np.ones(closes.size)
    return _earlier_product(np.where(is_paid, kept, 1.0), series)


def _log_moves(prices: NDArray[np.float64], series: Series) -> NDArray[np.float64]:
    known = np.where(prices > 0, prices, np.nan)
    moves = np.full(prices.size, np.nan)
    moves[1:] = np.log(known[1:]) - np.log(known[:-1])
    moves[series.is_first] = np.nan
    return moves


def _earlier_product(factors: NDArray[np.float64], series: Series) -> NDArray[np.float64]:
    # For each row the product of the factors of all later rows of its symbol.
    product = np.ones(factors.size)
    events = np.flatnonzero(factors != 1.0)
    starts = np.flatnonzero(series.is_first)
    for event in events:
        first = starts[np.searchsorted(starts, event, side="right") - 1]
        product[first:event] *= factors[event]
    return product
