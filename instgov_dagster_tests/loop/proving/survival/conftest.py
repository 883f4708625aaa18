"""A small simulated market to walk: eleven symbols, a few sessions, every bar with its instant."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from instgov_dagster.adapters.markets.simulation.quote_defects import QuoteDefects
from instgov_dagster.loop.proving.survival.keeping.memory import Memory, fresh_memory
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.left import Day
from instgov_dagster.loop.proving.survival.run import open_world, walk_of
from instgov_dagster.loop.proving.survival.telling.answer import Question
from instgov_dagster.loop.proving.survival.variants import GOVERNED
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster_tests.loop.homes import write_config

DAYS = (date(2025, 3, 10), date(2025, 3, 11), date(2025, 3, 12))


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged rules beside a universe of eleven symbols."""
    return write_config(tmp_path_factory.mktemp("survival") / "config")


@pytest.fixture(scope="session")
def question(rules: Path) -> Question:
    """Three sessions of the simulated market."""
    return Question(
        market=Market.SIMULATED,
        start=DAYS[0],
        end=DAYS[-1] + timedelta(days=1),
        config_dir=rules,
        is_compared=False,
    )


@pytest.fixture(scope="session")
def world(question: Question) -> World:
    """The world of that question, bars a few days past the last session walked."""
    opened = open_world(replace(question, end=DAYS[-1] + timedelta(days=20)), {})
    return replace(opened, defects=QuoteDefects())


def walk_days(world: World, *, memory: Memory | None = None) -> Iterator[tuple[Day, Memory]]:
    """Walk the days alone; give each with the memory after it."""
    memories = {GOVERNED: memory or fresh_memory(world.policy.nav_usd)}
    for found in walk_of({GOVERNED: world}, memories).days(DAYS):
        yield found[GOVERNED], memories[GOVERNED]


@pytest.fixture(scope="session")
def walked(world: World) -> tuple[list[Day], Memory]:
    """The three days walked once."""
    days, memory = [], None
    for day, after in walk_days(world):
        days.append(day)
        memory = after
    assert memory is not None
    return days, memory
