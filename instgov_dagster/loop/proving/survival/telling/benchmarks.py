"""What simple rules would have done on the same bars, days and costs; no governance stands here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.panel import price_panel, range_panel
from instgov_dagster.bars.sizes import average_dollar_volume
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.loop.proving.survival.knowing.whole import adjusted_whole, whole_window
from instgov_dagster.vocabulary.config import Policy

Floats = NDArray[np.float64]
_BPS: Final = 1e4
_MONTH: Final = 21
_QUARTER: Final = 63
_YEAR: Final = 252
_RIDGE: Final = 1e-8
#: Bonds for the classic mix, the first that is held.
BONDS: Final = ("TLT", "IEF", "AGG", "BND", "SHY")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """The span a benchmark is held on: N symbols, S sessions walked, T >= S sessions known.

    Attributes
    ----------
    open, close
        Total-return prices, shape ``(T, N)``; NaN where there is none.
    first
        Row of the first session walked.
    half_spread, depth
        Of each symbol, ``(N,)``: fractions; and ``coefficient x annual volatility / sqrt(ADV)``,
        by which the square root of dollars traded is multiplied.
    """

    dates: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    open: Floats
    close: Floats
    first: int
    half_spread: Floats
    depth: Floats

    def returns(self, row: int, sessions: int) -> Floats:
        """Give the sessions' returns known before the open of a row, ``(sessions, N)``."""
        window = self.close[max(row - sessions - 1, 0) : row]
        return window[1:] / window[:-1] - 1.0


Rule = Callable[[Field, int], Floats]


def field_of(history: History, days: tuple[date, ...], policy: Policy) -> Field:
    """Lay the span out for the benchmarks: every tradable symbol of the universe."""
    bars = adjusted_whole(history, days[-1], policy)
    window = whole_window(history, days[-1])
    names = history.universe.tradable
    after = date.fromordinal(days[-1].toordinal() + 1)
    panel = price_panel(bars, names, asof=after, history=window)
    ranges = range_panel(bars, panel, asof=after, history=window)
    first = int(np.searchsorted(panel.dates, np.datetime64(days[0])))
    # A day without a bar opens where the last one closed: no price is made up.
    before = np.vstack([panel.prices[:1], panel.prices[:-1]])
    opened = np.where(np.isfinite(ranges.open), ranges.open, before)
    return Field(
        dates=panel.dates,
        symbols=panel.symbols,
        open=opened,
        close=np.asarray(panel.prices),
        first=first,
        half_spread=_half_spreads(history, names, policy),
        depth=_depths(bars.filter(pl.col("date") < days[0]), bars, panel.symbols, policy),
    )


def _half_spreads(history: History, names: tuple[str, ...], policy: Policy) -> Floats:
    from instgov_dagster.vocabulary.bars import AssetClass

    floors = policy.impact.spread_floor_bps
    return np.array([0.5 * floors.of(AssetClass(history.class_word(n))) / _BPS for n in names])


def _depths(
    before: pl.DataFrame, bars: pl.DataFrame, names: tuple[str, ...], policy: Policy
) -> Floats:
    # Volume and volatility as they stood before the first session; what had not begun then, as
    # it first traded.
    known = before if before.height else bars
    adv = average_dollar_volume(known, policy.sizing)
    first = average_dollar_volume(bars, policy.sizing)
    volumes = {**dict(first.select("symbol", "adv_usd").iter_rows()),
               **dict(adv.select("symbol", "adv_usd").iter_rows())}  # fmt: skip
    out = []
    for name in names:
        closes = bars.filter(pl.col("symbol") == name)["price"].drop_nulls().to_numpy()
        moves = closes[1:] / closes[:-1] - 1.0
        usable = moves[np.isfinite(moves)][: 5 * _YEAR]
        volatility = float(usable.std() * np.sqrt(_YEAR)) if usable.size > 1 else 1.0
        size = volumes.get(name)
        depth = policy.impact.temporary_coefficient * (1.0 + policy.impact.permanent_share)
        out.append(depth * volatility / np.sqrt(size) if size else np.nan)
    return np.array(out, dtype=np.float64)


def hold(field: Field, rule: Rule, *, nav_usd: float, every: int | None) -> Floats:
    """Hold a rule's weights over the span, traded at the opens and paid for.

    Parameters
    ----------
    every
        Sessions between two rebalancings; None buys once and holds.

    Returns
    -------
    Shape ``(S + 1,)``: the value it began with, then the one at each close.
    """
    n = len(field.symbols)
    units, cash, path = np.zeros(n), nav_usd, [nav_usd]
    for step, row in enumerate(range(field.first, field.dates.size)):
        opened = field.open[row]
        is_due = step == 0 or (every is not None and step % every == 0)
        if is_due:
            units, cash = _rebalance(field, rule(field, row), units, cash, opened)
        closed = np.where(units != 0.0, field.close[row], 0.0)
        path.append(float(cash + np.nansum(units * closed)))
    return np.array(path)


