"""Lakes of the tests: a Postgres of their own, a folder each, homes with bars and nights."""

import uuid
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from instgov_dagster.adapters.lake import Lake, lake_from
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.bar_reads import bars_as_of
from instgov_dagster.adapters.store.bar_store import append_bars
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.adapters.store.stores import NIGHT, warehouse

ALWAYS = {"start": date(1990, 1, 1), "end": date(2100, 1, 1)}


def new_catalog(url: str) -> str:
    """Make a database of its own on the server and give its address."""
    import psycopg2

    name = f"lake_{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return url.rsplit("/", 1)[0] + f"/{name}"


def variables(url: str, folder: Path) -> dict[str, str]:
    """Name a new lake: a catalog of its own, its data below the folder."""
    return {
        "INSTGOV_LAKE": f"ducklake:{new_catalog(url)}",
        "INSTGOV_LAKE_DATA": str(folder / "lake"),
    }


def open_lake(environment: Mapping[str, str]) -> Lake:
    """Open the lake that variables name; skip where its extensions are not installed."""
    try:
        address = lake_from(environment)
    except InputError as error:
        if "extension" not in str(error):
            raise
        pytest.skip(f"duckdb {duckdb.__version__}: {error}")
    assert address is not None
    return Lake(address)


def empty_home(folder: Path) -> Home:
    """Make a home of the market files with an empty warehouse."""
    home = Home(folder)
    folder.mkdir(parents=True)
    warehouse(folder)
    (folder / "market.json").write_text('{"market": "files"}\n', encoding="utf-8")
    return home


def add_bars(home: Home, frame: pl.DataFrame, *, run_id: str = "run") -> None:
    """Append bars to a home's warehouse, as a night does."""
    from instgov_dagster.adapters.store.warehouse import WarehouseResource

    with WarehouseResource(database=str(home.warehouse)).txn() as con:
        append_bars(con, frame, run_id=run_id, recorded_at=NIGHT)


def dev_bars(bars_dir: Path) -> pl.DataFrame:
    """Read the real bars as a market would deliver them: known the evening of their day."""
    frame = pl.read_parquet(bars_dir / "dev" / "bars.parquet")
    evening = pl.col("date").cast(pl.Date).cast(pl.Datetime("us")).dt.offset_by("23h")
    return frame.select(
        pl.col("symbol"),
        pl.col("date").cast(pl.Date),
        *(
            pl.col(n).cast(pl.Float64)
            for n in ("open", "high", "low", "close", "adj_close", "volume")
        ),
        pl.lit(0.0).alias("dividend"),
        pl.lit(0.0).alias("split"),
        pl.col("asset_class").replace("MACRO", "REFERENCE"),
        pl.lit("files").alias("provider"),
        pl.col("source"),
        evening.dt.replace_time_zone("UTC").alias("known_at"),
        pl.format("payload-{}", pl.col("symbol")).alias("source_sha256"),
    ).sort("symbol", "date")


def as_of(con: duckdb.DuckDBPyConnection, symbols: list[str], known_at: object) -> pl.DataFrame:
    """Ask the platform's own question of a warehouse or of the lake."""
    return bars_as_of(con, symbols, **ALWAYS, known_at=known_at)  # type: ignore[arg-type]
