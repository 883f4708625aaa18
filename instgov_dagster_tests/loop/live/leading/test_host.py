"""Whose end a session does not outlive: its parent, and every process of Dagster above it."""

import os
import subprocess
import sys
from pathlib import Path

from instgov_dagster.loop.live.leading.host import ALONE, Host
from instgov_dagster.loop.live.leading.processes import (
    hosts_of,
    look_at,
    orphan_above,
    own_hosts,
)

# A process that starts another below it and waits, as `dagster dev` does with a code server.
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1); input()'])"

# One that starts another of the same name, which lives by its heartbeat and says its own number:
# a process that was only just started has no words yet that the kernel could tell.
# Both wait at the test's own pipe: the second outlives the first, and ends when the test lets go.
DEV = """
import os, subprocess, sys
if '--heartbeat' in sys.argv:
    print(os.getpid(), flush=True)
else:
    subprocess.Popen([sys.executable, sys.argv[0], '--heartbeat'])
sys.stdin.read()
"""


def test_a_person_s_own_session_outlives_whoever_started_it() -> None:
    assert ALONE.fault() is None
    assert (ALONE.may_wait, ALONE.processes, ALONE.is_run_current) == (False, (), None)


def test_a_session_watches_its_parent_and_says_when_it_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        seen = look_at(parent.pid)
        assert seen is not None
        host = Host(processes=(seen,))
        assert host.fault() is None
        parent.kill()
        parent.wait()
        assert host.fault() == f"its host, process {parent.pid}, has ended"


def test_the_parent_always_counts_and_above_it_only_what_is_of_dagster(tmp_path: Path) -> None:
    assert [one.pid for one in own_hosts()][:1] == [os.getppid()]
    # A file called `dagster` is how the command line of the program looks to the kernel.
    program = tmp_path / "dagster"
    program.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as dev:
        assert dev.stdout is not None
        dev.stdout.readline()
        children = Path(f"/proc/{dev.pid}/task/{dev.pid}/children").read_text().split()
        (server,) = (int(pid) for pid in children)
        run = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            # This process is no part of Dagster: its own parents end the list.
            assert [one.pid for one in hosts_of(run.pid)][:1] == [os.getpid()]
            assert [one.pid for one in hosts_of(server)] == [dev.pid]
        finally:
            run.kill()
            run.communicate()
            dev.communicate()


def test_a_code_server_that_has_outlived_what_started_it_hosts_nothing(tmp_path: Path) -> None:
    program = tmp_path / "dagster"
    program.write_text(DEV)
    dev = subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert dev.stdout is not None
    server = int(dev.stdout.readline())
    try:
        assert orphan_above(server) is None
        dev.kill()
        dev.wait()
        assert orphan_above(server) == server
        fault = Host(orphan=server).fault()
        assert fault == (
            f"process {server} has outlived what started it: nobody hosts this session"
        )
    finally:
        dev.communicate()
