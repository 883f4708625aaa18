"""The night's beliefs: regime, fits, forecasts, the models' health and worth."""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.panel import PricePanel, price_panel, range_panel
from instgov_dagster.beliefs.evaluation.pictures import belief_pictures
from instgov_dagster.beliefs.evaluation.scores import evaluate_models
from instgov_dagster.beliefs.evaluation.trials import record_trials
from instgov_dagster.beliefs.forecast import forecast_models
from instgov_dagster.beliefs.health import assess_health
from instgov_dagster.beliefs.hot.published import seal_night
from instgov_dagster.beliefs.hot.walk import MarketPanel, Walk, session_returns, walk
from instgov_dagster.beliefs.models.garch_fit import fit_sigma
from instgov_dagster.beliefs.regime import (
    BELIEF_SCHEMA,
    RegimeBelief,
    belief_to_row,
    believe_regime,
    believe_regimes,
)
from instgov_dagster.beliefs.signals import market_signals
from instgov_dagster.governance.state import cause_of
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.governance import Cause
from instgov_dagster.vocabulary.reasons import ReasonCode

# The last panels walked: four steps of one night stand on the same walk, a fifth on the one without
# the last bar. What is handed out is a pure function of the key: memory changes only the time.
_LAST_WALKS: dict[tuple[object, ...], Walk] = {}
_WALKS_KEPT = 2


def eligible_symbols(tables: Tables) -> tuple[str, ...]:
    """List the symbols that may be bid for tonight, sorted."""
    governed = tables["data_governance"].filter(pl.col("is_eligible"))
    return tuple(sorted(governed["symbol"].to_list()))


def panel_of(tables: Tables, symbols: tuple[str, ...], context: NightContext) -> PricePanel:
    """Lay adjusted prices out on the exchange's sessions, one column a symbol."""
    return price_panel(
        tables["price_history"], symbols, asof=context.asof, history=context.policy.history
    )


def market_panel(
    tables: Tables, context: NightContext, *, fits: pl.DataFrame | None = None
) -> MarketPanel:
    """Lay out what the models are shown: prices and ranges of every eligible symbol."""
    history = context.policy.history
    panel = panel_of(tables, eligible_symbols(tables), context)
    ranges = range_panel(tables["price_history"], panel, asof=context.asof, history=history)
    return MarketPanel(
        dates=panel.dates,
        symbols=panel.symbols,
        close=panel.prices,
        open=ranges.open,
        high=ranges.high,
        low=ranges.low,
        fits=fits,
    )


def _walked(tables: Tables, context: NightContext) -> Walk:
    fits = pl.concat([tables["previous_sigma_fits"], tables["sigma_fits"]])
    panel = market_panel(tables, context, fits=fits)
    digest = hashlib.sha256(repr((panel.symbols, fits.rows())).encode())
    for array in (panel.dates, panel.close, panel.open, panel.high, panel.low):
        digest.update(b"" if array is None else array.tobytes())
    forecast, horizon = context.policy.models.forecast, context.policy.cvar.horizon_days
    key = (digest.hexdigest(), forecast, horizon)
    if key not in _LAST_WALKS:
        while len(_LAST_WALKS) >= _WALKS_KEPT:
            del _LAST_WALKS[next(iter(_LAST_WALKS))]
        _LAST_WALKS[key] = walk(panel, policy=forecast, horizon=horizon)
    return _LAST_WALKS[key]


def _closes_on(
    history: pl.DataFrame, symbols: tuple[str, ...], dates: NDArray[np.datetime64]
) -> list[NDArray[np.float64]]:
    # By the date itself and never carried: a session without the observation must be seen as one.
    rows = history.filter(pl.col("symbol").is_in(symbols)).select("symbol", "date", "price")
    closes = []
    for symbol in symbols:
        mine = rows.filter(pl.col("symbol") == symbol)
        found = np.full(dates.size, np.nan)
        days = mine["date"].to_numpy().astype("datetime64[D]")
        is_session = np.isin(days, dates)
        at = np.searchsorted(dates, days[is_session])
        found[at] = mine["price"].fill_null(np.nan).to_numpy()[is_session]
        closes.append(found)
    return closes


