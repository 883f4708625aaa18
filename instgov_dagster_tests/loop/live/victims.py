"""A process that leads sessions to be killed: imports once, forks one child a session.

Run as a program of its own: the fork needs a parent in which nothing but imports has happened. It
takes one JSON object a line on stdin and says on stdout what its child did, as it is done.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import cvxpy as cp

from instgov_dagster.adapters.broker.alpaca_desk import AlpacaDesk
from instgov_dagster.adapters.journal import Journal, chain
from instgov_dagster.adapters.paper import store
from instgov_dagster.adapters.paper.store import AccountStore
from instgov_dagster.loop.folding.fold import SessionFold
from instgov_dagster.loop.live.router import Router
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InstgovError
from instgov_dagster_tests.adapters.wire.world import ShiftedClock
from instgov_dagster_tests.loop.homes import ASOF, settings_of

__all__ = ["KILLS", "serve"]

_ = cp  # the solver loads it in the first cycle: here it is paid for once
_STDOUT = 1
_TORN_BYTES = 4096


def say(*words: object) -> None:
    """Write one line, whole or not at all."""
    os.write(_STDOUT, (" ".join(str(word) for word in words) + "\n").encode())


def die() -> None:
    """End as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Counts how often an instant was reached and ends the process at the wanted time."""

    def __init__(self, times: int) -> None:
        self.left = times

    def reach(self) -> None:
        self.left -= 1
        if self.left == 0:
            die()


def _around(
    owner: Any, name: str, *, before: Callable[[], None] | None, after: Callable[[], None] | None
) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before()
        answer = original(*args, **kwargs)
        if after is not None:
            after()
        return answer

    setattr(owner, name, wrapped)


class _TornDisk:
    """The operating system as the chain sees it, but for one write that stops half way."""

    def __init__(self, count: Countdown) -> None:
        self._count = count

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, body: memoryview) -> int:
        if self._count.left == 1:
            os.write(descriptor, body[:_TORN_BYTES])
        self._count.reach()
        return os.write(descriptor, body)


def _before_order(count: Countdown) -> None:
    _around(Router, "send", before=count.reach, after=None)


def _before_commit(count: Countdown) -> None:
    _around(store, "write_change", before=None, after=count.reach)


def _before_answer(count: Countdown) -> None:
    original = AccountStore.act

    @contextlib.contextmanager
    def act(self: AccountStore) -> Iterator[None]:
        with original(self):
            yield
        count.reach()

    AccountStore.act = act  # type: ignore[method-assign]


def _account_full(count: Countdown) -> None:
    # The account's log may grow no further within one act: the disk is full as it is committed.
    original = AccountStore.act

    @contextlib.contextmanager
    def act(self: AccountStore) -> Iterator[None]:
        count.left -= 1
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = Path(f"{self._path}-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size if count.left == 0 else soft, hard))
        try:
            with original(self):
                yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    AccountStore.act = act  # type: ignore[method-assign]


def _before_outcome(count: Countdown) -> None:
    _around(Router, "send", before=None, after=count.reach)


def _before_receipt(count: Countdown) -> None:
    _around(Journal, "append", before=None, after=count.reach)


def _before_wire(count: Countdown) -> None:
    _around(AlpacaDesk, "submit", before=count.reach, after=None)


def _after_wire(count: Countdown) -> None:
    _around(AlpacaDesk, "submit", before=None, after=count.reach)


def _in_frame(count: Countdown) -> None:
    chain.os = _TornDisk(count)  # type: ignore[attr-defined]  # the module's own name for it


def _disk_full(count: Countdown) -> None:
    # The write came back short for want of room: the writer dies before it can tidy up.
    _around(Journal, "_abandon", before=count.reach, after=None)


def _asked_twice(count: Countdown) -> None:
    def ask() -> None:
        count.left -= 1
        if count.left == 0:
            # Raised in this very thread: two that come from outside may be told as one.
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)

    _around(SessionFold, "cycle", before=ask, after=None)


#: The instants at which a child may be told to die, by name.
KILLS: dict[str, Callable[[Countdown], None]] = {
    "in_frame": _in_frame,
    "frame_before_receipt": _before_receipt,
    "frame_before_order": _before_order,
    "order_before_commit": _before_commit,
    "commit_before_answer": _before_answer,
    "answer_before_outcome": _before_outcome,
}
_OTHERS: dict[str, Callable[[Countdown], None]] = {
    "record_before_wire": _before_wire,
    "wire_before_answer": _after_wire,
    "disk_full": _disk_full,
    "account_full": _account_full,
    "asked_twice": _asked_twice,
}


def _witness_receipts() -> None:
    append = Journal.append

    def told(self: Journal, *args: Any) -> Any:
        receipt = append(self, *args)
        say(self.chain, receipt.sequence, receipt.head)
        return receipt

    Journal.append = told  # type: ignore[method-assign]  # the witness stands beside the writer


def _limit_files(task: dict[str, Any]) -> None:
    # Files may grow no further than the loop's segment has room for: a full disk.
    if "room" in task:
        segment = Path(task["home"]) / "journal" / "loop" / "000001.igj"
        limit = segment.stat().st_size + task["room"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def _open(task: dict[str, Any]) -> Platform:
    settings, environment = settings_of(Path(task["home"])), task.get("environment")
    if environment is None:
        return open_platform(settings, {})
    # The market live: its keys and addresses, and a clock that stands where its services' does.
    clock = ShiftedClock(timedelta(seconds=task["shift_seconds"]))
    return open_platform(replace(settings, market=Market.LIVE), environment, clock=clock)


def _lead(task: dict[str, Any]) -> None:
    if task.get("point"):
        (KILLS | _OTHERS)[task["point"]](Countdown(task["times"]))
    _witness_receipts()
    platform = _open(task)
    _limit_files(task)
    try:
        report = run_session(
            platform, ASOF, cycles=task["cycles"], period_seconds=task["period"], run_id="victim"
        )
    except InstgovError as error:
        say("refused", type(error).__name__, getattr(error, "reason_code", "none"))
    else:
        say("report", json.dumps(report.to_dict()))


def serve() -> None:
    """Lead one session a line, each in a child, until stdin ends."""
    # Whoever started the tests may have ignored both, and what is ignored is inherited.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                _lead(task)
            finally:
                os._exit(0)
        say("pid", child)
        _, status = os.waitpid(child, 0)
        say("exit", -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
