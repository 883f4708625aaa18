"""What sessions left is written by the night that first reads it and read by every later one."""

from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl
import pytest

from instgov_dagster.adapters.store.night_store import (
    last_day_of_evidence,
    read_input,
    write_night,
)
from instgov_dagster.adapters.store.schema import migrate
from instgov_dagster.loop.folding.evidence import ACCOUNT_SCHEMA, FILL_SCHEMA, PASSIVE_SCHEMA

DAY, NOW = date(2025, 3, 10), datetime(2025, 3, 11, tzinfo=UTC)
ROWS = {
    "session_accounts": ((DAY, "s", 1.0, 1.0, 0.0, 2.0, 0.0), ACCOUNT_SCHEMA),
    "recorded_fills": ((DAY, "X", 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, True), FILL_SCHEMA),
    "passive_orders": ((DAY, "X", True, 1.0), PASSIVE_SCHEMA),
}


@pytest.mark.parametrize("table", sorted(ROWS))
def test_later_nights_add_nothing_and_read_everything_before_them(table: str) -> None:
    con = duckdb.connect()
    migrate(con, "warehouse", applied_at=NOW)
    row, schema = ROWS[table]
    found = pl.DataFrame([row], schema=schema, orient="row")
    for n in (1, 2, 3):
        frame, at = found if n == 1 else found.clear(), NOW + timedelta(days=n)
        write_night(con, table, frame, asof=DAY + timedelta(days=n), run_id=f"r{n}", recorded_at=at)
        assert read_input(con, table, asof=DAY + timedelta(days=n)).equals(found)
    if table == "session_accounts":
        assert last_day_of_evidence(con, before=DAY + timedelta(days=3)) == DAY
        assert last_day_of_evidence(con, before=DAY + timedelta(days=1)) is None
    con.close()
