"""The whole span as one adjusted series a symbol: for outcomes and benchmarks, not for nights."""

from dataclasses import replace
from datetime import date, timedelta

import polars as pl

from instgov_dagster.bars.adjusted import adjust_bars
from instgov_dagster.bars.panel import PricePanel, price_panel
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

_DAY = timedelta(days=1)


def whole_window(history: History, last: date) -> HistoryPolicy:
    """Give the history policy whose window reaches from the first bar to a day, that day in it."""
    first: date = history.versions["date"].min()  # type: ignore[assignment]
    return replace(history.policy, window_days=(last + _DAY - first).days)


def adjusted_whole(history: History, last: date, policy: Policy) -> pl.DataFrame:
    """Adjust every bar up to a day as one series, as the night does with its window."""
    after = last + 2 * _DAY
    seen = history.versions.filter(
        pl.col("date") <= last, pl.col("known_at") <= history.context_instant(after)
    )
    return adjust_bars(
        seen,
        universe=history.universe,
        asof=last + _DAY,
        policy=policy.quality,
        history=whole_window(history, last),
    )


def whole_panel(
    history: History, last: date, policy: Policy, symbols: tuple[str, ...]
) -> PricePanel:
    """Lay the prices of some symbols out over the whole span."""
    prices = adjusted_whole(history, last, policy)
    return price_panel(prices, symbols, asof=last + _DAY, history=whole_window(history, last))
