"""The last time each reason code stood in a frame, read on from where the last reader stopped."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from instgov_dagster.adapters.journal.bundle import is_bundle, unbundle
from instgov_dagster.adapters.journal.frames import Frame
from instgov_dagster.adapters.journal.scan import Position, read_frames

_COLUMNS = ("reason_codes", "veto_triggers")
_WORDS = frozenset({"reason_code", "reason_codes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """Where a code last stood: the instant the frame speaks of, and the frame's name."""

    code: str
    at: str
    frame: str


def last_firings(
    journal_dir: Path,
    chain: str,
    codes: Collection[str],
    *,
    key: bytes | None,
    start: Position | None = None,
) -> tuple[dict[str, Firing], Position]:
    """Read a chain's frames and keep, of each code, the last one it stands in.

    Parameters
    ----------
    codes
        Which codes are looked for.
    start
        Where an earlier call stopped; the start of the chain by default.

    Returns
    -------
    The firings by code, and where the next call goes on.

    Raises
    ------
    BrokenFrame
        At the first frame that does not verify.
    """
    wanted, found = frozenset(codes), {}
    at = start or Position.start(chain)
    for frame in read_frames(journal_dir, chain, key=key, start=at):
        at = Position.after(frame)
        instant = str(frame.meta.get("timestamp") or frame.ts.isoformat())
        for code in wanted & set(_codes(frame)):
            found[code] = Firing(code=code, at=instant, frame=frame.name)
    return found, at


def _codes(frame: Frame) -> Iterator[str]:
    yield from _told(frame.meta)
    table = frame.table()
    for part in unbundle(table).values() if is_bundle(table) else (table,):
        for name in _COLUMNS:
            if name in part.column_names:
                yield from _distinct(part[name])


def _distinct(column: pa.ChunkedArray) -> list[str]:
    values = pc.unique(pc.list_flatten(column)) if pa.types.is_list(column.type) or (
        pa.types.is_large_list(column.type)
    ) else pc.unique(column)  # fmt: skip
    return [str(value) for value in values.to_pylist() if value is not None]


def _told(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name in _WORDS:
                yield from [item] if isinstance(item, str) else [str(code) for code in item or ()]
            else:
                yield from _told(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _told(item)
