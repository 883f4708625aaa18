"""The writer of one chain: one process, one lock, durable before it answers (roadmap 0.6)."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import pyarrow as pa

from instgov_dagster.adapters.journal.anchors import Anchor
from instgov_dagster.adapters.journal.bundle import frame_rows
from instgov_dagster.adapters.journal.frames import (
    LENGTH_BYTES,
    chain_digest,
    encode_payload,
    frame_name,
)
from instgov_dagster.adapters.journal.scan import Position, chain_position, read_frames
from instgov_dagster.adapters.journal.segments import (
    BrokenFrame,
    list_segments,
    segment_path,
    segment_size,
)
from instgov_dagster.adapters.runtime import Clock, FileLock, RealClock, fsync_directory
from instgov_dagster.vocabulary.audit import AppendReceipt
from instgov_dagster.vocabulary.errors import Fenced, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

SEGMENT_BYTES = 64 * 1024 * 1024
_MODE = 0o600

#: Lets one write through, or raises `Fenced`; see `Lease.fence`.
Fence: TypeAlias = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TornTail:
    """What a killed writer left after the last whole frame; kept aside, cut from the segment."""

    segment: int
    offset: int
    bytes: int
    sha256: str
    kept_in: Path


class Journal:
    """An open chain. Made by :meth:`open`; closed for good by the first failed write.

    Attributes
    ----------
    torn
        The tail that was cut when the chain was opened, or None.
    fence
        Entered around each write; it raises `Fenced` where another may write by now. Lets every
        write through unless it is set.
    """

    def __init__(
        self,
        journal_dir: Path,
        chain: str,
        *,
        key: bytes | None,
        clock: Clock,
        lock: FileLock,
        at: Position,
        segment_bytes: int,
        torn: TornTail | None,
    ) -> None:
        self._dir = journal_dir
        self.chain = chain
        self._key = key
        self._clock = clock
        self._lock = lock
        self._at = at
        self._segment_bytes = segment_bytes
        self.torn = torn
        self.fence: Fence = nullcontext
        self._is_writing = False
        self._descriptor: int | None = self._open_segment(at.segment)

    @classmethod
    def open(
        cls,
        journal_dir: Path,
        chain: str,
        *,
        key: bytes | None = None,
        clock: Clock | None = None,
        anchors: Sequence[Anchor] = (),
        segment_bytes: int = SEGMENT_BYTES,
        proven: Position | None = None,
        wait_seconds: float = 0.0,
    ) -> "Journal":
        """Lock a chain, verify its last segment, cut a torn tail and stand ready to append.

        Parameters
        ----------
        key
            HMAC key the chain was written with.
        clock
            Stamps the frames; the machine's clock by default.
        anchors
            Statements the chain must still honour.
        segment_bytes
            Size from which the next frame starts a new segment.
        proven
            How far the caller verified the chain itself: only what follows is verified here.
        wait_seconds
            For a writer that is just letting go.

        Raises
        ------
        LeaseHeld
            If another writer holds the chain.
        SystemHalt
            ``CHAIN_BROKEN``, ``ANCHOR_MISMATCH`` if it is shorter than an anchor says,
            ``AUDIT_WRITE_FAILED`` if the folder cannot be written.
        """
        # A wait is real, whatever clock stamps the frames.
        lock = FileLock(journal_dir / chain / "lock", clock=None if wait_seconds else clock)
        try:
            lock.acquire(wait_seconds)
        except OSError as error:
            detail = f"{journal_dir / chain}: {error}"
            raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, detail) from error
        try:
            at = _verified_end(journal_dir, chain, key, proven)
            _require_anchored(at, anchors, chain)
            return cls(
                journal_dir,
                chain,
                key=key,
                clock=clock or RealClock(),
                lock=lock,
                at=at,
                segment_bytes=segment_bytes,
                torn=_cut_torn_tail(journal_dir, chain, at),
            )
        except BaseException:
            lock.release()
            raise

    @property
    def sequence(self) -> int:
        """Sequence of the last frame, 0 in an empty chain."""
        return self._at.sequence

    @property
    def head(self) -> str:
        """Digest of the last frame, in hex."""
        return self._at.head.hex()

    def anchor(self) -> Anchor:
        """State where the chain stands now."""
        return Anchor(
            chain=self.chain,
            segment=self._at.segment,
            sequence=self._at.sequence,
            frames=self._at.sequence,
            bytes=self._at.offset,
            head=self.head,
        )

    def append(self, kind: str, table: pa.Table, meta: Mapping[str, Any]) -> AppendReceipt:
        """Write one frame and return once it is on disk.

        Parameters
        ----------
        kind
            What the rows are.
        table
            The rows; may be empty.
        meta
            JSON-able facts beside the rows.

        Raises
        ------
        Fenced
            If another writer may have begun; the journal is closed for good. A frame that was
            written meanwhile stands, and nothing may be done by it.
        SystemHalt
            ``AUDIT_WRITE_FAILED`` on any failure; the journal is closed for good and what was
            written of the frame is cut off where the disk allows it.
        """
        if self._descriptor is None:
            raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"the journal {self.chain} is closed")
        try:
            return self._append(self._descriptor, kind, table, meta)
        except BaseException as error:
            self._abandon()
            if not isinstance(error, Exception) or isinstance(error, SystemHalt | Fenced):
                raise
            detail = f"{frame_name(self.chain, self._at.segment, self.sequence + 1)}: {error}"
            raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, detail) from error

    def _append(
        self, descriptor: int, kind: str, table: pa.Table, meta: Mapping[str, Any]
    ) -> AppendReceipt:
        if self._at.offset >= self._segment_bytes:
            with self.fence():
                descriptor = self._rotate(descriptor)
        sequence = self._at.sequence + 1
        payload = encode_payload(
            table, kind=kind, sequence=sequence, ts=self._clock.now(), meta=meta
        )
        head = chain_digest(self._at.head, payload, self._key)
        frame = len(payload).to_bytes(LENGTH_BYTES, "big") + head + payload
        self._write(descriptor, frame)
        receipt = AppendReceipt(
            chain=self.chain,
            segment=self._at.segment,
            sequence=sequence,
            offset=self._at.offset,
            frame_sha256=head.hex(),
            rows=frame_rows(table),
            cycle_id=meta.get("cycle_id"),
        )
        self._at = Position(
            segment=self._at.segment,
            offset=self._at.offset + len(frame),
            sequence=sequence,
            head=head,
        )
        return receipt

    def _write(self, descriptor: int, frame: bytes) -> None:
        with self.fence():
            _require_untouched(descriptor, self._at, self.chain)
            # From here on the end of the segment is this frame's, whole or not.
            self._is_writing = True
            left = memoryview(frame)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fdatasync(descriptor)
            self._is_writing = False

    def _rotate(self, descriptor: int) -> int:
        opened = self._open_segment(self._at.segment + 1)
        self._descriptor = opened
        self._at = Position(
            segment=self._at.segment + 1, offset=0, sequence=self._at.sequence, head=self._at.head
        )
        os.close(descriptor)
        return opened

    def _open_segment(self, segment: int) -> int:
        path = segment_path(self._dir, self.chain, segment)
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(path, flags, _MODE)
            fsync_directory(path.parent)
        except OSError as error:
            raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{path}: {error}") from error
        return descriptor

    def _abandon(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Cutting the half-written frame is a courtesy: opening the chain cuts it too. What
            # another writer may have added is never cut.
            with contextlib.suppress(OSError):
                if self._is_writing:
                    os.ftruncate(descriptor, self._at.offset)
                    os.fdatasync(descriptor)
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._lock.release()

    def close(self) -> None:
        """Close the chain and let its lock go; closing twice changes nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _require_untouched(descriptor: int, at: Position, chain: str) -> None:
    status = os.fstat(descriptor)
    if status.st_size != at.offset or status.st_nlink < 1:
        name = frame_name(chain, at.segment, at.sequence + 1)
        raise BrokenFrame(name, "the segment was changed or removed by somebody else")


