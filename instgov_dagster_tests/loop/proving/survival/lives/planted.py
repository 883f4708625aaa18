"""Strategies of known worth in a simulated market: drifts are planted in its bars, and told or not.

Everything but the forecasts is the walk's own: nights, lifecycles, auction, gates, fills, accounts.
What the models would say is replaced by what is planted, so the worth of each strategy is known.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.forecast import FORECAST_SCHEMA
from instgov_dagster.beliefs.health import HEALTH_SCHEMA
from instgov_dagster.beliefs.hot.walk import MarketPanel
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA
from instgov_dagster.beliefs.predictive import read_law, standard_law
from instgov_dagster.loop.proving.survival.keeping.memory import Memory, fresh_memory
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.loop.proving.survival.knowing.nights import (
    LANES,
    KnownNight,
    Learnt,
    Nights,
)
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.variants import GOVERNED
from instgov_dagster.loop.proving.survival.walk import OperatorPolicy, Walk
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.vocabulary.governance import StrategyLifecycle

EDGE, TURNING = "james_stein", "momentum"
NOISE = ("reversal", "ridge", "combination", "defensive")
#: Deviation of a planted drift over a session, and how much of it is left a session later.
DRIFT_DEVIATION, PERSISTENCE = 0.0022, 0.98
_SIGMA_SESSIONS = 63

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plant:
    """What is planted: one drift a symbol and day, and as many more that no bar ever sees.

    Attributes
    ----------
    days
        Every calendar day of the bars, ascending.
    drifts
        By name, of each day the drift of the log price over it, by symbol: ``(n_days, n)``.
    turns_on
        From this day on the turning strategy takes every drift for its opposite.
    """

    symbols: tuple[str, ...]
    days: NDArray[np.datetime64]
    drifts: Mapping[str, Floats]
    turns_on: date

    def of(self, model_id: str, symbols: Sequence[str], asof: date, horizon: int) -> Floats:
        """Give what one strategy expects of each symbol over the horizon from a day on."""
        at = int(np.searchsorted(self.days, np.datetime64(asof)))
        columns = [self.symbols.index(symbol) for symbol in symbols]
        drift = self.drifts[model_id][at, columns]
        expected = drift * (1.0 - PERSISTENCE**horizon) / (1.0 - PERSISTENCE)
        return -expected if model_id == TURNING and asof >= self.turns_on else expected


def _drift(rng: np.random.Generator, n_days: int, n: int) -> Floats:
    shocks = rng.standard_normal((n_days, n)) * DRIFT_DEVIATION * np.sqrt(1.0 - PERSISTENCE**2)
    path = np.empty((n_days, n))
    path[0] = rng.standard_normal(n) * DRIFT_DEVIATION
    for t in range(1, n_days):
        path[t] = PERSISTENCE * path[t - 1] + shocks[t]
    return path


def plant(world: World, *, seed: int, turns_on: date) -> tuple[World, Plant]:
    """Put drifts into the bars of a world; give it with what was put there.

    The drift of a day moves the price from the open of that day to the next bar's open, so who
    knows it in the morning can still have it.
    """
    rng = np.random.default_rng([seed, 9])
    versions = world.history.versions
    days = versions["date"].unique().sort().to_numpy().astype("datetime64[D]")
    names = tuple(
        entry.symbol for entry in world.history.universe.symbols if not entry.is_reference
    )
    truth = _drift(rng, days.size, len(names))
    drifts = {EDGE: truth, TURNING: truth}
    drifts |= {model_id: _drift(rng, days.size, len(names)) for model_id in NOISE}
    parts = [
        _moved(part, truth[:, names.index(symbol)], days) if symbol in names else part
        for (symbol,), part in versions.partition_by("symbol", as_dict=True).items()
    ]
    moved = pl.concat(parts).select(versions.columns).cast(versions.schema)
    history = replace(world.history, versions=moved)
    return replace(world, history=history), Plant(
        symbols=names, days=days, drifts=drifts, turns_on=turns_on
    )


def _moved(bars: pl.DataFrame, drift: Floats, days: NDArray[np.datetime64]) -> pl.DataFrame:
    # A symbol's own bars: what it does not trade on has no drift of its own.
    at = np.searchsorted(days, bars["date"].to_numpy().astype("datetime64[D]"))
    opened = np.exp(np.concatenate([[0.0], np.cumsum(drift[at][:-1])]))
    closed = np.exp(np.cumsum(drift[at]))
    high, low = np.maximum(opened, closed), np.minimum(opened, closed)
    return bars.with_columns(
        open=pl.col("open") * opened,
        high=pl.col("high") * high,
        low=pl.col("low") * low,
        close=pl.col("close") * closed,
        adj_close=pl.col("adj_close") * closed,
    )


class PlantedNights(Nights):
    """Nights whose forecasts are what is planted; nothing is fitted or folded."""

    def __init__(self, planted: Plant, world: World, contexts: Mapping[date, NightContext]) -> None:
        super().__init__(world.history, world.policy, contexts)
        self._plant, self._models = planted, world.policy.models
        self._horizon = world.policy.cvar.horizon_days

    def _fits(self, *_: object) -> pl.DataFrame:
        return pl.DataFrame(schema=SIGMA_FIT_SCHEMA)

    def told(self, panel: MarketPanel, asof: date) -> dict[str, pl.DataFrame]:
        """Write the night's forecasts and the health of those who made them."""
        law = standard_law(self._models.forecast.predictive_dof)
        last = panel.dates[-1].astype("datetime64[D]").item()
        closes = panel.close[-_SIGMA_SESSIONS - 1 :]
        with np.errstate(invalid="ignore"):
            daily = np.nanstd(np.diff(np.log(closes), axis=0), axis=0)
        sigma = daily * np.sqrt(self._horizon)
        frames = []
        for model_id in self._models.model_ids:
            mu = self._plant.of(model_id, panel.symbols, asof, self._horizon)
            read = read_law(mu, sigma, law)
            columns = {"symbol": panel.symbols, "mu": mu, "sigma": sigma, **read._asdict()}
            frames.append(pl.DataFrame(columns).with_columns(model_id=pl.lit(model_id)))
        forecasts = (
            pl.concat(frames)
            .with_columns(
                horizon_days=pl.lit(self._horizon),
                forecast_session=pl.lit(last),
                reason_codes=pl.lit(["FORECAST_STATED"]),
            )
            .sort("symbol", "model_id")
            .select(list(FORECAST_SCHEMA))
            .cast(FORECAST_SCHEMA)
        )
        whole = ("decay_factor", "confidence", "disagreement_penalty", "age_decay_factor")
        health = (
            forecasts.rename({"forecast_session": "date"})
            .with_columns(
                mu_adjusted=pl.col("mu"),
                model_age_days=pl.lit(0),
                rolling_error=pl.lit(1.0),
                rolling_forecast_error=pl.lit(1.0),
                model_disagreement_var=pl.lit(0.0),
                error_decay_factor=pl.lit(1.0),
                final_decay_factor=pl.lit(1.0),
                autocorr_flip=pl.lit(value=False),
                autocorr_flip_detected=pl.lit(value=False),
                is_healthy=pl.lit(value=True),
                reason_codes=pl.lit(["MODEL_HEALTHY"]),
                **{name: pl.lit(1.0) for name in whole},
            )
            .select(list(HEALTH_SCHEMA))
            .cast(HEALTH_SCHEMA)
        )
        return {"model_forecasts": forecasts, "model_decay_metrics": health}

    def made(
        self, days: Sequence[date], learnt: Learnt
    ) -> Iterator[tuple[KnownNight, Learnt, Learnt]]:
        """Give the nights, their forecasts replaced."""
        for at in range(0, len(days), LANES):
            opened = [self._open(day) for day in days[at : at + LANES]]
            self._believe_regimes([night for night in opened if night.halted_at is None])
            for night in opened:
                self._learn(night, learnt)
                known = self._known(night)
                if night.panel is not None and night.panel.symbols:
                    told = self.told(night.panel, night.context.asof)
                    known = replace(
                        known,
                        tables={**known.tables, **told},
                        symbols=night.panel.symbols,
                        without_last_bar=told,
                    )
                yield known, learnt, learnt


