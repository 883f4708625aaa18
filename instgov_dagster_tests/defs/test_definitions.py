"""The code location: what it holds, how it hangs together, and how little it costs to load."""

import ast
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from instgov_dagster.definitions import defs
from instgov_dagster.defs.governance.surviving import CRISES
from instgov_dagster.defs.graph import CODE_VERSION, DAYS, SHARDED_DAYS
from instgov_dagster.loop.night import STEPS
from instgov_dagster.loop.proving.drills.catalog import CATALOG
from instgov_dagster.loop.steps.context import INPUT_TABLES
from instgov_dagster_tests.repository.roadmap import ROOT

SHELL = ROOT / "instgov_dagster" / "defs"
HEAVY = (
    "arch", "cvxpy", "dagster_duckdb", "duckdb", "exchange_calendars", "highspy", "numpy",
    "pandas", "polars", "pyarrow", "requests", "scipy", "yfinance",
)  # fmt: skip

PARENTS = {
    "raw_bar_shards": set(),
    "raw_bars": {"raw_bar_shards"},
    "data_quality": {"raw_bars"},
    "price_history": {"data_quality"},
    "history_coverage": {"price_history"},
    "data_governance": {"history_coverage"},
    "regime_beliefs": {"data_governance"},
    "sigma_fits": {"data_governance"},
    "model_forecasts": {"sigma_fits"},
    "model_decay_metrics": {"model_forecasts"},
    "belief_state": {"model_forecasts"},
    "cvar_coverage": {"data_governance"},
    "strategy_lifecycle": {"model_decay_metrics", "cvar_coverage"},
    "stress_scenarios": {"data_governance"},
    "market_impact": {"data_governance"},
    "risk_forecasts": {"stress_scenarios", "market_impact"},
    "auction_bids": {
        "regime_beliefs",
        "model_decay_metrics",
        "belief_state",
        "strategy_lifecycle",
        "stress_scenarios",
        "market_impact",
        "vetoes",
    },
    "veto_findings": {
        "regime_beliefs",
        "model_decay_metrics",
        "strategy_lifecycle",
        "stress_scenarios",
        "market_impact",
    },
    "vetoes": {"veto_findings"},
    "auction_certificate": {"auction_bids"},
    "capital_allocations": {"auction_certificate"},
    "risk_verdicts": {"capital_allocations"},
    "execution_plan": {"risk_verdicts"},
    "governance_decisions": {"execution_plan"},
    "model_evaluation": {"published_snapshot"},
    "model_trials": {"model_evaluation"},
    "belief_pictures": {"published_snapshot"},
    "published_snapshot": {"governance_decisions"},
    "decision_journal": {"published_snapshot"},
    "live_decisions": {"published_snapshot"},
    "portfolio": {"published_snapshot"},
    "audit_chain": {"decision_journal"},
    "reconciliation": {"decision_journal", "audit_chain"},
    "compacted_journal": {"audit_chain"},
    "report_card": {"audit_chain", "reconciliation"},
    "dashboard_tables": {
        "published_snapshot",
        "model_evaluation",
        "belief_pictures",
        "model_trials",
    },
    "lake_history": {"dashboard_tables"},
    "governance_report": {"audit_chain", "reconciliation", "report_card"},
    "fire_drills": set(),
    "survival_replay": set(),
}
GROUPS = {
    "bars": [
        "data_governance", "data_quality", "history_coverage", "price_history", "raw_bar_shards",
        "raw_bars",
    ],
    "beliefs": [
        "belief_pictures", "belief_state", "model_decay_metrics", "model_evaluation",
        "model_forecasts", "model_trials", "regime_beliefs", "sigma_fits",
    ],
    "capital": [
        "auction_bids", "auction_certificate", "capital_allocations", "cvar_coverage",
        "execution_plan", "market_impact", "risk_forecasts", "risk_verdicts", "stress_scenarios",
    ],
    "governance": [
        "audit_chain", "compacted_journal", "dashboard_tables", "decision_journal", "fire_drills",
        "governance_decisions", "governance_report", "lake_history", "live_decisions", "portfolio",
        "published_snapshot", "reconciliation", "report_card", "strategy_lifecycle",
        "survival_replay", "veto_findings", "vetoes",
    ],
}  # fmt: skip
BLOCKING = {
    "raw_bars": {"bars_lie_inside_the_window"},
    "data_quality": {
        "every_symbol_is_scored", "scores_are_within_bounds", "some_symbol_is_valid",
    },
    "price_history": {"bars_are_unique", "prices_are_finite"},
    "history_coverage": {"universe_history_is_complete"},
    "data_governance": {
        "classes_are_stable", "providers_are_separated", "references_are_valid",
        "some_symbol_is_eligible",
    },
    "regime_beliefs": {"probabilities_sum_to_one"},
    "sigma_fits": {"every_fit_is_sound_or_says_so"},
    "model_evaluation": {"every_score_has_its_error"},
    "model_trials": {"trials_are_numbered_without_a_gap"},
    "model_forecasts": {"every_forecast_has_an_interval", "every_forecast_is_finite"},
    "belief_state": {"models_are_restored_bit_equal"},
    "model_decay_metrics": {"decay_is_bounded", "every_model_has_an_age"},
    "cvar_coverage": {"cvar_coverage_e_process"},
    "strategy_lifecycle": {"capital_is_within_its_stage"},
    "veto_findings": {"every_veto_rule_is_judged"},
    "vetoes": {"every_fired_rule_is_a_standing_veto", "no_veto_outlives_its_term"},
    "stress_scenarios": {"enough_scenarios"},
    "market_impact": {"impact_is_estimated"},
    "auction_bids": {"bids_are_finite"},
    "auction_certificate": {"fast_equals_reference"},
    "capital_allocations": {
        "every_bid_is_answered", "nothing_ineligible_is_granted", "stage_caps_hold",
    },
    "risk_verdicts": {
        "book_gates_pass", "correlation_is_within_its_limit", "cvar_is_within_its_limit",
        "drawdown_is_within_its_limit", "leverage_is_within_its_limit",
        "sector_is_within_its_limit",
    },
    "execution_plan": {"every_order_has_an_impact_estimate", "only_approved_orders_are_planned"},
    "governance_decisions": {
        "every_decision_has_a_reason", "every_symbol_is_decided", "nothing_vetoed_is_executed",
    },
    "published_snapshot": {"snapshot_verifies"},
    "decision_journal": {"state_continuity"},
    "live_decisions": {"every_cycle_decides_every_symbol"},
    "portfolio": {"cvar_stayed_within_its_limit"},
    "audit_chain": {"chain_verifies"},
    "reconciliation": {
        "cash_agree", "fills_agree", "orders_agree", "parity", "positions_agree",
    },
    "fire_drills": {f"{name}_fires" for name in CATALOG},
}  # fmt: skip
WARNING = {
    "governance_report": {"report_is_whole"},
    "decision_journal": {"leader_keeps_its_beat"},
    "live_decisions": {"readers_see_every_cycle"},
    "data_quality": {"every_symbol_is_valid"},
    "regime_beliefs": {"regime_inputs_are_present"},
    "sigma_fits": {"every_fit_converged"},
    "model_decay_metrics": {"every_symbol_has_two_healthy_models"},
    "model_evaluation": {
        "intervals_hold_what_they_promise",
        "no_model_is_worse_than_its_benchmark",
        "no_score_is_too_good",
    },
    "stress_scenarios": {"stress_set_is_present"},
    "veto_findings": {"no_veto_rule_fired"},
    "survival_replay": {"cvar_gate_holds", "last_night_agrees"},
    "cvar_coverage": {
        "cvar_coverage_acerbi_szekely", "cvar_coverage_christoffersen", "cvar_coverage_kupiec",
    },
}  # fmt: skip
LIVE = {"decision_journal", "live_decisions", "portfolio"}
AFTER = {
    "audit_chain", "compacted_journal", "governance_report", "reconciliation", "report_card",
}  # fmt: skip
SHIPPED = {"lake_history"}  # after a night and after a session
DRILLS = {"fire_drills"}
SURVIVAL = {"survival_replay"}
SHARDED = {"raw_bar_shards"}
JOBS = {
    "nightly_ingestion": set(PARENTS) - LIVE - AFTER - DRILLS - SURVIVAL - SHARDED,
    "ingest_shards": SHARDED,
    "governed_live_loop": LIVE,
    "after_session": AFTER | SHIPPED,
    "fire_drills": DRILLS,
    "survival_replay": SURVIVAL,
}


