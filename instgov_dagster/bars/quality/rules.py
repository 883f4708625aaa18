"""The rules of data quality that look at rows and sequences; volume and FX have their own files."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.bars.quality.rows import PRICES, BarRows, Series
from instgov_dagster.vocabulary.bars import AssetClass, ClassTable
from instgov_dagster.vocabulary.policy.bars import QualityPolicy

_BPS = 1e4
_NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule found: how often per symbol and, per occurrence, the symbol and the day.

    ``count`` and ``rate`` have shape ``(n_symbols,)``; ``ids`` and ``days`` ``(n_found,)`` are
    sorted by symbol, then day. A rule that does not apply to a symbol finds nothing in it.
    """

    count: NDArray[np.int64]
    rate: NDArray[np.float64]
    ids: NDArray[np.int64]
    days: NDArray[np.int64]


def find_dates(rows: BarRows, is_found: NDArray[np.bool_]) -> Finding:
    """Report the (symbol, date) marked; the rate is per distinct date."""
    places = rows.first_rows[is_found]
    return report(rows, rows.ids[places], rows.days[places], rows.n_dates)


def report(
    rows: BarRows, ids: NDArray[np.int64], days: NDArray[np.int64], out_of: NDArray[np.int64]
) -> Finding:
    """Count occurrences per symbol and divide by what they are counted out of."""
    count = np.bincount(ids, minlength=rows.n_symbols)
    rate = count / np.maximum(out_of, 1)
    return Finding(count=count, rate=rate, ids=ids, days=days)


def find_missing(rows: BarRows, series: Series) -> Finding:
    """Find the sessions without a usable bar between a symbol's first row and its last.

    What follows the last row is no gap of the series: a symbol that ended is stale, and the
    history gate names it. An unusable row is a missing session wherever it stands.
    """
    low = np.zeros(rows.n_symbols, dtype=np.int64)
    high = np.zeros(rows.n_symbols, dtype=np.int64)
    days_held = rows.days[rows.first_rows]
    high[rows.date_ids] = days_held + 1  # sorted by day: the last one stays
    low[rows.date_ids[::-1]] = days_held[::-1]
    expected = np.zeros(rows.n_symbols, dtype=np.int64)
    held = np.bincount(series.ids, minlength=rows.n_symbols)
    for kind, calendar in rows.calendars.items():
        mine = rows.is_class(kind)
        expected[mine] = calendar.cumulative[high[mine]] - calendar.cumulative[low[mine]]
    count = expected - held
    gaps = np.flatnonzero(count > 0)
    ids = [_NOTHING]
    days = [_NOTHING]
    starts = np.searchsorted(series.ids, np.arange(rows.n_symbols + 1))
    for place in gaps:
        calendar = rows.calendars[rows.classes[place]]
        is_open = calendar.is_session[low[place] : high[place]].copy()
        is_open[series.days[starts[place] : starts[place + 1]] - low[place]] = False
        absent = np.flatnonzero(is_open) + low[place]
        ids.append(np.full(absent.size, place))
        days.append(absent)
    return Finding(
        count=count,
        rate=count / np.maximum(expected, 1),
        ids=np.concatenate(ids),
        days=np.concatenate(days),
    )


def find_not_finite(rows: BarRows) -> Finding:
    """Find the dates delivered without one usable row; they are missing sessions."""
    return find_dates(rows, ~rows.is_usable[rows.first_rows])


def find_duplicates(rows: BarRows) -> Finding:
    """Find the rows beyond the first of a date; the rate is per distinct date."""
    is_extra = np.ones(rows.ids.size, dtype=np.bool_)
    is_extra[rows.first_rows] = False
    return report(rows, rows.ids[is_extra], rows.days[is_extra], rows.n_dates)


def find_not_positive(rows: BarRows) -> Finding:
    """Find the dates on which any price is zero or negative, in any of their rows."""
    is_found = np.zeros(rows.ids.size, dtype=np.bool_)
    for name in PRICES:
        is_found |= rows.values[name] <= 0
    return find_dates(rows, rows.any_by_date(is_found))


def find_ohlc(rows: BarRows, policy: QualityPolicy) -> Finding:
    """Find the dates whose prices contradict each other by more than the tolerance.

    The measure is how far the high lies below, or the low above, what it must contain, against
    the close.
    """
    opens, highs, lows, closes = (rows.values[name] for name in PRICES)
    with np.errstate(invalid="ignore"):
        above = np.maximum(np.maximum(opens, closes), lows) - highs
        below = lows - np.minimum(np.minimum(opens, closes), highs)
        is_found = np.maximum(above, below) > np.abs(closes) * (policy.ohlc_tolerance_bps / _BPS)
    return find_dates(rows, rows.any_by_date(is_found))


