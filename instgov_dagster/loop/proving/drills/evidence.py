"""What a drill showed: one row a drill, in the warehouse for good and published for readers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.night_store import write_night
from instgov_dagster.adapters.store.published import publish
from instgov_dagster.adapters.store.warehouse import WarehouseResource

TABLE = "fire_drills"
EVIDENCE_SCHEMA = pl.Schema(
    {
        "drill": pl.String(),
        "control": pl.String(),
        "injected": pl.String(),
        "expected_reason_code": pl.String(),
        "expected_state": pl.String(),
        "fired": pl.Boolean(),
        "reason_code": pl.String(),
        "state": pl.String(),
        "statistic": pl.Float64(),
        "detail": pl.String(),
        "at": pl.Datetime("us", "UTC"),
    }
)
_KEPT = 5
_LAST = """
SELECT * FROM fire_drills QUALIFY row_number() OVER (PARTITION BY drill ORDER BY "at" DESC) = 1
ORDER BY drill
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one drill showed.

    Attributes
    ----------
    fired
        The control told its code, the state followed, and nothing was sent that must not be.
    reason_code
        The code that was told; None where the control was silent.
    statistic
        The number that shows the control at work, where there is one.
    """

    drill: str
    control: str
    injected: str
    expected_reason_code: str
    expected_state: str
    fired: bool
    reason_code: str | None
    state: str
    statistic: float | None
    detail: str
    at: datetime


def evidence_to_dict(row: Evidence) -> dict[str, Any]:
    """Write a row as plain JSON values."""
    return {**asdict(row), "at": row.at.isoformat()}


def evidence_from_dict(data: Mapping[str, Any]) -> Evidence:
    """Read a row written by `evidence_to_dict`."""
    return Evidence(**{**data, "at": datetime.fromisoformat(data["at"])})


def evidence_frame(rows: Sequence[Evidence]) -> pl.DataFrame:
    """Lay evidence out as rows of the table fire_drills."""
    return pl.DataFrame([asdict(row) for row in rows], schema=EVIDENCE_SCHEMA)


def record_evidence(
    home: Home, rows: Sequence[Evidence], *, asof: date, run_id: str, recorded_at: datetime
) -> bool:
    """Append evidence to a home's warehouse and publish each drill's last row.

    Returns
    -------
    False, and nothing is written, where the home has no warehouse yet.

    Raises
    ------
    WarehouseBusy, WarehouseCorrupt, SystemHalt
        Where the store cannot be written.
    """
    if not home.warehouse.is_file():
        return False
    warehouse = WarehouseResource(database=str(home.warehouse))
    warehouse.ensure_schema(applied_at=recorded_at, create=False)
    with warehouse.txn() as con:
        write_night(
            con, TABLE, evidence_frame(rows), asof=asof, run_id=run_id, recorded_at=recorded_at
        )
        last = pl.DataFrame(con.sql(_LAST).to_arrow_table())
    publish(
        home.published / "drills",
        {TABLE: last},
        meta={"asof": asof.isoformat(), "run_id": run_id},
        keep=_KEPT,
    )
    return True
