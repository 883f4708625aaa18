"""The soak itself: `dagster dev`, its sensors and its daemon, for five minutes."""

import secrets
from pathlib import Path

import pytest

from instgov_dagster.bench.soak.page import table_of
from instgov_dagster.bench.soak.processes import processes_of
from instgov_dagster.bench.soak.run import soak
from instgov_dagster_tests.loop.homes import ASOF

MINUTES, CYCLES = 5.0, 60


@pytest.mark.nightly
@pytest.mark.roadmap("3.2")
def test_five_minutes_of_killed_leaders_leave_one_leader_a_second_and_a_sound_journal(
    tmp_path: Path,
) -> None:
    token = secrets.token_hex(8)
    facts = soak(tmp_path / "site", minutes=MINUTES, session_cycles=CYCLES, asof=ASOF, token=token)
    assert facts["passed"], table_of(facts)
    assert facts["symbols"] == 60
    assert processes_of(token) == ()
