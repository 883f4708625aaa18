"""Nights made in a process of their own, a batch ahead of the walk that looks at them."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from time import perf_counter
from typing import Final, NamedTuple

import polars as pl

from instgov_dagster.adapters.runtime.processes.aside import Aside
from instgov_dagster.beliefs.hot.fold import Fold
from instgov_dagster.beliefs.models.garch_fit import Spread
from instgov_dagster.loop.proving.survival.knowing.fitting import Clocked, TimedFits
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.loop.proving.survival.knowing.nights import (
    LANES,
    KnownNight,
    Learnt,
    Nights,
    with_bars,
)
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import Cause

# So many columns of symbols are folded side by side in the other process: two batches are held,
# one on each side, and a walk of sixty symbols is to hold less than two gigabytes.
_COLUMNS: Final = 1024
_FEWEST: Final = 4


def nights_ahead(n_symbols: int) -> int:
    """Give how many nights of so many symbols are made together in a process of their own."""
    return min(LANES, max(_FEWEST, _COLUMNS // max(n_symbols, 1)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Start:
    # What the other process begins from; the contexts' own spread stays here.
    history: History
    policy: Policy
    contexts: Mapping[date, NightContext]
    spread: Spread
    learnt: Learnt


class _Made(NamedTuple):
    # A night as it crosses over: without its bars and what was fitted before, which are given to
    # it on this side, and its models packed. ``trials`` are the night's own; the clock's parts are
    # since the night before.
    tables: dict[str, pl.DataFrame]
    found: tuple[tuple[str, tuple[Cause, ...]], ...]
    halted_at: str | None
    packed: bytes | None
    symbols: tuple[str, ...]
    without_last_bar: Mapping[str, pl.DataFrame]
    trials: pl.DataFrame
    fit_seconds: float
    fits: int


class _Maker:
    # Lives in the other process: asked for some days, makes their nights from where it left off.
    def __init__(self, start: _Start) -> None:
        self._clocked = Clocked()
        spread = TimedFits(start.spread, self._clocked)
        contexts = {day: replace(found, spread=spread) for day, found in start.contexts.items()}
        self._nights = Nights(start.history, start.policy, contexts)
        self._learnt = start.learnt

    def __call__(self, days: Sequence[date]) -> Iterator[_Made]:
        for known, before, after in self._nights.made(days, self._learnt):
            self._learnt = after
            told, self._clocked.fit_seconds = self._clocked.fit_seconds, 0.0
            fits, self._clocked.fits = self._clocked.fits, 0
            yield _Made(
                tables={n: t for n, t in known.tables.items() if n != "previous_sigma_fits"},
                found=known.found,
                halted_at=known.halted_at,
                packed=known.fold.pack() if known.fold is not None else None,
                symbols=known.symbols,
                without_last_bar=known.without_last_bar,
                trials=after.trials[before.trials.height :],
                fit_seconds=told,
                fits=fits,
            )


class NightsAhead:
    """Makes the nights of one history beside the walk, bit for bit as `Nights` makes them.

    Parameters
    ----------
    spread
        How independent fits are mapped there.
    clocked
        Where the fits are counted.
    batch
        Nights that are made together; while one batch is walked the next is made.
    """

    def __init__(
        self,
        history: History,
        policy: Policy,
        contexts: Mapping[date, NightContext],
        *,
        spread: Spread,
        clocked: Clocked,
        batch: int,
    ) -> None:
        self._history, self._policy, self._contexts = history, policy, contexts
        self._spread, self._clocked, self._batch = spread, clocked, batch

    def known(
        self, days: Sequence[date], learnt: Learnt
    ) -> Generator[tuple[KnownNight, Learnt, Learnt]]:
        """Give each night with what it had learnt before, and what the next one has.

        Raises
        ------
        ProcessLost
            If the process that makes them ends.
        """
        start = _Start(
            history=replace(self._history),  # without what it has laid out by day
            policy=self._policy,
            contexts={day: replace(self._contexts[day], spread=self._spread) for day in days},
            spread=self._spread,
            learnt=learnt,
        )
        aside = Aside[_Start, Sequence[date], _Made](_Maker, start)
        try:
            with aside:
                yield from self._crossing(aside, days, learnt)
        finally:
            self._clocked.beside_rss_mb = max(self._clocked.beside_rss_mb, aside.peak_rss_mb)

    def _crossing(
        self, aside: Aside[_Start, Sequence[date], _Made], days: Sequence[date], learnt: Learnt
    ) -> Iterator[tuple[KnownNight, Learnt, Learnt]]:
        batches = [days[at : at + self._batch] for at in range(0, len(days), self._batch)]
        for batch in batches[:1]:
            aside.ask(batch)
        for batch, later in zip(batches, [*batches[1:], None], strict=True):
            if later is not None:
                aside.ask(later)
            waiting = self._waited(aside)[::-1]  # each is let go of once it is handed out
            for day in batch:
                before, made = learnt, waiting.pop()
                if "sigma_fits" in made.tables:
                    learnt = learnt.and_then(made.tables["sigma_fits"], made.trials)
                yield self._crossed(day, made, before), before, learnt

    def _waited(self, aside: Aside[_Start, Sequence[date], _Made]) -> list[_Made]:
        begun = perf_counter()
        made = aside.answer()
        waited = perf_counter() - begun
        self._clocked.fit_seconds += min(waited, sum(night.fit_seconds for night in made))
        self._clocked.fits += sum(night.fits for night in made)
        return made

    def _crossed(self, day: date, made: _Made, before: Learnt) -> KnownNight:
        fold = None
        if made.packed is not None:
            forecast, horizon = self._policy.models.forecast, self._policy.cvar.horizon_days
            fold = Fold(len(made.symbols), policy=forecast, horizon=horizon).restore(made.packed)
        night = KnownNight(
            context=self._contexts[day],
            tables={**made.tables, "previous_sigma_fits": before.fits},
            found=made.found,
            halted_at=made.halted_at,
            fold=fold,
            symbols=made.symbols,
            without_last_bar=made.without_last_bar,
        )
        return with_bars(night, self._history)
