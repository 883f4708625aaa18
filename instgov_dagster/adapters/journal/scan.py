"""Read a chain's segments and check each frame against the one before; nothing is written here."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from instgov_dagster.adapters.journal.frames import (
    HEADER_BYTES,
    LENGTH_BYTES,
    Frame,
    FrameHeader,
    chain_digest,
    decode_header,
    frame_name,
    genesis,
    whole_stream_length,
)
from instgov_dagster.adapters.journal.segments import (
    BrokenFrame,
    has_segment,
    list_segments,
    segment_body,
    segment_path,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A point between two frames: where the next one begins and what it is chained to.

    ``sequence`` is that of the last frame before the point, 0 at the start of the chain.
    """

    segment: int
    offset: int
    sequence: int
    head: bytes

    @classmethod
    def start(cls, chain: str) -> "Position":
        """Return the point before the first frame of a chain."""
        return cls(segment=1, offset=0, sequence=0, head=genesis(chain))

    @classmethod
    def after(cls, frame: Frame) -> "Position":
        """Return the point right after a frame."""
        return cls(
            segment=frame.segment, offset=frame.end, sequence=frame.sequence, head=frame.head
        )


def next_frame(
    body: memoryview, base: int, at: Position, *, chain: str, key: bytes | None, is_last: bool
) -> Frame | None:
    """Check the frame that begins at a position, or return None where no whole frame stands.

    Parameters
    ----------
    body
        Bytes of the segment from byte ``base`` on.
    base
        Offset in the segment of the first byte of ``body``.
    at
        Where the frame must begin and what it must be chained to.
    is_last
        Whether a cut frame at the end is a tear (None) rather than a broken closed segment.

    Raises
    ------
    BrokenFrame
        If the frame does not verify, or a closed segment does not end with a frame.
    """
    rest = body[at.offset - base :]
    name = frame_name(chain, at.segment, at.sequence + 1)
    if not rest:
        return None
    length = int.from_bytes(rest[:LENGTH_BYTES], "big") if len(rest) >= LENGTH_BYTES else 0
    if len(rest) < HEADER_BYTES or len(rest) < HEADER_BYTES + length or not any(rest):
        if not is_last:
            raise BrokenFrame(name, "a closed segment must end at its last frame")
        _refuse_altered_length(rest, at, name=name, key=key)
        return None
    digest = bytes(rest[LENGTH_BYTES:HEADER_BYTES])
    payload = bytes(rest[HEADER_BYTES : HEADER_BYTES + length])
    if chain_digest(at.head, payload, key) != digest:
        raise BrokenFrame(name, "the digest does not match the payload and the frame before")
    try:
        header = decode_header(payload)
    except ValueError as error:
        raise BrokenFrame(name, str(error)) from error
    if header.sequence != at.sequence + 1:
        raise BrokenFrame(name, f"sequence must be {at.sequence + 1}, was {header.sequence}")
    return Frame(
        chain=chain,
        segment=at.segment,
        sequence=header.sequence,
        offset=at.offset,
        end=at.offset + HEADER_BYTES + length,
        previous=at.head,
        head=digest,
        kind=header.kind,
        rows=header.rows,
        ts=header.ts,
        meta=header.meta,
        payload=payload,
    )


def _refuse_altered_length(rest: memoryview, at: Position, *, name: str, key: bytes | None) -> None:
    # A tear leaves less than one frame. If a whole frame stands where the length claims more,
    # the length was altered; calling that a tear would cut good frames away.
    body = rest[HEADER_BYTES:]
    true_length = whole_stream_length(body) if body else None
    if true_length is None:
        return
    digest = bytes(rest[LENGTH_BYTES:HEADER_BYTES])
    if chain_digest(at.head, body[:true_length], key) == digest:
        raise BrokenFrame(name, "the length field was altered")