class PlantedWalk(Walk):
    """A walk of nights that know what is planted."""

    def __init__(self, planted: Plant, world: World, memory: Memory) -> None:
        super().__init__({GOVERNED: world}, {GOVERNED: memory}, operator=OperatorPolicy())
        self._plant = planted

    def _nights(self, history: History, contexts: Mapping[date, NightContext]) -> Nights:
        return PlantedNights(self._plant, replace(self.world, history=history), contexts)


def stages_of(
    world: World, planted: Plant, days: Sequence[date]
) -> tuple[dict[str, list[StrategyLifecycle]], pl.DataFrame, pl.DataFrame]:
    """Walk the days; give the stages each strategy went through, its results, and the days."""
    memory = fresh_memory(world.policy.nav_usd)
    rows, strategies = [], []
    seen: dict[str, list[StrategyLifecycle]] = {
        spec.strategy_id: [StrategyLifecycle.INCUBATING] for spec in world.policy.models.strategies
    }
    for found in PlantedWalk(planted, world, memory).days(days):
        day = found[GOVERNED]
        rows.append(day.row)
        strategies += [{"date": day.date, **row} for row in day.strategies]
        lives = memory.tables["previous_lifecycle"].select("strategy_id", "stage")
        for name, stage in lives.iter_rows():
            if stage != seen[name][-1]:
                seen[name].append(StrategyLifecycle(stage))
    return seen, pl.DataFrame(strategies), pl.DataFrame(rows)
