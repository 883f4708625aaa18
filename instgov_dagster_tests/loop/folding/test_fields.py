"""What a cycle's frame holds of every symbol: all that the roadmap asks of a decision, and more."""

import json
import re
from dataclasses import fields

import pytest

from instgov_dagster.adapters.journal import Frame, read_frames, unbundle
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.governance import Chain, GovernanceDecision
from instgov_dagster_tests.loop.homes import ASOF, copy_home

#: Box 9.1 of the roadmap, in its own words.
ROADMAP_9_1 = """
Required fields: decision, reason_codes, mu, sigma, cvar, data_quality, model_confidence
Optional: vetoed, veto_reason, cycle_id, timestamp, symbol, position_size, expected_return,
expected_risk, strategy_id, strategy_stage, cvar_limit_check, leverage_limit_check,
drawdown_limit_check, correlation_limit_check, sector_limit_check, veto_triggers
"""
FIELDS = tuple(re.findall(r"[a-z_]+(?=,|\n)", re.sub(r"[A-Z][a-z ]+:", "", ROADMAP_9_1)))
REQUIRED = FIELDS[:7]
HASHES = ("inputs_hash", "config_hash", "code_hash")


@pytest.fixture(scope="module")
def cycles(night_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> list[Frame]:
    platform = copy_home(night_platform, tmp_path_factory.mktemp("fields"))
    run_session(platform, ASOF, cycles=3, period_seconds=0.0, run_id="run")
    chain = read_frames(platform.home.journal_dir, Chain.LOOP.value)
    return [frame for frame in chain if frame.kind == "cycle"]


@pytest.mark.roadmap("9.1")
def test_the_roadmap_names_twenty_three_fields_and_the_dataclass_has_each() -> None:
    assert len(FIELDS) == len(set(FIELDS)) == 23
    assert set(FIELDS) <= {field.name for field in fields(GovernanceDecision)}


@pytest.mark.roadmap("9.1")
def test_every_cycle_holds_every_field_of_every_symbol(
    cycles: list[Frame], night_platform: Platform
) -> None:
    assert len(cycles) == 3
    for frame in cycles:
        table = unbundle(frame.table())["governance_decisions"]
        assert set(FIELDS) | {"headroom", "sequence"} <= set(table.column_names)
        rows = table.to_pylist()
        assert [row["symbol"] for row in rows] == list(night_platform.universe.tradable)
        for row in rows:
            assert all(row[name] is not None for name in REQUIRED)
            assert row["reason_codes"]
            assert row["vetoed"] == (row["veto_reason"] is not None)
            assert row["cycle_id"] == frame.meta["cycle_id"]
            assert row["timestamp"].isoformat() == frame.meta["timestamp"]
            assert isinstance(json.loads(row["headroom"]), dict)


@pytest.mark.roadmap("9.1")
def test_what_a_cycle_measured_stands_in_it(cycles: list[Frame]) -> None:
    rows = [
        row for frame in cycles
        for row in unbundle(frame.table())["governance_decisions"].to_pylist()
    ]  # fmt: skip
    executed = [row for row in rows if row["decision"] == "EXECUTE"]
    assert executed
    for row in executed:
        assert all(row[name] is not None for name in FIELDS if name != "veto_reason")
        assert {row[name] for name in FIELDS if name.endswith("_limit_check")} == {True}
        assert min(json.loads(row["headroom"]).values()) >= -1e-9
    # Every optional field is filled for somebody: none is a column of nulls.
    filled = {name for row in rows for name in FIELDS if row[name] is not None}
    assert filled >= set(FIELDS) - {"veto_reason"}


@pytest.mark.roadmap("9.1")
def test_every_cycle_names_its_inputs_its_rules_its_code_and_its_night(
    cycles: list[Frame], night_platform: Platform
) -> None:
    for frame in cycles:
        assert all(re.fullmatch(r"[0-9a-f]{64}", frame.meta[name]) for name in HASHES)
        assert re.fullmatch(r"\d{8}-[0-9a-f]{12}", frame.meta["snapshot_id"])
        assert frame.meta["config_hash"] == night_platform.config_hash
        assert frame.meta["code_hash"] == night_platform.code_hash
    assert len({frame.meta["inputs_hash"] for frame in cycles}) == len(cycles)
