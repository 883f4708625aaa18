"""One Postgres for the lake's tests; a catalog each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from instgov_dagster.adapters.lake import Lake
from instgov_dagster_tests.adapters.lake.lakes import open_lake, variables
from instgov_dagster_tests.adapters.runtime.leases.servers import postgres


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.fixture
def environment(server: str, tmp_path: Path) -> dict[str, str]:
    """The variables of a lake of the test's own."""
    return variables(server, tmp_path)


@pytest.fixture
def lake(environment: dict[str, str]) -> Lake:
    """A lake of the test's own, empty."""
    return open_lake(environment)
