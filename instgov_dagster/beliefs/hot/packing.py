"""State as bytes and back, bit for bit; what is in the state is no matter here."""

import hashlib
import json

import numpy as np

from instgov_dagster.beliefs.hot.tape import State

_HEAD_BYTES = 8
_DIGEST_BYTES = 32


def pack_state(state: State) -> bytes:
    """Write arrays as bytes: a header of names, kinds and shapes, the arrays, a SHA-256.

    Parameters
    ----------
    state
        Arrays by name; the same state gives the same bytes on every machine.
    """
    names = sorted(state)
    arrays = [np.ascontiguousarray(state[name]) for name in names]
    entries = [
        [name, array.dtype.newbyteorder("<").str, list(array.shape)]
        for name, array in zip(names, arrays, strict=True)
    ]
    head = json.dumps(entries).encode()
    body = b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays)
    content = len(head).to_bytes(_HEAD_BYTES, "little") + head + body
    return content + hashlib.sha256(content).digest()


def unpack_state(packed: bytes) -> State:
    """Read arrays back, writable and bit-equal.

    Raises
    ------
    ValueError
        If the bytes are cut or changed.
    """
    content, digest = packed[:-_DIGEST_BYTES], packed[-_DIGEST_BYTES:]
    if len(packed) < _HEAD_BYTES + _DIGEST_BYTES or hashlib.sha256(content).digest() != digest:
        raise ValueError("a packed state must end with the digest of its content, did not")
    start = _HEAD_BYTES + int.from_bytes(content[:_HEAD_BYTES], "little")
    state: State = {}
    for name, kind, shape in json.loads(content[_HEAD_BYTES:start]):
        dtype = np.dtype(kind)
        end = start + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(content[start:end], dtype=dtype).reshape(shape)
        state[name] = flat.astype(dtype.newbyteorder("="), copy=True)
        start = end
    return state
