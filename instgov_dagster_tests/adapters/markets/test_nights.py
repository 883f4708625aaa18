"""Markets into the store: a later night adds what is new and restates nothing."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.adapters.config import load_universe
from instgov_dagster.adapters.markets.protocol import MarketSource
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.adapters.store.bar_reads import bars_as_of
from instgov_dagster.adapters.store.bar_store import AppendResult, append_bars
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.bars.calendars import history_window, knowledge_instant
from instgov_dagster.bars.ingestion import stage_known_at
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

CONFIG = Path(__file__).resolve().parents[3] / "config"
POLICY = HistoryPolicy()


def night(
    warehouse: WarehouseResource, market: MarketSource, names: list[str], asof: date
) -> AppendResult:
    start, end = history_window(asof, POLICY)
    fetched = market.fetch(names, start, end, asof)
    staged = stage_known_at(fetched.frame, POLICY).with_columns(
        source_sha256=pl.col("symbol").replace_strict(dict(fetched.sha256))
    )
    instant = knowledge_instant(asof, POLICY)
    warehouse.ensure_schema(applied_at=instant, create=True)
    with warehouse.txn() as con:
        return append_bars(
            con, staged, run_id=f"night-{asof}", recorded_at=instant, knowledge_instant=instant
        )


@pytest.mark.roadmap("TEST.3")
@pytest.mark.roadmap("2.1")
@pytest.mark.roadmap("2.2")
def test_a_later_night_of_the_simulated_market_appends_only_its_new_sessions(
    tmp_path: Path,
) -> None:
    universe = load_universe(CONFIG)
    names = [entry.symbol for entry in universe.symbols]
    market = SimulatedMarket(universe, seed=8)
    warehouse = WarehouseResource(database=str(tmp_path / "warehouse.duckdb"))
    friday, tuesday = date(2026, 11, 20), date(2026, 11, 24)
    first = night(warehouse, market, names, friday)
    window = market.fetch(names, friday - timedelta(days=1825), friday, friday).frame
    assert (first.added, first.restated) == (window.height, 0)
    again = night(warehouse, market, names, friday)
    assert again.rows == 0
    later = night(warehouse, market, names, tuesday)
    fresh = market.fetch(names, friday, tuesday, tuesday).frame
    assert (later.added, later.restated, later.withdrawn) == (fresh.height, 0, 0)
    assert set(fresh["date"]) == {friday + timedelta(days=k) for k in range(4)}
    with warehouse.reader() as con:
        known = bars_as_of(
            con,
            names,
            start=friday - timedelta(days=1825),
            end=tuesday,
            known_at=knowledge_instant(friday, POLICY),
        )
    # What Friday's night knew is what it was given, to the bit, however much came after.
    assert known.select(window.columns).equals(window.sort("symbol", "date", maintain_order=True))
