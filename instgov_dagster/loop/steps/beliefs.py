"""The night's beliefs: regime, forecasts and the health of the models behind them."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.panel import PricePanel, price_panel
from instgov_dagster.beliefs.forecast import forecast_models
from instgov_dagster.beliefs.health import assess_health
from instgov_dagster.beliefs.regime import BELIEF_SCHEMA, belief_to_row, believe_regime
from instgov_dagster.beliefs.signals import market_signals
from instgov_dagster.governance.state import cause_of
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.governance import Cause
from instgov_dagster.vocabulary.reasons import ReasonCode


def eligible_symbols(tables: Tables) -> tuple[str, ...]:
    """List the symbols that may be bid for tonight, sorted."""
    governed = tables["data_governance"].filter(pl.col("is_eligible"))
    return tuple(sorted(governed["symbol"].to_list()))


def panel_of(tables: Tables, symbols: tuple[str, ...], context: NightContext) -> PricePanel:
    """Lay adjusted prices out on the exchange's sessions, one column a symbol."""
    return price_panel(
        tables["price_history"], symbols, asof=context.asof, history=context.policy.history
    )


def _closes_on(
    history: pl.DataFrame, symbol: str, dates: NDArray[np.datetime64]
) -> NDArray[np.float64]:
    # Joined by date and never carried: a session without the observation must be seen as one.
    days = pl.DataFrame({"date": dates}).with_columns(pl.col("date").cast(pl.Date))
    rows = history.filter(pl.col("symbol") == symbol).select("date", "price")
    joined = days.join(rows, on="date", how="left", maintain_order="left")
    return joined["price"].fill_null(np.nan).to_numpy()


def believe(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Filter the regime over the window (roadmap 7.2-7.4); one row."""
    regime = context.policy.regime
    stocks = tables["data_governance"].filter(
        pl.col("is_eligible") & (pl.col("asset_class") == AssetClass.STOCKS.value)
    )
    panel = panel_of(tables, tuple(sorted(stocks["symbol"].to_list())), context)
    spy, vix = (
        _closes_on(tables["price_history"], name, panel.dates)
        for name in (regime.market_symbol, regime.vix_symbol)
    )
    signals = market_signals(panel.dates, spy, vix, panel.prices, policy=regime)
    row = belief_to_row(believe_regime(signals, regime))
    return pl.DataFrame([row], schema=BELIEF_SCHEMA)


def regime_causes(frame: pl.DataFrame) -> tuple[Cause, ...]:
    """Name the regime as a cause where it allows reductions only."""
    row = frame.row(0, named=True)
    if not row["is_reduce_only"]:
        return ()
    # The same words every night: a cause that reads differently would be raised again.
    code = ReasonCode.REGIME_CRISIS_REDUCE_ONLY
    return (cause_of(code, code.sentence),)


def forecast(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Forecast every eligible symbol with every model of the strategies (roadmap 6.5)."""
    panel = panel_of(tables, eligible_symbols(tables), context)
    return forecast_models(
        panel.dates,
        panel.symbols,
        panel.prices,
        models=context.policy.models,
        cvar=context.policy.cvar,
    )


def assess(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Judge every forecast by its model's own out-of-sample errors (roadmap 6.2-6.4)."""
    panel = panel_of(tables, eligible_symbols(tables), context)
    governed = tables["data_governance"]
    quality = dict(
        zip(governed["symbol"].to_list(), governed["data_quality"].to_list(), strict=True)
    )
    return assess_health(
        panel.dates,
        panel.symbols,
        panel.prices.astype(np.float64),
        tables["model_forecasts"],
        data_quality={symbol: quality[symbol] for symbol in panel.symbols},
        policy=context.policy.models,
        asof=context.asof,
    )
