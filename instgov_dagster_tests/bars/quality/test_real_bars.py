"""Acceptance on real bars: the verdicts that a folder of real series must receive."""

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from instgov_dagster.bars.adjusted import adjust_bars, report_fx_closes
from instgov_dagster.bars.classify import compare_classes, found_classes
from instgov_dagster.bars.govern import govern_data, halting_causes
from instgov_dagster.bars.history import cover_history
from instgov_dagster.bars.ingestion import first_dates, validate_bars
from instgov_dagster.bars.panel import price_panel
from instgov_dagster.bars.quality import score_bars
from instgov_dagster.vocabulary.bars import AssetClass, Market, Universe, UniverseSymbol
from instgov_dagster_tests.bars.quality.frames import HISTORY, QUALITY

GOOD_DAY, BAD_DAY = date(2024, 12, 6), date(2025, 6, 26)
STALE = ("AUDUSD=X", "EURGBP=X", "EURJPY=X", "NZDUSD=X", "SGD=X")


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What one night on a folder finds."""

    universe: Universe
    quality: pl.DataFrame
    prices: pl.DataFrame
    coverage: pl.DataFrame
    governance: pl.DataFrame
    fx_closes: pl.DataFrame


def read(folder: Path) -> tuple[pl.DataFrame, Universe]:
    """Read a folder of bars and its universe."""
    frame = pl.read_parquet(folder / "bars.parquet")
    actions = folder / "actions.parquet"
    if actions.exists():
        frame = frame.join(pl.read_parquet(actions), on=["symbol", "date"], how="left")
    bars = validate_bars(frame)
    entries = tuple(
        UniverseSymbol(
            symbol=symbol,
            asset_class=None if word == "REFERENCE" else AssetClass(word),
            is_reference=word == "REFERENCE",
        )
        for symbol, word in bars.select("symbol", "asset_class").unique().iter_rows()
    )
    return bars, Universe(symbols=entries)


def night(folder: Path, asof: date) -> Night:
    """Run the data steps of one night."""
    bars, universe = read(folder)
    options = {"universe": universe, "asof": asof, "policy": QUALITY, "history": HISTORY}
    quality = score_bars(bars, **options)
    prices = adjust_bars(bars, **options)
    coverage = cover_history(
        prices,
        quality,
        universe=universe,
        asof=asof,
        history=HISTORY,
        first_dates=first_dates(bars),
    )
    classes = found_classes(universe)
    governance = govern_data(
        coverage,
        quality,
        compare_classes(classes, classes),
        universe=universe,
        market=Market.FILES,
        entitled=frozenset(),
        history=HISTORY,
    )
    return Night(
        universe=universe,
        quality=quality,
        prices=prices,
        coverage=coverage,
        governance=governance,
        fx_closes=report_fx_closes(bars, **options),
    )


@pytest.fixture(scope="module")
def good(bars_dir: Path) -> Night:
    """Run the night on which everything but two symbols may trade."""
    return night(bars_dir / "dev", GOOD_DAY)


@pytest.fixture(scope="module")
def bad(bars_dir: Path) -> Night:
    """Run the night on which five series have ended."""
    return night(bars_dir / "dev", BAD_DAY)


def symbols(frame: pl.DataFrame, condition: pl.Expr) -> list[str]:
    """Give the symbols of the rows a condition holds for."""
    return frame.filter(condition)["symbol"].to_list()


@pytest.mark.roadmap("2.4", "2.5")
def test_no_good_stock_is_called_invalid_and_the_bad_fx_series_is(good: Night) -> None:
    assert symbols(good.quality, pl.col("status") == "INVALID_DATA") == ["EURGBP=X"]
    stocks = good.quality.filter(pl.col("asset_class") == "STOCKS")
    assert stocks.height == 37
    assert stocks["quality_score"].min() > 0.95


@pytest.mark.roadmap("3.1")
def test_54_of_56_symbols_are_eligible_and_nothing_halts(good: Night) -> None:
    assert len(good.universe.tradable) == 56
    assert good.governance["is_eligible"].sum() == 54
    assert halting_causes(good.governance) == ()
    young = pl.col("status") == "INSUFFICIENT_HISTORY"
    assert symbols(good.governance, young) == ["SOL-USD"]
    refused = ~pl.col("is_eligible") & ~pl.col("is_reference")
    assert symbols(good.governance, refused) == ["EURGBP=X", "SOL-USD"]


def test_the_references_are_valid(good: Night) -> None:
    assert good.universe.references == ("^GSPC", "^VIX")
    references = good.governance.filter(pl.col("is_reference"))
    assert references["status"].to_list() == ["REFERENCE", "REFERENCE"]


@pytest.mark.roadmap("3.1")
def test_the_five_series_that_ended_halt_and_are_named(bad: Night) -> None:
    assert tuple(symbol for symbol, _ in halting_causes(bad.governance)) == STALE
    assert symbols(bad.coverage, ~pl.col("passes")) == [*STALE]


def test_a_real_negative_settlement_is_kept_and_told(good: Night) -> None:
    oil = good.quality.row(by_predicate=pl.col("symbol") == "CL=F", named=True)
    assert (oil["status"], oil["quality_score"]) == ("VALID", 0.9)
    assert "2020-04-20" in json.loads(oil["flags"])["NEGATIVE_PRICE_VALID"]["dates"]
    row = good.prices.row(
        by_predicate=(pl.col("symbol") == "CL=F") & (pl.col("date") == date(2020, 4, 20)),
        named=True,
    )
    assert row["price"] == pytest.approx(-37.63)


def test_all_eight_fx_series_are_a_day_late_and_cured(good: Night) -> None:
    assert good.fx_closes.height == 8
    assert good.fx_closes["is_late"].all()
    assert good.fx_closes["body_before"].max() < 0.02
    assert good.fx_closes["body_after"].min() > 0.4
    assert not good.fx_closes["is_suspect"].any()
    last = good.prices.filter(pl.col("asset_class") == "FX")["date"].max()
    assert last == date(2024, 12, 4)


def test_the_repaired_euro_moves_against_the_dollar_fund_on_the_same_day(good: Night) -> None:
    panel = price_panel(good.prices, ("EURUSD=X", "UUP", "SPY"), asof=GOOD_DAY, history=HISTORY)
    returns = np.diff(np.log(panel.prices), axis=0)
    same_day = np.corrcoef(returns[:, 0], returns[:, 1])[0, 1]
    assert same_day < -0.75
    assert np.corrcoef(returns[1:, 0], returns[:-1, 1])[0, 1] > -0.2


def test_recorded_splits_of_adjusted_series_change_nothing(good: Night) -> None:
    stocks = good.prices.filter(pl.col("asset_class") == "STOCKS")
    assert not stocks["is_repaired"].any()
    jumps = stocks.select(pl.col("close").log().diff().over("symbol").abs())
    assert jumps["close"].max() < 0.5


def test_spy_fell_eleven_percent_on_the_sixteenth_of_march_2020(good: Night) -> None:
    spy = good.prices.filter(pl.col("symbol") == "SPY")
    moves = spy.select("date", pl.col("price").pct_change().alias("move"))
    move = moves.row(by_predicate=pl.col("date") == date(2020, 3, 16))[1]
    assert move == pytest.approx(-0.1094, abs=2e-4)


def cases(bars_dir: Path) -> list[dict[str, Any]]:
    """Read the table of defects and the verdict expected of each."""
    return pl.read_csv(bars_dir / "defects" / "cases.csv").to_dicts()


def verdict_on(folder: Path, asof: date) -> tuple[str, dict[str, Any]]:
    """Score the one symbol of a defect folder."""
    bars, universe = read(folder)
    row = score_bars(bars, universe=universe, asof=asof, policy=QUALITY, history=HISTORY).row(
        0, named=True
    )
    return row["status"], json.loads(row["flags"])


@pytest.mark.roadmap("2.4", "2.5")
def test_every_defect_receives_the_verdict_expected_of_it(bars_dir: Path) -> None:
    judged = 0
    for case in cases(bars_dir):
        folder, expected = bars_dir / "defects" / case["case"], case["expected"]
        dated = re.findall(r"(?:--asof|at) (\d{4}-\d\d-\d\d)", expected)
        for asof in [date.fromisoformat(text) for text in dated] or [
            date.fromisoformat(case["last"]) + timedelta(days=1)
        ]:
            status, flags = verdict_on(folder, asof)
            words = [*re.findall(r"INVALID_DATA|INSUFFICIENT_HISTORY|VALID\b", expected)]
            wanted = words[dated.index(str(asof))] if len(dated) > 1 else words[0]
            assert status == wanted, case["case"]
            jumps = {"PRICE_SPIKE", "LEVEL_BREAK"} & set(flags)
            if "flag is set" in expected:
                assert jumps, case["case"]
            if "no spike" in expected or "price rules pass" in expected:
                assert not jumps, case["case"]
            if "NEGATIVE_PRICE_VALID" in expected:
                assert "NEGATIVE_PRICE_VALID" in flags
            if silent := re.search(r"no flag on (\d{4}-\d\d-\d\d)", expected):
                assert all(silent[1] not in flag["dates"] for flag in flags.values())
            judged += 1
    assert judged == 17
