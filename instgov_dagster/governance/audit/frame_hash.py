"""The content hash of a frame: by names, types, nulls and values; never by memory layout."""

import hashlib
from typing import Any, Protocol

import numpy as np
import polars as pl

# Zones that are UTC under another name: a store may hand back either.
_UTC_ZONES = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "Etc/Zulu", "GMT", "Etc/GMT", "Zulu", "UCT"})


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def _write(digest: _Digest, *texts: str) -> None:
    for text in texts:
        data = text.encode("utf-8")
        digest.update(len(data).to_bytes(8, "little") + data)


def _bytes(digest: _Digest, array: Any) -> None:
    data = np.ascontiguousarray(array)
    digest.update(data.nbytes.to_bytes(8, "little"))
    digest.update(data.tobytes())


def _type_name(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        zone = "UTC" if dtype.time_zone in _UTC_ZONES else dtype.time_zone
        return f"Datetime({dtype.time_unit},{zone})"
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return "String"
    return repr(dtype)


def _text(digest: _Digest, series: pl.Series) -> None:
    filled = series.fill_null("") if series.null_count() else series
    _bytes(digest, filled.str.len_bytes().to_numpy().astype("<u4"))
    joined = filled.str.join("")
    _write(digest, joined.item() if len(joined) else "")


def _nested(digest: _Digest, series: pl.Series) -> None:
    lists = series.arr.to_list() if isinstance(series.dtype, pl.Array) else series
    lengths = lists.list.len().fill_null(0).to_numpy()
    _bytes(digest, lengths.astype("<u4"))
    # An empty list would explode into a null of its own.
    held = lists if lengths.all() else lists.filter(pl.Series(lengths > 0))
    _column(digest, held.explode())


def _numbers(digest: _Digest, series: pl.Series) -> None:
    has_null = series.null_count() > 0
    if series.dtype.is_float():
        values = (series.fill_null(0.0) if has_null else series).to_numpy()
        is_nan = np.isnan(values)
        if is_nan.any():
            values = np.where(is_nan, np.nan, values)  # every NaN is one NaN
    elif series.dtype == pl.Boolean:
        values = (series.fill_null(value=False) if has_null else series).to_numpy()
    else:
        physical = series.to_physical()
        values = (physical.fill_null(0) if has_null else physical).to_numpy()
    _bytes(digest, values.astype(values.dtype.newbyteorder("<")))


def _column(digest: _Digest, series: pl.Series) -> None:
    dtype = series.dtype
    _write(digest, _type_name(dtype), str(len(series)))
    if dtype == pl.Null:
        return
    is_null = series.is_null().to_numpy() if series.null_count() else np.zeros(len(series), bool)
    _bytes(digest, np.packbits(is_null))
    if isinstance(dtype, pl.Struct):
        for field in sorted(dtype.fields, key=lambda field: field.name):
            _write(digest, field.name)
            _column(digest, series.struct.field(field.name))
    elif isinstance(dtype, pl.List | pl.Array):
        _nested(digest, series)
    elif isinstance(dtype, pl.Categorical | pl.Enum | pl.Decimal):
        _text(digest, series.cast(pl.String))
    elif dtype == pl.String:
        _text(digest, series)
    elif dtype == pl.Binary:
        _text(digest, series.bin.encode("hex"))
    elif dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean:
        _numbers(digest, series)
    else:
        raise TypeError(f"a column of {dtype} cannot be hashed: {series.name!r}")


def frame_sha256(frame: pl.DataFrame) -> str:
    """Hash a frame by its content and schema; 64 lower-case hexadecimal digits.

    Equal are frames with the same columns by name and type and the same rows in the same order.
    The order of the columns, the chunks, the slices and what lies under a null do not matter; a
    null, a NaN and a zero differ; every NaN is one NaN; a categorical is its text; the names of
    UTC are one.

    Raises
    ------
    TypeError
        If a column holds Python objects.
    """
    digest = hashlib.sha256()
    _write(digest, "instgov-frame-1", str(frame.height), str(frame.width))
    for name in sorted(frame.columns):
        _write(digest, name)
        _column(digest, frame.get_column(name).rechunk())
    return digest.hexdigest()
