"""Nights made in a process of their own: the same to the last bit, and never waited for in vain."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from multiprocessing import active_children

import polars as pl
import pytest

from instgov_dagster.adapters.runtime.processes.aside import PROCESS
from instgov_dagster.beliefs.models.garch_fit import one_by_one
from instgov_dagster.governance.audit import frame_sha256
from instgov_dagster.loop.proving.survival.knowing.ahead import NightsAhead, nights_ahead
from instgov_dagster.loop.proving.survival.knowing.fitting import Clocked
from instgov_dagster.loop.proving.survival.knowing.nights import (
    KnownNight,
    Learnt,
    Nights,
    nothing_learnt,
)
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.vocabulary.errors import ProcessLost
from instgov_dagster_tests.loop.proving.survival.conftest import DAYS

Night = tuple[KnownNight, Learnt, Learnt]


def contexts_of(world: World) -> dict[date, NightContext]:
    history = world.history
    return {
        day: NightContext(
            asof=day,
            known_at=history.context_instant(day),
            market=history.market,
            universe=history.universe,
            policy=world.policy,
            entitled=frozenset(),
        )
        for day in DAYS
    }


def ahead_of(world: World, clocked: Clocked) -> NightsAhead:
    return NightsAhead(
        world.history,
        world.policy,
        contexts_of(world),
        spread=one_by_one,
        clocked=clocked,
        batch=2,
    )


def told(nights: Iterator[Night]) -> list[tuple[object, ...]]:
    return [
        (
            known.context.asof,
            {name: frame_sha256(table) for name, table in sorted(known.tables.items())},
            known.found,
            known.halted_at,
            known.fold.pack() if known.fold else None,
            known.symbols,
            {name: frame_sha256(table) for name, table in known.without_last_bar.items()},
            [frame_sha256(t) for learnt in lessons for t in (learnt.fits, learnt.trials)],
        )
        for known, *lessons in nights
    ]


def made_here(
    world: World, days: Sequence[date], learnt: Learnt | None = None
) -> list[tuple[object, ...]]:
    nights = Nights(world.history, world.policy, contexts_of(world))
    return told(nights.known(days, learnt or nothing_learnt()))


def test_nights_made_ahead_are_the_same_to_the_last_bit(world: World) -> None:
    clocked = Clocked()
    there = told(ahead_of(world, clocked).known(DAYS, nothing_learnt()))
    assert there == made_here(world, DAYS)
    assert clocked.fits > 0
    assert clocked.beside_rss_mb > 0.0


def test_nights_go_on_from_what_was_learnt_before(world: World) -> None:
    (first,) = ahead_of(world, Clocked()).known(DAYS[:1], nothing_learnt())
    learnt, clocked = first[2], Clocked()
    assert learnt.fits.height > 0
    assert told(ahead_of(world, clocked).known(DAYS[1:], learnt)) == made_here(
        world, DAYS[1:], learnt
    )
    assert clocked.fits == 0  # none is due again within the week


def test_a_halted_night_crosses_over_and_teaches_nothing(world: World) -> None:
    # The bars of the last weeks come only after the second night: its history ends too early.
    late = world.history.context_instant(DAYS[1])
    recent = pl.col("date").is_between(DAYS[0] - timedelta(days=60), DAYS[1], closed="left")
    known_at = pl.when(recent).then(pl.lit(late).dt.offset_by("1s")).otherwise("known_at")
    versions = world.history.versions.with_columns(
        known_at=known_at.cast(world.history.versions.schema["known_at"])
    )
    behind = replace(world, history=replace(world.history, versions=versions))
    nights = list(ahead_of(behind, Clocked()).known(DAYS, nothing_learnt()))
    assert [known.halted_at is None for known, _, _ in nights] == [False, False, True]
    assert nights[1][2].fits.is_empty()
    assert nights[2][2].fits.height > 0
    assert told(iter(nights)) == made_here(behind, DAYS)


def test_more_symbols_are_made_fewer_nights_at_once() -> None:
    assert [nights_ahead(n) for n in (0, 11, 38, 60, 5_000)] == [32, 32, 26, 17, 4]


def makers() -> list[int]:
    return [child.pid for child in active_children() if child.name == PROCESS and child.pid]


def test_a_maker_that_dies_is_told_of(world: World) -> None:
    nights = ahead_of(world, Clocked()).known(DAYS, nothing_learnt())
    next(nights)
    (maker,) = makers()
    os.kill(maker, signal.SIGKILL)
    next(nights)  # of the batch that had crossed over
    with pytest.raises(ProcessLost, match="exit code -9"):
        next(nights)
    assert maker not in makers()


def test_a_walk_that_looks_away_leaves_no_process(world: World) -> None:
    nights = ahead_of(world, Clocked()).known(DAYS, nothing_learnt())
    next(nights)
    (maker,) = makers()
    nights.close()
    with pytest.raises(ProcessLookupError):
        os.kill(maker, 0)
