"""The deployed instance, separate processes on a real Postgres: a night, two sessions, an end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml

from instgov_dagster.adapters.journal import read_anchors, read_frames, verify_chain
from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster_tests.adapters.runtime.leases.servers import free_port, postgres
from instgov_dagster_tests.loop.homes import CONFIG, write_config

DEPLOY = CONFIG.parent / "deploy"
CYCLES = 10
#: Long enough for a machine that does much else.
PATIENCE_SECONDS = 1800.0
STOPPING_SECONDS = 600.0
#: Fields of a process's line after its name.
_STATE, _SESSION = 0, 3
NEW_YORK = ZoneInfo("America/New_York")


def wait_for(
    what: str, is_so: Callable[[], bool], alive: Mapping[str, subprocess.Popen[bytes]]
) -> None:
    """Return when something is so; fail where it never is, or a process ended before."""
    deadline, clock = time.monotonic() + PATIENCE_SECONDS, RealClock()
    while not is_so():
        assert time.monotonic() < deadline, f"waited too long: {what}"
        assert {name: one.poll() for name, one in alive.items() if one.poll() is not None} == {}
        clock.sleep_until(clock.now() + timedelta(seconds=1))


def settle(folder: Path, url: str) -> dict[str, str]:
    """Lay an installation out and give the variables its processes are started with."""
    rules = write_config(folder / "config") / "policy.yaml"
    policy = yaml.safe_load(rules.read_text(encoding="utf-8"))
    policy["loop"]["cycles"] = CYCLES
    rules.write_text(yaml.safe_dump(policy), encoding="utf-8")
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_bytes((DEPLOY / "dagster.prod.yaml").read_bytes())
    server = urlsplit(url)
    return {
        "DAGSTER_HOME": str(folder / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",  # a busy machine is not a failure
        "INSTGOV_HOME": str(folder / "data"),
        "INSTGOV_CONFIG": str(folder / "config"),
        "INSTGOV_MARKET": "simulated",
        "INSTGOV_AUTOSTART": "1",
        "INSTGOV_LEASE_URL": url,
        "INSTGOV_LOGS": str(folder / "logs"),
        "INSTGOV_PG_HOST": str(server.hostname),
        "INSTGOV_PG_PORT": str(server.port),
        "INSTGOV_PG_USER": str(server.username),
        "INSTGOV_PG_PASSWORD": "unused",
        "INSTGOV_PG_DB": server.path.lstrip("/"),
        "INSTGOV_CODE_HOST": "127.0.0.1",
        "INSTGOV_CODE_PORT": str(free_port()),
    }


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start one process of the instance, as its unit or container does."""
    program = Path(sys.executable).parent / words[0]
    with (folder / f"{words[0]}-{words[1]}.log").open("wb") as log:
        return subprocess.Popen(
            [program, *words[1:]],
            cwd=CONFIG.parent,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def is_listening(port: int) -> bool:
    """Tell whether somebody answers on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5.0).close()
    except OSError:
        return False
    return True


def processes_of(sessions: set[int]) -> set[int]:
    """Find what the leaders of these sessions of processes started, whoever its parent is now."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(told[_SESSION]) in sessions and told[_STATE] != "Z":
            found.add(int(path.parent.name))
    return found


def last_night(now: datetime) -> datetime:
    """Give the last two o'clock of New York."""
    local = now.astimezone(NEW_YORK)
    two = local.replace(hour=2, minute=0, second=0, microsecond=0)
    return two if two <= local else two - timedelta(days=1)


def begin_schedule_before(instance: dg.DagsterInstance, instant: datetime) -> None:
    """Let the daemon find that it missed the tick of an instant: it makes up for it."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import (
        InstigatorState,
        InstigatorStatus,
        ScheduleInstigatorData,
    )
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    target = WorkspaceFileTarget([str(DEPLOY / "workspace.prod.yaml")])
    with WorkspaceProcessContext(instance, target) as context:
        (location,) = context.create_request_context().code_locations
        (repository,) = location.get_repositories().values()
        schedule = repository.get_schedule("nightly_schedule")
        instance.add_instigator_state(
            InstigatorState(
                schedule.get_remote_origin(),
                InstigatorType.SCHEDULE,
                InstigatorStatus.DECLARED_IN_CODE,
                ScheduleInstigatorData(
                    schedule.cron_schedule, (instant - timedelta(minutes=1)).timestamp()
                ),
            )
        )


@contextmanager
def instance_at_work(
    folder: Path, running: dict[str, subprocess.Popen[bytes]]
) -> Iterator[tuple[dg.DagsterInstance, datetime]]:
    """Start code server, webserver and daemon; stop them in the order units would be stopped."""
    port = os.environ["INSTGOV_CODE_PORT"]
    workspace = str(DEPLOY / "workspace.prod.yaml")
    try:
        running["code"] = start(
            folder, "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", port, "-m",
            "instgov_dagster.definitions",
        )  # fmt: skip
        wait_for("the code server", lambda: is_listening(int(port)), running)
        check = [Path(sys.executable).parent / "dagster", "api", "grpc-health-check", "-p", port]
        assert subprocess.run(check, capture_output=True, check=False).returncode == 0
        with dg.DagsterInstance.get() as instance:
            night = last_night(RealClock().now())
            begin_schedule_before(instance, night)
            web = str(free_port())
            running["web"] = start(
                folder, "dagster-webserver", "-h", "127.0.0.1", "-p", web, "-w", workspace
            )
            running["daemon"] = start(folder, "dagster-daemon", "run", "-w", workspace)
            yield instance, night
            assert {name: one.poll() for name, one in running.items()} == dict.fromkeys(running)
    finally:
        for name in ("daemon", "web", "code"):
            if name in running:
                # As a unit is stopped: what it started is asked too, for it waits for its runs.
                os.killpg(running[name].pid, signal.SIGTERM)
        for one in running.values():
            one.wait(STOPPING_SECONDS)


def led(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
    wanted = dg.RunsFilter(job_name="governed_live_loop", statuses=[status])
    return list(instance.get_runs(wanted))


@pytest.mark.nightly
@pytest.mark.roadmap("2.1", "3.2")
def test_a_scheduled_night_and_two_sessions_on_postgres_and_no_orphan_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "data")
    running: dict[str, subprocess.Popen[bytes]] = {}
    with postgres() as url:
        for name, value in settle(tmp_path, url).items():
            monkeypatch.setenv(name, value)
        with instance_at_work(tmp_path, running) as (instance, night):
            nights = dg.RunsFilter(job_name="nightly_ingestion")
            wait_for(
                "the night",
                lambda: [run.is_finished for run in instance.get_runs(nights)] == [True],
                {},
            )
            (run,) = instance.get_runs(nights)
            assert run.is_success
            assert run.tags["dagster/schedule_name"] == "nightly_schedule"
            assert run.tags["dagster/partition"] == night.date().isoformat()
            wait_for(
                "two sessions", lambda: len(led(instance, dg.DagsterRunStatus.SUCCESS)) >= 2, {}
            )
            assert led(instance, dg.DagsterRunStatus.FAILURE) == []
        sessions = {one.pid for one in running.values()}
        wait_for("every process to end", lambda: processes_of(sessions) == set(), {})
    # The folder of the settings may be read-only: nothing is written beside them.
    assert [path.name for path in (tmp_path / "dagster").iterdir()] == ["dagster.yaml"]
    frames = list(read_frames(home.journal_dir, Chain.LOOP.value))
    started = [frame.meta for frame in frames if frame.meta.get("event") == "started"]
    ended = [frame.meta for frame in frames if frame.meta.get("event") == "ended"]
    epochs = [meta["epoch"] for meta in started]
    assert epochs == sorted(set(epochs))
    assert len(ended) >= 2
    assert started[1]["first_cycle"] == CYCLES
    for chain in Chain:
        anchors = read_anchors(home.anchors, chain.value)
        assert verify_chain(home.journal_dir, chain.value, anchors=anchors).ok
