"""One night of the small installation, run once; a copy of it for each test that changes things."""

from pathlib import Path

import pytest

from instgov_dagster.loop.platform import Platform
from instgov_dagster_tests.loop.homes import copy_home, make_home


@pytest.fixture(scope="session")
def night_platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """An installation after its first night; shared, so it is only read."""
    return make_home(tmp_path_factory.mktemp("installation"))


@pytest.fixture
def platform(night_platform: Platform, tmp_path: Path) -> Platform:
    """A copy of the installation after its first night, to change at will."""
    return copy_home(night_platform, tmp_path)