def read_frames(
    journal_dir: Path, chain: str, *, key: bytes | None = None, start: Position | None = None
) -> Iterator[Frame]:
    """Yield a chain's frames in order, each checked; a tear at the very end ends the scan.

    Parameters
    ----------
    start
        Where to begin; at the chain's first frame by default. Segments before it are not looked
        at, so that following a chain costs what is new of it and not its length.

    Raises
    ------
    BrokenFrame
        At the first frame that does not verify.
    """
    at = start or Position.start(chain)
    segments = _segments_from(journal_dir, chain, at.segment)
    if at.segment > 1 and not segments:
        raise BrokenFrame(frame_name(chain, at.segment, at.sequence), "the segment is missing")
    for segment in segments:
        if segment != at.segment:
            at = Position(segment=segment, offset=0, sequence=at.sequence, head=at.head)
        base = at.offset
        body = _read_from(journal_dir, chain, at)
        is_last = segment == segments[-1]
        while (
            frame := next_frame(body, base, at, chain=chain, key=key, is_last=is_last)
        ) is not None:
            yield frame
            at = Position.after(frame)


def _segments_from(journal_dir: Path, chain: str, first: int) -> list[int]:
    if first == 1:
        return list_segments(journal_dir, chain)
    last = first
    while has_segment(journal_dir, chain, last):
        last += 1
    return list(range(first, last))


def _read_from(journal_dir: Path, chain: str, at: Position) -> memoryview:
    # One byte before the point is read as well: that it is there shows nothing was cut away.
    before = min(at.offset, 1)
    body = segment_body(journal_dir, chain, at.segment, start=at.offset - before)
    if len(body) < before:
        name = frame_name(chain, at.segment, at.sequence)
        raise BrokenFrame(name, "the segment is shorter than it was")
    return memoryview(body)[before:]


def chain_position(journal_dir: Path, chain: str, *, up_to: int | None = None) -> Position:
    """Find a chain's end by lengths alone: quick, for naming another chain's head; no proof.

    Parameters
    ----------
    up_to
        Last segment to look at; all by default.

    Notes
    -----
    The proof is :func:`read_frames` or ``verify_chain``; this reads headers, hashes nothing.
    """
    for segment in reversed(list_segments(journal_dir, chain)[:up_to]):
        found = _last_header(journal_dir, chain, segment)
        if found is not None:
            return found
    return Position.start(chain)


def newest_headers(journal_dir: Path, chain: str) -> Iterator[FrameHeader]:
    """Give what a chain's frames say of themselves, the last one first; no proof.

    Raises
    ------
    BrokenFrame
        If a segment is missing or a frame's header cannot be read.
    """
    for segment in reversed(list_segments(journal_dir, chain)):
        name = f"{chain}/{segment_path(journal_dir, chain, segment).name}"
        with _open_segment(journal_dir, chain, segment) as stream:
            for begin, end, _ in reversed(_spans(stream)):
                yield _header(stream, begin, end, name)


def _open_segment(journal_dir: Path, chain: str, segment: int) -> BinaryIO:
    try:
        return segment_path(journal_dir, chain, segment).open("rb")
    except FileNotFoundError:
        return io.BytesIO(segment_body(journal_dir, chain, segment))


def _last_header(journal_dir: Path, chain: str, segment: int) -> Position | None:
    name = f"{chain}/{segment_path(journal_dir, chain, segment).name}"
    with _open_segment(journal_dir, chain, segment) as stream:
        spans = _spans(stream)
        if not spans:
            return None
        begin, end, head = spans[-1]
        header = _header(stream, begin, end, name)
    return Position(segment=segment, offset=end, sequence=header.sequence, head=head)


def _spans(stream: BinaryIO) -> list[tuple[int, int, bytes]]:
    # Where each whole frame of a segment begins and ends, and its digest; a tear is left out.
    size = stream.seek(0, 2)
    offset, spans = 0, []
    while offset + HEADER_BYTES <= size:
        stream.seek(offset)
        header = stream.read(HEADER_BYTES)
        end = offset + HEADER_BYTES + int.from_bytes(header[:LENGTH_BYTES], "big")
        if end > size or end == offset + HEADER_BYTES:
            break
        spans.append((offset, end, header[LENGTH_BYTES:]))
        offset = end
    return spans


def _header(stream: BinaryIO, begin: int, end: int, name: str) -> FrameHeader:
    stream.seek(begin + HEADER_BYTES)
    payload = stream.read(end - begin - HEADER_BYTES)
    try:
        return decode_header(payload)
    except ValueError as error:
        raise BrokenFrame(name, str(error)) from error
