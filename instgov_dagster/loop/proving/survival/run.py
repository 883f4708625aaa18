"""A walk from the question to its answer: the market opened, every session walked, measured."""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from instgov_dagster.adapters.config import find_config_dir, load_policy, load_universe
from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.adapters.markets.simulation.parameters import WorldParameters
from instgov_dagster.adapters.markets.simulation.quote_defects import NO_DEFECTS, QuoteDefects
from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.adapters.runtime.processes.spread import ProcessSpread, usable_processors
from instgov_dagster.bars.calendars import CALENDAR_START
from instgov_dagster.governance.audit import frame_sha256, sha256_of
from instgov_dagster.loop.platform import latest_session
from instgov_dagster.loop.proving.survival.keeping.checkpoint import load, save
from instgov_dagster.loop.proving.survival.keeping.memory import Memory, fresh_memory
from instgov_dagster.loop.proving.survival.keeping.records import Records
from instgov_dagster.loop.proving.survival.knowing.history import history_of
from instgov_dagster.loop.proving.survival.knowing.whole import whole_panel
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.parity import check_parity
from instgov_dagster.loop.proving.survival.telling.answer import Answer, Question
from instgov_dagster.loop.proving.survival.telling.benchmarks import benchmark_paths, field_of
from instgov_dagster.loop.proving.survival.telling.measures import cover_walk, measure_path
from instgov_dagster.loop.proving.survival.telling.report import write_out
from instgov_dagster.loop.proving.survival.variants import (
    GATES,
    GOVERNED,
    UNGOVERNED,
    ungoverned,
    without,
)
from instgov_dagster.loop.proving.survival.walk import OperatorPolicy, Walk
from instgov_dagster.vocabulary.bars import Market, Universe
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError

#: What a simulated walk covers where nobody says how long.
DEFAULT_YEARS: Final = 2
#: Sessions between two checkpoints.
CHECKPOINT_EVERY: Final = 25
_DAY: Final = timedelta(days=1)


def open_world(question: Question, environment: Mapping[str, str]) -> World:
    """Load the rules and everything the market holds of the span.

    Raises
    ------
    InputError
        On bad rules, a bad folder, or a span the market does not hold.
    """
    found = find_config_dir(question.config_dir, environment=environment, working_dir=Path.cwd())
    policy, configured = load_policy(found), load_universe(found)
    if question.market is Market.FILES:
        if question.bars is None:
            raise InputError("--bars must name a folder for the market files, was nothing")
        source = FilesMarket(question.bars)
        end = (question.end or source.last_date()) + _DAY
        history = history_of(
            source, configured, start=CALENDAR_START, end=end, policy=policy.history
        )
        return World(history=history, policy=policy, seed=question.seed, defects=NO_DEFECTS)
    if question.market is not Market.SIMULATED:
        raise InputError(f"--market must be files or simulated, was {question.market}")
    return _simulated_world(question, policy, configured)


def _simulated_world(question: Question, policy: Policy, configured: Universe) -> World:
    source = SimulatedMarket(configured, seed=question.seed)
    end = question.end or latest_session(RealClock().now().date() - _DAY)
    start = question.start or end - timedelta(days=365 * (question.years or DEFAULT_YEARS))
    # A whole window before the first night; what lies before the market's own first day is not.
    begin = max(start - timedelta(days=policy.history.window_days), WorldParameters().origin)
    history = history_of(source, configured, start=begin, end=end + _DAY, policy=policy.history)
    return World(history=history, policy=policy, seed=question.seed, defects=QuoteDefects())


def worlds_of(world: World, question: Question) -> dict[str, World]:
    """Name the worlds that are walked side by side."""
    worlds = {GOVERNED: world}
    if question.is_compared:
        worlds[UNGOVERNED] = ungoverned(world)
    worlds |= {f"without_{gate}": without(world, gate) for gate in question.gates if gate in GATES}
    return worlds


