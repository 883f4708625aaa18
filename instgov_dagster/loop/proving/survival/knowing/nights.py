"""What every night knew before it looked at the book: data, regime, forecasts, health, scenarios.

None of it depends on what is held, so it is made once for a walk and all its counterfactuals. The
functions are those of the night's own steps; only the models' fold runs for many nights at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from instgov_dagster.bars.govern import ANSWERS_SCHEMA
from instgov_dagster.beliefs.evaluation.trials import TRIALS_SCHEMA, record_trials
from instgov_dagster.beliefs.forecast import forecast_models
from instgov_dagster.beliefs.health import assess_health
from instgov_dagster.beliefs.hot.fold import Fold
from instgov_dagster.beliefs.hot.lanes import LaneWalk, walk_lanes
from instgov_dagster.beliefs.hot.tape import Bars
from instgov_dagster.beliefs.hot.walk import MarketPanel, Walk, no_fits, session_returns, walk
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA, due_symbols, fit_sigma
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.loop.steps import bars as bar_steps
from instgov_dagster.loop.steps import beliefs as belief_steps
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.loop.steps.vetoes.dependency import history_without_last_bar
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import Cause

#: Nights whose models are folded side by side.
LANES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownNight:
    """One night up to its forecasts.

    Attributes
    ----------
    tables
        The night's tables by the names of its steps; up to the step that halted it.
    found
        What each step found that stands against trading, in order; with the step's name.
    halted_at
        The step that found a latched cause; None where the night went through.
    fold
        The models after the night's last session; None where nothing is eligible.
    without_last_bar
        ``model_forecasts`` and ``model_decay_metrics`` formed without the last bar.
    shared
        Scenarios and costs by the symbols they are of, made once for all walks that ask.
    """

    context: NightContext
    tables: Tables
    found: tuple[tuple[str, tuple[Cause, ...]], ...]
    halted_at: str | None
    fold: Fold | None = None
    symbols: tuple[str, ...] = ()
    without_last_bar: Tables = field(default_factory=dict)
    shared: dict[tuple[str, ...], Tables] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """What nights hand on to later ones by themselves: fitted parameters, counted trials."""

    fits: pl.DataFrame
    trials: pl.DataFrame


def nothing_learnt() -> Learnt:
    """Begin as a fresh home does."""
    return Learnt(fits=no_fits(), trials=pl.DataFrame(schema=TRIALS_SCHEMA))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Open:
    # A night whose data is judged and whose models wait to be folded with others'.
    context: NightContext
    tables: dict[str, pl.DataFrame]
    found: tuple[tuple[str, tuple[Cause, ...]], ...]
    halted_at: str | None
    panel: MarketPanel | None
    learnt: Learnt


class Nights:
    """Makes nights of one history, in order, a batch at a time.

    Parameters
    ----------
    context
        The surroundings of a night; its day and instant are replaced.
    """

    def __init__(
        self, history: History, policy: Policy, contexts: Mapping[date, NightContext]
    ) -> None:
        self._history, self._policy, self._contexts = history, policy, contexts
        self._classes = history.classes()

    def known(
        self, days: Sequence[date], learnt: Learnt
    ) -> Iterator[tuple[KnownNight, Learnt, Learnt]]:
        """Give each night with what it had learnt before, and what the next one has."""
        for at in range(0, len(days), LANES):
            opened = []
            for day in days[at : at + LANES]:
                night = self._open(day, learnt)
                opened.append(night)
                learnt = self._learn(night)
            yield from self._close(opened)

    def _open(self, day: date, learnt: Learnt) -> _Open:
        context = self._contexts[day]
        tables: dict[str, pl.DataFrame] = {
            "bars": self._history.known(day),
            "stress_bars": self._history.stressed(day),
            "symbol_classes": self._classes,
            "provider_answers": _no_answers(),
            "past_provider_answers": _no_answers().with_columns(asof=pl.lit(None, pl.Date)),
            "previous_sigma_fits": learnt.fits,
        }
        found: list[tuple[str, tuple[Cause, ...]]] = []
        for name, run, causes in _DATA_STEPS:
            tables[name] = run(tables, context)
            causes_now = causes(tables[name]) if causes else ()
            if causes is not None:
                found.append((name, causes_now))
            if any(cause.is_latched for cause in causes_now):
                return _Open(
                    context=context, tables=tables, found=tuple(found), halted_at=name,
                    panel=None, learnt=learnt,
                )  # fmt: skip
        panel = belief_steps.market_panel(tables, context)
        tables["sigma_fits"] = self._fits(panel, learnt, context)
        return _Open(
            context=context,
            tables=tables,
            found=tuple(found),
            halted_at=None,
            panel=replace(panel, fits=pl.concat([learnt.fits, tables["sigma_fits"]])),
            learnt=learnt,
        )

    def _fits(self, panel: MarketPanel, learnt: Learnt, context: NightContext) -> pl.DataFrame:
        # On most nights nothing is due, and no return need be measured to say so.
        forecast = self._policy.models.forecast
        if not due_symbols(panel.symbols, panel.dates, learnt.fits, forecast.sigma):
            return pl.DataFrame(schema=SIGMA_FIT_SCHEMA)
        daily = session_returns(panel, policy=forecast)
        return fit_sigma(
            panel.dates,
            panel.symbols,
            daily,
            known=learnt.fits,
            policy=forecast.sigma,
            spread=context.spread,
        )

    def _learn(self, night: _Open) -> Learnt:
        if night.panel is None:
            return night.learnt
        last: date = night.panel.dates[-1].astype("datetime64[D]").item()
        trials = record_trials(
            night.learnt.trials,
            forecast=self._policy.models.forecast,
            regime=self._policy.regime,
            evaluated=last,
        )
        return Learnt(
            fits=pl.concat([night.learnt.fits, night.tables["sigma_fits"]], rechunk=True),
            trials=pl.concat([night.learnt.trials, trials], rechunk=True),
        )

    def _close(self, opened: list[_Open]) -> Iterator[tuple[KnownNight, Learnt, Learnt]]:
        walks = self._walks(opened)
        waiting = list(reversed(opened))
        opened.clear()  # a night's tables are let go of once it is handed out
        for place in range(len(waiting)):
            night = waiting.pop()
            after = self._learn(night)
            if night.panel is None or place not in walks:
                yield self._known(night), night.learnt, after
                continue
            yield self._believed(night, walks.pop(place)), night.learnt, after

    def _walks(self, opened: list[_Open]) -> dict[int, LaneWalk]:
        sizes: dict[int, list[int]] = {}
        for place, night in enumerate(opened):
            if night.panel is not None and night.panel.symbols:
                sizes.setdefault(len(night.panel.symbols), []).append(place)
        walks: dict[int, LaneWalk] = {}
        for places in sizes.values():
            panels = [p for p in (opened[place].panel for place in places) if p is not None]
            made = walk_lanes(
                panels,
                policy=self._policy.models.forecast,
                horizon=self._policy.cvar.horizon_days,
            )
            walks.update(zip(places, made, strict=True))
        return walks

    @staticmethod
    def _known(night: _Open) -> KnownNight:
        return KnownNight(
            context=night.context,
            tables=night.tables,
            found=night.found,
            halted_at=night.halted_at,
        )

    def _believed(self, night: _Open, lane: LaneWalk) -> KnownNight:
        forecasts, health = self._judged(lane.walk, night)
        other = self._without_last_bar(night, lane)
        before, worse = self._judged(other, night)
        return KnownNight(
            context=night.context,
            tables={
                **night.tables,
                "model_forecasts": forecasts,
                "model_decay_metrics": health,
            },
            found=night.found,
            halted_at=None,
            fold=lane.walk.fold,
            symbols=lane.walk.symbols,
            without_last_bar={"model_forecasts": before, "model_decay_metrics": worse},
        )

    def _without_last_bar(self, night: _Open, lane: LaneWalk) -> Walk:
        # Laid out anew without the bar. Where only the last row differs, only it is folded anew.
        kept = history_without_last_bar(night.tables["price_history"])
        walked = lane.walk
        last = _last_row(night, kept, walked)
        if last is not None:
            return lane.ending(last)
        shown = belief_steps.market_panel({**night.tables, "price_history": kept}, night.context)
        fits = pl.concat([night.learnt.fits, night.tables["sigma_fits"]])
        forecast = self._policy.models.forecast
        return walk(replace(shown, fits=fits), policy=forecast, horizon=walked.horizon)

    def _judged(self, walked: Walk, night: _Open) -> tuple[pl.DataFrame, pl.DataFrame]:
        models = self._policy.models
        forecasts = forecast_models(walked, models)
        governed = night.tables["data_governance"]
        quality = dict(governed.select("symbol", "data_quality").iter_rows())
        health = assess_health(
            walked,
            forecasts,
            data_quality={symbol: quality[symbol] for symbol in walked.symbols},
            policy=models,
            asof=night.context.asof,
        )
        return forecasts, health


_DATA_STEPS: Final = (
    ("data_quality", bar_steps.judge_quality, None),
    ("price_history", bar_steps.adjust_history, None),
    ("history_coverage", bar_steps.verify_history, bar_steps.history_causes),
    ("data_governance", bar_steps.govern, bar_steps.governance_causes),
    ("regime_beliefs", belief_steps.believe, belief_steps.regime_causes),
)


def _no_answers() -> pl.DataFrame:
    return pl.DataFrame(schema=ANSWERS_SCHEMA)


def _last_row(night: _Open, kept: pl.DataFrame, walked: Walk) -> Bars | None:
    # The last row of the panel laid out without the last bar: what came since the session before,
    # and where nothing came the close before, carried. None where more than that row would differ.
    panel = night.panel
    days = walked.dates.astype("datetime64[D]")
    before, last = days[-2].item(), days[-1].item()
    left_out = night.tables["price_history"].filter(pl.col("date") >= last)
    is_one_row = kept.height + left_out.height == night.tables["price_history"].height
    if panel is None or not is_one_row or left_out["date"].min() != last:
        return None
    recent = kept.filter(pl.col("date") > before)
    shown = belief_steps.market_panel({**night.tables, "price_history": recent}, night.context)
    row = shown.bars(len(shown.dates) - 1)
    return row._replace(close=np.where(np.isfinite(row.close), row.close, panel.close[-2]))
