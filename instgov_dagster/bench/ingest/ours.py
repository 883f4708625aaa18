"""One night of ingestion as this program does it: files, score, append; and how long it takes."""

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl

from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.adapters.store.bar_reads import price_matrix
from instgov_dagster.adapters.store.bar_store import append_bars
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.bars.calendars import history_window, knowledge_instant
from instgov_dagster.bars.ingestion import stage_known_at
from instgov_dagster.bars.quality.score import score_bars
from instgov_dagster.bench.synthetic_bars import Night
from instgov_dagster.vocabulary.bars import Universe
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, QualityPolicy

MATRIX_SYMBOLS = 500
_MATRIX_TRIES = 5


def run_night(folder: Path, home: Path, *, asof: date, run_id: str) -> Night:
    """Read a folder of bars, score them, and append what differs from what is known.

    Everything a night does with bars but the archive of payloads, which the peer has not either.
    """
    started = time.perf_counter()
    history = HistoryPolicy()
    market = FilesMarket(folder)
    universe = market.universe(Universe(symbols=()))
    start, end = history_window(asof, history)
    names = [entry.symbol for entry in universe.symbols]
    fetched = market.fetch(names, start, end, asof)
    scores = score_bars(
        fetched.frame,
        universe=universe,
        asof=asof,
        policy=QualityPolicy(),
        history=history,
        first_dates=fetched.first_dates,
    )
    digests = pl.DataFrame(
        {"symbol": list(fetched.sha256), "source_sha256": list(fetched.sha256.values())}
    )
    staged = stage_known_at(fetched.frame, history).join(
        digests, on="symbol", how="left", maintain_order="left"
    )
    instant = knowledge_instant(asof, history)
    warehouse = WarehouseResource(database=str(home / "warehouse.duckdb"))
    warehouse.ensure_schema(applied_at=instant, create=True)
    with warehouse.txn() as con:
        result = append_bars(
            con, staged, run_id=run_id, recorded_at=instant, knowledge_instant=instant
        )
    return Night(
        seconds=time.perf_counter() - started,
        rows_added=result.rows,
        scores=dict(scores.select("symbol", "quality_score").iter_rows()),
    )


def time_matrix(home: Path, symbols: list[str], *, asof: date) -> float:
    """Time reading the closes of up to 500 symbols into one matrix, in milliseconds, best of 5."""
    history = HistoryPolicy()
    start, end = history_window(asof, history)
    warehouse = WarehouseResource(database=str(home / "warehouse.duckdb"))
    with warehouse.reader() as con:
        return 1e3 * min(
            _timed(
                lambda: price_matrix(
                    con,
                    symbols[:MATRIX_SYMBOLS],
                    start=start,
                    end=end,
                    known_at=knowledge_instant(asof, history),
                )
            )
            for _ in range(_MATRIX_TRIES)
        )


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