def _rebalance(
    field: Field, weights: Floats, units: Floats, cash: float, opened: Floats
) -> tuple[Floats, float]:
    can = np.isfinite(opened) & (opened > 0.0)
    prices = np.where(can, opened, 1.0)
    value = cash + float((units * prices)[can].sum())
    # What costs will take is set aside, so that a fully invested rule does not borrow.
    wanted = np.where(can, np.nan_to_num(weights), 0.0) * value
    for _ in range(2):
        trade = np.where(can, wanted - units * prices, 0.0)
        cost = _cost(field, trade)
        spare = value - cost - float(wanted.sum())
        gross = float(np.abs(wanted).sum())
        if spare < 0.0 and gross > 0.0 and float(wanted.sum()) > 0.0:
            wanted = wanted * (1.0 + spare / float(wanted.sum()))
    trade = np.where(can, wanted - units * prices, 0.0)
    return units + trade / prices, cash - float(trade.sum()) - _cost(field, trade)


def _cost(field: Field, trade: Floats) -> float:
    size = np.abs(trade)
    depth = np.nan_to_num(field.depth)
    return float((size * (field.half_spread + depth * np.sqrt(size))).sum())


def _alone(symbol: str) -> Rule:
    def weights(field: Field, row: int) -> Floats:
        del row
        return np.array([1.0 if name == symbol else 0.0 for name in field.symbols])

    return weights


def _mix(parts: Mapping[str, float]) -> Rule:
    def weights(field: Field, row: int) -> Floats:
        del row
        return np.array([parts.get(name, 0.0) for name in field.symbols])

    return weights


def _usable(field: Field, row: int, sessions: int) -> NDArray[np.bool_]:
    window = field.close[max(row - sessions - 1, 0) : row]
    full = window.shape[0] == sessions + 1
    has = np.isfinite(window).all(axis=0) & (window > 0.0).all(axis=0)
    return np.asarray(has & full & np.isfinite(field.open[row]) & np.isfinite(field.depth))


def equal_weight(field: Field, row: int) -> Floats:
    """Give every symbol that has a quarter of history the same weight."""
    usable = _usable(field, row, _QUARTER)
    return usable / max(int(usable.sum()), 1)


def inverse_volatility(field: Field, row: int) -> Floats:
    """Weigh by one over the quarter's volatility."""
    usable = _usable(field, row, _QUARTER)
    deviation = np.nan_to_num(field.returns(row, _QUARTER)).std(axis=0)
    moves = usable & (deviation > 0.0)
    inverse = np.where(moves, 1.0 / np.where(moves, deviation, 1.0), 0.0)
    total = float(inverse.sum())
    return inverse / total if total > 0.0 else inverse


def mean_variance(field: Field, row: int) -> Floats:
    """Take last year's means and covariance at their word: no constraint but a gross of one.

    Notes
    -----
    Markowitz (1952), Journal of Finance 7: proportional to the inverse covariance times the
    means, long and short.
    """
    usable = np.flatnonzero(_usable(field, row, _YEAR))
    out = np.zeros(len(field.symbols))
    if usable.size < 2:
        return out
    returns = field.returns(row, _YEAR)[:, usable]
    covariance = np.cov(returns, rowvar=False)
    ridge = _RIDGE * float(np.trace(covariance)) / usable.size
    raw = np.linalg.solve(covariance + ridge * np.eye(usable.size), returns.mean(axis=0))
    gross = float(np.abs(raw).sum())
    out[usable] = raw / gross if gross > 0.0 else 0.0
    return out


def benchmark_paths(field: Field, *, nav_usd: float, market: str) -> dict[str, Floats]:
    """Hold every benchmark the symbols allow; see `hold` for the shape.

    Parameters
    ----------
    market
        The symbol that is bought and held.
    """
    rules: dict[str, tuple[Rule, int | None]] = {}
    if market in field.symbols:
        rules["spy_buy_and_hold"] = (_alone(market), None)
        bond = next((name for name in BONDS if name in field.symbols), None)
        if bond is not None:
            rules["sixty_forty"] = (_mix({market: 0.6, bond: 0.4}), _MONTH)
    rules["equal_weight"] = (equal_weight, _MONTH)
    rules["inverse_volatility"] = (inverse_volatility, _MONTH)
    rules["mean_variance"] = (mean_variance, _MONTH)
    return {
        name: hold(field, rule, nav_usd=nav_usd, every=every)
        for name, (rule, every) in rules.items()
    }
