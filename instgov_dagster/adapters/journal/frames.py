"""One journal frame: length, chained digest, Arrow IPC payload; files and chains live in chain.

Layout of a frame, nothing before, between or after frames in a segment::

    length (8, big-endian) | digest (32) | payload (length bytes, one Arrow IPC stream)

``digest = sha256(previous digest || payload)``, or its HMAC when a key is given. The payload's
schema metadata holds the kind, the sequence, the row count, the instant and the caller's JSON.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from instgov_dagster.vocabulary.errors import InputError

LENGTH_BYTES = 8
DIGEST_BYTES = 32
HEADER_BYTES = LENGTH_BYTES + DIGEST_BYTES
SEGMENT_SUFFIX = ".igj"
KEY_VARIABLE = "INSTGOV_JOURNAL_KEY"
LEAST_KEY_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One verified frame and where it stands.

    ``offset`` and ``end`` are bytes in the segment; ``head`` is this frame's digest and
    ``previous`` the one it is chained to.
    """

    chain: str
    segment: int
    sequence: int
    offset: int
    end: int
    previous: bytes
    head: bytes
    kind: str
    rows: int
    ts: datetime
    meta: Mapping[str, Any]
    payload: bytes

    @property
    def name(self) -> str:
        """How reports call the frame, e.g. ``loop/000001.igj#12``."""
        return frame_name(self.chain, self.segment, self.sequence)

    def table(self) -> pa.Table:
        """Decode the rows."""
        return decode_table(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What a payload says about itself."""

    kind: str
    sequence: int
    rows: int
    ts: datetime
    meta: Mapping[str, Any]


def frame_name(chain: str, segment: int, sequence: int) -> str:
    """Name a frame by chain, segment file and sequence."""
    return f"{chain}/{segment:06d}{SEGMENT_SUFFIX}#{sequence}"


def genesis(chain: str) -> bytes:
    """Return the digest the first frame of a chain is chained to."""
    return hashlib.sha256(f"instgov journal {chain}".encode()).digest()


def key_from(environment: Mapping[str, str]) -> bytes | None:
    """Read the journal's key, or None when none is set.

    Raises
    ------
    InputError
        If the key is too short to protect anything.
    """
    text = environment.get(KEY_VARIABLE, "")
    if not text:
        return None
    key = text.encode()
    if len(key) < LEAST_KEY_BYTES:
        raise InputError(
            f"{KEY_VARIABLE} must have at least {LEAST_KEY_BYTES} bytes, had {len(key)}"
        )
    return key


def chain_digest(previous: bytes, payload: bytes | memoryview, key: bytes | None) -> bytes:
    """Digest a payload onto the digest before it."""
    if key is None:
        digest = hashlib.sha256(previous)
        digest.update(payload)
        return digest.digest()
    mac = hmac.new(key, previous, hashlib.sha256)
    mac.update(payload)
    return mac.digest()


def canonical_json(value: Any) -> str:
    """Write JSON with sorted keys and no spaces; NaN and infinity are refused."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def encode_payload(
    table: pa.Table, *, kind: str, sequence: int, ts: datetime, meta: Mapping[str, Any]
) -> bytes:
    """Serialize a table with its header as one Arrow IPC stream.

    Raises
    ------
    ValueError
        If the kind is empty, ``ts`` is naive or ``meta`` cannot be JSON.
    """
    if not kind:
        raise ValueError("kind must be a non-empty text, was ''")
    if ts.tzinfo is None:
        raise ValueError(f"ts must be aware, was {ts!r}")
    header = {
        "kind": kind,
        "sequence": str(sequence),
        "rows": str(table.num_rows),
        "ts": ts.isoformat(),
        "meta": canonical_json(dict(meta)),
    }
    stamped = table.replace_schema_metadata(header)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, stamped.schema) as writer:
        writer.write_table(stamped)
    return bytes(sink.getvalue())


def decode_header(payload: bytes | memoryview) -> FrameHeader:
    """Read a payload's header without decoding its rows.

    Raises
    ------
    ValueError
        If the payload is no Arrow stream or its header is incomplete.
    """
    # pa.ArrowInvalid is a ValueError; a cut stream may raise OSError instead.
    try:
        metadata = pa.ipc.open_stream(pa.py_buffer(payload)).schema.metadata or {}
        return FrameHeader(
            kind=metadata[b"kind"].decode(),
            sequence=int(metadata[b"sequence"]),
            rows=int(metadata[b"rows"]),
            ts=datetime.fromisoformat(metadata[b"ts"].decode()),
            meta=json.loads(metadata[b"meta"]),
        )
    except (OSError, KeyError) as error:
        raise ValueError(f"the payload carries no journal header: {error}") from error


def decode_table(payload: bytes | memoryview) -> pa.Table:
    """Decode a payload's rows; the header stays in the schema metadata."""
    return pa.ipc.open_stream(pa.py_buffer(payload)).read_all()


def whole_stream_length(body: bytes | memoryview) -> int | None:
    """Return where an Arrow stream at the start of ``body`` ends, or None if it is cut."""
    source = pa.BufferReader(pa.py_buffer(body))
    try:
        reader = pa.ipc.open_stream(source)
        while True:
            reader.read_next_batch()
    except StopIteration:
        return int(source.tell())
    except (OSError, ValueError):
        return None
