"""Sessions that stand by for each other, each forked from one process that waits."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cvxpy as cp

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.live.leading.host import Host
from instgov_dagster.loop.live.leading.processes import own_hosts
from instgov_dagster.loop.live.leading.register import Member, Role, members
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.errors import InstgovError
from instgov_dagster_tests.loop.homes import ASOF, CONFIG, settings_of

_ = cp  # loaded once, before the first fork
#: What a busy machine may take for what it does in a second.
PATIENCE_SECONDS = 120.0


def serve() -> None:
    """Fork one session a line until stdin ends; say its number, and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                _lead(task)
            finally:
                os._exit(0)
        _say(f"pid {child}")


def _say(line: str) -> None:
    os.write(1, (line + "\n").encode())


def _lead(task: dict[str, float | str]) -> None:
    platform = open_platform(settings_of(Path(str(task["home"]))), {})
    host = Host(may_wait=True, processes=own_hosts()[:1])
    words = {"cycles": int(task["cycles"]), "period_seconds": float(task["period"])}
    try:
        report = run_session(platform, ASOF, run_id=f"run-{os.getpid()}", host=host, **words)
    except InstgovError as error:
        _say(f"refused {os.getpid()} {type(error).__name__} {error}")
    else:
        _say(f"led {os.getpid()} {report.cycles}")


@dataclass(slots=True, kw_only=True)
class Hosts:
    """The waiting process, and what the sessions of one home said."""

    home: Path
    server: subprocess.Popen[str]
    said: dict[int, str] = field(default_factory=dict)

    def start(self, *, cycles: int, period: float = 0.25) -> int:
        """Start a session that may wait; give its process."""
        assert self.server.stdin is not None
        task = {"home": str(self.home), "cycles": cycles, "period": period}
        self.server.stdin.write(json.dumps(task) + "\n")
        self.server.stdin.flush()
        word, _, rest = self._line().partition(" ")
        while word != "pid":
            self._hear(word, rest)
            word, _, rest = self._line().partition(" ")
        return int(rest)

    def outcome(self, pid: int) -> str:
        """Wait until a session says how it ended."""
        while pid not in self.said:
            self._hear(*self._line().split(" ", 1))
        return self.said[pid]

    def _hear(self, word: str, rest: str) -> None:
        number, _, facts = rest.partition(" ")
        self.said[int(number)] = f"{word} {facts}"

    def _line(self) -> str:
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line, "the server is gone"
        return line.strip()

    def seen(self) -> tuple[Member, ...]:
        """Read the register."""
        return members(Home(self.home))

    def until(self, role: Role, pid: int, *, is_so: bool = True) -> None:
        """Look at the register until a process has a role, or has it no more."""
        self._watch(lambda: any((m.pid, m.role) == (pid, role) for m in self.seen()) is is_so)

    def until_ready(self, pid: int) -> None:
        """Look at the register until a process is in it: it stands by, or leads already."""
        self._watch(lambda: any(m.pid == pid for m in self.seen()))

    def until_beats(self, count: int) -> None:
        """Look at the heartbeat until it tells so many cycles."""
        path = Home(self.home).heartbeat
        self._watch(lambda: path.exists() and int(path.read_text().split("/")[0] or 0) >= count)

    @staticmethod
    def _watch(is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_there():
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.02)


@contextmanager
def hosts(home: Path) -> Iterator[Hosts]:
    """Start the waiting process; its sessions are gone when the block is left."""
    program = "from instgov_dagster_tests.loop.live.leading.hosts import serve; serve()"
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=CONFIG.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        yield Hosts(home=home, server=server)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()  # its children notice that their parent is gone
