"""The small installation driven through Dagster: one recorded night, copied to be changed."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from instgov_dagster.definitions import defs
from instgov_dagster.defs.automation.jobs import nightly_ingestion
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster_tests.loop.homes import ASOF, write_config

DAY = ASOF.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A home, its rules, and jobs run on it as recorded Dagster runs in this process."""

    folder: Path
    market: Mapping[str, str]

    @property
    def home(self) -> Path:
        return self.folder / "data"

    @property
    def config(self) -> dict[str, str]:
        rules = self.folder / "config"
        return {"home": str(self.home), "config_dir": str(rules), **self.market}

    def platform(self) -> PlatformResource:
        return PlatformResource(**self.config)

    def run(
        self,
        job: str,
        instance: dg.DagsterInstance,
        *,
        assets: list[str] | None = None,
        ops: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        run_config = {"resources": {"platform": {"config": self.config}}, "ops": dict(ops or {})}
        return (
            defs()
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                partition_key=DAY,
                run_config=run_config,
                asset_selection=[dg.AssetKey(name) for name in assets] if assets else None,
                raise_on_error=False,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedNight:
    """An installation after its first night, and what Dagster recorded of it."""

    installation: Installation
    result: dg.ExecuteInProcessResult


Install = Callable[..., Installation]


@pytest.fixture(scope="session")
def recorded_night(tmp_path_factory: pytest.TempPathFactory) -> RecordedNight:
    """The first night of the simulated market; shared, so its home is only read or copied."""
    folder = tmp_path_factory.mktemp("recorded")
    write_config(folder / "config")
    installation = Installation(folder=folder, market={"market": "simulated"})
    with dg.DagsterInstance.ephemeral() as instance:
        result = installation.run(nightly_ingestion.name, instance)
    return RecordedNight(installation=installation, result=result)


@pytest.fixture(scope="session")
def recorded_day(
    recorded_night: RecordedNight, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dg.ExecuteInProcessResult, ...]:
    """The recorded night, a short session on a copy of its home, and what follows a session."""
    folder = tmp_path_factory.mktemp("recorded-day")
    shutil.copytree(recorded_night.installation.folder, folder, dirs_exist_ok=True)
    installation = Installation(folder=folder, market={"market": "simulated"})
    # Paced, so that the beats of its leader are measured.
    ops = {"live_session": {"config": {"cycles": 2, "period_seconds": 0.01}}}
    with dg.DagsterInstance.ephemeral() as instance:
        session = installation.run("governed_live_loop", instance, ops=ops)
        after = installation.run("after_session", instance)
    return recorded_night.result, session, after


@pytest.fixture
def fresh(tmp_path: Path) -> Installation:
    """An installation that never ran."""
    write_config(tmp_path / "config")
    return Installation(folder=tmp_path, market={"market": "simulated"})


@pytest.fixture
def published(recorded_night: RecordedNight, tmp_path: Path) -> Installation:
    """A copy of the installation after its first night, to change at will."""
    shutil.copytree(recorded_night.installation.folder, tmp_path, dirs_exist_ok=True)
    return Installation(folder=tmp_path, market={"market": "simulated"})


def assets_of(result: dg.ExecuteInProcessResult) -> list[str]:
    """List the assets a run materialized, in order."""
    events = result.get_asset_materialization_events()
    return [event.asset_key.to_user_string() for event in events if event.asset_key]


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Read what a run told of one asset, values unpacked."""
    (event,) = [
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset)
    ]
    facts = event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in facts.items()}


def failure_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Read the metadata of the one step of a run that failed."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    told = event.step_failure_data.user_failure_data
    assert told is not None, event.message
    return {name: value.value for name, value in told.metadata.items()}


def verdicts_of(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], bool]:
    """Read the verdict of every check a run evaluated."""
    return {
        (answer.asset_key.to_user_string(), answer.check_name): answer.passed
        for answer in result.get_asset_check_evaluations()
    }
