"""What pages show of a night and the loop does not need, published beside it as Parquet."""

from datetime import date
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from instgov_dagster.adapters.store.night_store import is_written, read_night
from instgov_dagster.adapters.store.published import publish

if TYPE_CHECKING:
    import duckdb

    from instgov_dagster.loop.platform import Platform

FOLDER: Final = "dashboard"
#: Tables of one night; one that the night did not reach is left out.
NIGHT_TABLES: Final = (
    "auction_bids",
    "belief_pictures",
    "cvar_coverage",
    "data_quality",
    "execution_plan",
    "history_coverage",
    "model_evaluation",
    "risk_forecasts",
    "risk_verdicts",
    "strategy_lifecycle_log",
    "veto_findings",
)
#: Tables and views of all nights, and how many of their last rows.
HISTORIES: Final = {
    "strategy_lifecycle": "strategy_id, start_date",
    "fire_drills": '"at", drill',
    "provider_answers": '"asof", provider, symbol',
}
_LAST_ROWS: Final = 5000


def publish_tables(platform: "Platform", asof: date) -> tuple[str, dict[str, int]]:
    """Publish what the pages show of a night; give the snapshot's id and the rows by table.

    Notes
    -----
    The store is opened for a read by a batch process only, which is its one process at that time;
    who shows the tables reads the published files.
    """
    with platform.warehouse.reader() as con:
        tables = {
            name: read_night(con, name, asof=asof)
            for name in NIGHT_TABLES
            if is_written(con, name, asof=asof)
        }
        tables |= {name: _history(con, name, order) for name, order in HISTORIES.items()}
    snapshot_id = publish(
        platform.home.published / FOLDER,
        tables,
        meta={"asof": asof.isoformat(), "market": platform.settings.market.value},
        keep=platform.policy.loop.published_snapshots,
    )
    return snapshot_id, {name: frame.height for name, frame in tables.items()}


def _history(con: "duckdb.DuckDBPyConnection", name: str, order: str) -> pl.DataFrame:
    backwards = ", ".join(f"{column} DESC" for column in order.split(", "))
    last = f'SELECT * FROM "{name}" ORDER BY {backwards} LIMIT {_LAST_ROWS}'  # noqa: S608  # this module's own names
    found = con.execute(f"SELECT * FROM ({last}) ORDER BY {order}").to_arrow_table()  # noqa: S608  # as above
    return cast("pl.DataFrame", pl.from_arrow(found))
