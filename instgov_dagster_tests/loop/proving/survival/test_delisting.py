"""A symbol without bars leaves: what is held is realised at its last price, by a stated rule."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

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


@pytest.mark.parametrize("ahead_from", [2, 32])
def test_a_symbol_that_is_gone_is_realised_at_its_last_price_less_half_a_spread(
    world: World,
    walked: tuple[list[Day], Memory],
    ahead_from: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(walk_module, "LANES", ahead_from)
    monkeypatch.setattr(run_module, "usable_processors", lambda: 2)
    symbol, last = largest(walked[1]), DAYS[-1]
    versions = world.history.versions
    kept = versions.filter((pl.col("symbol") != symbol) | (pl.col("date") <= last))
    gone = replace(world, history=replace(world.history, versions=kept))
    close = versions.filter(pl.col("symbol") == symbol, pl.col("date") == last)["close"].item()
    memory = fresh_memory(world.policy.nav_usd)
    walk = walk_of({GOVERNED: gone}, {GOVERNED: memory})
    days = gone.history.sessions(DAYS[0], last + timedelta(days=11))
    held, walking = 0.0, walk.days(days)
    assert (len(days) > ahead_from) is (ahead_from == 2)
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
