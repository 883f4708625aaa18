"""One night of the small installation, run once; a copy of it for each test that changes things."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from instgov_dagster.loop.platform import Platform
from instgov_dagster_tests.loop.homes import copy_home, make_home
from instgov_dagster_tests.loop.live_homes import LiveHome, living, make_live_night


@pytest.fixture(scope="session")
def night_platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """An installation after its first night; shared, so it is only read."""
    return make_home(tmp_path_factory.mktemp("installation"))


@pytest.fixture
def platform(night_platform: Platform, tmp_path: Path) -> Platform:
    """A copy of the installation after its first night, to change at will."""
    return copy_home(night_platform, tmp_path)


@pytest.fixture(scope="session")
def live_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of the market live after its first night; shared, so it is only copied."""
    return make_live_night(tmp_path_factory.mktemp("live"))


@pytest.fixture
def live(live_night: Path, tmp_path: Path) -> Iterator[LiveHome]:
    """A copy of the live installation and its services, to change at will."""
    with living(live_night, tmp_path / "live") as made:
        yield made
