"""A lease between hosts: a session lock of Postgres, and a row that counts the holders.

The lock dies with the connection, which the server closes when its client is silent for longer than
`SILENCE_SECONDS`: a leader that was paused or cut off loses it. A write goes through while the row
of the count is held for reading, and the next holder must change that row first.
"""

import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from instgov_dagster.adapters.runtime.clock import Clock, RealClock
from instgov_dagster.adapters.runtime.locks import FileLock
from instgov_dagster.vocabulary.errors import Fenced, InputError, LeaseHeld

#: A client silent for so long has lost its lease.
SILENCE_SECONDS = 15
#: One question to the server may take so long; then whoever asked leads no more.
ANSWER_SECONDS = 2.0
#: How long an answer holds: between two looks nothing is asked.
FRESH_SECONDS = 0.25
#: A holder that did not let go may believe in its last answer for so long, and act on it.
GRACE_SECONDS = 1.0

_TABLE = (
    "CREATE TABLE IF NOT EXISTS instgov_leases (name text PRIMARY KEY, epoch bigint NOT NULL,"
    " holder text NOT NULL, since timestamptz NOT NULL, is_released boolean NOT NULL)"
)
_LIMITS = (
    f"SET idle_session_timeout = '{SILENCE_SECONDS}s';"
    f"SET idle_in_transaction_session_timeout = '{SILENCE_SECONDS}s'"
)
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_LAST = "SELECT epoch, holder, is_released FROM instgov_leases WHERE name = %s"
_COUNT = (
    "INSERT INTO instgov_leases VALUES (%s, 1, %s, now(), false) ON CONFLICT (name) DO UPDATE"
    " SET epoch = instgov_leases.epoch + 1, holder = excluded.holder, since = now(),"
    " is_released = false RETURNING epoch"
)
_NEWEST = "SELECT epoch FROM instgov_leases WHERE name = %s"
_HOLD_ROW = f"BEGIN; {_NEWEST} FOR SHARE"
_LET_GO = "UPDATE instgov_leases SET is_released = true WHERE name = %s AND epoch = %s"


class ServerLost(Exception):  # noqa: N818  # a state of the world; it never leaves this module
    """The server did not answer, or refused."""


