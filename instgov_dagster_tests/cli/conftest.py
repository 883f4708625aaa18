"""One home after `run`, made once for every test of the command line."""

import json
from pathlib import Path

import pytest

from instgov_dagster_tests.cli.processes import instgov, run_words, told
from instgov_dagster_tests.loop.homes import write_config


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home after `run` and the rules it ran by; shared, so it is only read."""
    folder = tmp_path_factory.mktemp("cli")
    write_config(folder / "config")
    done = instgov(*run_words(folder))
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "told.json").write_text(json.dumps(told(done)))
    return folder
