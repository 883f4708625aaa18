"""Too-perfect execution, judged by symbol on the fills and passive orders of the last sessions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.governance.veto import (
    FillSample,
    veto_passive_fills,
    veto_too_perfect_execution,
)
from instgov_dagster.vocabulary.governance import ALL, ScopedFinding, VetoFinding, VetoPolicy

_OF_BAR: Final = ("low", "high")
_OF_FILL: Final = tuple(f.name for f in fields(FillSample) if f.name not in _OF_BAR)

_Columns = Mapping[str, NDArray[Any]]
_Bars = Mapping[tuple[str, date], tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    # The rows of one symbol, in the order they are recorded.
    name: str
    fills: NDArray[np.intp]
    orders: NDArray[np.intp]
    tested: NDArray[np.intp]  # fills of its last day: those that meet their bar tonight


def judge_execution(
    fills: pl.DataFrame,
    passive: pl.DataFrame,
    bars: pl.DataFrame,
    *,
    since: date,
    spent: Callable[[str], date],
    policy: VetoPolicy,
) -> list[ScopedFinding]:
    """Judge every symbol that was traded: an order is the net of all strategies.

    Parameters
    ----------
    fills, passive
        Rows of ``FILL_SCHEMA`` and ``PASSIVE_SCHEMA``.
    bars
        Columns ``symbol``, ``date``, ``low`` and ``high``, of any sessions. A fill is held against
        its bar once, by the first night that knows the bar.
    since
        The first day judged.
    spent
        The day before which a symbol's evidence is spent.

    Returns
    -------
    Four findings a symbol; four of every symbol where none was traded.
    """
    told = {name: fills[name].to_numpy() for name in (*_OF_FILL, "is_aggressive")}
    is_filled = passive["is_filled"].to_numpy().astype(np.bool_)
    markouts = passive["markout_bps"].fill_null(0.0).to_numpy()
    days = fills["date"].to_numpy()
    own = _by_symbol(fills, passive, since, spent)
    bar_of = _bars_of(bars, np.unique(days[np.concatenate([one.tested for one in own])]))
    out = []
    for one in own:
        tested, low, high = _known(one, days, bar_of, told["price"])
        in_bar, _, _ = veto_too_perfect_execution(_sample(told, tested, low, high), policy)
        sent = one.fills[told["is_aggressive"][one.fills].astype(np.bool_)]
        # Where the bar plays no part the fill's own price stands in for it.
        price = told["price"][sent]
        _, mid, deviation = veto_too_perfect_execution(_sample(told, sent, price, price), policy)
        rested = veto_passive_fills(is_filled[one.orders], markouts[one.orders], policy)
        out += [_of(one.name, finding) for finding in (in_bar, mid, deviation, rested)]
    return out


def _of(symbol: str, finding: VetoFinding) -> ScopedFinding:
    return ScopedFinding(strategy_id=ALL, symbol=symbol, finding=finding)


def _by_symbol(
    fills: pl.DataFrame, passive: pl.DataFrame, since: date, spent: Callable[[str], date]
) -> list[_Own]:
    rows, orders = _places(fills, since), _places(passive, since)
    days, sent = fills["date"].to_numpy(), passive["date"].to_numpy()
    none = np.zeros(0, dtype=np.intp)
    own = []
    for name in sorted({*rows, *orders}) or [ALL]:
        left = np.datetime64(spent(name), "D")
        mine, asked = rows.get(name, none), orders.get(name, none)
        mine, asked = mine[days[mine] >= left], asked[sent[asked] >= left]
        tested = mine[days[mine] == days[mine].max()] if mine.size else none
        own.append(_Own(name=name, fills=mine, orders=asked, tested=tested))
    return own


def _places(frame: pl.DataFrame, since: date) -> dict[str, NDArray[np.intp]]:
    # The places of each symbol's rows from a day on, ascending.
    found: dict[str, list[int]] = {}
    names = frame["symbol"].to_list()
    for place in np.flatnonzero(frame["date"].to_numpy() >= np.datetime64(since, "D")).tolist():
        found.setdefault(names[place], []).append(place)
    return {name: np.array(places, dtype=np.intp) for name, places in found.items()}


def _bars_of(bars: pl.DataFrame, days: NDArray[np.datetime64]) -> _Bars:
    if not days.size:
        return {}
    is_asked = pl.Series(np.isin(bars["date"].to_numpy(), days))
    told = bars[["symbol", "date", "low", "high"]].filter(is_asked)
    rows = (
        told.group_by("symbol", "date").agg(pl.col("low").min(), pl.col("high").max()).iter_rows()
    )
    return {(symbol, day): (low, high) for symbol, day, low, high in rows}


def _known(
    own: _Own, days: NDArray[np.datetime64], bars: _Bars, price: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    # The fills whose bar is known, and its ends; a bar without a high has the fill's own price.
    low = high = None
    if own.tested.size:
        low, high = bars.get((own.name, days[own.tested[0]].item()), (None, None))
    if low is None:
        none = np.zeros(0)
        return own.tested[:0], none, none
    lows = np.full(own.tested.size, low)
    highs = price[own.tested] if high is None else np.full(own.tested.size, high)
    return own.tested, lows, highs


def _sample(
    told: _Columns,
    rows: NDArray[np.intp],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> FillSample:
    return FillSample(**{name: told[name][rows] for name in _OF_FILL}, low=low, high=high)
