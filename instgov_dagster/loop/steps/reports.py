"""What the parts of a night at work report: its ingestion, each step, what was published."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from instgov_dagster.vocabulary.governance import Cause, PhaseStamp, SystemState


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What one ingestion did, in rows and files.

    ``stress_added`` counts the bars of before the window, fetched once a symbol for the stress
    set; every other number is the window's.
    """

    provider: str
    symbols: int
    bars: int
    added: int
    restated: int
    unchanged: int
    withdrawn: int
    archive: str
    archive_sha256: str
    stress_added: int
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepOutcome:
    """What one step made and changed; ``state`` is the system's once its causes were written."""

    name: str
    frame: pl.DataFrame
    rows_added: int
    content_sha256: str
    causes: tuple[Cause, ...]
    state: SystemState
    stamp: PhaseStamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What was published: the snapshot's name, rows by table, the folder below the home."""

    snapshot_id: str
    rows: Mapping[str, int]
    path: str
