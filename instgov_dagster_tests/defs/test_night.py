"""The night through Dagster: what it records, what it repeats, what holds it back."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.adapters.runtime import FileLock
from instgov_dagster.bars.calendars import history_window
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.defs.conftest import (
    DAY,
    Installation,
    RecordedNight,
    assets_of,
    failure_of,
    metadata_of,
    verdicts_of,
)
from instgov_dagster_tests.defs.test_definitions import BLOCKING, JOBS, WARNING
from instgov_dagster_tests.loop.homes import ASOF, SYMBOLS

NIGHT = "nightly_ingestion"
STEPS = sorted(JOBS[NIGHT] - {"raw_bars", "published_snapshot", "dashboard_tables", "lake_history"})


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


@pytest.fixture
def files_with_a_hole(fresh: Installation) -> Installation:
    """Vendor files of the same world in which KO misses two hundred of its sessions."""
    platform = fresh.platform().open()
    start, end = history_window(ASOF, HistoryPolicy())
    bars = SimulatedMarket(platform.universe, seed=7).fetch(SYMBOLS, start, end, ASOF).frame
    sessions = bars.filter(pl.col("symbol") == "KO")["date"].unique().sort()
    gone = pl.col("date").is_between(sessions[300], sessions[500])
    vendor = fresh.folder / "vendor"
    vendor.mkdir()
    told = bars.filter(~((pl.col("symbol") == "KO") & gone)).with_columns(
        asset_class=pl.when(pl.col("asset_class") == "REFERENCE")
        .then(pl.lit("MACRO"))
        .otherwise("asset_class")
    )
    told.write_parquet(vendor / "bars.parquet")
    home = fresh.folder / "second"
    home.mkdir()
    (fresh.folder / "config").rename(home / "config")
    return Installation(folder=home, market={"market": "files", "bars": str(vendor)})


@pytest.mark.roadmap("2.1", "TEST.3")
def test_one_run_takes_the_night_from_raw_bars_to_the_published_snapshot(
    recorded_night: RecordedNight,
) -> None:
    assert recorded_night.result.success
    # What goes to a lake is told of where there is one.
    assert set(assets_of(recorded_night.result)) == JOBS[NIGHT] - {"lake_history"}
    assert assets_of(recorded_night.result)[0] == "raw_bars"
    order = assets_of(recorded_night.result)
    # what the models were worth decides nothing tonight, and delays no snapshot
    after = {"model_evaluation", "model_trials", "belief_pictures", "dashboard_tables"}
    assert set(order[order.index("published_snapshot") + 1 :]) == after


@pytest.mark.roadmap("2.4", "3.1", "5.4", "9.3")
def test_every_rule_of_the_night_is_judged_and_every_blocking_one_holds(
    recorded_night: RecordedNight,
) -> None:
    verdicts = verdicts_of(recorded_night.result)
    judged = {(asset, name) for asset in JOBS[NIGHT] for name in BLOCKING.get(asset, set())}
    warned = {(asset, name) for asset in JOBS[NIGHT] for name in WARNING.get(asset, set())}
    assert set(verdicts) == judged | warned
    assert [key for key in sorted(judged) if not verdicts[key]] == []


def test_every_materialization_belongs_to_the_day(recorded_night: RecordedNight) -> None:
    events = recorded_night.result.get_asset_materialization_events()
    assert {event.partition for event in events} == {DAY}


@pytest.mark.parametrize("asset", STEPS)
def test_every_step_tells_its_table_its_rows_its_columns_and_the_state(
    recorded_night: RecordedNight, asset: str
) -> None:
    facts = metadata_of(recorded_night.result, asset)
    with recorded_night.installation.platform().open().warehouse.reader() as con:
        table = facts["dagster/table_name"].removeprefix("warehouse.main.")
        held = con.execute(f'SELECT * FROM "{table}"').pl()  # noqa: S608  # a table's own name
    assert facts["dagster/row_count"] == facts["rows_added"] == held.height
    columns = [column.name for column in facts["dagster/column_schema"].columns]
    assert sorted([*columns, "asof", "run_id", "recorded_at"]) == sorted(held.columns)
    assert facts["state"] == SystemStateName.RUNNING


@pytest.mark.roadmap("5.4", "0.5")
def test_the_books_cvar_stands_beside_its_limit_as_numbers(recorded_night: RecordedNight) -> None:
    facts = metadata_of(recorded_night.result, "risk_verdicts")
    assert 0.0 < facts["cvar_gate"] <= facts["cvar_limit"] == 0.06
    (check,) = [
        answer
        for answer in recorded_night.result.get_asset_check_evaluations()
        if answer.check_name == "cvar_is_within_its_limit"
    ]
    told = {name: value.value for name, value in check.metadata.items()}
    assert told == {"value": facts["cvar_gate"], "limit": 0.06, "asks": "value <= limit"}


def test_six_phases_are_stamped_in_the_order_of_the_roadmap(recorded_night: RecordedNight) -> None:
    stamped = [
        facts["phase"]
        for asset in assets_of(recorded_night.result)
        if "stamp_hash" in (facts := metadata_of(recorded_night.result, asset))
    ]
    assert stamped == [
        "ingestion", "db_verification", "data_governance", "capital_competition",
        "cvar_risk_gates", "execution_simulation",
    ]  # fmt: skip


@pytest.mark.roadmap("2.1")
def test_a_repeated_night_adds_nothing(
    published: Installation, recorded_night: RecordedNight, instance: dg.DagsterInstance
) -> None:
    again = published.run(NIGHT, instance)
    assert again.success
    assert {asset: metadata_of(again, asset)["rows_added"] for asset in STEPS} == dict.fromkeys(
        STEPS, 0
    )
    raw = metadata_of(again, "raw_bars")
    assert (raw["added"], raw["restated"], raw["withdrawn"]) == (0, 0, 0)
    for asset in STEPS:
        first = metadata_of(recorded_night.result, asset)["content_sha256"]
        assert metadata_of(again, asset)["content_sha256"] == first


@pytest.mark.roadmap("3.1")
def test_a_failed_blocking_check_holds_everything_after_it_back(
    files_with_a_hole: Installation, instance: dg.DagsterInstance
) -> None:
    result = files_with_a_hole.run(NIGHT, instance)
    assert not result.success
    assert assets_of(result) == ["raw_bars", "data_quality", "price_history", "history_coverage"]
    failed = [key for key, passed in verdicts_of(result).items() if not passed]
    assert ("history_coverage", "universe_history_is_complete") in failed
    assert metadata_of(result, "history_coverage")["failing"] == ["KO"]
    state = files_with_a_hole.platform().state_log().refresh()
    assert state.name is SystemStateName.HALT_SYSTEM
    assert [cause.symbols for cause in state.causes] == [("KO",)]
    alone = files_with_a_hole.run(NIGHT, instance, assets=["data_governance"])
    assert failure_of(alone)["reason_code"] == ReasonCode.PHASE_ORDER_VIOLATED


@pytest.mark.parametrize("asset", ["history_coverage", "auction_bids", "published_snapshot"])
def test_a_downstream_run_alone_refuses_by_itself_and_stops_the_system(
    fresh: Installation, instance: dg.DagsterInstance, asset: str
) -> None:
    result = fresh.run(NIGHT, instance, assets=[asset])
    facts = failure_of(result)
    assert not result.success
    assert assets_of(result) == []
    assert facts["reason_code"] == ReasonCode.PHASE_ORDER_VIOLATED
    assert facts["state"] == SystemStateName.STOP_SYSTEM
    assert facts["sentence"] == ReasonCode.PHASE_ORDER_VIOLATED.sentence
    state = fresh.platform().state_log().refresh()
    assert state.name is SystemStateName.STOP_SYSTEM
    assert ReasonCode.PHASE_ORDER_VIOLATED in state.reason_codes


def test_a_second_night_on_the_same_home_fails_and_latches_nothing(
    published: Installation, instance: dg.DagsterInstance
) -> None:
    with FileLock(published.home / "night.lock"):
        result = published.run(NIGHT, instance, assets=["raw_bars"])
    facts = failure_of(result)
    assert facts["reason_code"] == ReasonCode.LEASE_HELD
    assert facts["state"] == SystemStateName.RUNNING


def test_the_run_lets_go_of_the_night_when_it_ends(
    published: Installation, instance: dg.DagsterInstance
) -> None:
    published.run(NIGHT, instance, assets=["raw_bars"])
    with FileLock(published.home / "night.lock") as lock:
        assert lock.is_held


def test_a_damaged_warehouse_fails_the_night_and_names_the_file(
    published: Installation, instance: dg.DagsterInstance
) -> None:
    warehouse = published.home / "warehouse.duckdb"
    warehouse.write_bytes(b"\0" * warehouse.stat().st_size)
    facts = failure_of(published.run(NIGHT, instance, assets=["raw_bars"]))
    assert facts["reason_code"] == ReasonCode.WAREHOUSE_CORRUPT
    assert facts["severity"] == ReasonCode.WAREHOUSE_CORRUPT.severity
    assert "warehouse.duckdb" in facts["detail"]


def test_bad_settings_fail_the_first_step_with_one_clear_line(
    fresh: Installation, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    lost = Installation(
        folder=fresh.folder, market={"market": "files", "bars": str(tmp_path / "nowhere")}
    )
    facts = failure_of(lost.run(NIGHT, instance, assets=["raw_bars"]))
    assert facts["error"] == "InputError"
    assert "nowhere" in facts["detail"]
