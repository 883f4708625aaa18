"""The night's scenarios: of the window, filtered to today, and of the worst year that is held."""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from instgov_dagster.bars.adjusted import adjusted_prices
from instgov_dagster.bars.calendars import history_window
from instgov_dagster.bars.panel import panel_of_prices
from instgov_dagster.bars.quality.score import score_bars
from instgov_dagster.capital.scenarios import HeldPrices, build_scenarios, scenarios_to_frame
from instgov_dagster.loop.steps.beliefs import eligible_symbols
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.loop.steps.rows import book_of, whole_panel
from instgov_dagster.vocabulary.bars import AssetClass, SymbolStatus
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode


def scenario_symbols(tables: Tables) -> tuple[str, ...]:
    """List what needs scenarios and costs: all that may be bid for, and all that is held.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` if a held symbol is none of the universe's: it has no
        prices, so the book cannot be valued, measured or sold.
    """
    held = {row.symbol for row in book_of(tables).holdings}
    governed = tables["data_governance"][["symbol", "is_reference"]].iter_rows()
    unknown = sorted(held - {symbol for symbol, is_reference in governed if not is_reference})
    if unknown:
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED, f"held, not in the universe: {unknown}"
        )
    return tuple(sorted(held | set(eligible_symbols(tables))))


def build_stress(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Build the scenarios of the decision horizon: current, filtered and stressed (SPEC 4)."""
    symbols = scenario_symbols(tables)
    panel = whole_panel(tables, context, beside=symbols)
    place = {symbol: i for i, symbol in enumerate(panel.symbols)}
    columns = np.array([place[symbol] for symbol in symbols], dtype=np.intp)
    classes = dict(tables["data_governance"][["symbol", "asset_class"]].iter_rows())
    scenarios = build_scenarios(
        panel.dates,
        symbols,
        tuple(AssetClass(classes[symbol]) for symbol in symbols),
        np.take(panel.prices, columns, axis=1),
        config=context.policy.cvar,
        held=held_prices(tables, symbols, context),
    )
    return scenarios_to_frame(scenarios)


def held_prices(
    tables: Tables, symbols: tuple[str, ...], context: NightContext
) -> HeldPrices | None:
    """Lay out all closes that are held, from before the window to its end.

    What lies before the window is scored as the window is; a symbol whose bars are invalid there
    has no history there, and is stressed by proxy.

    Returns
    -------
    ``None`` where less is held before the window than a stress set needs.
    """
    earlier, policy = tables["stress_bars"], context.policy
    if earlier.is_empty():
        return None
    first: date = earlier["date"].min()  # type: ignore[assignment]  # not empty, and of dates
    start, _ = history_window(context.asof, policy.history)
    if (start - first).days < policy.cvar.min_stressed_scenarios:
        return None
    before = replace(policy.history, window_days=(start - first).days)
    longest = replace(policy.history, window_days=(context.asof - first).days)
    prices = adjusted_prices(
        pl.concat([earlier, tables["bars"]]),
        universe=context.universe,
        asof=context.asof,
        policy=policy.quality,
        history=longest,
    )
    scores = score_bars(
        earlier, universe=context.universe, asof=start, policy=policy.quality, history=before
    )
    found = dict(scores[["symbol", "status"]].iter_rows())
    is_invalid = np.array([found[name] == SymbolStatus.INVALID_DATA for name in prices.symbols])
    is_trusted = (prices.days >= (start - first).days) | ~is_invalid[prices.ids]
    trusted = prices if is_trusted.all() else prices.kept(is_trusted)
    panel = panel_of_prices(trusted, symbols, asof=context.asof, history=longest)
    return HeldPrices(dates=panel.dates, prices=np.asarray(panel.prices))
