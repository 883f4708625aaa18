"""A walk: it sees nothing that was not known, decides what a home decides, keeps its accounts."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from instgov_dagster.governance.decisions import decisions_to_frame
from instgov_dagster.loop.decision.rows import allocations_frame
from instgov_dagster.loop.proving.survival.keeping.memory import Memory
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.left import Day
from instgov_dagster.loop.proving.survival.parity import check_parity
from instgov_dagster_tests.loop.proving.survival.conftest import DAYS, walk_days

Walked = tuple[list[Day], Memory]


def told(days: list[Day]) -> list[tuple[object, ...]]:
    out: list[tuple[object, ...]] = []
    for day in days:
        assert day.decision is not None
        decisions = decisions_to_frame(day.decision.decisions)
        rows = allocations_frame(day.decision)
        out.append((day.date, decisions.write_json(), rows.write_json(), day.decision.orders))
    return out


def poisoned(history: History) -> History:
    """Change all that the last day's decision cannot know: later bars, and bars sent again later.

    Of the day traded only the open is seen by the decision, in its first quote.
    """
    last, instant = DAYS[-1], history.context_instant(DAYS[-1])
    later, today = pl.col("date") > last, pl.col("date") == last
    wild = history.versions.with_columns(
        *(
            pl.when(later).then(pl.col(name) * 7.3).otherwise(name).alias(name)
            for name in ("open", "volume")
        ),
        *(
            pl.when(later | today).then(pl.col(name) * 7.3).otherwise(name).alias(name)
            for name in ("high", "close", "adj_close")
        ),
    )
    again = history.versions.filter(pl.col("known_at") <= instant).with_columns(
        pl.col("open", "high", "low", "close", "adj_close") * 0.2,
        known_at=pl.lit(instant).dt.offset_by("1s"),
        is_restated=pl.lit(value=True),
    )
    versions = pl.concat([wild, again.cast(wild.schema)]).sort(
        "symbol", "date", "known_at", maintain_order=True
    )
    return replace(history, versions=versions)


@pytest.mark.roadmap("3.5")
def test_what_is_known_only_later_moves_no_decision(world: World, walked: Walked) -> None:
    other = replace(world, history=poisoned(world.history))
    assert told([day for day, _ in walk_days(other)]) == told(walked[0])


def test_a_future_that_is_cut_off_moves_no_decision(world: World, walked: Walked) -> None:
    kept = world.history.versions.filter(pl.col("date") <= DAYS[-1])
    cut = replace(world, history=replace(world.history, versions=kept))
    days = [day for day, _ in walk_days(cut)]
    assert told(days) == told(walked[0])
    assert [day.row["nav_usd"] for day in days] == [day.row["nav_usd"] for day in walked[0]]


def test_the_last_day_is_decided_as_a_home_decides_it(world: World, walked: Walked) -> None:
    parity = check_parity(world, walked[0][-1])
    assert parity is not None
    assert parity.tables == ()
    assert parity.decisions
    assert parity.allocations
    assert parity.orders


def test_value_is_cash_and_holdings_and_no_day_exceeds_the_gate(
    world: World, walked: Walked
) -> None:
    days, memory = walked
    limit = world.policy.cvar.portfolio_limit
    assert any(day.row["fills"] for day in days)
    assert all(day.row["cvar_gate"] <= limit for day in days)
    assert all(day.row["trading_cost"] > 0.0 for day in days if day.row["fills"])
    held = sum(float(h.quantity) * memory.marks[h.symbol] for h in memory.book.holdings)
    assert days[-1].row["nav_usd"] == pytest.approx(float(memory.book.cash_usd) + held)
    assert days[-1].row["cash"] + days[-1].row["gross"] == pytest.approx(1.0)


def test_what_strategies_earned_is_what_the_book_earned(world: World, walked: Walked) -> None:
    days, _ = walked
    for before, after in zip([None, *days[:-1]], days, strict=True):
        nav = world.policy.nav_usd if before is None else before.row["nav_usd"]
        earned = sum(row["pnl"] for row in after.strategies) * after.row["nav_usd"]
        assert earned == pytest.approx(after.row["nav_usd"] - nav, abs=1e-2)


def test_the_account_explains_what_was_earned(walked: Walked) -> None:
    accounts = walked[1].tables["session_accounts"]
    left = accounts["realised"] - accounts["explained"] + accounts["costs"]
    # What the model said trading costs and what the paper market took may differ, by little.
    assert np.abs(left.to_numpy()).max() < 2e-5
