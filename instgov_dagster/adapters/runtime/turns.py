"""Whose turn it is next: the state of a rate, kept by one process, one host or all hosts."""

import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Protocol

from instgov_dagster.adapters.runtime.leases.postgres_lease import PostgresServer, ServerLost
from instgov_dagster.vocabulary.errors import InstgovError

#: No queue is so long: a turn further ahead was given by a clock that has been set back since.
LONGEST_QUEUE = timedelta(hours=1)

_TABLE = (
    "CREATE TABLE IF NOT EXISTS instgov_rates (name text PRIMARY KEY,"
    " next_turn double precision NOT NULL)"
)
_RESERVE = (
    "INSERT INTO instgov_rates AS r VALUES (%s, extract(epoch FROM clock_timestamp()) + %s)"
    " ON CONFLICT (name) DO UPDATE SET next_turn ="
    " greatest(r.next_turn, extract(epoch FROM clock_timestamp()) - %s) + %s"
    " RETURNING next_turn - %s - extract(epoch FROM clock_timestamp())"
)


class RateUnknown(InstgovError):  # noqa: N818  # a state of the world, like its siblings
    """Nobody could say whose turn it is: nothing is asked then."""


class Turns(Protocol):
    """Gives turns one after another, a step apart."""

    def reserve(self, now: datetime, step: timedelta, allowance: timedelta) -> datetime:
        """Take the next turn and give its instant on the taker's clock.

        Parameters
        ----------
        allowance
            How far turns may lie in the past: what an idle rate has saved up.
        """
        ...


def _following(
    held: datetime | None, now: datetime, step: timedelta, allowance: timedelta
) -> tuple[datetime, datetime]:
    # The turn given, and the one after it.
    floor = now - allowance
    turn = floor if held is None or held > now + LONGEST_QUEUE else max(held, floor)
    return max(turn, now), turn + step


class OwnTurns:
    """Turns among the threads of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._next: datetime | None = None

    def reserve(self, now: datetime, step: timedelta, allowance: timedelta) -> datetime:
        """Take the next turn."""
        with self._lock:
            turn, self._next = _following(self._next, now, step, allowance)
        return turn


class FileTurns:
    """Turns among all processes of this host: the next one stands in a file, under its lock.

    Parameters
    ----------
    path
        Made with the first turn. What cannot be read in it counts as nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def reserve(self, now: datetime, step: timedelta, allowance: timedelta) -> datetime:
        """Take the next turn; the lock is held for microseconds, never while waiting."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # The lock dies with its holder, however it dies.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            turn, following = _following(_read(descriptor), now, step, allowance)
            os.pwrite(
                descriptor, following.astimezone(UTC).isoformat("T", "microseconds").encode(), 0
            )
        finally:
            os.close(descriptor)
        return turn


def _read(descriptor: int) -> datetime | None:
    try:
        held = datetime.fromisoformat(os.pread(descriptor, 64, 0).decode("ascii"))
    except ValueError:
        return None
    return held if held.tzinfo is not None else None


class PostgresTurns:
    """Turns among all hosts: the next one is a row, and the database's clock is everybody's.

    Parameters
    ----------
    url
        Of the database; it may hold a password and is never told.
    name
        Of the rate.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self._lock = Lock()
        self._server: PostgresServer | None = None

    def reserve(self, now: datetime, step: timedelta, allowance: timedelta) -> datetime:
        """Take the next turn.

        Raises
        ------
        RateUnknown
            If the database does not answer, nor on a second connection.
        """
        step_s, allowance_s = step.total_seconds(), allowance.total_seconds()
        values = (self._name, step_s, allowance_s, step_s, step_s)
        with self._lock:
            try:
                wait = self._ask(values)
            except ServerLost:
                self._close()
                try:
                    wait = self._ask(values)
                except ServerLost as error:
                    self._close()
                    raise RateUnknown(
                        f"the rate {self._name} must be known before a question, was not: {error}"
                    ) from error
        return now + timedelta(seconds=max(wait, 0.0))

    def _ask(self, values: tuple[object, ...]) -> float:
        if self._server is None:
            self._server = PostgresServer(self._url)
            self._server.ask(_TABLE)
        ((wait,),) = self._server.ask(_RESERVE, *values)
        return float(wait)

    def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()


def shared_turns(folder: Path, *, url: str | None, system: str) -> Callable[[str], Turns]:
    """Say where the turns of a provider are kept: of this host, or in Postgres where hosts share.

    Parameters
    ----------
    folder
        Of this host's files.
    url
        Of the database of all hosts; None where there is one host.
    system
        Tells the rates of several systems in one database apart.
    """
    if url is None:
        return lambda provider: FileTurns(folder / f"{provider}.turn")
    return lambda provider: PostgresTurns(url, f"{system}/{provider}")
