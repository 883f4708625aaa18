"""What stands outside a killed session: its receipts on a pipe, and what must hold after it."""

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.journal import read_anchors, read_frames, verify_chain
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.live.recovery import last_book
from instgov_dagster.loop.live.settling.invariants import reconcile
from instgov_dagster.loop.live.settling.told import fold_account
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster_tests.loop.homes import ASOF, CONFIG, settings_of

LOOP = Chain.LOOP.value
#: A child that says nothing for so long hangs: the test fails instead of waiting on.
SILENCE_SECONDS = 120.0


@dataclass(slots=True, kw_only=True)
class Ended:
    """How one child ended, and all it said before."""

    status: int
    receipts: dict[int, str]
    report: dict[str, Any] | None
    refused: list[str]


@dataclass(slots=True, kw_only=True)
class Executioner:
    """Runs sessions in children of one waiting process and ends them when told to."""

    server: subprocess.Popen[bytes]
    _left: bytes = field(default=b"")

    def lead(
        self,
        home: Path,
        *,
        cycles: int,
        period: float = 0.0,
        kill_after: tuple[int, float] | None = None,
        signals: tuple[tuple[int, int], ...] = (),
        **task: Any,
    ) -> Ended:
        """Lead one session and give what it said.

        Parameters
        ----------
        kill_after
            SIGKILL so many receipts and, from there, so many seconds later; None kills nobody.
        signals
            Pairs of a count of receipts and the signal to send when they are there.
        """
        body = {"home": str(home), "cycles": cycles, "period": period, **task}
        assert self.server.stdin is not None
        self.server.stdin.write((json.dumps(body) + "\n").encode())
        self.server.stdin.flush()
        ended = Ended(status=0, receipts={}, report=None, refused=[])
        self._follow(ended, kill_after, list(signals))
        return ended

    def _follow(
        self,
        ended: Ended,
        kill_after: tuple[int, float] | None,
        signals: list[tuple[int, int]],
    ) -> None:
        pid, deadline = 0, math.inf
        while True:
            line = self._line(deadline)
            if line is None:
                with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                    os.kill(pid, signal.SIGKILL)
                deadline = math.inf
                continue
            word, _, rest = line.partition(" ")
            if word == "pid":
                pid = int(rest)
            elif word == LOOP:
                sequence, head = rest.split()
                ended.receipts[int(sequence)] = head
                while signals and len(ended.receipts) >= signals[0][0]:
                    os.kill(pid, signals.pop(0)[1])
                if kill_after is not None and len(ended.receipts) == kill_after[0]:
                    deadline = time.monotonic() + kill_after[1]
            elif word == "report":
                ended.report = json.loads(rest)
            elif word == "refused":
                ended.refused = rest.split()
            elif word == "exit":
                ended.status = int(rest)
                return

    def _line(self, deadline: float) -> str | None:
        assert self.server.stdout is not None
        descriptor = self.server.stdout.fileno()
        while b"\n" not in self._left:
            left = min(SILENCE_SECONDS, max(0.0, deadline - time.monotonic()))
            ready, _, _ = select.select([descriptor], [], [], left)
            if not ready:
                assert deadline < math.inf, "the child hangs"
                return None
            body = os.read(descriptor, 65536)
            assert body, "the server is gone"
            self._left += body
        line, _, self._left = self._left.partition(b"\n")
        return line.decode()


@contextmanager
def executioner() -> Iterator[Executioner]:
    """Start the waiting process; it is gone when the block is left."""
    program = "from instgov_dagster_tests.loop.live.victims import serve; serve()"
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=CONFIG.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        yield Executioner(server=server)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()


def require_nothing_lost(home: Path, ended: Ended) -> None:
    """Hold a home a session was killed on against what the session acknowledged.

    No frame whose receipt was given is missing or another; no order reached the broker that no
    frame planned before; no order was planned or taken twice.
    """
    place = Home(home)
    frames = list(read_frames(place.journal_dir, LOOP))
    heads = {frame.sequence: frame.head.hex() for frame in frames}
    assert {n: heads.get(n) for n in ended.receipts} == ended.receipts
    planned: list[str] = []
    for frame in frames:
        if frame.kind == "cycle":
            planned += list(frame.meta["shares"])
    assert len(planned) == len(set(planned))
    account = read_account(place.paper_account)
    sent = [o.order.client_order_id for o in account.outcomes] if account else []
    assert len(sent) == len(set(sent))
    assert set(sent) <= set(planned)


def require_whole(home: Path) -> None:
    """Hold a home after a session that ended in order: chain, anchors, book and broker agree."""
    platform = open_platform(settings_of(home), {})
    anchors = read_anchors(platform.home.anchors, LOOP)
    report = verify_chain(platform.home.journal_dir, LOOP, anchors=anchors)
    assert (report.ok, report.anchored) == (True, report.frames)
    told, book = fold_account(platform, ASOF), last_book(platform)
    assert book is not None
    assert told.leftovers == {}
    found = reconcile(told, book, read_account(platform.home.paper_account))
    assert [row for row in found if not row.passed] == []
    assert [row.name for row in found] == ["orders", "fills", "positions", "cash"]