def survive(
    question: Question,
    *,
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """Walk a market's history and measure what came of it.

    Parameters
    ----------
    out
        Where to keep tables, the report and, until it is done, the walk's checkpoint: a walk that
        was ended goes on from there. None writes nothing.
    progress
        Told after each session how many of how many are done.

    Raises
    ------
    InputError
        On a question nobody can walk, or a folder that holds another walk; nothing is written
        then.
    """
    world = open_world(question, os.environ if environment is None else environment)
    days = world.history.sessions(question.start, question.end)
    worlds = worlds_of(world, question)
    digest = question_sha256(question, world, days)
    held = load(out, question=digest) if out is not None else None
    done, memories, records = held or (0, {}, Records())
    memories = memories or {name: fresh_memory(world.policy.nav_usd) for name in worlds}
    walk, last = walk_of(worlds, memories), None
    with closing(walk.days(days[done:])) as walking:
        for found in walking:
            records.take(found)
            done, last = done + 1, found[GOVERNED]
            if out is not None and (done % CHECKPOINT_EVERY == 0 or done == len(days)):
                records.settle(memories)
                save(out, memories, records, done=done, question=digest)
            if progress is not None:
                progress(done, len(days))
    records.settle(memories)
    answered = answer(question, world, days, records, walk)
    answered.parity = check_parity(world, last) if last is not None else None
    if out is not None:
        write_out(answered, out)
    return answered


def question_sha256(question: Question, world: World, days: tuple[date, ...]) -> str:
    """Digest what is walked: the bars, the rules, the days and the gates taken away."""
    versions = world.history.versions
    seen = versions.filter(pl.col("date") <= days[-1])
    return sha256_of(
        {
            "bars": frame_sha256(seen.select("symbol", "date", "close", "volume", "known_at")),
            "policy": sha256_of(world.policy),
            "days": [day.isoformat() for day in days],
            "gates": list(question.gates),
            "is_compared": question.is_compared,
            "seed": question.seed,
            "market": question.market.value,
        }
    )


def walk_of(worlds: Mapping[str, World], memories: Mapping[str, Memory]) -> Walk:
    """Make the walk of some worlds, its fits spread over processes as a night's are.

    Where there are two processors nights are made ahead of the walk.
    """
    sigma = worlds[GOVERNED].policy.models.forecast.sigma
    return Walk(
        worlds,
        memories,
        operator=OperatorPolicy(),
        spread=ProcessSpread(parallel_from=sigma.parallel_from, workers=sigma.workers),
        is_ahead=usable_processors() > 1,
    )


def answer(
    question: Question, world: World, days: tuple[date, ...], records: Records, walk: Walk
) -> Answer:
    """Measure a walk that is done, beside its benchmarks."""
    policy, sessions = world.policy, records.tables["sessions"]
    names = sessions["walk"].unique(maintain_order=True).to_list()
    paths = {
        name: np.concatenate(
            [[policy.nav_usd], sessions.filter(pl.col("walk") == name)["nav_usd"].to_numpy()]
        )
        for name in names
    }
    if question.is_compared:
        field_ = field_of(world.history, days, policy)
        market = policy.regime.market_symbol
        paths |= benchmark_paths(field_, nav_usd=policy.nav_usd, market=market)
    forecasts = records.tables["risk_forecasts"]
    held = forecasts["symbols"].explode(empty_as_null=False).unique().drop_nulls().sort()
    panel = whole_panel(world.history, days[-1], policy, tuple(held.to_list()))
    trials = max(walk.memory.learnt.trials.height, 1)
    return Answer(
        question=question,
        days=days,
        policy=policy,
        history=world.history,
        records=records,
        memories=walk.memories,
        clocked=walk.clocked,
        coverage=cover_walk(forecasts, panel, asof=days[-1] + _DAY, config=policy.cvar),
        paths=paths,
        measures={name: measure_path(nav, trials=trials) for name, nav in paths.items()},
    )
