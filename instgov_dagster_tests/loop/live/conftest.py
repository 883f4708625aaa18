"""One process that leads sessions to be killed, for every test of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from instgov_dagster.loop.platform import Platform
from instgov_dagster_tests.loop.live.witness import Executioner, executioner


@pytest.fixture(scope="session")
def block() -> Iterator[Executioner]:
    """The process that leads sessions in children which may be ended."""
    with executioner() as started:
        yield started


@pytest.fixture
def home(platform: Platform) -> Path:
    """The home of an installation after its first night, to change at will."""
    return platform.home.root
