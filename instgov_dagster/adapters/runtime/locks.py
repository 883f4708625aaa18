"""Locks of the kernel between the processes of one host."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from instgov_dagster.adapters.runtime.clock import Clock, RealClock
from instgov_dagster.vocabulary.errors import LeaseHeld

LOCK_POLL_SECONDS = 0.05

# Open locks that their holders lend within this process and nobody took yet, by path.
_LENT: dict[Path, int] = {}


class FileLock:
    """An exclusive ``flock`` that dies with its holder; the file's text names the holder.

    Parameters
    ----------
    path
        The lock file; created on the first acquire, never removed.
    clock
        What the polling waits on.

    Notes
    -----
    The text is for the human only: the lock is the kernel's, so a stale text locks nobody out.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self.path = path
        self._clock: Clock = clock or RealClock()
        self._descriptor: int | None = None
        self._has_lent = False

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def is_intact(self) -> bool:
        """Tell whether the lock is held, on the very file that its path names now."""
        held, path = self._descriptor, self.path
        return held is not None and path.exists() and os.path.samestat(os.fstat(held), path.stat())

    def try_acquire(self, *, is_signed: bool = True) -> bool:
        """Take the lock if it is free; never wait.

        Parameters
        ----------
        is_signed
            Whether to name the holder in the file at once; see `sign`.

        Raises
        ------
        ValueError
            If this object already holds it.
        """
        if self._descriptor is not None:
            raise ValueError(f"{self.path} must not be acquired twice by one holder")
        if self.path in _LENT:
            self._descriptor = _LENT.pop(self.path)
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        if is_signed:
            self.sign()
        return True

    def sign(self) -> None:
        """Name the holder in the file.

        Raises
        ------
        ValueError
            If this object does not hold the lock.
        """
        if self._descriptor is None:
            raise ValueError(f"{self.path} must be held to be signed")
        text = f"pid {os.getpid()} since {self._clock.now().isoformat(timespec='seconds')}\n"
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def lend(self) -> None:
        """Leave the lock to the next holder of this process that asks for it, without a gap.

        Who starts something long takes its lock first and lends it to what it starts: a second
        process is refused before it has done anything. One that is never taken is released as any.

        Raises
        ------
        ValueError
            If this object does not hold it.
        """
        if self._descriptor is None:
            raise ValueError(f"{self.path} must be held to be lent")
        _LENT[self.path], self._descriptor = self._descriptor, None
        self._has_lent = True

    def acquire(self, timeout_seconds: float = 0.0) -> None:
        """Take the lock, polling until ``timeout_seconds`` have passed.

        Raises
        ------
        LeaseHeld
            If another holder kept it; the text names the holder.
        """
        deadline = self._clock.now() + timedelta(seconds=timeout_seconds)
        while not self.try_acquire():
            now = self._clock.now()
            if now >= deadline:
                raise LeaseHeld(f"{self.path} is held by {self.holder()}")
            self._clock.sleep_until(min(deadline, now + timedelta(seconds=LOCK_POLL_SECONDS)))

    def holder(self) -> str:
        """Name the last holder as the file tells it."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return "nobody"
        return text or "a process that has not named itself"

    def release(self) -> None:
        """Let go of the lock; releasing a lock not held changes nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None and self._has_lent:
            descriptor = _LENT.pop(self.path, None)  # never taken
        if descriptor is None:
            return
        try:
            # A forked child shares the open file: unlocking reaches its copy, closing does not.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        if self._descriptor is None:
            self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@contextmanager
def lent_locks(paths: Sequence[Path]) -> Iterator[None]:
    """Take several locks, or none and write nothing, and lend them within this process.

    Raises
    ------
    LeaseHeld
        If another holds one of them.
    """
    with ExitStack() as held:
        locks = [FileLock(path) for path in paths]
        for lock in locks:
            if not lock.try_acquire(is_signed=False):
                raise LeaseHeld(f"{lock.path} is held by {lock.holder()}")
            held.callback(lock.release)
        for lock in locks:
            lock.sign()
            lock.lend()
        yield
