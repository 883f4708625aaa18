"""Anchors: where a chain stood, written outside it, so that a cut tail is noticed."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from instgov_dagster.adapters.journal.frames import canonical_json
from instgov_dagster.adapters.runtime import fsync_directory
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode


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
            kept = path.read_bytes().rfind(b"\n") + 1
            stream.truncate(kept)
            stream.seek(kept)
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        if is_new:
            fsync_directory(anchors_dir)
    except OSError as error:
        raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{path}: {error}") from error


def read_anchors(anchors_dir: Path, chain: str) -> tuple[Anchor, ...]:
    """Read a chain's anchors in the order written; an unfinished last line is no anchor.

    Raises
    ------
    SystemHalt
        ``ANCHOR_MISMATCH`` if a finished line cannot be understood.
    """
    path = anchors_path(anchors_dir, chain)
    if not path.exists():
        return ()
    return tuple(_parse(path, chain, number, line) for number, line in _lines(path))


def _lines(path: Path) -> Iterable[tuple[int, str]]:
    finished = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    return enumerate(finished, start=1)


def _parse(path: Path, chain: str, number: int, line: str) -> Anchor:
    try:
        anchor = Anchor(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise SystemHalt(
            ReasonCode.ANCHOR_MISMATCH, f"{path} line {number} is no anchor: {error}"
        ) from error
    if anchor.chain != chain:
        raise SystemHalt(
            ReasonCode.ANCHOR_MISMATCH, f"{path} line {number} speaks of chain {anchor.chain!r}"
        )
    return anchor