class PostgresServer:
    """One connection whose every answer comes within a deadline or never.

    Raises
    ------
    ServerLost
        On making it, or on asking, where no answer came.
    """

    def __init__(self, url: str) -> None:
        try:
            import psycopg2
        except ImportError as error:
            raise InputError(
                "a lease in Postgres must have psycopg2: install instgov-dagster[deploy]"
            ) from error
        self._errors = psycopg2.Error
        try:
            self._connection = psycopg2.connect(url, async_=True)
            self._wait()
        except psycopg2.Error as error:
            raise ServerLost(_one_line(error)) from error

    def ask(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask one question and give the rows of its last answer."""
        try:
            cursor = self._connection.cursor()
            cursor.execute(question, values or None)
            self._wait()
            return list(cursor.fetchall()) if cursor.description else []
        except self._errors as error:
            raise ServerLost(_one_line(error)) from error

    def _wait(self) -> None:
        from psycopg2 import extensions

        deadline = RealClock().now() + timedelta(seconds=ANSWER_SECONDS)
        while (state := self._connection.poll()) != extensions.POLL_OK:
            left = (deadline - RealClock().now()).total_seconds()
            mine: list[int] = [self._connection.fileno()]
            reads = mine if state == extensions.POLL_READ else []
            writes = mine if state == extensions.POLL_WRITE else []
            if not any(select.select(reads, writes, [], max(left, 0.0))):
                raise ServerLost(f"no answer within {ANSWER_SECONDS:g} s")

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        with suppress(self._errors):
            self._connection.close()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


class PostgresLease:
    """A lease that one process of all hosts holds; on its own host it holds the file's lock too.

    Parameters
    ----------
    path
        The lock file of this host.
    url
        Of the database; it may hold a password and is never told.
    name
        Of the lease: one a trading system.
    clock
        What grace and freshness are measured by.
    """

    def __init__(self, path: Path, *, url: str, name: str, clock: Clock | None = None) -> None:
        self.path = path
        self._host = FileLock(path, clock=clock)
        self._url, self._name = url, name
        self._clock: Clock = clock or RealClock()
        self._server: PostgresServer | None = None
        self._is_locked = False
        self._grace_until: datetime | None = None
        self._asked: datetime | None = None
        self._told = "nobody"
        self._epoch = 0

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lease, as far as it knows."""
        return self._epoch > 0

    @property
    def epoch(self) -> int:
        """The fencing token: greater with each holder of any host; 0 where it is not held."""
        return self._epoch

    def holder(self) -> str:
        """Name the last holder as the database tells it, or why it could not be asked."""
        return self._told

    def try_acquire(self, *, is_signed: bool = True) -> bool:
        """Take the lease if it is free on this host and in the database.

        After a holder that did not let go it stays free for `GRACE_SECONDS`, in which that holder
        learns that it lost it. A server that cannot be asked gives no lease.

        Raises
        ------
        ValueError
            If this object holds it already.
        """
        if self._epoch:
            raise ValueError(f"{self.path} must not be acquired twice by one holder")
        if not self._host.is_held and not self._host.try_acquire(is_signed=is_signed):
            self._told = self._host.holder()
            return False
        try:
            is_taken = self._take(self._opened())
        except ServerLost as error:
            self._told = f"nobody who can be asked: {error}"
            is_taken = False
        except BaseException:
            self._drop()
            raise
        if not is_taken and self._grace_until is None:
            self._drop()
        return is_taken

    def _opened(self) -> PostgresServer:
        if self._server is None:
            self._server = PostgresServer(self._url)
            self._server.ask(_LIMITS)
            self._server.ask(_TABLE)
        return self._server

    def _take(self, server: PostgresServer) -> bool:
        if not self._is_locked:
            found = server.ask(_LAST, self._name)
            self._told = f"{found[0][1]}, epoch {found[0][0]}" if found else "nobody"
            (self._is_locked,) = server.ask(_LOCK, self._name)[0]
            if not self._is_locked:
                return False
            if found and not server.ask(_LAST, self._name)[0][2]:
                self._grace_until = self._clock.now() + timedelta(seconds=GRACE_SECONDS)
        if self._grace_until is not None and self._clock.now() < self._grace_until:
            server.ask(_NEWEST, self._name)  # a client that asks nothing is taken for lost
            return False
        self._grace_until = None
        me = f"{socket.gethostname()} pid {os.getpid()}"
        self._epoch = int(server.ask(_COUNT, self._name, me)[0][0])
        self._told, self._asked = f"{me}, epoch {self._epoch}", self._clock.now()
        return True

    def acquire(self) -> None:
        """Take the lease, waiting for nobody but out the grace of one that did not let go.

        Raises
        ------
        LeaseHeld
            If another holds it.
        """
        while not self.try_acquire():
            if self._grace_until is None:
                raise LeaseHeld(f"{self.path} is held by {self.holder()}")
            self._clock.sleep_until(self._grace_until)

    def is_intact(self) -> bool:
        """Tell whether the file's lock is held, and the database's as of `FRESH_SECONDS` ago.

        Raises
        ------
        Fenced
            If the database's is lost, was lost before, or cannot be asked for.
        """
        self._held()
        if not self._host.is_intact():
            return False
        now = self._clock.now()
        if self._asked is None or now - self._asked > timedelta(seconds=FRESH_SECONDS):
            self._require_newest(_NEWEST)
            self._asked = now
        return True

    @contextmanager
    def fence(self) -> Iterator[None]:
        """Let one write through while the count cannot change.

        Raises
        ------
        Fenced
            If another was counted, or the server is lost, before the write or by its end.
        """
        self._require_newest(_HOLD_ROW)
        yield
        try:
            self._held().ask("COMMIT")
        except ServerLost as error:
            raise self._lost(str(error)) from error
        self._asked = self._clock.now()

    def _require_newest(self, question: str) -> None:
        try:
            ((newest,),) = self._held().ask(question, self._name)
        except ServerLost as error:
            raise self._lost(str(error)) from error
        if newest != self._epoch:
            raise self._lost(f"epoch {newest} leads, not {self._epoch}")

    def _held(self) -> PostgresServer:
        if self._server is None or not self._epoch:
            raise Fenced(f"the lease {self._name} is not held: {self._told}")
        return self._server

    def _lost(self, why: str) -> Fenced:
        self._drop()
        self._told = f"another, or nobody: {why}"
        return Fenced(f"the lease {self._name} is lost: {why}")

    def _drop(self) -> None:
        server, self._server = self._server, None
        self._is_locked, self._epoch = False, 0
        self._grace_until = self._asked = None
        if server is not None:
            server.close()
        self._host.release()

    def release(self) -> None:
        """Let go of the lease, and say so; releasing one not held changes nothing."""
        if self._server is not None and self._epoch:
            with suppress(ServerLost):
                self._server.ask(_LET_GO, self._name, self._epoch)
        self._drop()

    def __enter__(self) -> Self:
        if not self._epoch:
            self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
