"""Errors of the system as failures of a step: named, final, journalled before they are told."""

import os
from pathlib import Path

import dagster as dg
import pytest

from instgov_dagster.adapters.store.errors import WarehouseCorrupt
from instgov_dagster.defs.halting import failing_closed, failure_of
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.governance.state import fold_state
from instgov_dagster.vocabulary.errors import (
    DataRejected,
    InputError,
    InstgovError,
    LeaseHeld,
    SystemHalt,
    WarehouseBusy,
)
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.defs.conftest import Installation
from instgov_dagster_tests.loop.homes import ASOF

CASES = [
    (SystemHalt(ReasonCode.CHAIN_BROKEN, "frame 3"), "CHAIN_BROKEN"),
    (WarehouseCorrupt("w.duckdb: torn"), "WAREHOUSE_CORRUPT"),
    (DataRejected(ReasonCode.INTRADAY_FORBIDDEN, "1h"), "INTRADAY_FORBIDDEN"),
    (WarehouseBusy("locked"), "WAREHOUSE_BUSY"),
    (LeaseHeld("night.lock"), "LEASE_HELD"),
    (InputError("seed must be >= 0, was -1"), None),
]


@pytest.mark.parametrize(("error", "code"), CASES)
def test_every_error_of_the_system_becomes_a_failure_that_is_never_retried(
    error: InstgovError, code: str | None
) -> None:
    failure = failure_of(error, fold_state([]))
    facts = {name: value.value for name, value in failure.metadata.items()}
    assert failure.allow_retries is False
    assert failure.description == str(error)
    assert facts["error"] == type(error).__name__
    assert facts["state"] == "RUNNING"
    assert facts["detail"]
    assert facts.get("reason_code") == code
    assert facts.get("severity") == (ReasonCode(code).severity if code else None)
    assert facts.get("sentence") == (ReasonCode(code).sentence if code else None)


@pytest.mark.roadmap("0.6")
def test_a_halt_is_in_the_nights_chain_before_the_step_fails(fresh: Installation) -> None:
    platform = fresh.platform()
    platform.night(ASOF, run_id="run-1")
    halt = SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, "the disk said no")
    with pytest.raises(dg.Failure) as caught, failing_closed(platform):
        raise halt
    assert caught.value.__cause__ is halt
    assert caught.value.metadata["state"].value == SystemStateName.STOP_SYSTEM
    state = platform.state_log().refresh()
    assert state.name is SystemStateName.STOP_SYSTEM
    assert [cause.detail for cause in state.causes] == ["the disk said no"]
    platform.teardown_after_execution(dg.build_init_resource_context())


def test_a_halt_without_a_night_open_still_fails_the_step(tmp_path: Path) -> None:
    platform = PlatformResource(home=str(tmp_path))
    with pytest.raises(dg.Failure, match="SNAPSHOT_MISSING"), failing_closed(platform):
        raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, "nothing is published")
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_cannot_be_written_is_the_failure_that_is_told(fresh: Installation) -> None:
    platform = fresh.platform()
    platform.night(ASOF, run_id="run-1")
    # The chain's folder is gone and a file stands in its place: no frame can be written any more.
    journal = fresh.home / "journal" / "night"
    for segment in journal.iterdir():
        segment.unlink()
    journal.rmdir()
    journal.write_text("in the way")
    halt = SystemHalt(ReasonCode.PHASE_ORDER_VIOLATED, "out of order")
    with pytest.raises(dg.Failure) as caught, failing_closed(platform):
        raise halt
    assert caught.value.metadata["reason_code"].value in {
        ReasonCode.AUDIT_WRITE_FAILED,
        ReasonCode.CHAIN_BROKEN,
    }
    assert caught.value.metadata["state"].value == SystemStateName.STOP_SYSTEM
    assert caught.value.__cause__ is halt


def test_an_error_nobody_raised_on_purpose_passes_through(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), failing_closed(PlatformResource(home=str(tmp_path))):
        os.getpid() / 0
