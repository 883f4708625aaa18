"""The bench's market: as many symbols as asked for, all four classes, simulated bars."""

from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.bars.classify import class_of
from instgov_dagster.bench.live.world import LiveWorld, world_universe, write_world
from instgov_dagster.vocabulary.bars import AssetClass, Universe

SMALL = LiveWorld(n_symbols=12, window_days=400)


@pytest.mark.parametrize("n", [8, 60, 500])
def test_as_many_symbols_are_traded_as_were_asked_for(n: int) -> None:
    universe = world_universe(n)
    assert len(universe.tradable) == n
    assert "SPY" in universe.tradable
    assert set(universe.references) >= {"^GSPC", "^VIX"}


def test_a_market_of_sixty_has_all_four_classes() -> None:
    universe = world_universe(60)
    kinds = {class_of(universe.of(symbol)) for symbol in universe.tradable}
    assert kinds == set(AssetClass)


def test_the_folder_is_a_market_with_the_window_and_the_day_traded(tmp_path: Path) -> None:
    market = FilesMarket(write_world(tmp_path, SMALL))
    universe = market.universe(Universe(symbols=()))
    assert universe.tradable == world_universe(12).tradable
    bars = pl.read_parquet(tmp_path / "bars.parquet")
    assert bars["date"].max() == SMALL.asof
    assert (SMALL.asof - bars["date"].min()).days > SMALL.window_days
    assert market.day_bars(["SPY"], SMALL.asof).height == 1


def test_the_same_world_is_written_twice_alike(tmp_path: Path) -> None:
    frames = [pl.read_parquet(write_world(tmp_path / k, SMALL) / "bars.parquet") for k in "ab"]
    assert frames[0].equals(frames[1])


@pytest.mark.parametrize("n", [7, 10_001])
def test_a_size_out_of_bounds_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="n_symbols"):
        LiveWorld(n_symbols=n)
