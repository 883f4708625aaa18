"""The walk: every session of a span, in order, with the operator's stated policy between them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Final

import polars as pl

from instgov_dagster.beliefs.models.garch_fit import Spread, one_by_one
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.loop.survival.day import Day, DayRun, World
from instgov_dagster.loop.survival.memory import Memory
from instgov_dagster.loop.survival.nights import Nights
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
    """Walks a world from a memory on; each step gives one day.

    Parameters
    ----------
    memory
        Where it starts, and what it leaves.
    spread
        How independent fits are mapped; no result depends on it.
    """

    def __init__(
        self,
        world: World,
        memory: Memory,
        *,
        operator: OperatorPolicy,
        spread: Spread = one_by_one,
    ) -> None:
        self.world, self.memory, self.operator = world, memory, operator
        self._spread = spread
        self._run = DayRun(world, memory)
        self.seconds = 0.0

    def days(
        self, days: Sequence[date], *, each: Callable[[Day], None] | None = None
    ) -> Iterator[Day]:
        """Walk the days; ``seconds`` counts the time inside, not the caller's."""
        left = list(days)
        while left:
            removed = self.memory.removed
            done = 0
            for day in self._until_removal(left):
                done += 1
                if each is not None:
                    each(day)
                yield day
                if self.memory.removed != removed:
                    break
            left = left[done:]

    def _until_removal(self, days: Sequence[date]) -> Iterator[Day]:
        begun = perf_counter()
        history = self.world.history.without(self.memory.removed)
        policy = self.world.policy
        contexts = {
            day: NightContext(
                asof=day,
                known_at=history.context_instant(day),
                market=history.market,
                universe=history.universe,
                policy=policy,
                entitled=frozenset(),
                spread=self._spread,
            )
            for day in days
        }
        nights = Nights(history, policy, contexts)
        for known, before, after in nights.known(days, self.memory.learnt):
            bars = self.world.history.day_bars(known.context.asof)
            day = self._run.run(known, before, bars)
            self.memory.learnt = after
            self._operate(day, bars)
            self.memory.forget(day.date, policy.history)
            self.seconds += perf_counter() - begun
            yield day
            begun = perf_counter()

    def _operate(self, day: Day, bars: pl.DataFrame) -> None:
        memory, operator = self.memory, self.operator
        self._remove_absent(day, bars)
        if memory.halted >= operator.resume_after_sessions:
            reason = f"halted for {memory.halted} sessions"
            if memory.standing.resume(day.date, reason):
                memory.halted = 0

    def _remove_absent(self, day: Day, bars: pl.DataFrame) -> None:
        memory = self.memory
        present = set(bars.filter(pl.col("close").is_finite())["symbol"].to_list())
        for entry in self.world.history.universe.symbols:
            name = entry.symbol
            if entry.is_reference or name in memory.removed:
                continue
            if name in present:
                memory.absent[name] = 0
            elif name in memory.absent or self._has_begun(name, day.date):
                memory.absent[name] = memory.absent.get(name, 0) + 1
                if memory.absent[name] >= self.operator.remove_after_sessions:
                    self._run.remove(name, half_spread=self._half_spread(name), day=day.date)

    def _has_begun(self, symbol: str, day: date) -> bool:
        first = self.world.history.firsts.get(symbol)
        return first is not None and first <= day

    def _half_spread(self, symbol: str) -> float:
        word = self.world.history.class_word(symbol)
        if word == REFERENCE:
            return 0.0
        floor = self.world.policy.impact.spread_floor_bps.of(AssetClass(word))
        return 0.5 * floor / _BPS

