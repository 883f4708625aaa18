"""A simulated market of any size, written as a folder of bars, and the home that trades it."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from instgov_dagster.adapters.config import find_config_dir, load_universe
from instgov_dagster.adapters.markets.bar_files import BARS_FILE
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.adapters.markets.simulation.parameters import WorldParameters
from instgov_dagster.vocabulary.bars import Universe, UniverseSymbol
from instgov_dagster.vocabulary.checks import check_bounds, number

UNIVERSE_FILE = "universe.yaml"
#: Days the world holds before the history window, so that every symbol has its first bar there.
_LEAD_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveWorld:
    """How large the market is and which day of it is traded."""

    n_symbols: int = number(ge=8, le=10_000)
    asof: date = date(2025, 6, 27)
    window_days: int = number(1825, ge=400)
    seed: int = number(7, ge=0)

    def __post_init__(self) -> None:
        check_bounds(self)


def world_universe(n_symbols: int) -> Universe:
    """Give ``n_symbols`` tradable symbols and the references: the packaged ones, then drawn ones.

    The packaged universe has all four classes; what it lacks is filled with stocks of names
    nobody knows, spread over its sectors, whose constants the generator draws.
    """
    packaged = load_universe(find_config_dir(None, environment={}, working_dir=Path("/")))
    young = {entry.symbol for entry in packaged.symbols if entry.listed_on is not None}
    known = [e for e in packaged.symbols if not e.is_reference and e.symbol not in young]
    known.sort(key=lambda entry: entry.symbol != "SPY")  # the regime reads it
    sectors = sorted({e.sector for e in known if e.asset_class is None and "=" not in e.symbol})
    drawn = [
        UniverseSymbol(symbol=f"Q{k:04d}", sector=sectors[k % len(sectors)])
        for k in range(max(n_symbols - len(known), 0))
    ]
    references = [entry for entry in packaged.symbols if entry.is_reference]
    return Universe(symbols=(*known[:n_symbols], *drawn, *references))


def write_world(folder: Path, wanted: LiveWorld) -> Path:
    """Write the bars of the window and of the day traded, and the universe; give the folder.

    The bars are the simulated market's own: the world spans the window instead of decades, which
    is what makes thousands of symbols fit a machine.
    """
    universe = world_universe(wanted.n_symbols)
    start = wanted.asof - timedelta(days=wanted.window_days + _LEAD_DAYS)
    after = wanted.asof + timedelta(days=1)
    market = SimulatedMarket(
        universe,
        seed=wanted.seed,
        parameters=WorldParameters(
            origin=start, anchor=wanted.asof, horizon=after + timedelta(days=1)
        ),
    )
    names = [entry.symbol for entry in universe.symbols]
    bars = market.fetch(names, start, after, after).frame
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["symbol", "date", "open", "high", "low", "close", "adj_close", "volume"]
    bars.select(
        *columns,
        pl.when(pl.col("asset_class") == "REFERENCE")
        .then(pl.lit("MACRO"))
        .otherwise(pl.col("asset_class"))
        .alias("asset_class"),
    ).write_parquet(folder / BARS_FILE)
    rows = [
        {"symbol": entry.symbol, "sector": entry.sector, "is_reference": entry.is_reference}
        for entry in universe.symbols
    ]
    # JSON is YAML: nothing is quoted wrongly.
    (folder / UNIVERSE_FILE).write_text(json.dumps({"symbols": rows}), encoding="utf-8")
    return folder
