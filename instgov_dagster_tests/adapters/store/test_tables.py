"""The tables and the frames the wings make for them: the same columns, kinds that fit."""

import duckdb
import polars as pl
import pytest

from instgov_dagster.adapters.store.night_store import read_night, write_night
from instgov_dagster.adapters.store.schema import migrate
from instgov_dagster.bars.adjusted import PRICE_SCHEMA
from instgov_dagster.bars.govern import GOVERNANCE_SCHEMA
from instgov_dagster.bars.history import COVERAGE_SCHEMA
from instgov_dagster.bars.quality import QUALITY_SCHEMA
from instgov_dagster.beliefs.evaluation.pictures import PICTURE_SCHEMA
from instgov_dagster.beliefs.evaluation.scores import EVALUATION_SCHEMA
from instgov_dagster.beliefs.evaluation.trials import TRIALS_SCHEMA
from instgov_dagster.beliefs.forecast import FORECAST_SCHEMA
from instgov_dagster.beliefs.health import HEALTH_SCHEMA
from instgov_dagster.beliefs.hot.published import STATE_SCHEMA
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA
from instgov_dagster.beliefs.regime import BELIEF_SCHEMA
from instgov_dagster.capital.auction.bids import BID_FIELDS
from instgov_dagster.capital.execution import PLAN_SCHEMA
from instgov_dagster.capital.impact import MARKET_IMPACT_SCHEMA
from instgov_dagster.capital.risk import VERDICT_SCHEMA
from instgov_dagster.capital.scenarios import SCENARIO_SCHEMA
from instgov_dagster.governance.decisions.rows import DECISION_SCHEMA
from instgov_dagster.governance.lifecycle.rows import LIFECYCLE_SCHEMA
from instgov_dagster.governance.stamps import STAMP_SCHEMA
from instgov_dagster.loop.steps.coverage import COVERAGE_SCHEMA as CVAR_COVERAGE_SCHEMA
from instgov_dagster.loop.steps.coverage import FORECAST_SCHEMA as RISK_FORECAST_SCHEMA
from instgov_dagster_tests.adapters.store.stores import ASOF, NIGHT

CYCLE = {"cycle_id": pl.String()}


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    """One migrated store in memory."""
    found = duckdb.connect()
    migrate(found, "warehouse", applied_at=NIGHT)
    return found


@pytest.mark.parametrize(
    ("table", "schema"),
    [
        ("data_quality", QUALITY_SCHEMA),
        ("price_history", PRICE_SCHEMA),
        ("history_coverage", COVERAGE_SCHEMA),
        ("data_governance", GOVERNANCE_SCHEMA),
        ("regime_beliefs", BELIEF_SCHEMA),
        ("sigma_fits", SIGMA_FIT_SCHEMA),
        ("model_forecasts", FORECAST_SCHEMA),
        ("model_decay_metrics", HEALTH_SCHEMA),
        ("belief_state", STATE_SCHEMA),
        ("model_evaluation", EVALUATION_SCHEMA),
        ("model_trials", TRIALS_SCHEMA),
        ("belief_pictures", PICTURE_SCHEMA),
        ("market_impact", MARKET_IMPACT_SCHEMA),
        ("stress_scenarios", SCENARIO_SCHEMA),
        ("risk_forecasts", RISK_FORECAST_SCHEMA),
        ("cvar_coverage", CVAR_COVERAGE_SCHEMA),
        ("execution_plan", CYCLE | dict(PLAN_SCHEMA)),
        ("risk_verdicts", CYCLE | dict(VERDICT_SCHEMA)),
        ("governance_decisions", DECISION_SCHEMA),
        ("strategy_lifecycle_log", LIFECYCLE_SCHEMA),
        ("phase_stamps", STAMP_SCHEMA),
    ],
)
def test_the_table_takes_the_wings_frame_and_gives_it_back_in_its_own_kinds(
    con: duckdb.DuckDBPyConnection, table: str, schema: dict[str, pl.DataType]
) -> None:
    frame = pl.DataFrame(schema=schema)
    write_night(con, table, frame, asof=ASOF, run_id="r", recorded_at=NIGHT)
    stored = read_night(con, table, asof=ASOF)
    own = pl.Schema({name: kind for name, kind in frame.schema.items() if name != "asof"})
    assert _kinds(stored.schema) == _kinds(own)


def _kinds(schema: pl.Schema) -> dict[str, object]:
    # DuckDB names UTC in its own way, and its DOUBLE[] is a list whatever its length was.
    return {
        name: pl.Datetime("us", "UTC") if isinstance(kind, pl.Datetime) else kind
        for name, kind in schema.items()
    }


@pytest.mark.roadmap("4.1")
def test_the_bids_are_stored_with_every_field_the_roadmap_names(
    con: duckdb.DuckDBPyConnection,
) -> None:
    rows = con.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = 'auction_bids'"
    ).fetchall()
    stamped = {"cycle_id", "mu_hat", "asof", "run_id", "recorded_at"}
    assert len(BID_FIELDS) == 23
    assert {name for (name,) in rows} == set(BID_FIELDS) | stamped
