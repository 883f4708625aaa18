"""What every night knew before it looked at the book: data, regime, forecasts, health, scenarios.

None of it depends on what is held, so it is made once for a walk and all its counterfactuals. The
functions are those of the night's own steps; only the models' fold runs for many nights at once.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from instgov_dagster.bars.govern import ANSWERS_SCHEMA
from instgov_dagster.beliefs.evaluation.trials import TRIALS_SCHEMA, record_trials
from instgov_dagster.beliefs.forecast import forecast_walks
from instgov_dagster.beliefs.health import HealthCase, assess_cases
from instgov_dagster.beliefs.hot.fold import Fold
from instgov_dagster.beliefs.hot.lanes import LaneWalk, each_lane
from instgov_dagster.beliefs.hot.tape import Bars
from instgov_dagster.beliefs.hot.walk import MarketPanel, Walk, no_fits, session_returns, walk
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA, due_symbols, fit_sigma
from instgov_dagster.beliefs.trust.record import (
    ModelRecord,
    judge_trail,
    trail_ending,
    trail_of,
)
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

    def and_then(self, fits: pl.DataFrame, trials: pl.DataFrame) -> "Learnt":
        """Give what is known once another night has fitted and counted."""
        return Learnt(
            fits=pl.concat([self.fits, fits], rechunk=True),
            trials=pl.concat([self.trials, trials], rechunk=True),
        )


def nothing_learnt() -> Learnt:
    """Begin as a fresh home does."""
    return Learnt(fits=no_fits(), trials=pl.DataFrame(schema=TRIALS_SCHEMA))


@dataclass(slots=True, kw_only=True, eq=False)
class _Open:
    # A night whose data is judged and whose models wait to be folded with others'.
    context: NightContext
    tables: dict[str, pl.DataFrame]
    found: list[tuple[str, tuple[Cause, ...]]]
    halted_at: str | None = None
    panel: MarketPanel | None = None

    def takes(self, name: str, table: pl.DataFrame, causes: tuple[Cause, ...] | None) -> None:
        self.tables[name] = table
        if causes is not None:
            self.found.append((name, causes))
        if any(cause.is_latched for cause in causes or ()):
            self.halted_at = name


class _Ended(NamedTuple):
    # A walk cut to its last session, and the record of each of its models.
    walked: Walk
    record: ModelRecord


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
    ) -> Generator[tuple[KnownNight, Learnt, Learnt]]:
        """Give each night with what it had learnt before, and what the next one has."""
        for known, before, after in self.made(days, learnt):
            yield with_bars(known, self._history), before, after

    def made(
        self, days: Sequence[date], learnt: Learnt
    ) -> Iterator[tuple[KnownNight, Learnt, Learnt]]:
        """Give the same without the bars: they are large, and needed again only with the book."""
        for at in range(0, len(days), LANES):
            opened = [self._open(day) for day in days[at : at + LANES]]
            self._believe_regimes([night for night in opened if night.halted_at is None])
            lessons = []
            for night in opened:
                before, learnt = learnt, self._learn(night, learnt)
                lessons.append((before, learnt))
            for known, (before, after) in zip(self._close(opened), lessons, strict=True):
                yield known, before, after

    def _open(self, day: date) -> _Open:
        context = self._contexts[day]
        night = _Open(
            context=context,
            tables=given(self._history, self._classes, day),
            found=[],
        )
        for name, run, causes in _DATA_STEPS:
            table = run(night.tables, context)
            night.takes(name, table, causes(table) if causes else None)
            if night.halted_at is not None:
                break
        del night.tables["bars"]
        return night

    @staticmethod
    def _believe_regimes(nights: Sequence[_Open]) -> None:
        beliefs = belief_steps.believe_nights([(night.tables, night.context) for night in nights])
        for night, table in zip(nights, beliefs, strict=True):
            night.takes("regime_beliefs", table, belief_steps.regime_causes(table))

    def _learn(self, night: _Open, learnt: Learnt) -> Learnt:
        # What the night fits and counts, on what the nights before it had learnt.
        night.tables["previous_sigma_fits"] = learnt.fits
        if night.halted_at is not None:
            return learnt
        panel = belief_steps.market_panel(night.tables, night.context)
        fits = self._fits(panel, learnt, night.context)
        night.tables["sigma_fits"] = fits
        trials = record_trials(
            learnt.trials,
            forecast=self._policy.models.forecast,
            regime=self._policy.regime,
            evaluated=panel.dates[-1].astype("datetime64[D]").item(),
        )
        after = learnt.and_then(fits, trials)
        night.panel = replace(panel, fits=after.fits)
        return after

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

    def _close(self, opened: list[_Open]) -> Iterator[KnownNight]:
        folds: dict[int, Fold] = {}
        ended: dict[int, tuple[_Ended, _Ended]] = {}
        for place, lane in self._lanes(opened):
            folds[place] = lane.walk.fold
            ended[place] = self._ended(opened[place], lane)
        judged = self._judged(opened, ended)
        waiting = list(reversed(opened))
        opened.clear()  # a night's tables are let go of once it is handed out
        for place in range(len(waiting)):
            night = waiting.pop()
            if place not in folds:
                yield self._known(night)
                continue
            yield self._believed(night, folds.pop(place), judged.pop(place))

    def _lanes(self, opened: Sequence[_Open]) -> Iterator[tuple[int, LaneWalk]]:
        sizes: dict[int, list[int]] = {}
        for place, night in enumerate(opened):
            if night.panel is not None and night.panel.symbols:
                sizes.setdefault(len(night.panel.symbols), []).append(place)
        for places in sizes.values():
            panels = [p for p in (opened[place].panel for place in places) if p is not None]
            made = each_lane(
                panels,
                policy=self._policy.models.forecast,
                horizon=self._policy.cvar.horizon_days,
            )
            yield from zip(places, made, strict=True)

    def _ended(self, night: _Open, lane: LaneWalk) -> tuple[_Ended, _Ended]:
        # The night's own walk, and the one without its last bar.
        models, asof = self._policy.models, night.context.asof
        walked, ids = lane.walk, self._policy.models.model_ids
        trail = trail_of(walked, ids, models)
        own = _Ended(walked.ending(1), judge_trail(trail, walked.dates, asof, models))
        other = self._without_last_bar(night, lane)
        if isinstance(other, Bars):
            ended = lane.ending(other)
            before = trail_ending(trail, ended, ids, models)
        else:
            ended = other
            before = trail_of(ended, ids, models)
        return own, _Ended(ended.ending(1), judge_trail(before, ended.dates, asof, models))

    @staticmethod
    def _known(night: _Open) -> KnownNight:
        return KnownNight(
            context=night.context,
            tables=night.tables,
            found=tuple(night.found),
            halted_at=night.halted_at,
        )

    @staticmethod
    def _believed(night: _Open, fold: Fold, judged: tuple[pl.DataFrame, ...]) -> KnownNight:
        forecasts, health, before, worse = judged
        return KnownNight(
            context=night.context,
            tables={
                **night.tables,
                "model_forecasts": forecasts,
                "model_decay_metrics": health,
            },
            found=tuple(night.found),
            halted_at=None,
            fold=fold,
            symbols=night.panel.symbols if night.panel is not None else (),
            without_last_bar={"model_forecasts": before, "model_decay_metrics": worse},
        )

    def _without_last_bar(self, night: _Open, lane: LaneWalk) -> Walk | Bars:
        # Laid out anew without the bar. Where only the last row differs, only it is folded anew.
        kept = history_without_last_bar(night.tables["price_history"])
        walked = lane.walk
        last = _last_row(night, kept, walked)
        if last is not None:
            return last
        shown = belief_steps.market_panel({**night.tables, "price_history": kept}, night.context)
        fits = pl.concat([night.tables["previous_sigma_fits"], night.tables["sigma_fits"]])
        forecast = self._policy.models.forecast
        return walk(replace(shown, fits=fits), policy=forecast, horizon=walked.horizon)

    def _judged(
        self, opened: Sequence[_Open], ended: Mapping[int, tuple[_Ended, _Ended]]
    ) -> dict[int, tuple[pl.DataFrame, ...]]:
        # Forecasts and health of all nights at once: their own, and those without the last bar.
        models = self._policy.models
        pairs = [(place, end) for place, both in ended.items() for end in both]
        forecasts = forecast_walks([end.walked for _, end in pairs], models)
        qualities = {
            place: dict(
                opened[place].tables["data_governance"].select("symbol", "data_quality").iter_rows()
            )
            for place in ended
        }
        cases = [
            HealthCase(
                walked=end.walked,
                record=end.record,
                forecasts=frame,
                data_quality=qualities[place],
                asof=opened[place].context.asof,
            )
            for (place, end), frame in zip(pairs, forecasts, strict=True)
        ]
        told = list(zip(forecasts, assess_cases(cases, models), strict=True))
        both = zip(told[::2], told[1::2], strict=True)
        return {place: own + other for place, (own, other) in zip(ended, both, strict=True)}


_DATA_STEPS: Final = (
    ("data_quality", bar_steps.judge_quality, None),
    ("price_history", bar_steps.adjust_history, None),
    ("history_coverage", bar_steps.verify_history, bar_steps.history_causes),
    ("data_governance", bar_steps.govern, bar_steps.governance_causes),
)


def with_bars(known: KnownNight, history: History) -> KnownNight:
    """Give a night its bars, of its window and from before it, as they were known."""
    day = known.context.asof
    bars = {"bars": history.known(day), "stress_bars": history.stressed(day)}
    return replace(known, tables={**bars, **known.tables})


def given(history: History, classes: pl.DataFrame, day: date) -> dict[str, pl.DataFrame]:
    """Give what a night's data is judged by: bars, classes, and that nobody was asked."""
    nobody = pl.DataFrame(schema=ANSWERS_SCHEMA)
    return {
        "bars": history.known(day),
        "symbol_classes": classes,
        "provider_answers": nobody,
        "past_provider_answers": nobody.with_columns(asof=pl.lit(None, pl.Date)),
    }


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
