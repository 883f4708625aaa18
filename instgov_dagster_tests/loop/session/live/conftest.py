"""One live night, run once; copies of it with services that listen; and who may be killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from instgov_dagster_tests.loop.live.witness import Executioner, executioner
from instgov_dagster_tests.loop.session.live.homes import LiveHome, living, make_live_night


@pytest.fixture(scope="session")
def live_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of the market live after its first night; shared, so it is only copied."""
    return make_live_night(tmp_path_factory.mktemp("live"))


@pytest.fixture
def live(live_night: Path, tmp_path: Path) -> Iterator[LiveHome]:
    """A copy of the live installation and its services, to change at will."""
    with living(live_night, tmp_path / "live") as made:
        yield made


@pytest.fixture(scope="module")
def block() -> Iterator[Executioner]:
    """The process that leads sessions in children which may be ended."""
    with executioner() as started:
        yield started