def _verified_end(
    journal_dir: Path, chain: str, key: bytes | None, proven: Position | None
) -> Position:
    # Closed segments are verify_chain's matter; opening proves the one that will be written.
    segments = list_segments(journal_dir, chain)
    if not segments:
        return Position.start(chain)
    at = proven or _start_of(journal_dir, chain, segments[-1])
    for frame in read_frames(journal_dir, chain, key=key, start=at):
        at = Position.after(frame)
    return at


def _start_of(journal_dir: Path, chain: str, segment: int) -> Position:
    if segment == 1:
        return Position.start(chain)
    before = chain_position(journal_dir, chain, up_to=segment - 1)
    size = segment_size(journal_dir, chain, before.segment)
    if before.segment != segment - 1 or before.offset != size:
        name = frame_name(chain, before.segment, before.sequence + 1)
        raise BrokenFrame(name, "a closed segment must end at its last frame")
    return Position(segment=segment, offset=0, sequence=before.sequence, head=before.head)


def _require_anchored(at: Position, anchors: Sequence[Anchor], chain: str) -> None:
    for anchor in anchors:
        if anchor.sequence > at.sequence or (
            anchor.sequence == at.sequence and anchor.head != at.head.hex()
        ):
            raise SystemHalt(
                ReasonCode.ANCHOR_MISMATCH,
                f"{frame_name(chain, anchor.segment, anchor.sequence)} was anchored;"
                f" the chain ends at #{at.sequence}",
            )


def _cut_torn_tail(journal_dir: Path, chain: str, at: Position) -> TornTail | None:
    path = segment_path(journal_dir, chain, at.segment)
    if not path.exists() or path.stat().st_size == at.offset:
        return None
    with path.open("r+b") as stream:
        stream.seek(at.offset)
        tail = stream.read()
        kept = path.parent / "torn" / f"{at.segment:06d}-{at.offset}.bin"
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(tail)
        kept.chmod(_MODE)
        stream.truncate(at.offset)
        stream.flush()
        os.fsync(stream.fileno())
    digest = hashlib.sha256(tail).hexdigest()
    return TornTail(
        segment=at.segment, offset=at.offset, bytes=len(tail), sha256=digest, kept_in=kept
    )
