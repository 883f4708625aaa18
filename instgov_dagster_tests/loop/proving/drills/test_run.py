"""Every control fires on its fault, and a drill says so where one does not."""

from dataclasses import replace
from pathlib import Path

import pytest

from instgov_dagster.loop.proving.drills.catalog import CATALOG, MaySend
from instgov_dagster.loop.proving.drills.run import (
    ACTS,
    drills_apart,
    hold_drill,
    require_drills,
)
from instgov_dagster.loop.proving.drills.stage import DRILL_SECTORS, Stage, stage_of
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import least_state
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster_tests.loop.homes import CONFIG, SYMBOLS

#: The controls the issue names, by the drill that shows each.
ASKED = {
    "audit_unwritable", "disk_full", "stale_feed", "crossed_quotes", "nan_forecast",
    "solver_failure", "clock_jump", "locked_warehouse", "broken_chain", "wrong_config_hash",
    "phase_out_of_order", "two_leaders", "missing_stress_set", "reconciliation_difference",
    "crisis_regime", "cvar_breach",
}  # fmt: skip
#: Held in every run; the others are minutes together.
SLICE = {
    "audit_unwritable", "broken_chain", "crossed_quotes", "cvar_breach", "forged_order",
    "reconciliation_difference", "stopped_system", "two_leaders", "wrong_config_hash",
}  # fmt: skip
EVERY = [
    name if name in SLICE else pytest.param(name, marks=pytest.mark.nightly) for name in CATALOG
]


def test_every_drill_of_the_catalogue_is_acted_and_none_besides() -> None:
    assert list(ACTS) == sorted(ACTS, key=list(ACTS).index)
    assert set(ACTS) == set(CATALOG) >= ASKED
    assert set(DRILL_SECTORS) == set(SYMBOLS)


def test_a_drill_expects_no_milder_state_than_its_code_causes() -> None:
    for spec in CATALOG.values():
        if spec.reason_code.severity in (Severity.HALT, Severity.STOP):
            wanted = least_state(spec.reason_code)
            # A forged order is refused by the router alone: no session is there to stop.
            assert spec.state >= wanted or spec.name == "forged_order", spec.name


@pytest.mark.roadmap("9.5")
@pytest.mark.parametrize("name", EVERY)
def test_the_control_fires_and_nothing_is_sent_that_must_not_be(
    base: Path, tmp_path: Path, name: str
) -> None:
    spec = CATALOG[name]
    found = hold_drill(spec, stage_of(base, tmp_path / "stage"))
    assert found.fired, found.detail
    assert (found.reason_code, found.state) == (spec.reason_code.value, spec.state.value)


def silent(stage: Stage) -> None:
    """Inject nothing, and lead."""
    stage.lead()


@pytest.mark.parametrize("may_send", MaySend)
def test_a_control_that_stays_silent_is_told_with_all_that_was_missed(
    base: Path, tmp_path: Path, may_send: MaySend
) -> None:
    spec = replace(CATALOG["broken_chain"], may_send=may_send)
    stage = stage_of(base, tmp_path / "stage")
    stage.touched = frozenset(stage.traded())
    found = hold_drill(spec, stage, act=silent)
    assert not found.fired
    assert found.reason_code is None
    assert "CHAIN_BROKEN was not told" in found.detail
    assert "the state must be STOP_SYSTEM, was RUNNING" in found.detail
    assert "BUY" in found.detail


def test_a_name_that_is_no_drill_s_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"two_leaders.*, was fire$"):
        require_drills(["fire"])


def test_drills_apart_tell_what_the_process_told(tmp_path: Path) -> None:
    (row,) = drills_apart(["two_leaders"], CONFIG, tmp_path)
    assert (row.drill, row.fired, row.reason_code) == ("two_leaders", True, "LEASE_HELD")
    assert (tmp_path / "drills.progress").read_text() == "1/1 drills"


def test_a_process_that_ends_without_a_word_is_an_error_not_a_firing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with"):
        drills_apart(["two_leaders"], tmp_path / "no-rules", tmp_path)
