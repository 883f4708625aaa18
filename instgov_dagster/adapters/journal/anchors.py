"""Anchors: where a chain stood, written outside it, so that a cut tail is noticed."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from instgov_dagster.adapters.journal.frames import canonical_json
from instgov_dagster.adapters.runtime import fsync_directory
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

_BLOCK_BYTES: Final = 4096
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A statement about a chain: after ``frames`` frames it stood here.

    ``sequence`` is that of its last frame, ``bytes`` the end of that frame in ``segment``, and
    ``head`` its digest in hex.
    """

    chain: str
    segment: int
    sequence: int
    frames: int
    bytes: int
    head: str


def anchors_path(anchors_dir: Path, chain: str) -> Path:
    """Return the file that holds a chain's anchors."""
    return anchors_dir / f"{chain}.jsonl"


def append_anchor(anchors_dir: Path, anchor: Anchor) -> None:
    """Add one line and make it durable; a torn last line of a killed writer is cut first.

    Raises
    ------
    SystemHalt
        ``AUDIT_WRITE_FAILED`` if the line could not be made durable.
    """
    path = anchors_path(anchors_dir, anchor.chain)
    line = (canonical_json(asdict(anchor)) + "\n").encode()
    try:
        anchors_dir.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("r+b" if not is_new else "xb") as stream:
            kept = _end_of_last_line(stream)
            stream.truncate(kept)
            stream.seek(kept)
            stream.write(line)
            os.fchmod(stream.fileno(), _MODE)
            stream.flush()
            os.fsync(stream.fileno())
        if is_new:
            fsync_directory(anchors_dir)
    except OSError as error:
        raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{path}: {error}") from error


def _end_of_last_line(stream: BinaryIO) -> int:
    # Read backwards from the end, where a torn line is: the file's length costs nothing.
    end = stream.seek(0, os.SEEK_END)
    while end:
        begin = max(end - _BLOCK_BYTES, 0)
        stream.seek(begin)
        place = stream.read(end - begin).rfind(b"\n")
        if place >= 0:
            return begin + place + 1
        end = begin
    return 0


def read_anchors(anchors_dir: Path, chain: str) -> tuple[Anchor, ...]:
    """Read a chain's anchors in the order written; an unfinished last line is no anchor.

    Raises
    ------
    SystemHalt
        ``ANCHOR_MISMATCH`` if a finished line cannot be understood.
    """
    return read_anchors_from(anchors_dir, chain, 0)[0]


def read_anchors_from(anchors_dir: Path, chain: str, offset: int) -> tuple[tuple[Anchor, ...], int]:
    """Read the anchors that were written from a byte of the file on.

    Parameters
    ----------
    offset
        What an earlier call gave back, or 0 for all.

    Returns
    -------
    The anchors in the order written, and where the next one will begin.

    Raises
    ------
    SystemHalt
        ``ANCHOR_MISMATCH`` if a finished line cannot be understood, or the file is shorter than
        it was.
    """
    path = anchors_path(anchors_dir, chain)
    size = path.stat().st_size if path.exists() else 0
    if size < offset:
        raise SystemHalt(
            ReasonCode.ANCHOR_MISMATCH, f"{path} had {offset} bytes of anchors, has {size}"
        )
    if size == offset:
        return (), offset
    with path.open("rb") as stream:
        stream.seek(offset)
        body = stream.read(size - offset)
    finished = body[: body.rfind(b"\n") + 1]
    found, at = [], offset
    for line in finished.splitlines(keepends=True):
        found.append(_parse(path, chain, at, line.decode("utf-8", errors="replace")))
        at += len(line)
    return tuple(found), at


def _parse(path: Path, chain: str, at: int, line: str) -> Anchor:
    try:
        anchor = Anchor(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise SystemHalt(
            ReasonCode.ANCHOR_MISMATCH, f"{path} at byte {at} is no anchor: {error}"
        ) from error
    if anchor.chain != chain:
        raise SystemHalt(
            ReasonCode.ANCHOR_MISMATCH, f"{path} at byte {at} speaks of chain {anchor.chain!r}"
        )
    return anchor
