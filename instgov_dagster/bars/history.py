"""Whether each symbol has the minimum history, and whose lack of it halts (roadmap 3.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from instgov_dagster.bars.calendars import (
    expected_sessions,
    history_window,
    last_closed_date,
    required_sessions,
)
from instgov_dagster.bars.classify import class_of, class_word
from instgov_dagster.bars.quality.verdicts import Schema, verdict_frame
from instgov_dagster.vocabulary.bars import (
    AssetClass,
    SymbolStatus,
    Universe,
    UniverseSymbol,
)
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

#: One row a symbol; ``passes`` is the gate, ``reason_codes`` say why.
COVERAGE_SCHEMA: Final[Schema] = {
    "symbol": pl.String,
    "asset_class": pl.String,
    "rows": pl.Int64,
    "expected": pl.Int64,
    "required": pl.Int64,
    "first_bar": pl.Date,
    "last_bar": pl.Date,
    "last_required": pl.Date,
    "is_listed_inside": pl.Boolean,
    "passes": pl.Boolean,
    "status": pl.String,
    "reason_codes": pl.List(pl.String),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    # What a class must show in one window: its first session, how many, and the last of them.
    first: date
    expected: int
    required: int
    last_closed: date
    last_but_one: date


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    # What price_history holds of one symbol in the window.
    rows: int = 0
    first_bar: date | None = None
    last_bar: date | None = None
    is_pending: bool = False


def cover_history(
    price_history: pl.DataFrame,
    quality: pl.DataFrame,
    *,
    universe: Universe,
    asof: date,
    history: HistoryPolicy,
    first_dates: Mapping[str, date],
    days: int | None = None,
) -> pl.DataFrame:
    """Compare what is held with what the class calendar expects, for every symbol.

    Parameters
    ----------
    price_history
        ``PRICE_SCHEMA``; rows outside the window or without a price are not counted.
    quality
        ``QUALITY_SCHEMA``; a symbol it calls INVALID_DATA keeps that status.
    first_dates
        First bar ever held of each symbol, whatever the window ``price_history`` was cut to (in
        ``files``: the first bar of the folder). A symbol absent here and without ``listed_on`` is
        not known to be young, so its lack of history halts.
    days
        Nominal sessions; they name a window of ``days * 1825 / 1260`` calendar days. The nominal
        count of the policy where ``None``.

    Returns
    -------
    pl.DataFrame
        ``COVERAGE_SCHEMA``, sorted by symbol. ``HISTORY_MISSING`` marks a symbol that must halt
        the system: it fails and youth does not excuse it. A reference needs the rows that can be
        judged and the last session; whether it halts is governance's word.

    Notes
    -----
    Roadmap 3.1 taken per calendar: ``required = floor(0.99 * expected)`` and the last bar is that
    of the last closed session; the one before where a late FX close was repaired (its last bar
    is pending). A literal 1260 would halt on perfect data on 93 % of days.
    """
    nominal = history.nominal_sessions if days is None else days
    needs: dict[AssetClass | None, _Need] = {}
    held = _held(price_history, asof, nominal, history)
    invalid = set(quality.filter(pl.col("status") == SymbolStatus.INVALID_DATA)["symbol"].to_list())
    records = []
    for entry in universe.symbols:
        kind = class_of(entry)
        if kind not in needs:
            needs[kind] = _need(kind, asof, nominal, history)
        records.append(
            _record(
                entry,
                held.get(entry.symbol, _Held()),
                needs[kind],
                listed_on=entry.listed_on or first_dates.get(entry.symbol),
                is_invalid=entry.symbol in invalid,
                nominal=nominal,
            )
        )
    return verdict_frame(records, COVERAGE_SCHEMA)


def has_minimum_history(
    price_history: pl.DataFrame,
    symbol: str,
    days: int | None = None,
    *,
    universe: Universe,
    asof: date,
    history: HistoryPolicy,
) -> bool:
    """Tell whether one symbol has the minimum history (roadmap 3.1), by the rule of coverage.

    Parameters
    ----------
    days
        Nominal sessions; the policy's 1260 where ``None``.

    Raises
    ------
    ValueError
        If the symbol is not in the universe.
    """
    nominal = history.nominal_sessions if days is None else days
    entry = universe.of(symbol)
    mine = price_history.filter(pl.col("symbol") == symbol)
    held = _held(mine, asof, nominal, history).get(symbol, _Held())
    need = _need(class_of(entry), asof, nominal, history)
    return _passes(held, need)


def missing_history(coverage: pl.DataFrame) -> tuple[str, ...]:
    """Name the symbols whose lack of history must halt the system, sorted."""
    halts = pl.col("reason_codes").list.contains(ReasonCode.HISTORY_MISSING.value)
    return tuple(sorted(coverage.filter(halts)["symbol"].to_list()))


def _need(kind: AssetClass | None, asof: date, nominal: int, history: HistoryPolicy) -> _Need:
    start, end = _window(asof, nominal, history)
    closed = last_closed_date(kind, asof, history)
    sessions = expected_sessions(kind, start, end)
    sessions = sessions[sessions <= np.datetime64(closed)]
    if sessions.size < 2:
        raise InputError(f"days must name a window of two sessions or more, was {nominal}")
    required = required_sessions(sessions.size, history)
    if kind is None:
        required = min(required, history.min_judged_rows)
    return _Need(
        first=sessions[0].astype(date),
        expected=sessions.size,
        required=required,
        last_closed=closed,
        last_but_one=sessions[-2].astype(date),
    )


def _window(asof: date, nominal: int, history: HistoryPolicy) -> tuple[date, date]:
    start, end = history_window(asof, history)
    if nominal == history.nominal_sessions:
        return start, end
    return end - (end - start) * nominal // history.nominal_sessions, end


def _held(
    price_history: pl.DataFrame, asof: date, nominal: int, history: HistoryPolicy
) -> dict[str, _Held]:
    start, end = _window(asof, nominal, history)
    counted = (
        price_history.lazy()
        .filter(pl.col("date") >= start, pl.col("date") < end, pl.col("price").is_not_null())
        .group_by("symbol")
        .agg(
            pl.col("date").n_unique(),
            pl.col("date").min().alias("first"),
            pl.col("date").max().alias("last"),
            ((pl.col("asset_class") == AssetClass.FX) & pl.col("is_repaired")).any().alias("fx"),
        )
        .collect()
    )
    return {
        symbol: _Held(rows=rows, first_bar=first, last_bar=last, is_pending=is_pending)
        for symbol, rows, first, last, is_pending in counted.iter_rows()
    }


def _last_required(held: _Held, need: _Need) -> date:
    return need.last_but_one if held.is_pending else need.last_closed


def _passes(held: _Held, need: _Need) -> bool:
    is_fresh = held.last_bar is not None and held.last_bar >= _last_required(held, need)
    return held.rows >= need.required and is_fresh


def _record(
    entry: UniverseSymbol,
    held: _Held,
    need: _Need,
    *,
    listed_on: date | None,
    is_invalid: bool,
    nominal: int,
) -> dict[str, object]:
    is_inside = listed_on is not None and listed_on > need.first
    is_short = held.rows < need.required
    is_stale = held.last_bar is None or held.last_bar < _last_required(held, need)
    passes = _passes(held, need)
    reasons: list[ReasonCode] = []
    status = SymbolStatus.REFERENCE if entry.is_reference else SymbolStatus.VALID
    if is_stale:
        status = SymbolStatus.STALE
        reasons.append(ReasonCode.DATA_STALE)
    if is_short:
        status = SymbolStatus.INSUFFICIENT_HISTORY
        reasons.append(
            ReasonCode.INSUFFICIENT_HISTORY if is_inside else ReasonCode.MISSING_SESSIONS
        )
    # Youth excuses too few rows; a symbol with enough of them was tradable and may be held.
    is_excused = entry.is_reference or (is_inside and is_short)
    if not passes and not is_excused:
        reasons.append(ReasonCode.HISTORY_MISSING)
    if passes:
        reasons.append(ReasonCode.HISTORY_SUFFICIENT)
        if held.rows < nominal and not entry.is_reference:
            reasons.append(ReasonCode.HISTORY_SHORT_OF_NOMINAL)
    if is_invalid:
        status = SymbolStatus.INVALID_DATA
    return {
        "symbol": entry.symbol,
        "asset_class": class_word(class_of(entry)),
        "rows": held.rows,
        "expected": need.expected,
        "required": need.required,
        "first_bar": held.first_bar,
        "last_bar": held.last_bar,
        "last_required": _last_required(held, need),
        "is_listed_inside": is_inside,
        "passes": passes,
        "status": status.value,
        "reason_codes": reasons,
    }
