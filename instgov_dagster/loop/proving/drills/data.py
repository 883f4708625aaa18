"""Drills of what is known: quotes, forecasts, history, references, regime, stress set."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.loop.proving.drills.faults import Alter, believe, republish, spoilt
from instgov_dagster.loop.proving.drills.stage import Stage
from instgov_dagster.vocabulary.capital import RiskMeasure

_ENTRANT = "MSFT"
_OLD = np.timedelta64(60, "s")
_VIX, _CRISIS_VIX, _FALL, _CRISIS_BARS = "^VIX", 85.0, 2.0 / 3.0, 15
_PRICES = ("open", "high", "low", "close", "adj_close")
_FORECASTS = ("mu", "mu_adjusted", "sigma", "cvar_95")


def stale_feed(stage: Stage) -> None:
    """Let every quote be a minute old."""

    def age(quotes: Quotes, cycle: int) -> Quotes:
        del cycle
        return replace(quotes, observed_at=quotes.observed_at - _OLD)

    stage.lead(spoilt(stage.platform, spoil=age))


def crossed_quotes(stage: Stage) -> None:
    """Cross the quotes of every other symbol that trades."""
    stage.touched = frozenset(stage.traded()[::2])

    def cross(quotes: Quotes, cycle: int) -> Quotes:
        del cycle
        is_touched = np.isin(quotes.symbols, list(stage.touched))
        bid = np.where(is_touched, quotes.ask * 1.001, quotes.bid)
        return replace(quotes, bid=bid, ask=np.where(is_touched, quotes.bid, quotes.ask))

    stage.lead(spoilt(stage.platform, spoil=cross))


def nan_forecast(stage: Stage) -> None:
    """Let every model forecast NaN for every other symbol that trades."""
    stage.touched = frozenset(stage.traded()[::2])
    blind_forecasts(stage, sorted(stage.touched))
    stage.lead()


def blind_forecasts(stage: Stage, symbols: Sequence[str]) -> None:
    """Publish the night again with NaN for every forecast of some symbols."""
    is_touched = pl.col("symbol").is_in(list(symbols))

    def blind(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(
            pl.when(is_touched).then(float("nan")).otherwise(pl.col(name)).alias(name)
            for name in _FORECASTS
        )

    republish(stage, tables={"model_decay_metrics": blind})


def history_missing(stage: Stage) -> None:
    """Let a symbol enter of which the market delivers the newer half."""

    def thin(rows: pl.DataFrame) -> pl.DataFrame:
        middle = rows["date"].median()
        return rows.filter((pl.col("symbol") != _ENTRANT) | (pl.col("date") > middle))

    session = stage.platform
    stage.add_symbol(_ENTRANT)
    stage.night_until(spoilt(stage.platform, alter=thin), "history_coverage")
    stage.lead(session)


def reference_invalid(stage: Stage) -> None:
    """Deliver prices of zero for the implied volatility."""
    is_vix = pl.col("symbol") == _VIX

    def empty(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(
            pl.when(is_vix).then(0.0).otherwise(pl.col(name)).alias(name) for name in _PRICES
        )

    _night_of_other_bars(stage, empty, "data_governance")


def crisis_regime(stage: Stage) -> None:
    """Deliver a crash: implied volatility at a record, the market a third lower."""

    def crash(rows: pl.DataFrame) -> pl.DataFrame:
        newest = rows["date"].unique().sort()[-_CRISIS_BARS:]
        is_new, is_vix = pl.col("date").is_in(newest.implode()), pl.col("symbol") == _VIX
        return rows.with_columns(
            pl.when(is_new & is_vix)
            .then(_CRISIS_VIX)
            .when(is_new & (pl.col("symbol") == "SPY"))
            .then(_FALL * pl.col(name))
            .otherwise(pl.col(name))
            .alias(name)
            for name in _PRICES
        )

    _night_of_other_bars(stage, crash, "regime_beliefs")


def _night_of_other_bars(stage: Stage, alter: Alter, last: str) -> None:
    # The night finds the cause; the session of the day before, which still is published, obeys it.
    stage.night_until(spoilt(stage.platform, alter=alter), last)
    stage.lead()


def crisis_execution(stage: Stage) -> None:
    """Let the night believe that a crisis is on, without the chance of one being told."""
    believe(stage, "crisis")
    stage.lead()


def missing_stress_set(stage: Stage) -> None:
    """Publish the night without its stressed scenarios."""
    stressed = RiskMeasure.STRESSED.value
    republish(
        stage,
        tables={"stress_scenarios": lambda rows: rows.filter(pl.col("measure") != stressed)},
    )
    stage.touched = frozenset()
    stage.lead()
    risk = stage.fold().decision.risk
    multiplier = stage.platform.policy.cvar.missing_stress_multiplier
    wanted = multiplier * max(risk.current, 0.0)
    stage.statistic = risk.stressed
    if not (risk.current > 0.0 and abs(risk.stressed - wanted) <= 1e-12 and risk.gate >= wanted):
        stage.failures.append(f"the stressed measure must be {wanted}, was {risk.stressed}")
