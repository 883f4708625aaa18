"""Verdicts, one record a symbol, as a frame; what they say is decided elsewhere."""

from collections.abc import Sequence
from typing import Final

import polars as pl

Schema = dict[str, pl.DataType | type[pl.DataType]]

_SEPARATOR: Final = ","


def verdict_frame(records: Sequence[dict[str, object]], schema: Schema) -> pl.DataFrame:
    """Give records as a frame of the schema; every ``reason_codes`` holds at least one code.

    Notes
    -----
    Lists are joined and split again: building 5,000 short lists one by one takes seconds.
    """
    columns: dict[str, pl.Series] = {}
    for name, dtype in schema.items():
        values = [record[name] for record in records]
        if dtype == pl.List(pl.String):
            joined = [_join(value) for value in values]
            columns[name] = pl.Series(name, joined, dtype=pl.String).str.split(_SEPARATOR)
        else:
            columns[name] = pl.Series(name, values, dtype=dtype)
    return pl.DataFrame(columns)


def _join(codes: object) -> str:
    if not isinstance(codes, (list, tuple)) or not codes:
        raise ValueError(f"reason_codes must hold at least one code, was {codes!r}")
    return _SEPARATOR.join(codes)
