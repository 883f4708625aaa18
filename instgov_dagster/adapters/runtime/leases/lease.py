"""Who may lead: a lease with a number that only grows, by the host's kernel or by Postgres.

The number is the fencing token (Kleppmann 2016, "How to do distributed locking"): a leader that was
paused does not know that its lease is gone, so what it writes is checked against the number as it
is written, not against what it believes.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from instgov_dagster.adapters.runtime.clock import Clock
from instgov_dagster.adapters.runtime.files import replace_durably
from instgov_dagster.adapters.runtime.locks import FileLock
from instgov_dagster.vocabulary.errors import Fenced


class Lease(Protocol):
    """Held by the one session that leads a home.

    Attributes
    ----------
    path
        The lease's file on this host.
    """

    path: Path

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lease, as far as it knows."""
        ...

    @property
    def epoch(self) -> int:
        """The fencing token: greater with each holder; 0 where it is not held."""
        ...

    def is_intact(self) -> bool:
        """Tell whether the lease is held still.

        Raises
        ------
        Fenced
            If another may lead by now.
        """
        ...

    def try_acquire(self, *, is_signed: bool = True) -> bool:
        """Take the lease if it is free; never wait."""
        ...

    def fence(self) -> AbstractContextManager[None]:
        """Let one write through while the token is the newest.

        Raises
        ------
        Fenced
            On entering, before anything is written, or on leaving: what was written then is not
            to be acted upon.
        """
        ...

    def holder(self) -> str:
        """Name the last holder, for a person."""
        ...

    def release(self) -> None:
        """Let go of the lease; releasing one not held changes nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class HostLease(FileLock):
    """A lease between the processes of one host: the kernel's lock, and a count beside it.

    Parameters
    ----------
    path
        The lock file; the count stands in ``<path>.epoch``.
    clock
        What the polling waits on.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        super().__init__(path, clock=clock)
        self._counted = path.with_name(f"{path.name}.epoch")
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """The fencing token: greater with each holder; 0 where it is not held."""
        return self._epoch

    def try_acquire(self, *, is_signed: bool = True) -> bool:
        """Take the lock if it is free and count one holder more; never wait.

        Raises
        ------
        Fenced
            If the count cannot be read: nobody can be told apart from a leader before then.
        """
        if not super().try_acquire(is_signed=is_signed):
            return False
        try:
            epoch = self._count() + 1
            replace_durably(self._counted, f"{epoch}\n".encode())
        except BaseException:
            self.release()
            raise
        self._epoch = epoch
        return True

    @contextmanager
    def fence(self) -> Iterator[None]:
        """Let one write through while no later holder was counted.

        Raises
        ------
        Fenced
            If one was, before or after the write.
        """
        self._require_newest()
        yield
        self._require_newest()

    def release(self) -> None:
        """Let go of the lock; releasing a lock not held changes nothing."""
        self._epoch = 0
        super().release()

    def _require_newest(self) -> None:
        newest = self._count()
        if not self._epoch or newest != self._epoch:
            raise Fenced(f"{self.path} is led by epoch {newest}, not by {self._epoch}")

    def _count(self) -> int:
        try:
            text = self._counted.read_text(encoding="ascii")
        except FileNotFoundError:
            return 0
        except (OSError, UnicodeDecodeError) as error:
            raise Fenced(f"{self._counted} cannot be read: {error}") from error
        if not text.strip().isdecimal():
            raise Fenced(f"{self._counted} must hold a count, was {text[:40]!r}")
        return int(text)
