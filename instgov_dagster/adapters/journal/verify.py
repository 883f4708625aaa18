"""Walk a whole chain again and compare it with its anchors; changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from instgov_dagster.adapters.journal.anchors import Anchor
from instgov_dagster.adapters.journal.frames import SEGMENT_SUFFIX, frame_name
from instgov_dagster.adapters.journal.scan import Position, read_frames
from instgov_dagster.adapters.journal.segments import (
    COMPACT_SUFFIX,
    BrokenFrame,
    list_segments,
    segment_size,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What verifying a chain found.

    ``frames`` and ``head`` describe the sound part; ``first_bad`` names the first frame that
    does not verify, ``reason`` says why; ``torn_bytes`` stand after the last whole frame;
    ``anchored`` counts the frames that a confirmed anchor covers.
    """

    chain: str
    ok: bool
    frames: int
    head: str
    first_bad: str | None
    reason: str | None
    torn_bytes: int
    anchored: int


def verify_chain(
    journal_dir: Path, chain: str, *, key: bytes | None = None, anchors: Iterable[Anchor] = ()
) -> ChainReport:
    """Re-walk a chain from its first frame and hold it against its anchors.

    Parameters
    ----------
    journal_dir
        Folder of all chains.
    chain
        Name of the chain; one that was never written has no frames and is sound.
    key
        HMAC key the chain was written with.
    anchors
        Statements about the chain; a chain alone cannot show that its tail is gone.

    Notes
    -----
    Any byte outside a frame fails: a torn tail is reported until the next writer cuts it.
    """
    wanted: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        wanted.setdefault(anchor.sequence, []).append(anchor)
    at, broken, anchored = Position.start(chain), None, 0
    try:
        for frame in read_frames(journal_dir, chain, key=key):
            _require_honoured(Position.after(frame), wanted.get(frame.sequence, []), chain)
            at = Position.after(frame)
            anchored = at.sequence if at.sequence in wanted else anchored
    except BrokenFrame as error:
        broken = error
    torn = 0 if broken else _torn_bytes(journal_dir, chain, at)
    broken = broken or _first_fault(at, torn, max(wanted, default=0), chain)
    return ChainReport(
        chain=chain,
        ok=broken is None,
        frames=at.sequence,
        head=at.head.hex(),
        first_bad=broken.frame if broken else None,
        reason=broken.why if broken else None,
        torn_bytes=torn,
        anchored=anchored,
    )


def _require_honoured(at: Position, anchors: list[Anchor], chain: str) -> None:
    for anchor in anchors:
        # An anchor taken at the start of a fresh segment names the frame that closed the last.
        is_moved = (anchor.segment, anchor.bytes) not in {
            (at.segment, at.offset),
            (at.segment + 1, 0),
        }
        if not is_moved and anchor.head == at.head.hex():
            continue
        name = frame_name(chain, at.segment, at.sequence)
        raise BrokenFrame(name, "the frame differs from the one that was anchored")


def _torn_bytes(journal_dir: Path, chain: str, at: Position) -> int:
    segments = list_segments(journal_dir, chain)
    if not segments:
        return 0
    size = segment_size(journal_dir, chain, segments[-1])
    return size - (at.offset if at.segment == segments[-1] else 0)


def _first_fault(at: Position, torn: int, anchored: int, chain: str) -> BrokenFrame | None:
    name = frame_name(chain, at.segment, at.sequence + 1)
    if anchored > at.sequence:
        return BrokenFrame(
            name, f"the chain ends at #{at.sequence} but {anchored} frames were anchored"
        )
    if torn:
        return BrokenFrame(name, f"{torn} bytes stand outside a frame")
    return None


def list_chains(journal_dir: Path) -> tuple[str, ...]:
    """Name the chains that hold at least one segment."""
    if not journal_dir.is_dir():
        return ()
    suffixes = (SEGMENT_SUFFIX, COMPACT_SUFFIX)
    found = (path for suffix in suffixes for path in journal_dir.glob(f"*/*{suffix}"))
    return tuple(sorted({path.parent.name for path in found}))