def _signals(tables: Tables, context: NightContext) -> pl.DataFrame:
    regime = context.policy.regime
    stocks = tables["data_governance"].filter(
        pl.col("is_eligible") & (pl.col("asset_class") == AssetClass.STOCKS.value)
    )
    panel = panel_of(tables, tuple(sorted(stocks["symbol"].to_list())), context)
    names = (regime.market_symbol, regime.vix_symbol)
    spy, vix = _closes_on(tables["price_history"], names, panel.dates)
    return market_signals(panel.dates, spy, vix, panel.prices, policy=regime)


def _regime(tables: Tables, context: NightContext) -> RegimeBelief:
    return believe_regime(_signals(tables, context), context.policy.regime)


def believe(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Filter the regime over the window (roadmap 7.2-7.4); one row."""
    return believe_nights([(tables, context)])[0]


def believe_nights(nights: Sequence[tuple[Tables, NightContext]]) -> list[pl.DataFrame]:
    """Filter the regime of several nights under one policy, each as :func:`believe` does."""
    if not nights:
        return []
    policy = nights[0][1].policy.regime
    beliefs = believe_regimes([_signals(*night) for night in nights], policy)
    return [
        pl.DataFrame([belief_to_row(belief) | {"known_at": context.known_at}], schema=BELIEF_SCHEMA)
        for belief, (_, context) in zip(beliefs, nights, strict=True)
    ]


def regime_causes(frame: pl.DataFrame) -> tuple[Cause, ...]:
    """Name the regime as a cause where it allows reductions only."""
    row = frame.row(0, named=True)
    if not row["is_reduce_only"]:
        return ()
    # The same words every night: a cause that reads differently would be raised again.
    code = ReasonCode.REGIME_CRISIS_REDUCE_ONLY
    return (cause_of(code, code.sentence),)


def fit(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Fit the sigma models whose parameters are due; on most nights none is (SPEC 3)."""
    forecast = context.policy.models.forecast
    panel = market_panel(tables, context)
    daily = session_returns(panel, policy=forecast)
    return fit_sigma(
        panel.dates,
        panel.symbols,
        daily,
        known=tables["previous_sigma_fits"],
        policy=forecast.sigma,
        spread=context.spread,
    )


def forecast(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Forecast every eligible symbol with every model of the strategies (roadmap 6.5)."""
    return forecast_models(_walked(tables, context), context.policy.models)


def assess(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Judge every forecast by its model's own out-of-sample errors (roadmap 6.2-6.4)."""
    walked = _walked(tables, context)
    governed = tables["data_governance"]
    quality = dict(
        zip(governed["symbol"].to_list(), governed["data_quality"].to_list(), strict=True)
    )
    return assess_health(
        walked,
        tables["model_forecasts"],
        data_quality={symbol: quality[symbol] for symbol in walked.symbols},
        policy=context.policy.models,
        asof=context.asof,
    )


def seal(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Save the models as they stand tonight, for the live session to forecast from (3.4)."""
    return seal_night(_walked(tables, context))


def evaluate(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Score every model on what came of its forecasts, each score with its error and n."""
    return evaluate_models(_walked(tables, context), context.policy.models)


def count_trials(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Enter the variants evaluated for the first time tonight in the ledger."""
    return record_trials(
        tables["previous_model_trials"],
        forecast=context.policy.models.forecast,
        regime=context.policy.regime,
        evaluated=tables["model_evaluation"]["last_session"].max(),  # type: ignore[arg-type]  # a date
    )


def draw(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Draw the night's beliefs: regime, reliability, decay, rank correlation."""
    walked = _walked(tables, context)
    return belief_pictures(walked, _regime(tables, context).path, context.policy.models)
