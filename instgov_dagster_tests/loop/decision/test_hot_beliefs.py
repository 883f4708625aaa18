"""The night's models inside the decision: published, restored, asked every second, refused."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.loop.cycle import CycleDecision, decide, opening_state
from instgov_dagster.loop.decision.book import fresh_book
from instgov_dagster.loop.decision.forecasting import DayModels
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.live.opening import open_snapshot
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.steps.decision import night_quotes
from instgov_dagster.vocabulary.governance import Decision
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF

NOW = datetime(ASOF.year, ASOF.month, ASOF.day, 14, 30, tzinfo=UTC)


def models_of(snapshot: Snapshot) -> DayModels:
    assert snapshot.models is not None
    return snapshot.models


def decided(platform: Platform, snapshot: Snapshot, *, moved: float = 1.0) -> CycleDecision:
    """Decide one cycle at the last closes, the first symbol's price moved by a factor."""
    quotes = night_quotes(snapshot, NOW)
    factors = np.ones(len(snapshot.symbols))
    factors[0] = moved
    state = replace(opening_state(snapshot), cycle_id="cycle-1", timestamp=NOW)
    shown = Quotes(
        symbols=quotes.symbols,
        bid=quotes.bid * factors,
        ask=quotes.ask * factors,
        observed_at=quotes.observed_at,
    )
    book = fresh_book(platform.policy.nav_usd)
    return decide(snapshot, shown, book, state, platform.policy, solver=HotSolver())[0]


@pytest.mark.roadmap("3.4", "6.5")
def test_a_price_that_moves_this_second_moves_what_is_bid(night_platform: Platform) -> None:
    snapshot = open_snapshot(night_platform, ASOF)
    flat = decided(night_platform, snapshot)
    fallen = decided(night_platform, snapshot, moved=0.97)
    assert flat.forecasts.sha256 != fallen.forecasts.sha256
    assert flat.inputs_hash != fallen.inputs_hash
    assert not np.array_equal(flat.found.bids.table.mu, fallen.found.bids.table.mu)
    # every bid states the day's own mean and deviation, whatever the night said
    bids = fallen.found.bids
    at = (bids.strategy_of, bids.symbol_of)
    assert np.array_equal(bids.table.mu, fallen.forecasts.mu_adjusted[at])
    assert np.array_equal(bids.table.sigma, fallen.forecasts.sigma[at])


@pytest.mark.roadmap("3.4", "3.2")
def test_whoever_opens_the_same_night_forecasts_the_same_bits(night_platform: Platform) -> None:
    first, second = (open_snapshot(night_platform, ASOF) for _ in range(2))
    assert models_of(first).fold is not models_of(second).fold
    assert models_of(first).packed_sha256 == models_of(second).packed_sha256
    for moved in (0.9, 1.0, 1.1):  # what one has seen before leaves no trace
        decided(night_platform, first, moved=moved)
    one, two = (decided(night_platform, snapshot, moved=0.98) for snapshot in (first, second))
    assert one.forecasts.sha256 == two.forecasts.sha256
    assert one.decisions == two.decisions


def test_the_night_itself_stands_on_its_own_forecasts(night_platform: Platform) -> None:
    snapshot = replace(open_snapshot(night_platform, ASOF), models=None)
    assert decided(night_platform, snapshot, moved=0.9).forecasts is snapshot.forecasts


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_forecast_that_is_not_finite_is_rejected_with_its_reason(
    night_platform: Platform, bad: float
) -> None:
    snapshot = open_snapshot(night_platform, ASOF)
    won = decided(night_platform, snapshot).orders[0].symbol
    held = models_of(snapshot)
    units = held.units.copy()
    units[held.columns.tolist().index(snapshot.symbols.index(won))] = bad
    silenced = replace(snapshot, models=replace(held, units=units))
    decision = decided(night_platform, silenced)
    row = next(row for row in decision.decisions if row.symbol == won)
    assert row.decision is Decision.REJECT
    assert ReasonCode.FORECAST_NOT_FINITE in row.reason_codes
    assert won not in {order.symbol for order in decision.orders}
