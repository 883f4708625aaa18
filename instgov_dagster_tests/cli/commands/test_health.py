"""`health`: once with an exit code, served as /healthz, and on a disk that is really full."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.cli.instance import open_instance
from instgov_dagster_tests.adapters.alerts.servers import Listeners, listening
from instgov_dagster_tests.cli.processes import instgov, told
from instgov_dagster_tests.defs.automation.test_watching import beat
from instgov_dagster_tests.loop.homes import CONFIG, write_config

#: How long a process may take to start on a busy machine.
PATIENCE = 120.0

#: Fills the disk under the instance, then looks as the served process does at each round.
ON_A_FULL_DISK = """
import json, sys
from contextlib import ExitStack
from pathlib import Path
from instgov_dagster.cli.commands.health import Watch

home = Path(sys.argv[1])
with ExitStack() as held:
    watch = Watch(home, Path(sys.argv[2]), held)
    watch.tend()
    before = watch.look()[1]["reasons"]
    with (home / "dagster" / "ballast").open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError as error:
            number = error.errno
    watch.tend()
    told = watch.look()[1]
    print(json.dumps({"before": before, "errno": number, **told}))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose daemons beat a moment ago, and nothing else ever happened."""
    root = tmp_path / "home"
    root.mkdir()
    with open_instance(root) as instance:
        beat(instance, RealClock().now())
    return root


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    with listening() as both:
        yield both


@contextmanager
def served(
    home: Path, listeners: Listeners, *, config: Path = CONFIG
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    words = ["health", "--serve", "--port", "0", "--home", str(home), "--config", str(config)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from instgov_dagster.cli import app; app()", *words],
        cwd=CONFIG.parent,
        env={**os.environ, **listeners.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.communicate()[1][-2000:]
        yield address.removeprefix("http://").removesuffix("/healthz"), process
    finally:
        process.kill()
        process.communicate()


def ask(address: str, path: str = "/healthz", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_a_home_where_all_is_well_is_told_as_healthy_with_exit_0(home: Path) -> None:
    done = instgov("health", "--home", str(home), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    fields = told(done)
    assert (fields["is_healthy"], fields["reasons"]) == (True, ["HEALTHY"])
    assert fields["signs"]["event_log_mib"] > 0


def test_a_home_without_a_daemon_is_told_as_ill_with_exit_3_and_what_is_wrong(
    tmp_path: Path,
) -> None:
    done = instgov("health", "--home", str(tmp_path))
    assert done.returncode == 3, done.stderr
    assert "DAEMON_SILENT: unseen, bound 120" in done.stdout


def test_a_home_that_is_none_is_bad_input(tmp_path: Path) -> None:
    done = instgov("health", "--home", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert not (tmp_path / "none").exists()


def test_the_served_health_turns_503_as_the_daemon_falls_silent_and_the_alert_arrives(
    home: Path, listeners: Listeners
) -> None:
    with served(home, listeners) as (address, process):
        assert ask(address)[0] == 200
        assert ask(address, Host="evil.example.org")[0] == 403
        with open_instance(home) as instance:
            beat(instance, RealClock().now() - timedelta(seconds=300))
        status, body = ask(address)
        assert (status, json.loads(body)["reasons"]) == (503, ["DAEMON_SILENT"])
        assert 'instgov_unhealthy{reason="DAEMON_SILENT"} 1' in ask(address, "/metrics")[1]
        post = listeners.hook.arrived.get(timeout=PATIENCE)
        assert (post["event"], post["facts"]["reasons"]) == ("health", ["DAEMON_SILENT"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert listeners.events() == [("health", ["DAEMON_SILENT"])]


def run_on_a_small_disk(folder: Path, listeners: Listeners) -> dict[str, Any]:
    """Run the watch where the instance has a disk of its own, in a namespace of mounts."""
    home, rules = folder / "home", write_config(folder / "config")
    (home / "dagster").mkdir(parents=True)
    text = (rules / "policy.yaml").read_text()
    least = text.replace("event_log_min_free_mib: 512", "event_log_min_free_mib: 1")
    (rules / "policy.yaml").write_text(least)
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace of mounts may be made here: no disk can be filled")
    mount = 'mount -t tmpfs -o size=4m tmpfs "$0/dagster" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, str(home)]
    done = subprocess.run(
        [*command, sys.executable, "-c", ON_A_FULL_DISK, str(home), str(rules)],
        cwd=CONFIG.parent,
        env={**os.environ, **listeners.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    fields: dict[str, Any] = json.loads(done.stdout)
    return fields


def test_a_disk_that_is_really_full_is_told_and_the_alert_arrives(
    tmp_path: Path, listeners: Listeners
) -> None:
    fields = run_on_a_small_disk(tmp_path, listeners)
    assert fields["before"] == ["DAEMON_SILENT"]
    assert fields["errno"] == 28  # no space left on device
    assert fields["reasons"] == ["DAEMON_SILENT", "EVENT_LOG_FULL", "EVENT_LOG_UNWRITABLE"]
    assert fields["signs"]["event_log_free_mib"] == 0.0
    assert listeners.events() == [("health", fields["before"]), ("health", fields["reasons"])]
