"""One canonical text and one hash for every value the audit stores; no storage lives here."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.governance.audit.frame_hash import frame_sha256


def _float(value: float) -> float | str:
    # JSON has no word for these; a text cannot be mistaken for a number.
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise TypeError(f"a Decimal must be finite to be hashed, was {value}")
    return format(value.normalize() if value else Decimal(0), "f")


def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise TypeError(f"an instant must say its zone to be hashed, was {value!r}")
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        text = _key(key)
        if text in out:
            raise TypeError(f"two keys read {text!r} once they are text")
        out[text] = _plain(item)
    return out


def _key(key: Any) -> str:
    plain = _plain(key)
    if isinstance(plain, bool) or not isinstance(plain, (str, int)):
        raise TypeError(f"a key must be a text, a date, an enum or an integer, was {key!r}")
    return str(plain)


def _numpy(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return None
        item = value.astype("datetime64[us]").item()
        is_day = np.datetime_data(value.dtype)[0] == "D"
        return item.date().isoformat() if is_day else _instant(item.replace(tzinfo=UTC))
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.float64 | np.float32 | np.float16):
        return _float(float(value))
    if isinstance(value, np.bool_ | np.integer | np.str_):
        return value.item()
    raise TypeError(f"cannot be hashed: {type(value).__name__} {value!r}")


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


# The first kind that fits writes the value, so a special kind stands before its general one:
# enums may be texts, a bool is an int, an instant is a date, a numpy float is a float.
_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: _plain(value.value)),
    ((str, int, NoneType), lambda value: value),
    (float, lambda value: _float(float(value))),
    ((tuple, list), lambda value: [_plain(item) for item in value]),
    (Mapping, _mapping),
    ((set, frozenset), lambda value: sorted((_plain(item) for item in value), key=_dump)),
    (datetime, _instant),
    (date, date.isoformat),
    (timedelta, lambda value: f"PT{value // timedelta(microseconds=1)}us"),
    (Decimal, _decimal),
    (bytes, bytes.hex),
    (pl.DataFrame, lambda value: {"frame_sha256": frame_sha256(value)}),
    ((np.generic, np.ndarray), _numpy),
)


def _plain(value: Any) -> Any:
    for kinds, write in _WRITERS:
        if isinstance(value, kinds):
            return write(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    raise TypeError(f"cannot be hashed: {type(value).__name__} {value!r}")


def _dump(plain: Any) -> str:
    return json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def canonical_json(value: Any) -> str:
    """Write a value as the one JSON text that equal values share, on any machine.

    Keys are sorted, there is no white space, text is ASCII. A float is its shortest text that
    reads back to the same bits; NaN and the infinities are the texts ``NaN``, ``Infinity``,
    ``-Infinity``. A Decimal is its plain digits without trailing zeros, an enum its value, a
    dataclass its fields, a set sorted, an instant UTC to the microsecond, a date ISO 8601, bytes
    hexadecimal, an array a list, a frame its `frame_sha256`.

    Raises
    ------
    TypeError
        If a value has no canonical text: an object, an instant without a zone, a NaN Decimal, a
        key that is a float, two keys with one text.
    """
    return _dump(_plain(value))


def sha256_of(value: Any) -> str:
    """Hash a value by its canonical text; 64 lower-case hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def array_sha256(array: NDArray[Any]) -> str:
    """Hash an array of numbers or dates by kind, shape and content, without writing it as text.

    Strides and byte order do not matter; every NaN is one NaN.

    Raises
    ------
    TypeError
        If the array holds objects or text.
    """
    if array.dtype.kind not in "biufMm":
        raise TypeError(f"an array must hold numbers or dates to be hashed, was {array.dtype}")
    little = array.astype(array.dtype.newbyteorder("<"))  # always a copy, C-contiguous
    little = np.ascontiguousarray(little)
    if array.dtype.kind == "f":
        little[np.isnan(little)] = np.nan
    digest = hashlib.sha256(f"{little.dtype.str}{array.shape}".encode("ascii"))
    digest.update(little.tobytes())
    return digest.hexdigest()


def inputs_hash(parts: Mapping[str, Any]) -> str:
    """Hash what a decision was made from, part by part (SPEC 7, audit before act).

    Parameters
    ----------
    parts
        Names and values; frames and arrays enter by their own digest, everything else by its
        canonical text.
    """
    digests = {
        name: array_sha256(part) if isinstance(part, np.ndarray) else sha256_of(part)
        for name, part in parts.items()
    }
    return sha256_of(digests)
