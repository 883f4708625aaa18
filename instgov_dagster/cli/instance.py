"""The Dagster instance of a home, and the jobs run on it in this process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from instgov_dagster.vocabulary.errors import InputError, LeaseHeld

if TYPE_CHECKING:
    from dagster import DagsterInstance, ExecuteInProcessResult

_PACKAGE = Path(__file__).resolve().parent.parent
_SETTINGS = "dagster.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the jobs of one call came to.

    Attributes
    ----------
    session_run_id
        The Dagster run of the session; None where no session was run.
    has_led
        Whether the session journalled anything: one that another keeps from leading does not.
    """

    has_failed: bool
    session_run_id: str | None = None
    has_led: bool = False

    @classmethod
    def of_session(cls, result: "ExecuteInProcessResult") -> Self:
        """Read what a run of the live job came to."""
        made = {
            event.asset_key.to_user_string()
            for event in result.get_asset_materialization_events()
            if event.asset_key
        }
        return cls(
            has_failed=not result.success,
            session_run_id=result.run_id,
            has_led="decision_journal" in made,
        )

    def require_led(self, lease: Path) -> None:
        """Refuse to tell a session as done that never led: Dagster calls its run a success.

        Raises
        ------
        LeaseHeld
            If the session was run, did not fail, and led nothing.
        """
        if self.session_run_id is not None and not self.has_failed and not self.has_led:
            raise LeaseHeld(f"this session never led: {lease} was held by another")


def _settings_folder() -> Path:
    # The checkout's own settings, else those packaged with the wheel.
    for folder in (Path.cwd(), _PACKAGE.parent, _PACKAGE / "_config"):
        if (folder / _SETTINGS).is_file():
            return folder
    raise InputError(f"{_SETTINGS} must stand in the working folder or beside the package")


@contextmanager
def open_instance(home: Path) -> Iterator["DagsterInstance"]:
    """Open the instance that lives in ``<home>/dagster``, wherever the caller stands."""
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef

    base = home / "dagster"
    base.mkdir(parents=True, exist_ok=True)
    overrides: dict[str, Any] = {
        "storage": {"sqlite": {"base_dir": str(base)}},
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(base / "compute_logs")},
        },
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(base / "artifacts")},
        },
    }
    ref = InstanceRef.from_dir(str(base), config_dir=str(_settings_folder()), overrides=overrides)
    with DagsterInstance.from_ref(ref) as instance:
        yield instance


def run_job(
    instance: "DagsterInstance", job: str, asof: date, run_config: Mapping[str, Any]
) -> "ExecuteInProcessResult":
    """Run one job of the code location as a recorded run in this process.

    Returns
    -------
    The result, which may be a failure: the caller reads the state to say why.
    """
    from instgov_dagster.definitions import defs

    definition = defs().resolve_job_def(job)
    return definition.execute_in_process(
        instance=instance,
        partition_key=asof.isoformat(),
        run_config=dict(run_config),
        raise_on_error=False,
    )
