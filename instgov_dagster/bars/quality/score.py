"""The score of each symbol in [0, 1], its status and its flags (roadmap 2.5)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.calendars import required_sessions
from instgov_dagster.bars.classify import class_word
from instgov_dagster.bars.ingestion import first_dates as first_dates_of
from instgov_dagster.bars.quality.flags import Flag, raise_flags, sessions_behind
from instgov_dagster.bars.quality.rows import PRICES, BarRows, Series, gather_rows, usable_series
from instgov_dagster.bars.quality.verdicts import Schema, verdict_frame
from instgov_dagster.vocabulary.bars import AssetClass, SymbolStatus, Universe
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, QualityPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

#: One row a symbol; ``flags`` is JSON: reason code -> {count, rate, penalty, dates}.
QUALITY_SCHEMA: Final[Schema] = {
    "symbol": pl.String,
    "asset_class": pl.String,
    "quality_score": pl.Float64,
    "status": pl.String,
    "rows": pl.Int64,
    "expected_rows": pl.Int64,
    "first_bar": pl.Date,
    "last_bar": pl.Date,
    "flags": pl.String,
    "reason_codes": pl.List(pl.String),
}

_COLUMNS: Final = (*PRICES, "volume", "split")
# Scores are compared with thresholds: 1 - (0.2 + 0.2) must be 0.6, not a bit less.
_DIGITS: Final = 12

_STATUS_REASONS: Final = {
    SymbolStatus.INVALID_DATA: ReasonCode.INVALID_DATA,
    SymbolStatus.INSUFFICIENT_HISTORY: ReasonCode.INSUFFICIENT_HISTORY,
    SymbolStatus.REFERENCE: ReasonCode.REFERENCE_NOT_BID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Night:
    # What is judged, by what; arrays have shape (n_symbols,).
    rows: BarRows
    series: Series
    flags: tuple[Flag, ...]
    scores: NDArray[np.float64]
    held: NDArray[np.int64]
    behind: NDArray[np.int64]
    is_young: NDArray[np.bool_]
    policy: QualityPolicy
    history: HistoryPolicy


def score_bars(
    bars: pl.DataFrame,
    *,
    universe: Universe,
    asof: date,
    policy: QualityPolicy,
    history: HistoryPolicy,
    first_dates: Mapping[str, date] | None = None,
) -> pl.DataFrame:
    """Score the raw bars of every symbol of the universe, references included.

    Parameters
    ----------
    bars
        Columns of ``BAR_SCHEMA`` as received, any order, duplicates and NaN included. The index
        that excuses market-wide moves is looked for among them.
    asof
        The night's date: the window is ``[asof - 1825 days, asof)``, and of it the sessions
        closed at the night's instant.
    first_dates
        First bar ever held of each symbol, where ``bars`` are cut to the window; taken from
        ``bars`` where ``None``.

    Returns
    -------
    pl.DataFrame
        ``QUALITY_SCHEMA``, sorted by symbol. A symbol without bars scores 0.

    Notes
    -----
    ``score = max(0, 1 - sum_k w_k * min(1, rate_k / cap_k))`` (roadmap 2.5). Weights are
    penalties, never renormalised; a rule that does not apply costs 0. Below 63 rows nothing is
    judged: INSUFFICIENT_HISTORY, flags only.
    """
    index = policy.index_symbol
    rows = gather_rows(
        bars, universe=universe, asof=asof, history=history, columns=_COLUMNS, also=index
    )
    series = usable_series(rows)
    flags = raise_flags(rows, series, policy)
    held = np.bincount(series.ids, minlength=rows.n_symbols)
    scores = np.maximum(0.0, 1.0 - np.sum([flag.penalty for flag in flags], axis=0))
    firsts = first_dates_of(bars) if first_dates is None else first_dates
    night = _Night(
        rows=rows,
        series=series,
        flags=flags,
        scores=np.where(held > 0, np.round(scores, _DIGITS), 0.0),
        held=held,
        behind=sessions_behind(rows, series),
        is_young=_is_young(rows, held, listings(universe, firsts), history),
        policy=policy,
        history=history,
    )
    # The index, gathered though the universe lacks it, stands last and is not judged.
    records = [_record(night, place) for place in range(len(universe.symbols))]
    return verdict_frame(records, QUALITY_SCHEMA)


def listings(universe: Universe, first_dates: Mapping[str, date]) -> dict[str, date]:
    """Give the day each symbol was listed: as declared, else its first bar ever held."""
    found = {s.symbol: s.listed_on or first_dates.get(s.symbol) for s in universe.symbols}
    return {symbol: day for symbol, day in found.items() if day is not None}


def _is_young(
    rows: BarRows, held: NDArray[np.int64], listed: Mapping[str, date], history: HistoryPolicy
) -> NDArray[np.bool_]:
    # Listed after the first session of the window, and short of what the window asks.
    needs: dict[AssetClass | None, tuple[date, int]] = {}
    for kind, calendar in rows.calendars.items():
        first = _day(rows, int(calendar.is_session.argmax()))
        needs[kind] = (first, required_sessions(int(calendar.cumulative[-1]), history))
    is_young = [
        symbol in listed and listed[symbol] > needs[kind][0] and held[place] < needs[kind][1]
        for place, (symbol, kind) in enumerate(zip(rows.symbols, rows.classes, strict=True))
    ]
    return np.array(is_young, dtype=np.bool_)


def _record(night: _Night, place: int) -> dict[str, object]:
    rows, series = night.rows, night.series
    kind = rows.classes[place]
    cumulative = rows.calendars[kind].cumulative
    first, end = np.searchsorted(series.ids, [place, place + 1])
    days = series.days[first:end]
    status = _status(night, place)
    raised = [flag for flag in night.flags if flag.finding.count[place] > 0]
    return {
        "symbol": rows.symbols[place],
        "asset_class": class_word(kind),
        "quality_score": float(night.scores[place]),
        "status": status.value,
        "rows": int(night.held[place]),
        "expected_rows": int(cumulative[-1] - (cumulative[days[0]] if days.size else 0)),
        "first_bar": _day(rows, days[0]) if days.size else None,
        "last_bar": _day(rows, days[-1]) if days.size else None,
        "flags": json.dumps({flag.reason: _told(night, flag, place) for flag in raised}),
        "reason_codes": _reasons(night, place, status, raised),
    }


def _status(night: _Night, place: int) -> SymbolStatus:
    if night.held[place] < night.history.min_judged_rows:
        return SymbolStatus.INSUFFICIENT_HISTORY
    if not night.scores[place] >= night.policy.invalid_below:  # NaN is invalid
        return SymbolStatus.INVALID_DATA
    is_reference = night.rows.classes[place] is None
    if night.is_young[place] and not is_reference:
        return SymbolStatus.INSUFFICIENT_HISTORY
    if night.behind[place] > 0:
        return SymbolStatus.STALE
    return SymbolStatus.REFERENCE if is_reference else SymbolStatus.VALID


def _reasons(
    night: _Night, place: int, status: SymbolStatus, raised: list[Flag]
) -> list[ReasonCode]:
    score = night.scores[place]
    reasons = [_STATUS_REASONS[status]] if status in _STATUS_REASONS else []
    if night.policy.invalid_below <= score < night.policy.degraded_below:
        reasons.append(ReasonCode.QUALITY_DEGRADED)
    if score == 1.0 and status is SymbolStatus.VALID:
        reasons.append(ReasonCode.DATA_VALID)
    reasons.extend(flag.reason for flag in raised)
    if night.rows.classes[place] is AssetClass.FX:
        reasons.append(ReasonCode.VOLUME_NOT_APPLICABLE)
    return reasons


def _told(night: _Night, flag: Flag, place: int) -> dict[str, object]:
    finding = flag.finding
    first, end = np.searchsorted(finding.ids, [place, place + 1])
    days = finding.days[first : min(end, first + night.policy.shown_dates)]
    return {
        "count": int(finding.count[place]),
        "rate": round(float(finding.rate[place]), _DIGITS),
        "penalty": round(float(flag.penalty[place]), _DIGITS),
        "dates": [_day(night.rows, day).isoformat() for day in days],
    }


def _day(rows: BarRows, day: int) -> date:
    return rows.start + timedelta(days=int(day))