@pytest.fixture(scope="module")
def location() -> dg.Definitions:
    return defs()


@pytest.fixture(scope="module")
def graph(location: dg.Definitions) -> AssetGraph:
    return location.resolve_asset_graph()


def names(keys: object) -> set[str]:
    return {key.to_user_string() for key in keys}  # type: ignore[attr-defined]  # asset keys


def checks(graph: AssetGraph, *, blocking: bool) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for key in graph.asset_check_keys:
        if graph.get_check_spec(key).blocking is blocking:
            found.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    return found


def test_the_definitions_load_and_validate(location: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(location)


def test_every_asset_stands_on_the_ones_the_architecture_names(graph: AssetGraph) -> None:
    keys = graph.get_all_asset_keys()
    assert {key.to_user_string(): names(graph.get(key).parent_keys) for key in keys} == PARENTS


def test_every_asset_is_in_the_group_of_its_wing(graph: AssetGraph) -> None:
    keys = graph.get_all_asset_keys()
    groups = {name: [] for name in GROUPS} | {graph.get(key).group_name: [] for key in keys}
    for key in keys:
        groups[graph.get(key).group_name].append(key.to_user_string())
    assert {name: sorted(members) for name, members in groups.items()} == GROUPS


def test_the_checks_that_stop_the_line_are_these(graph: AssetGraph) -> None:
    assert checks(graph, blocking=True) == BLOCKING


def test_the_checks_that_only_warn_are_these(graph: AssetGraph) -> None:
    assert checks(graph, blocking=False) == WARNING


def test_every_job_runs_exactly_its_assets_and_all_their_checks(location: dg.Definitions) -> None:
    wanted = {asset: BLOCKING.get(asset, set()) | WARNING.get(asset, set()) for asset in PARENTS}
    for name, assets in JOBS.items():
        layer = location.resolve_job_def(name).asset_layer
        assert names(layer.executable_asset_keys) == assets
        checked = {
            (key.asset_key.to_user_string(), key.name) for key in layer.asset_graph.asset_check_keys
        }
        assert checked == {(asset, check) for asset in assets for check in wanted[asset]}


def test_the_jobs_are_these_and_those_that_keep_house_make_no_asset(
    location: dg.Definitions,
) -> None:
    told = {job.name for job in location.resolve_all_job_defs() if not job.name.startswith("__")}
    others = {"rebuild_projection": "rebuilt_projection", "prune_history": "pruned_history"}
    assert told == set(JOBS) | set(others)
    for name, op in others.items():
        job = location.resolve_job_def(name)
        assert not job.asset_layer.executable_asset_keys
        assert [node.name for node in job.graph.nodes] == [op]


def test_the_schedules_tick_at_night_in_new_york_and_are_on_from_the_start(
    location: dg.Definitions,
) -> None:
    told = {
        schedule.name: (schedule.cron_schedule, schedule.execution_timezone, schedule.job_name)
        for schedule in location.schedules or []
        if isinstance(schedule, dg.ScheduleDefinition)
    }
    assert told == {
        "nightly_schedule": ("0 2 * * *", "America/New_York", "nightly_ingestion"),
        "shards_schedule": ("0 2 * * *", "America/New_York", "ingest_shards"),
        "after_session_schedule": ("30 1 * * *", "America/New_York", "after_session"),
        "fire_drills_schedule": ("0 4 * * *", "America/New_York", "fire_drills"),
        "prune_schedule": ("0 4 * * *", "America/New_York", "prune_history"),
    }
    statuses = {schedule.default_status for schedule in location.schedules or []}
    assert statuses == {dg.DefaultScheduleStatus.RUNNING}


def test_alerts_are_on_from_the_start_and_trading_is_not(location: dg.Definitions) -> None:
    told = {sensor.name: sensor.default_status for sensor in location.sensors or []}
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    assert told == {
        "halt_sensor": running,
        "health_sensor": running,
        "live_loop_sensor": stopped,
        "loop_watchdog": running,
        "run_failure_alerts": running,
        "sharded_night_sensor": running,
    }


def test_every_asset_says_what_it_is_who_owns_it_and_which_code_made_it(
    graph: AssetGraph,
) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners == [f"team:{node.group_name}"], key
        assert node.kinds, key
        assert node.code_version == CODE_VERSION, key
        assert "instgov/phase" in node.tags, key
        name = key.to_user_string()
        others = dict.fromkeys(SURVIVAL, CRISES) | dict.fromkeys(SHARDED, SHARDED_DAYS)
        assert node.partitions_def == others.get(name, DAYS), key


def test_every_check_states_what_it_asserts(graph: AssetGraph) -> None:
    silent = [key for key in graph.asset_check_keys if not graph.get_check_spec(key).description]
    assert silent == []


@pytest.mark.roadmap("2.1")
def test_whatever_a_step_of_the_night_reads_was_made_upstream_of_it(graph: AssetGraph) -> None:
    def above(name: str) -> set[str]:
        parents = PARENTS[name]
        return parents | {older for parent in parents for older in above(parent)}

    asset_of = {step.name: step.name for step in STEPS}
    asset_of |= {"strategy_lifecycle_log": "strategy_lifecycle"}
    assert set(asset_of.values()) <= names(graph.get_all_asset_keys())
    for step in STEPS:
        needs = {asset_of[need] for need in step.needs if need not in INPUT_TABLES}
        assert needs <= above(asset_of[step.name]), step.name


def test_no_asset_body_is_longer_than_fifteen_lines() -> None:
    long = {}
    for path in SHELL.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                body = node.body[1:] or node.body  # without its sentence
                length = (body[-1].end_lineno or 0) - body[0].lineno + 1
                long |= {f"{path.name} {node.name}": length} if length > 15 else {}
    assert long == {}


def test_loading_the_definitions_loads_no_heavy_library() -> None:
    code = (
        "import sys, instgov_dagster.definitions as d; d.defs();"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_the_partitions_reach_from_the_first_whole_window_to_today(tmp_path: Path) -> None:
    del tmp_path
    assert DAYS.get_first_partition_key() == "1995-01-01"
    assert DAYS.end_offset == 1
    assert DAYS.timezone == "America/New_York"