def session_returns(rows: BarRows, series: Series, policy: QualityPolicy) -> NDArray[np.float64]:
    """Give the log return of each row of the series on the one before, ``(k,)``.

    NaN at a symbol's first row and where either price is not positive. A recorded split that
    matches the move is taken out of it.
    """
    closes = rows.values["close"][series.rows]
    prices = np.where(closes > 0, closes, np.nan)
    returns = np.full(closes.size, np.nan)
    returns[1:] = np.log(prices[1:]) - np.log(prices[:-1])
    returns[series.is_first] = np.nan
    splits = rows.values["split"][series.rows]
    is_split = matches_split(returns, splits, tolerance=policy.split_match_tolerance)
    returns[is_split] += np.log(splits[is_split])
    return returns


def matches_split(
    log_returns: NDArray[np.float64], splits: NDArray[np.float64], *, tolerance: float
) -> NDArray[np.bool_]:
    """Tell where a price moved as its recorded split says: it is not adjusted yet.

    Parameters
    ----------
    log_returns
        Move of the price on the day of the split.
    splits
        New shares for one old; 0 or NaN is none. A four-for-one split quarters the price.
    tolerance
        How far the move may be from the split, as a fraction.

    Notes
    -----
    Vendor prices are often adjusted while the actions still list the split. A small one (1.054)
    is within any tolerance of no move at all, so the split must also explain more than nothing.
    """
    is_split = (splits > 0) & (splits != 1) & np.isfinite(splits) & np.isfinite(log_returns)
    left = np.where(is_split, log_returns, 0.0) + np.log(np.where(is_split, splits, 1.0))
    is_near = np.abs(np.expm1(left)) <= tolerance
    found: NDArray[np.bool_] = is_split & is_near & (np.abs(left) < np.abs(log_returns))
    return found


def find_spikes(
    rows: BarRows, series: Series, returns: NDArray[np.float64], policy: QualityPolicy
) -> Finding:
    """Find the sessions whose price jumped and came back in the next one."""
    limit = by_symbol(rows, policy.spike_log_return)[series.ids]
    with np.errstate(invalid="ignore"):
        is_jump = np.abs(returns) > limit
        is_found = np.zeros(returns.size, dtype=np.bool_)
        is_found[:-1] = is_jump[:-1] & is_jump[1:] & (returns[:-1] * returns[1:] < 0)
    return report(rows, series.ids[is_found], series.days[is_found], rows.n_dates)


def find_level_breaks(
    rows: BarRows, series: Series, returns: NDArray[np.float64], policy: QualityPolicy
) -> Finding:
    """Find the sessions of STOCKS whose level broke with nothing to explain it.

    A break is explained by a matching split, by dollar volume known to be a multiple of its
    median over the window, or by a day on which the index itself moved.
    """
    is_stock = rows.is_class(AssetClass.STOCKS)[series.ids]
    with np.errstate(invalid="ignore"):
        is_break = is_stock & (np.abs(returns) > np.log(policy.level_break_ratio))
    is_break &= ~index_moved(rows, series, policy)[series.days]
    candidates = np.flatnonzero(is_break)
    traded = dollar_volumes(rows, series)
    starts = np.searchsorted(series.ids, np.arange(rows.n_symbols + 1))
    for place in np.unique(series.ids[candidates]):
        mine = slice(starts[place], starts[place + 1])
        known = traded[mine][traded[mine] > 0]
        median = float(np.median(known)) if known.size else float("nan")
        # A NaN on either side compares false: unknown volume explains nothing.
        is_break[mine] &= ~(traded[mine] >= policy.level_break_volume_multiple * median)
    return report(rows, series.ids[is_break], series.days[is_break], rows.n_dates)


def dollar_volumes(rows: BarRows, series: Series) -> NDArray[np.float64]:
    """Give volume times the mean of high, low and close, ``(k,)``; NaN where unknown.

    On the day a price collapses close times volume understates what changed hands: half the
    day's trades were made on the way down.
    """
    highs, lows, closes = (rows.values[name][series.rows] for name in ("high", "low", "close"))
    typical: NDArray[np.float64] = (highs + lows + closes) / 3.0
    return typical * rows.values["volume"][series.rows]


def index_moved(rows: BarRows, series: Series, policy: QualityPolicy) -> NDArray[np.bool_]:
    """Tell for each day of the window whether the index moved beyond the limit, ``(days,)``."""
    window_days = max(calendar.is_session.size for calendar in rows.calendars.values())
    moved = np.zeros(window_days, dtype=np.bool_)
    if policy.index_symbol not in rows.symbols:
        return moved
    mine = np.flatnonzero(series.ids == rows.symbols.index(policy.index_symbol))
    closes = rows.values["close"][series.rows[mine]]
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.abs(closes[1:] / closes[:-1] - 1.0)
    is_known = (closes[1:] > 0) & (closes[:-1] > 0)
    moved[series.days[mine[1:]][is_known & (moves > policy.index_move)]] = True
    return moved


def by_symbol(rows: BarRows, table: ClassTable) -> NDArray[np.float64]:
    """Spread a table of classes over the symbols; NaN, which nothing exceeds, for references."""
    return np.array(
        [float("nan") if kind is None else table.of(kind) for kind in rows.classes],
        dtype=np.float64,
    )
