"""Clock, home layout, locks, free space and the hash of the code; no stores live here."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from instgov_dagster.vocabulary.errors import LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

LOCK_POLL_SECONDS = 0.05
CODE_SUFFIXES = (".py", ".sql")


class Clock(Protocol):
    """The only way time enters the system."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        ...

    def sleep_until(self, instant: datetime) -> None:
        """Return at ``instant`` or at once when it has passed."""
        ...


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        return datetime.now(UTC)  # noqa: TID251  # the one place where time enters

    def sleep_until(self, instant: datetime) -> None:
        """Sleep until ``instant``, which must be aware."""
        _require_utc(instant)
        while (left := (instant - self.now()).total_seconds()) > 0:
            time.sleep(left)


class VirtualClock:
    """A clock that stands still until it is told to move; it never runs back.

    Parameters
    ----------
    start
        The first instant, aware, in UTC.
    """

    def __init__(self, start: datetime) -> None:
        _require_utc(start)
        self._now = start

    def now(self) -> datetime:
        """Return the instant the clock stands at."""
        return self._now

    def sleep_until(self, instant: datetime) -> None:
        """Move to ``instant`` unless it has passed."""
        _require_utc(instant)
        self._now = max(self._now, instant)

    def advance(self, step: timedelta) -> None:
        """Move forward by ``step``.

        Raises
        ------
        ValueError
            If ``step`` is negative.
        """
        if step < timedelta(0):
            raise ValueError(f"step must be >= 0, was {step}")
        self._now += step


def _require_utc(instant: datetime) -> None:
    if instant.utcoffset() != timedelta(0):
        raise ValueError(f"an instant must be aware and in UTC, was {instant!r}")


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one installation lives, below one folder."""

    root: Path

    @property
    def warehouse(self) -> Path:
        """The batch store: opened for a write and closed, never by the loop."""
        return self.root / "warehouse.duckdb"

    @property
    def live(self) -> Path:
        """The projection of the loop's journal; rebuildable at any time."""
        return self.root / "live.duckdb"

    @property
    def projection_lock(self) -> Path:
        """Held by whoever writes the projection."""
        return self.root / "projection.lock"

    @property
    def journal_dir(self) -> Path:
        """The hash-chained journals, one folder a chain."""
        return self.root / "journal"

    @property
    def published(self) -> Path:
        """Versioned Parquet snapshots and the anchors: what every reader reads."""
        return self.root / "published"

    @property
    def anchors(self) -> Path:
        """The chains' anchors, one file a chain."""
        return self.published / "anchors"

    @property
    def raw(self) -> Path:
        """Immutable provider payloads, one folder a run (roadmap 2.6)."""
        return self.root / "runtime" / "raw"

    @property
    def pinned(self) -> Path:
        """The published nights that sessions stood on, kept for good: what a replay stands on."""
        return self.root / "runtime" / "snapshots"

    @property
    def dagster(self) -> Path:
        """The Dagster instance's folders."""
        return self.root / "dagster"

    @property
    def night_lock(self) -> Path:
        """Held by whoever runs a night."""
        return self.root / "night.lock"

    @property
    def lease(self) -> Path:
        """Held by the leading live session."""
        return self.root / "live.lease"

    @property
    def paper_account(self) -> Path:
        """The paper broker's own record of orders, fills and cash."""
        return self.root / "paper" / "account.sqlite"

    @property
    def heartbeat(self) -> Path:
        """Written by the leader each cycle: how many cycles are done; its age is the heartbeat."""
        return self.root / "heartbeat"

    @property
    def sessions(self) -> Path:
        """Who leads and who stands by, one small file a process."""
        return self.root / "live"

    @property
    def night_progress(self) -> Path:
        """Written by the night after each step: how many steps are done."""
        return self.root / "night.progress"


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
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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


def code_sha256() -> str:
    """Hash the package's own sources: file names and bytes, in order of name."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    files = sorted(p for p in package.rglob("*") if p.suffix in CODE_SUFFIXES)
    for path in files:
        body = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(body)}\0".encode())
        digest.update(body)
    return digest.hexdigest()


def require_free_space(path: Path, *, needed_bytes: int) -> int:
    """Refuse to start what the disk could not hold; return the bytes free.

    Parameters
    ----------
    path
        Any path on the file system; the nearest folder that exists is asked.
    needed_bytes
        Least number of bytes that must be free.

    Raises
    ------
    SystemHalt
        ``DISK_FULL`` if fewer are free.
    """
    folder = path
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise SystemHalt(
            ReasonCode.DISK_FULL, f"{folder} must have {needed_bytes} bytes free, had {free}"
        )
    return free


def fsync_directory(folder: Path) -> None:
    """Make the names in a folder as durable as the files they name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, body: bytes) -> None:
    """Replace a file so that a reader sees the old bytes or the new ones, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)
