"""What drills are held on: the small installation after a short session, copied for each."""

from pathlib import Path

import pytest

from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.proving.drills.stage import DRILL_DAY, LED_CYCLES
from instgov_dagster.loop.session import run_session
from instgov_dagster_tests.loop.homes import ASOF, copy_home


@pytest.fixture(scope="session")
def base(night_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation as drills set it up; shared, so it is only copied."""
    assert ASOF == DRILL_DAY
    folder = tmp_path_factory.mktemp("drills")
    platform = copy_home(night_platform, folder)
    run_session(platform, DRILL_DAY, cycles=LED_CYCLES, period_seconds=0.0, run_id="drill-base")
    return folder
