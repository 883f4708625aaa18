"""Real processes that die: a daemon killed, a leader stopped in its tracks; both alerts arrive."""

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from instgov_dagster_tests.adapters.alerts.servers import Listeners, listening
from instgov_dagster_tests.cli.commands.test_health import PATIENCE, ask, served
from instgov_dagster_tests.cli.processes import instgov, run_words
from instgov_dagster_tests.loop.homes import ASOF, CONFIG, write_config

#: The numbers of a watch that a test can wait for; the least the policy's bounds allow.
QUICK = {"watch_every_seconds: 15.0": "watch_every_seconds: 1.0", "120.0  # seconds; an": "60.0  #"}


@contextmanager
def running(*words: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        words,
        cwd=CONFIG.parent,
        env={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "1", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def daemon(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run Dagster's daemon on the instance of a home, with nothing to ask for."""
    place = home.parent / "dagster_home"
    place.mkdir()
    storage = f"storage: {{sqlite: {{base_dir: {home / 'dagster'}}}}}\n"
    (place / "dagster.yaml").write_text("telemetry: {enabled: false}\n" + storage)
    program = str(Path(sys.executable).with_name("dagster-daemon"))
    with running(program, "run", "--empty-workspace", DAGSTER_HOME=str(place)) as process:
        yield process


@contextmanager
def leader(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    words = [
        "live", "--home", str(folder / "data"), "--config", str(folder / "config"),
        "--asof", ASOF.isoformat(), "--cycles", "3600", "--period", "1",
    ]  # fmt: skip
    program = [sys.executable, "-c", "from instgov_dagster.cli import app; app()"]
    with running(*program, *words) as process:
        yield process


def wait_for(listeners: Listeners, wanted: str) -> list[str]:
    """Wait until an alert about health arrives that names a reason; give all it names."""
    while True:
        try:
            post = listeners.hook.arrived.get(timeout=PATIENCE)
        except queue.Empty:
            pytest.fail(f"no alert named {wanted}; told were {listeners.events()}")
        reasons: list[str] = post["facts"]["reasons"]
        if wanted in reasons:
            return reasons


def wait_until_seen(address: str, sign: str) -> None:
    while not json.loads(ask(address)[1])["signs"][sign]:
        pass  # each question takes its time; the test's own time-out ends it


@pytest.mark.nightly
@pytest.mark.roadmap("3.2")
def test_a_killed_daemon_and_a_stopped_leader_are_told_and_seen_to_arrive(tmp_path: Path) -> None:
    rules = write_config(tmp_path / "config") / "policy.yaml"
    text = rules.read_text()
    for before, after in QUICK.items():
        assert before in text
        text = text.replace(before, after)
    rules.write_text(text)
    done = instgov(*run_words(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    home = tmp_path / "data"
    with (
        listening() as listeners,
        daemon(home) as watched,
        served(home, listeners, config=tmp_path / "config") as (address, _),
    ):
        wait_until_seen(address, "daemon_age_seconds")
        with leader(tmp_path) as led:
            wait_until_seen(address, "is_session_open")
            os.kill(led.pid, signal.SIGSTOP)
            assert "DAEMON_SILENT" not in wait_for(listeners, "LEADER_SILENT")
            assert ask(address)[0] == 503
            os.kill(led.pid, signal.SIGCONT)
            wait_for(listeners, "HEALTHY")
            os.killpg(watched.pid, signal.SIGKILL)
            assert "LEADER_SILENT" not in wait_for(listeners, "DAEMON_SILENT")
            assert ask(address)[0] == 503
        mails = [mail["Subject"] for mail in listeners.mailbox.mails]
    assert [subject for subject in mails if "LEADER_SILENT" in subject]
    assert [subject for subject in mails if "DAEMON_SILENT" in subject]
