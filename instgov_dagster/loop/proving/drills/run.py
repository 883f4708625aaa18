"""Run drills in a scratch home and judge each: what fired, what followed, what was sent."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.loop.proving.drills import audit, capital, data, system
from instgov_dagster.loop.proving.drills.catalog import CATALOG, DrillSpec
from instgov_dagster.loop.proving.drills.evidence import Evidence, evidence_from_dict
from instgov_dagster.loop.proving.drills.stage import Stage, set_up, stage_of, take_over
from instgov_dagster.vocabulary.errors import InputError

#: Counts the drills held, in the scratch folder.
PROGRESS_FILE = "drills.progress"
_DETAIL_CHARACTERS = 400

#: What each drill of the catalogue does, by its name.
ACTS: Mapping[str, Callable[[Stage], None]] = MappingProxyType(
    {
        name: getattr(module, name)
        for module in (audit, data, capital, system)
        for name in CATALOG
        if hasattr(module, name)
    }
)


def require_drills(names: Collection[str]) -> tuple[DrillSpec, ...]:
    """Give the named drills in the catalogue's order; all where none is named.

    Raises
    ------
    InputError
        If a name is no drill's.
    """
    unknown = sorted(set(names) - set(CATALOG))
    if unknown:
        raise InputError(f"--name must be one of {', '.join(CATALOG)}, was {', '.join(unknown)}")
    return tuple(spec for name, spec in CATALOG.items() if not names or name in names)


def run_drills(
    names: Collection[str], config_dir: Path, scratch: Path, *, base: Path | None = None
) -> tuple[Evidence, ...]:
    """Set one installation up, and hold each drill on a copy of it.

    Faults are real: a limit of this process, a locked file, a killed feed. Whoever calls runs
    them in a process of their own; see `drills_apart`.

    Parameters
    ----------
    names
        Which drills; all where empty.
    config_dir
        The rules in force.
    scratch
        An empty folder; what is left in it is the first night, and a counter of drills held.
    base
        An installation that other code set up, to be drilled with this one; None sets one up.
    """
    specs, rows = require_drills(names), list[Evidence]()
    held = scratch / "base"
    if base is None:
        set_up(held, config_dir)
    else:
        take_over(base, held)
    for spec in specs:
        folder = scratch / spec.name
        rows.append(hold_drill(spec, stage_of(held, folder)))
        shutil.rmtree(folder)
        (scratch / PROGRESS_FILE).write_text(f"{len(rows)}/{len(specs)} drills", encoding="utf-8")
    return tuple(rows)


def hold_drill(
    spec: DrillSpec, stage: Stage, *, act: Callable[[Stage], None] | None = None
) -> Evidence:
    """Hold one drill on its own stage and judge what is seen.

    Parameters
    ----------
    act
        What is done; by default what the drill of this name does.
    """
    try:
        (act or ACTS[spec.name])(stage)
    except Exception as error:  # noqa: BLE001  # what breaks the drill is no firing, whatever it is
        stage.failures.append(f"{type(error).__name__}: {error}")
    stage.conclude()
    state = stage.platform.state_log().refresh()
    failures = list(stage.failures)
    was_told = spec.reason_code.value in stage.codes
    if not was_told:
        failures.append(f"{spec.reason_code} was not told")
    if state.name is not spec.state:
        failures.append(f"the state must be {spec.state}, was {state.name}")
    failures += stage.trespasses(spec.may_send)
    detail = "; ".join(failures or stage.details or [f"sent: {spec.may_send}"])
    return Evidence(
        drill=spec.name,
        control=spec.control,
        injected=spec.injected,
        expected_reason_code=spec.reason_code.value,
        expected_state=spec.state.value,
        fired=not failures,
        reason_code=spec.reason_code.value if was_told else None,
        state=state.name.value,
        statistic=stage.statistic,
        detail=detail[:_DETAIL_CHARACTERS],
        at=RealClock().now(),
    )


def drills_apart(
    names: Collection[str],
    config_dir: Path,
    scratch: Path,
    *,
    package: Path | None = None,
    base: Path | None = None,
) -> tuple[Evidence, ...]:
    """Run drills in a process of their own: its limits and locks are nobody else's.

    Parameters
    ----------
    scratch
        An empty folder, the caller's to remove.
    package
        The folder that holds the package to drill; None drills this one.
    base
        An installation that is set up already; see `run_drills`.

    Raises
    ------
    InputError
        If a name is no drill's.
    RuntimeError
        If the process ends without a word: what was not drilled has not fired.
    """
    require_drills(names)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    if package is not None:
        environment["PYTHONPATH"] = str(package)
    program = [sys.executable, "-W", "ignore", "-m", "instgov_dagster.loop.proving.drills"]
    ended = subprocess.run(  # noqa: S603  # our own program
        [*program, str(config_dir), str(scratch), str(base or ""), *names],
        cwd=scratch,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"the drills ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return tuple(evidence_from_dict(row) for row in json.loads(ended.stdout.splitlines()[-1]))
