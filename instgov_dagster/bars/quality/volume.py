"""The rules of data quality that look at volume, and the day-late closes of FX vendors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.bars.quality.rows import BarRows, Series
from instgov_dagster.bars.quality.rules import Finding, report
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.policy.bars import QualityPolicy

# Median absolute deviation to standard deviation for a normal law: 1 / Phi^-1(3/4).
_MAD_TO_SIGMA = 1.482602218505602


def find_zero_volume(rows: BarRows, series: Series) -> Finding:
    """Find the sessions without volume (0, missing) in classes that report it: STOCKS, CRYPTO."""
    reports = rows.is_class(AssetClass.STOCKS, AssetClass.CRYPTO)[series.ids]
    volumes = rows.values["volume"][series.rows]
    is_found = reports & ~(volumes > 0)
    return report(rows, series.ids[is_found], series.days[is_found], rows.n_dates)


def find_volume_spikes(rows: BarRows, series: Series, policy: QualityPolicy) -> Finding:
    """Find the sessions whose log volume lies above six robust deviations of its own past.

    The median and the deviation (MAD) are those of the 252 sessions with volume before, renewed
    every 21 sessions; before the first 252 nothing is judged. FX and references report no volume.

    Notes
    -----
    On raw volume the six-sigma rule of roadmap 2.4 flags 96 % of good stocks.
    """
    reports = ~rows.is_class(AssetClass.FX, None)
    volumes = rows.values["volume"][series.rows]
    places = np.flatnonzero(reports[series.ids] & (volumes > 0) & np.isfinite(volumes))
    is_found = np.zeros(series.ids.size, dtype=np.bool_)
    is_found[places] = _beyond(np.log(volumes[places]), series.ids[places], policy)
    return report(rows, series.ids[is_found], series.days[is_found], rows.n_dates)


def _beyond(
    logs: NDArray[np.float64], ids: NDArray[np.int64], policy: QualityPolicy
) -> NDArray[np.bool_]:
    # One block of sessions of all symbols at a time: a row of the matrix is a symbol's past.
    window, step = policy.volume_window_sessions, policy.volume_refresh_sessions
    is_found = np.zeros(logs.size, dtype=np.bool_)
    symbols, starts, lengths = np.unique(ids, return_index=True, return_counts=True)
    longest = int(lengths.max()) if symbols.size else 0
    for begin in range(window, longest, step):
        mine = lengths > begin
        past = logs[starts[mine, None] + np.arange(begin - window, begin)]
        middle = row_medians(past)
        spread = row_medians(np.abs(past - middle[:, None]))
        limit = middle + policy.volume_spike_sigmas * _MAD_TO_SIGMA * spread
        # A past that never varied measures no deviation.
        limit[spread <= 0] = np.inf
        ahead = begin + np.arange(step)
        is_there = ahead[None, :] < lengths[mine, None]
        cells = np.where(is_there, starts[mine, None] + ahead, 0)
        is_high = is_there & (logs[cells] > limit[:, None])
        is_found[cells[is_high]] = True
    return is_found


def row_medians(finite: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the median of each row of finite numbers, which are reordered in place.

    numpy's own looks for NaN as well, at half again the cost.
    """
    low, high = (finite.shape[1] - 1) // 2, finite.shape[1] // 2
    finite.partition((low, high), axis=1)
    middle: NDArray[np.float64] = (finite[:, low] + finite[:, high]) / 2.0
    return middle


@dataclass(frozen=True, slots=True, kw_only=True)
class FxCloses:
    """How the closes of FX symbols lie in their bars, each array ``(n_symbols,)``.

    ``body_before`` is the median of ``|close - open| / (high - low)`` as received, ``body_after``
    the same with the next session's open as close; NaN for other classes and without bars.
    """

    body_before: NDArray[np.float64]
    body_after: NDArray[np.float64]
    is_late: NDArray[np.bool_]
    is_suspect: NDArray[np.bool_]


def measure_fx_closes(rows: BarRows, series: Series, policy: QualityPolicy) -> FxCloses:
    """Measure which FX symbols carry yesterday's close, and whether the repair cures them.

    Notes
    -----
    Since 2010 Yahoo's FX close is the same bar's open (EURUSD and UUP: same-day correlation
    -0.04, shifted by one day -0.81). The cure is ``close(d) := open(d + 1)``.
    """
    before = np.full(rows.n_symbols, np.nan)
    after = np.full(rows.n_symbols, np.nan)
    is_fx = rows.is_class(AssetClass.FX)
    opens, highs, lows, closes = (
        rows.values[name][series.rows] for name in ("open", "high", "low", "close")
    )
    repaired = next_opens(rows, series, policy)
    starts = np.searchsorted(series.ids, np.arange(rows.n_symbols + 1))
    for place in np.flatnonzero(is_fx):
        mine = slice(starts[place], starts[place + 1])
        width = highs[mine] - lows[mine]
        before[place] = _body(opens[mine], closes[mine], width)
        after[place] = _body(opens[mine], repaired[mine], width)
    is_late = is_fx & (before < policy.fx_close_min_body)
    final = np.where(is_late, after, before)
    has_bars = is_fx & (np.diff(starts) > 0)
    # A NaN compares false: what cannot be measured is suspect.
    is_suspect = has_bars & ~(final >= policy.fx_close_min_body)
    return FxCloses(body_before=before, body_after=after, is_late=is_late, is_suspect=is_suspect)


def next_opens(rows: BarRows, series: Series, policy: QualityPolicy) -> NDArray[np.float64]:
    """Give the open that follows each row of the series, ``(k,)``; NaN where none is near.

    The next session's; across one missing session (an FX holiday, when the market is shut) the
    one after. A longer hole lends its far end to no day before it.
    """
    opens = rows.values["open"][series.rows]
    following = np.full(opens.size, np.nan)
    calendar = rows.calendars.get(AssetClass.FX)
    if calendar is None or opens.size == 0:
        return following
    steps = np.diff(calendar.cumulative[series.days])
    is_near = ~series.is_first[1:] & (steps >= 1) & (steps <= 1 + policy.fx_bridged_sessions)
    following[:-1] = np.where(is_near, opens[1:], np.nan)
    return following


def _body(
    opens: NDArray[np.float64], closes: NDArray[np.float64], width: NDArray[np.float64]
) -> float:
    is_known = (width > 0) & np.isfinite(closes)
    if not is_known.any():
        return float("nan")
    return float(np.median(np.abs(closes[is_known] - opens[is_known]) / width[is_known]))
