"""What orders were expected to cost and what they cost, from the decision to the reader's table."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.store.projector import live_store
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.capital.execution.costs import COST_SCHEMA, PREDICTED_COLUMNS, execution_costs
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster_tests.loop.homes import ASOF, copy_home

CYCLES = 8


@pytest.fixture(scope="module")
def led(night_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """An installation after one session; shared, so it is only read."""
    platform = copy_home(night_platform, tmp_path_factory.mktemp("costs"))
    run_session(platform, ASOF, cycles=CYCLES, period_seconds=0.0, run_id="test-run")
    return platform


def table(platform: Platform, query: str) -> pl.DataFrame:
    with live_store(platform.home).reader() as con:
        return pl.DataFrame(pl.from_arrow(con.execute(query).to_arrow_table()))


@pytest.mark.roadmap("TEST.8", "0.9", "8.3")
def test_every_order_of_a_session_was_journalled_with_what_it_should_cost(led: Platform) -> None:
    planned = []
    for frame in read_frames(led.home.journal_dir, Chain.LOOP.value):
        if frame.kind == "cycle":
            planned += frame.table().column("orders").combine_chunks().flatten().to_pylist()
    assert planned
    for row in planned:
        assert row["status"] == "PLANNED"
        assert row["decision_mid"] > 0.0
        temporary = row["temporary_impact_bps"]
        assert temporary > 0.0
        assert row["permanent_impact_bps"] == pytest.approx(temporary / 2.0)
        parts = temporary * 1.5 + row["spread_cost_bps"]
        assert row["total_cost_bps"] == pytest.approx(parts)


@pytest.mark.roadmap("TEST.8")
def test_the_stored_costs_are_those_of_the_pure_function(led: Platform) -> None:
    orders = table(led, "SELECT * FROM orders WHERE status = 'PLANNED'")
    wanted = execution_costs(orders, table(led, "SELECT * FROM fills"))
    stored = table(led, "SELECT * FROM execution_costs ORDER BY client_order_id")
    assert wanted.height == orders.height > 0
    assert_frame_equal(stored.select(COST_SCHEMA.names()), wanted, abs_tol=1e-9)
    published = read_snapshot(led.home.published / "live").tables["execution_costs"]
    assert published.height == stored.height


@pytest.mark.roadmap("TEST.8", "8.5")
def test_a_filled_order_cost_its_impact_and_no_more_than_it_should(led: Platform) -> None:
    rows = table(led, "SELECT * FROM execution_costs WHERE filled_share > 0").to_dicts()
    assert rows
    for row in rows:
        assert 0.0 < row["filled_share"] <= 1.0
        impact = row["temporary_impact_bps"] + row["permanent_impact_bps"]
        # A passive fill earns at most half the spread back; none pays more than the whole model
        # but where the market jumped over its limit.
        assert row["realised_cost_bps"] >= impact - row["spread_cost_bps"] - 1e-3


def test_the_rows_that_tell_an_outcome_predict_nothing(led: Platform) -> None:
    answers = table(led, "SELECT * FROM orders WHERE status <> 'PLANNED'")
    assert answers.height > 0
    assert answers.select(pl.col(PREDICTED_COLUMNS).is_null().all()).row(0) == (True,) * 5
