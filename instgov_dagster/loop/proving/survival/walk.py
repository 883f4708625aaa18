"""The walk: every session of a span, in order, with the operator's stated policy between them."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Final

import polars as pl

from instgov_dagster.beliefs.models.garch_fit import Spread, one_by_one
from instgov_dagster.loop.proving.survival.day import DayRun
from instgov_dagster.loop.proving.survival.keeping.memory import Memory
from instgov_dagster.loop.proving.survival.knowing.ahead import NightsAhead, nights_ahead
from instgov_dagster.loop.proving.survival.knowing.fitting import Clocked, TimedFits
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.loop.proving.survival.knowing.nights import (
    KnownNight,
    Learnt,
    Nights,
)
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.left import Day
from instgov_dagster.loop.proving.survival.variants import GOVERNED
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.vocabulary.bars import REFERENCE, AssetClass
from instgov_dagster.vocabulary.checks import check_bounds, number

_BPS: Final = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPolicy:
    """What stands in for an operator in a walk: by rule, and logged each time.

    Attributes
    ----------
    resume_after_sessions
        A latched halt is resumed after so many sessions, if its conditions are over.
    remove_after_sessions
        A symbol without a bar for so many sessions leaves the universe; what is held of it is
        realised at its last price.
    """

    resume_after_sessions: int = number(5, ge=1)
    remove_after_sessions: int = number(5, ge=1)

    def __post_init__(self) -> None:
        check_bounds(self)


class Walk:
    """Walks worlds side by side, the governed one first, each from its own memory on.

    Parameters
    ----------
    worlds
        By name; all of one history. What nights know is made once for all of them.
    memories
        Where each starts, and what it leaves.
    spread
        How independent fits are mapped; no result depends on it.
    is_ahead
        Whether nights are made in a process of their own while earlier ones are walked, where
        there is more than one batch of them; no result depends on it.
    """

    def __init__(
        self,
        worlds: Mapping[str, World],
        memories: Mapping[str, Memory],
        *,
        operator: OperatorPolicy,
        spread: Spread = one_by_one,
        is_ahead: bool = False,
    ) -> None:
        self.world, self.memories, self.operator = worlds[GOVERNED], memories, operator
        self.clocked = Clocked()
        self._spread, self._is_ahead = spread, is_ahead
        self._runs = {name: DayRun(world, memories[name]) for name, world in worlds.items()}

    @property
    def memory(self) -> Memory:
        """The governed walk's own memory."""
        return self.memories[GOVERNED]

    def days(self, days: Sequence[date]) -> Generator[Mapping[str, Day]]:
        """Walk the days; each gives what every world left of it, by name."""
        left = list(days)
        while left:
            removed, done = self.memory.removed, 0
            with closing(self._until_removal(left)) as walking:
                for found in walking:
                    done += 1
                    yield found
                    if self.memory.removed != removed:
                        break
            left = left[done:]

    def known_nights(self, days: Sequence[date]) -> Generator[tuple[KnownNight, Learnt, Learnt]]:
        """Give what the nights of some days knew before they looked at any book."""
        history = self.world.history.without(self.memory.removed)
        spread = TimedFits(self._spread, self.clocked)
        contexts = {
            day: NightContext(
                asof=day,
                known_at=history.context_instant(day),
                market=history.market,
                universe=history.universe,
                policy=self.world.policy,
                entitled=frozenset(),
                spread=spread,
            )
            for day in days
        }
        batch = nights_ahead(len(history.universe.symbols))
        if not self._is_ahead or len(days) <= batch:
            return self._nights(history, contexts).known(days, self.memory.learnt)
        ahead = NightsAhead(
            history,
            self.world.policy,
            contexts,
            spread=self._spread,
            clocked=self.clocked,
            batch=batch,
        )
        return ahead.known(days, self.memory.learnt)

    def _nights(self, history: History, contexts: Mapping[date, NightContext]) -> Nights:
        return Nights(history, self.world.policy, contexts)

    def _until_removal(self, days: Sequence[date]) -> Generator[Mapping[str, Day]]:
        begun = perf_counter()
        with closing(self.known_nights(days)) as nights:
            for known, before, after in nights:
                bars = self.world.history.day_bars(known.context.asof)
                found = {GOVERNED: self._day(GOVERNED, known, (before, after), bars)}
                self.clocked.seconds += perf_counter() - begun
                for name in self._runs:
                    if name != GOVERNED:
                        found[name] = self._day(name, known, (before, after), bars)
                yield found
                begun = perf_counter()

    def _day(
        self, name: str, known: KnownNight, learnt: tuple[Learnt, Learnt], bars: pl.DataFrame
    ) -> Day:
        run = self._runs[name]
        day = run.run(known, learnt[0], bars)
        run.memory.learnt = learnt[1]
        self._operate(run, day, bars)
        run.memory.forget(day.date, self.world.policy.history)
        return day

    def _operate(self, run: DayRun, day: Day, bars: pl.DataFrame) -> None:
        memory = run.memory
        self._remove_absent(run, day, bars)
        if memory.halted >= self.operator.resume_after_sessions:
            reason = f"halted for {memory.halted} sessions"
            if memory.standing.resume(day.date, reason):
                memory.halted = 0

    def _remove_absent(self, run: DayRun, day: Day, bars: pl.DataFrame) -> None:
        memory, history = run.memory, self.world.history
        present = set(bars.filter(pl.col("close").is_finite())["symbol"].to_list())
        for entry in history.universe.symbols:
            name, first = entry.symbol, history.firsts.get(entry.symbol)
            if entry.is_reference or name in memory.removed or first is None or first > day.date:
                continue
            memory.absent[name] = 0 if name in present else memory.absent.get(name, 0) + 1
            if memory.absent[name] >= self.operator.remove_after_sessions:
                run.remove(name, half_spread=self._half_spread(name), day=day.date)

    def _half_spread(self, symbol: str) -> float:
        word = self.world.history.class_word(symbol)
        if word == REFERENCE:
            return 0.0
        floor = self.world.policy.impact.spread_floor_bps.of(AssetClass(word))
        return 0.5 * floor / _BPS
