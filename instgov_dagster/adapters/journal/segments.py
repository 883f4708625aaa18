"""Where a chain's segments lie and what bytes they hold, as written or compacted; checks nothing.

A segment is a file of frames, ``000001.igj``, or, once closed and compacted, a Parquet file named
``000001.<sha256 of the file>.parquet`` that gives the same bytes back. Where both stand, the frames
count: a compaction was cut short before it removed them.
"""

import hashlib
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from instgov_dagster.adapters.journal.frames import LENGTH_BYTES, SEGMENT_SUFFIX
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

COMPACT_SUFFIX = ".parquet"
_SEGMENT_NAME = re.compile(r"(\d{6})" + re.escape(SEGMENT_SUFFIX))
_COMPACT_NAME = re.compile(r"(\d{6})\.([0-9a-f]{64})" + re.escape(COMPACT_SUFFIX))
_TRIES = 3


class BrokenFrame(SystemHalt):
    """A chain does not verify: which frame, and why.

    Parameters
    ----------
    frame
        The frame's name, e.g. ``loop/000001.igj#12``.
    why
        What was wrong with it.
    """

    def __init__(self, frame: str, why: str) -> None:
        super().__init__(ReasonCode.CHAIN_BROKEN, f"{frame}: {why}")
        self.frame = frame
        self.why = why


def segment_path(journal_dir: Path, chain: str, segment: int) -> Path:
    """Return the file a segment is written to."""
    return journal_dir / chain / f"{segment:06d}{SEGMENT_SUFFIX}"


def compact_path(journal_dir: Path, chain: str, segment: int) -> Path | None:
    """Return the file of a segment's compacted form, or None where it has none.

    Raises
    ------
    BrokenFrame
        If it has more than one.
    """
    folder = journal_dir / chain
    found = [
        path
        for path in sorted(folder.glob(f"{segment:06d}.*{COMPACT_SUFFIX}"))
        if _COMPACT_NAME.fullmatch(path.name)
    ]
    if len(found) > 1:
        name = f"{chain}/{segment:06d}{SEGMENT_SUFFIX}"
        raise BrokenFrame(name, f"the segment has {len(found)} compacted forms")
    return found[0] if found else None


def has_segment(journal_dir: Path, chain: str, segment: int) -> bool:
    """Tell whether a segment is there, in either form."""
    return (
        segment_path(journal_dir, chain, segment).exists()
        or compact_path(journal_dir, chain, segment) is not None
    )


def list_segments(journal_dir: Path, chain: str) -> list[int]:
    """List a chain's segments of either form, which must count 1, 2, 3, ... without a gap.

    Raises
    ------
    BrokenFrame
        If a segment in the middle or at the start is missing.
    """
    folder = journal_dir / chain
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    matches = [_SEGMENT_NAME.fullmatch(name) or _COMPACT_NAME.fullmatch(name) for name in names]
    numbers = sorted({int(found.group(1)) for found in matches if found is not None})
    for wanted, found in enumerate(numbers, start=1):
        if wanted != found:
            raise BrokenFrame(f"{chain}/{wanted:06d}{SEGMENT_SUFFIX}", "the segment is missing")
    return numbers


def segment_body(journal_dir: Path, chain: str, segment: int, *, start: int = 0) -> bytes:
    """Read a segment's bytes from one of them on; a compacted segment gives the same bytes.

    Parameters
    ----------
    start
        The first byte to read.

    Raises
    ------
    BrokenFrame
        If a compacted form is not what its name says, or holds no frames.
    FileNotFoundError
        If the segment is not there.
    """
    path = segment_path(journal_dir, chain, segment)
    for _ in range(_TRIES):  # a segment that is compacted meanwhile moves from one to the other
        try:
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read()
        except FileNotFoundError:
            compacted = compact_path(journal_dir, chain, segment)
        if compacted is not None:
            return rebuild_segment(compacted)[start:]
    raise FileNotFoundError(path)


def segment_size(journal_dir: Path, chain: str, segment: int) -> int:
    """Tell how many bytes of frames a segment holds, in either form.

    Raises
    ------
    BrokenFrame
        If a compacted form is not what its name says.
    FileNotFoundError
        If the segment is not there.
    """
    path = segment_path(journal_dir, chain, segment)
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return len(segment_body(journal_dir, chain, segment))


def rebuild_segment(path: Path) -> bytes:
    """Give the bytes of the frames back from a compacted segment, bit by bit.

    Raises
    ------
    BrokenFrame
        If the file does not hash to its name, or is no compacted segment.
    """
    name = f"{path.parent.name}/{path.name[:6]}{SEGMENT_SUFFIX}"
    match = _COMPACT_NAME.fullmatch(path.name)
    body = path.read_bytes()
    if match is None or hashlib.sha256(body).hexdigest() != match.group(2):
        raise BrokenFrame(name, "the compacted segment does not hash to its name")
    try:
        table = pq.read_table(pa.BufferReader(body), columns=["digest", "payload"])
        pairs = zip(table["digest"], table["payload"], strict=True)
        frames = [(digest.as_py(), payload.as_buffer()) for digest, payload in pairs]
        return b"".join(
            part
            for digest, payload in frames
            for part in (len(payload).to_bytes(LENGTH_BYTES, "big"), digest, memoryview(payload))
        )
    except (KeyError, TypeError, OSError, ValueError) as error:
        raise BrokenFrame(name, f"the compacted segment cannot be read: {error}") from error
