"""Stores and bars the store's tests work on; a virtual clock, small tables."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.adapters.store.warehouse import WarehouseResource

NIGHT = datetime(2024, 12, 6, 6, tzinfo=UTC)
ASOF = date(2024, 12, 6)


def warehouse(folder: Path, *, busy_wait_seconds: float = 0.0) -> WarehouseResource:
    """Make a migrated warehouse whose waiting costs no time."""
    store = closed_warehouse(folder, busy_wait_seconds=busy_wait_seconds)
    store.ensure_schema(applied_at=NIGHT, create=True)
    return store


def closed_warehouse(folder: Path, *, busy_wait_seconds: float = 0.0) -> WarehouseResource:
    """Name a warehouse without making it."""
    store = WarehouseResource(
        database=str(folder / "warehouse.duckdb"), busy_wait_seconds=busy_wait_seconds
    )
    store._clock = VirtualClock(NIGHT)
    return store


def bars(
    symbol: str, closes: Iterable[float], *, payload: str, first: date = date(2024, 11, 1)
) -> pl.DataFrame:
    """Return daily bars of one symbol, known at 23:00 UTC of their day."""
    values = [float(close) for close in closes]
    days = [first + timedelta(days=i) for i in range(len(values))]
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(values),
            "date": days,
            "open": values,
            "high": values,
            "low": values,
            "close": values,
            "adj_close": values,
            "volume": [1e6] * len(values),
            "dividend": [0.0] * len(values),
            "split": [0.0] * len(values),
            "asset_class": ["STOCKS"] * len(values),
            "provider": ["files"] * len(values),
            "source": ["bars.parquet"] * len(values),
            "known_at": [datetime(d.year, d.month, d.day, 23, tzinfo=UTC) for d in days],
            "source_sha256": [payload] * len(values),
        },
        schema_overrides={"symbol": pl.String, "known_at": pl.Datetime("us", "UTC")},
    )
