"""Closed segments as Parquet: the frames' bytes, bit by bit, beside what their headers say.

A row is a frame. Its payload is kept as it was written and compressed by the column, not taken
apart into columns: an Arrow stream written again need not be the same bytes under another version
of the library, and a chain whose bytes cannot be had back cannot be verified. The headers stand in
columns of their own, so that a query finds a frame without decoding any.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from instgov_dagster.adapters.journal.anchors import Anchor, read_anchors
from instgov_dagster.adapters.journal.frames import Frame, canonical_json, frame_name
from instgov_dagster.adapters.journal.scan import Position, read_frames
from instgov_dagster.adapters.journal.segments import (
    COMPACT_SUFFIX,
    BrokenFrame,
    compact_path,
    list_segments,
    rebuild_segment,
    segment_path,
)
from instgov_dagster.adapters.runtime import FileLock, fsync_directory
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

_COMPRESS_LEVEL = 9
_LOCK = "compact.lock"
_MODE = 0o600

COMPACT_SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("offset", pa.int64()),
        ("kind", pa.string()),
        ("rows", pa.int64()),
        ("ts", pa.timestamp("us", tz="UTC")),
        ("cycle_id", pa.string()),
        ("meta", pa.string()),
        ("digest", pa.binary(32)),
        ("payload", pa.large_binary()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactedSegment:
    """What compacting one segment did; ``bytes_before`` is gone from the disk."""

    chain: str
    segment: int
    frames: int
    bytes_before: int
    bytes_after: int
    path: Path


def compact_chain(
    journal_dir: Path, chain: str, *, key: bytes | None, anchors: Iterable[Anchor]
) -> tuple[CompactedSegment, ...]:
    """Compact every closed, anchored segment of a chain that still stands as frames.

    Parameters
    ----------
    key
        The key the chain was written with.
    anchors
        What was stated about the chain; a segment without an anchor at or after its last frame
        is left as it is.

    Raises
    ------
    LeaseHeld
        If another process compacts the chain.
    SystemHalt
        ``CHAIN_BROKEN`` where the chain does not verify, ``ANCHOR_MISMATCH`` where it is not what
        was anchored: nothing is removed then. ``AUDIT_WRITE_FAILED`` if a file cannot be written.

    Notes
    -----
    The compacted form is written beside the frames, made durable, read back and compared with
    them byte for byte, and only then are the frames removed. A kill at any point leaves the frames
    or a compacted form that gives them back; where it leaves both, the next call goes on.
    """
    closed = list_segments(journal_dir, chain)[:-1]
    if not any(segment_path(journal_dir, chain, segment).exists() for segment in closed):
        return ()
    with FileLock(journal_dir / chain / _LOCK):
        _sweep(journal_dir / chain)
        frames = _segments(journal_dir, chain, key, closed[-1])
        heads = {anchor.sequence: anchor.head for anchor in anchors}
        last = max(heads, default=0)
        done = []
        for group in frames:
            _require_anchored(group, heads)
            is_raw = segment_path(journal_dir, chain, group[0].segment).exists()
            if is_raw and group[-1].sequence <= last:
                done.append(_compact(journal_dir, group))
        return tuple(done)


def compact_chains(
    journal_dir: Path, anchors_dir: Path, chains: Iterable[str], *, key: bytes | None
) -> tuple[CompactedSegment, ...]:
    """Compact several chains, each by its own anchors; see `compact_chain`."""
    return tuple(
        row
        for chain in chains
        for row in compact_chain(
            journal_dir, chain, key=key, anchors=read_anchors(anchors_dir, chain)
        )
    )


def _segments(journal_dir: Path, chain: str, key: bytes | None, last: int) -> Iterator[list[Frame]]:
    # The frames of each closed segment, verified from the first of the chain on.
    held: list[Frame] = []
    for frame in read_frames(journal_dir, chain, key=key, start=Position.start(chain)):
        if held and frame.segment != held[-1].segment:
            yield held
            held = []
        if frame.segment > last:
            return
        held.append(frame)


def _require_anchored(frames: list[Frame], heads: dict[int, str]) -> None:
    for frame in frames:
        wanted = heads.get(frame.sequence)
        if wanted is not None and wanted != frame.head.hex():
            raise SystemHalt(
                ReasonCode.ANCHOR_MISMATCH,
                f"{frame.name} differs from the one that was anchored",
            )


def _compact(journal_dir: Path, frames: list[Frame]) -> CompactedSegment:
    chain, segment = frames[0].chain, frames[0].segment
    source = segment_path(journal_dir, chain, segment)
    try:
        original = source.read_bytes()
        target = compact_path(journal_dir, chain, segment)
        if target is not None and not _gives_back(target, original):
            target.unlink()  # beside the frames, which are sound, a form that is not says nothing
            target = None
        target = target or _write(source, frames)
        # What stands on the disk now is read back: only bytes that come out again are removed.
        if not _gives_back(target, original):
            name = frame_name(chain, segment, frames[0].sequence)
            raise BrokenFrame(name, "the compacted segment does not give its frames back")
        source.unlink()
        fsync_directory(source.parent)
    except OSError as error:
        raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{source}: {error}") from error
    return CompactedSegment(
        chain=chain,
        segment=segment,
        frames=len(frames),
        bytes_before=len(original),
        bytes_after=target.stat().st_size,
        path=target,
    )


def _gives_back(target: Path, original: bytes) -> bool:
    try:
        return rebuild_segment(target) == original
    except BrokenFrame:
        return False


def _write(source: Path, frames: list[Frame]) -> Path:
    body = _encode(frames)
    digest = hashlib.sha256(body).hexdigest()
    target = source.with_name(f"{source.stem}.{digest}{COMPACT_SUFFIX}")
    temporary = source.with_name(f".{source.stem}{COMPACT_SUFFIX}.tmp")
    with temporary.open("wb") as stream:
        stream.write(body)
        os.fchmod(stream.fileno(), _MODE)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(target)
    fsync_directory(source.parent)
    return target


def _encode(frames: list[Frame]) -> bytes:
    table = pa.table(
        {
            "sequence": [frame.sequence for frame in frames],
            "offset": [frame.offset for frame in frames],
            "kind": [frame.kind for frame in frames],
            "rows": [frame.rows for frame in frames],
            "ts": [frame.ts for frame in frames],
            "cycle_id": [frame.meta.get("cycle_id") for frame in frames],
            "meta": [canonical_json(dict(frame.meta)) for frame in frames],
            "digest": [frame.head for frame in frames],
            "payload": [frame.payload for frame in frames],
        },
        schema=COMPACT_SCHEMA,
    )
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=_COMPRESS_LEVEL,
        use_dictionary=["kind"],
        write_statistics=["sequence", "ts", "cycle_id"],
    )
    return sink.getvalue()


def _sweep(folder: Path) -> None:
    # What a killed compaction left half-written was never named, so nothing stands on it.
    for left in folder.glob(f".*{COMPACT_SUFFIX}.tmp"):
        left.unlink()
