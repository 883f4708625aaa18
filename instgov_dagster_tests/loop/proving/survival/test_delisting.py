"""A symbol without bars leaves: what is held is realised at its last price, by a stated rule."""

from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from instgov_dagster.governance.audit import frame_sha256
from instgov_dagster.loop.proving.survival import run as run_module
from instgov_dagster.loop.proving.survival import walk as walk_module
from instgov_dagster.loop.proving.survival.keeping.memory import Memory, fresh_memory
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.left import Day
from instgov_dagster.loop.proving.survival.run import walk_of
from instgov_dagster.loop.proving.survival.variants import GOVERNED
from instgov_dagster.loop.proving.survival.walk import OperatorPolicy
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster_tests.loop.proving.survival.conftest import DAYS

AFTER = OperatorPolicy().remove_after_sessions


def units(memory: Memory, symbol: str) -> float:
    return sum(float(row.quantity) for row in memory.book.holdings if row.symbol == symbol)


def largest(memory: Memory) -> str:
    """Name the stock of which most is held."""
    stocks = sorted({row.symbol for row in memory.book.holdings if row.symbol.isalpha()})
    return max(stocks, key=lambda symbol: units(memory, symbol) * memory.marks[symbol])


def without_after(world: World, symbol: str, last: date) -> World:
    """Give the same world, the symbol's bars ended on a day."""
    versions = world.history.versions
    kept = versions.filter((pl.col("symbol") != symbol) | (pl.col("date") <= last))
    return replace(world, history=replace(world.history, versions=kept))


def test_a_symbol_that_is_gone_is_realised_at_its_last_price_less_half_a_spread(
    world: World, walked: tuple[list[Day], Memory]
) -> None:
    symbol, last = largest(walked[1]), DAYS[-1]
    versions, gone = world.history.versions, without_after(world, symbol, last)
    close = versions.filter(pl.col("symbol") == symbol, pl.col("date") == last)["close"].item()
    memory = fresh_memory(world.policy.nav_usd)
    walk = walk_of({GOVERNED: gone}, {GOVERNED: memory})
    days = gone.history.sessions(DAYS[0], last + timedelta(days=11))
    held, walking = 0.0, walk.days(days)
    day = next(walking)[GOVERNED].date
    while not memory.removed:
        held = units(memory, symbol)
        day = next(walking)[GOVERNED].date
    # Nobody quotes it: it is held until the rule takes it out, and that day alone.
    assert day == days[len(DAYS) + AFTER - 1]
    assert held == pytest.approx(units(walked[1], symbol), rel=1e-12)
    assert held > 0.0
    assert (memory.removed, units(memory, symbol)) == ((symbol,), 0.0)
    half = 0.5e-4 * world.policy.impact.spread_floor_bps.of(AssetClass.STOCKS)
    # What it brought belongs to its strategies, and waits for their next result.
    assert sum(memory.flows.values()) == pytest.approx(held * close * (1.0 - half), rel=1e-9)
    (act,) = [row for row in memory.standing.acts if row["act"] == "remove"]
    assert (act["date"], act["detail"].split(":")[0]) == (day, symbol)
    decision = next(walking)[GOVERNED].decision
    assert decision is not None
    assert symbol not in {row.symbol for row in decision.decisions}


def test_a_removal_begins_nights_anew_wherever_they_are_made(
    world: World, walked: tuple[list[Day], Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches of two nights: one is being made when the symbol leaves, others follow without it.
    gone = without_after(world, largest(walked[1]), DAYS[-1])
    days = gone.history.sessions(DAYS[0], DAYS[-1] + timedelta(days=15))
    seen = []
    for batch, processors in ((len(days), 1), (2, 2)):
        monkeypatch.setattr(walk_module, "nights_ahead", lambda _, told=batch: told)
        monkeypatch.setattr(run_module, "usable_processors", lambda told=processors: told)
        memory = fresh_memory(gone.policy.nav_usd)
        walk = walk_of({GOVERNED: gone}, {GOVERNED: memory})
        rows = [found[GOVERNED].row for found in walk.days(days)]
        tables = {name: frame_sha256(table) for name, table in memory.tables.items()}
        learnt = [frame_sha256(memory.learnt.fits), frame_sha256(memory.learnt.trials)]
        seen.append((rows, tables, learnt, memory.removed, memory.standing.acts))
        assert (walk.clocked.beside_rss_mb > 0.0) is (processors == 2)
        assert memory.removed
    assert seen[0] == seen[1]
    assert len(seen[0][0]) - len(DAYS) - AFTER > 2
