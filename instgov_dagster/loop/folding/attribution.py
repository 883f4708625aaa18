"""Profit and loss by strategy: what its holdings gained plus the cash its fills moved."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.scenarios import ScenarioSet
from instgov_dagster.loop.decision.book import BookChange

STRATEGY_RETURNS = pl.Schema(
    {
        "date": pl.Date(),
        "strategy_id": pl.String(),
        "pnl": pl.Float64(),
        "gross": pl.Float64(),
        "volatility_annual": pl.Float64(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyResult:
    """What one strategy did over one session, net of costs.

    Attributes
    ----------
    value_usd
        Its holdings at the session's last marks: where the next session starts from.
    pnl, gross
        Fractions of net asset value; ``gross`` is the capital the session is charged to, the
        largest it is known to have had at work, so that a book sold out keeps its last result.
    volatility_annual
        Ex-ante, per unit of that gross; 0 where nothing was deployed.
    """

    strategy_id: str
    value_usd: float
    pnl: float
    gross: float
    volatility_annual: float


def cash_by_strategy(changes: Iterable[BookChange]) -> dict[str, float]:
    """Split the cash of executed changes over the strategies they belong to, USD."""
    flows: dict[str, float] = {}
    for change in changes:
        for strategy_id, share in change.shares:
            flows[strategy_id] = flows.get(strategy_id, 0.0) + share * float(change.cash_usd)
    return flows


def attribute(  # noqa: PLR0913  # one session's result needs all of its facts, by name
    strategies: Sequence[str],
    weights: NDArray[np.float64],
    *,
    nav_usd: float,
    flows: Mapping[str, float],
    opening: Mapping[str, float],
    scenarios: ScenarioSet,
    places: NDArray[np.intp],
    horizons_per_year: float,
    peak_gross: Mapping[str, float] | None = None,
) -> tuple[StrategyResult, ...]:
    """Attribute a session's result: value now, less value when it began, plus cash moved.

    The result is charged to the largest capital known to have been at work: at the close, at the
    opening or in between. What was charged but is no longer held when the session ends has no
    weights left to measure; it counts with the deviation of the equally weighted book.

    Parameters
    ----------
    weights
        Shape ``(n_strategies, n_symbols)`` at the last marks, fractions of net asset value.
    flows
        Cash the session's fills moved, by strategy, USD; a purchase is negative.
    opening
        Value of each strategy's holdings at the end of the session before, USD.
    places
        Position of each scenario column among the symbols.
    horizons_per_year
        Decision horizons in a year, which annualises the scenarios' deviation.
    peak_gross
        Largest gross of each strategy in the session, fractions of net asset value; without it
        a position opened and closed inside the session has no capital to be charged to.

    Notes
    -----
    The equally weighted book and not the most volatile symbol: results are scaled by one over
    their volatility (SPEC 8), so a volatility too high would make a loss look small.
    """
    peaks = peak_gross or {}
    annualised = float(np.sqrt(horizons_per_year))
    stand_in = _stand_in_deviation(scenarios)
    out = []
    for name, row in zip(strategies, weights, strict=True):
        value, closing = float(row.sum()) * nav_usd, float(np.abs(row).sum())
        before = opening.get(name, 0.0)
        gross = max(closing, abs(before) / nav_usd, peaks.get(name, 0.0))
        deviation = _book_deviation(scenarios, row[places], stand_in)
        mean = (closing * deviation + (gross - closing) * stand_in) / gross if gross > 0.0 else 0.0
        out.append(
            StrategyResult(
                strategy_id=name,
                value_usd=value,
                pnl=(value - before + flows.get(name, 0.0)) / nav_usd,
                gross=gross,
                volatility_annual=mean * annualised,
            )
        )
    return tuple(out)


def _book_deviation(scenarios: ScenarioSet, weights: NDArray[np.float64], stand_in: float) -> float:
    # Per unit of gross and horizon; a book the scenarios see no risk in takes the stand-in.
    gross = float(np.abs(weights).sum())
    if not gross > 0.0:
        return stand_in
    deviation = float(np.std(scenarios.current.returns @ (weights / gross), ddof=1))
    return deviation if deviation > 0.0 else stand_in


def _stand_in_deviation(scenarios: ScenarioSet) -> float:
    # 0 only where every scenario is constant: such a record is refused as not measurable.
    returns = scenarios.current.returns
    if not returns.size:
        return 0.0
    deviation = float(np.std(returns.mean(axis=1), ddof=1))
    return deviation if deviation > 0.0 else float(np.std(returns, axis=0, ddof=1).max())


def returns_frame(ended: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Sum what ended sessions reported by day and strategy.

    Parameters
    ----------
    ended
        The facts of frames that say a session ended, in order.

    Returns
    -------
    Columns of `STRATEGY_RETURNS`, summed as `sum_returns` does.
    """
    rows = [
        (meta["asof"], r["strategy_id"], r["pnl"], r["gross"], r["volatility_annual"])
        for meta in ended
        for r in meta["results"]
    ]
    frame = pl.DataFrame(
        rows, schema={**STRATEGY_RETURNS, "date": pl.String()}, orient="row"
    ).with_columns(pl.col("date").str.to_date())
    return sum_returns(frame)


def sum_returns(rows: pl.DataFrame) -> pl.DataFrame:
    """Make one row a date and strategy of rows in the order they happened, sorted.

    Profit and loss add up, the largest gross is what it is charged to, and the volatility is the
    last one measured on capital at work.
    """
    at_work = pl.col("volatility_annual").filter(pl.col("gross") > 0.0)
    return (
        rows.group_by("date", "strategy_id", maintain_order=True)
        .agg(pl.col("pnl").sum(), pl.col("gross").max(), at_work.last().fill_null(0.0))
        .sort("date", "strategy_id")
        .cast(STRATEGY_RETURNS)
    )
