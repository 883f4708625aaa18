"""The market of a folder: read as received, judged elsewhere, refused in one clear line."""

import csv
import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.bars.adjusted import adjust_bars
from instgov_dagster.bars.history import cover_history, missing_history
from instgov_dagster.bars.ingestion import BAR_SCHEMA
from instgov_dagster.bars.quality.score import score_bars
from instgov_dagster.vocabulary.bars import AssetClass, Market, Universe, UniverseSymbol
from instgov_dagster.vocabulary.errors import DataRejected, InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, QualityPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

NOBODY = Universe(symbols=())
FAR = date(2030, 1, 1)
NAN = float("nan")


def bars(symbol: str = "SPY", n: int = 3, **columns: Any) -> pl.DataFrame:
    base: dict[str, Any] = {
        "symbol": [symbol] * n,
        "date": [date(2024, 1, 2 + i) for i in range(n)],
        "open": [10.0 + i for i in range(n)],
        "high": [11.0 + i for i in range(n)],
        "low": [9.0 + i for i in range(n)],
        "close": [10.5 + i for i in range(n)],
        "adj_close": [10.5 + i for i in range(n)],
        "volume": [100.0] * n,
    }
    return pl.DataFrame(base | columns)


def folder_of(path: Path, *frames: pl.DataFrame) -> FilesMarket:
    pl.concat(frames, how="diagonal_relaxed").write_parquet(path / "bars.parquet")
    return FilesMarket(path)


def fetch_all(market: FilesMarket) -> pl.DataFrame:
    symbols = [entry.symbol for entry in market.universe(NOBODY).symbols]
    return market.fetch(symbols, date(1990, 1, 1), FAR, FAR).frame


def test_a_folder_is_read_as_it_is_and_classes_come_from_the_spelling(tmp_path: Path) -> None:
    market = folder_of(tmp_path, bars(), bars("BTC-USD"), bars("^VIX"))
    universe = market.universe(NOBODY)
    assert universe.tradable == ("BTC-USD", "SPY")
    assert universe.references == ("^VIX",)
    assert universe.of("BTC-USD").asset_class is AssetClass.CRYPTO
    assert universe.of("SPY").listed_on == date(2024, 1, 2)
    frame = fetch_all(market)
    assert list(frame.columns) == list(BAR_SCHEMA)
    assert frame.height == 9
    assert set(frame["provider"]) == set(frame["source"]) == {"files"}
    assert market.name is Market.FILES


def test_the_night_of_a_date_gets_no_bar_of_that_date_and_the_session_gets_it(
    tmp_path: Path,
) -> None:
    market = folder_of(tmp_path, bars())
    fetched = market.fetch(["SPY"], date(2024, 1, 3), FAR, date(2024, 1, 4))
    assert fetched.frame["date"].to_list() == [date(2024, 1, 3)]
    assert fetched.first_dates == {"SPY": date(2024, 1, 2)}
    assert market.day_bars(["SPY"], date(2024, 1, 4))["close"].to_list() == [12.5]
    assert market.last_date() == date(2024, 1, 4)


def test_a_csv_for_each_symbol_says_the_same_as_one_parquet(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = folder_of(tmp_path / "a", bars(), bars("EURUSD=X"), bars("^VIX"))
    for symbol in ("SPY", "EURUSD=X", "^VIX"):
        yahoo = bars(symbol).drop("symbol").rename({"adj_close": "Adj Close", "date": "Date"})
        yahoo.write_csv(tmp_path / "b" / f"{symbol}.csv")
    single = FilesMarket(tmp_path / "b")
    assert fetch_all(single).equals(fetch_all(whole))
    assert single.universe(NOBODY) == whole.universe(NOBODY)


def test_what_is_wrong_with_the_prices_passes_through_to_be_judged(tmp_path: Path) -> None:
    wrong = bars(close=[10.5, 0.0, NAN], low=[9.0, -1.0, None])
    market = folder_of(tmp_path, wrong, bars().head(1))
    frame = fetch_all(market)
    assert frame.height == 4
    assert frame["date"].to_list().count(date(2024, 1, 2)) == 2
    assert frame["close"].to_list()[2] == 0.0
    assert frame["close"].is_nan().sum() == 1
    assert frame["low"].null_count() == 1


def test_unknown_columns_are_ignored_with_a_notice(tmp_path: Path) -> None:
    market = folder_of(tmp_path, bars(vwap=[1.0] * 3, split=[4.0] * 3))
    fetched = market.fetch(["SPY"], date(2024, 1, 1), FAR, FAR)
    assert fetched.notices == ("bars.parquet: unknown columns ignored: split, vwap",)
    assert fetched.frame["split"].to_list() == [0.0] * 3


@pytest.mark.parametrize("column", ["symbol", "date", "open", "close", "adj_close", "volume"])
def test_a_missing_column_is_named_with_its_file(tmp_path: Path, column: str) -> None:
    bars().drop(column).write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(InputError, match=rf"bars\.parquet: .*without.* {column}"):
        FilesMarket(tmp_path).universe(NOBODY)


def test_a_missing_column_of_one_csv_is_named_with_that_csv(tmp_path: Path) -> None:
    bars().write_csv(tmp_path / "SPY.csv")
    bars("QQQ").drop("low").write_csv(tmp_path / "QQQ.csv")
    with pytest.raises(InputError, match=r"QQQ\.csv: .*low"):
        FilesMarket(tmp_path).universe(NOBODY)


def test_an_unknown_class_is_named_with_those_allowed(tmp_path: Path) -> None:
    market = folder_of(tmp_path, bars(asset_class=["EQUITY"] * 3))
    with pytest.raises(InputError, match=r"STOCKS.*'EQUITY'") as error:
        market.universe(NOBODY)
    assert all(word.value in str(error.value) for word in AssetClass)


def test_macro_rows_are_a_reference_and_one_symbol_has_one_class(tmp_path: Path) -> None:
    market = folder_of(tmp_path, bars("DGS10", asset_class=["MACRO"] * 3))
    assert market.universe(NOBODY).references == ("DGS10",)
    assert fetch_all(market)["asset_class"].unique().to_list() == ["REFERENCE"]
    other = tmp_path / "torn"
    other.mkdir()
    bars(asset_class=["STOCKS"] * 3).write_csv(other / "one.csv")
    bars(asset_class=["FX"] * 3).write_csv(other / "two.csv")
    with pytest.raises(InputError, match="asset_class of SPY must be one word, was FX and STOCKS"):
        FilesMarket(other).universe(NOBODY)


@pytest.mark.roadmap("2.3")
def test_a_time_of_day_is_refused_and_midnight_is_a_day(tmp_path: Path) -> None:
    midnight = [datetime(2024, 1, day) for day in (2, 3, 4)]  # noqa: DTZ001  # as vendors write
    market = folder_of(tmp_path, bars(date=midnight))
    assert fetch_all(market)["date"].to_list()[0] == date(2024, 1, 2)
    intraday = tmp_path / "intraday"
    intraday.mkdir()
    late = [midnight[0], midnight[1], datetime(2024, 1, 4, 9, 30)]  # noqa: DTZ001  # as above
    with pytest.raises(DataRejected) as refused:
        folder_of(intraday, bars(date=late)).universe(NOBODY)
    assert refused.value.reason_code is ReasonCode.INTRADAY_FORBIDDEN
    assert "bars.parquet" in refused.value.detail


@pytest.mark.parametrize("column", ["open", "volume"])
def test_a_price_that_is_no_number_is_named_by_its_column(tmp_path: Path, column: str) -> None:
    bars(**{column: ["1", "2", "n/a"]}).write_csv(tmp_path / "SPY.csv")
    with pytest.raises(InputError, match=rf"SPY\.csv: {column} must be a column of numbers"):
        FilesMarket(tmp_path).universe(NOBODY)


def test_an_empty_or_absent_folder_and_a_folder_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must hold bars\.parquet or one CSV a symbol"):
        FilesMarket(tmp_path).universe(NOBODY)
    with pytest.raises(InputError, match="must be a folder"):
        FilesMarket(tmp_path / "nowhere").universe(NOBODY)
    with pytest.raises(InputError, match="without a single row"):
        folder_of(tmp_path, bars().head(0)).universe(NOBODY)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0.0, 0.999))
def test_a_parquet_cut_anywhere_is_one_clear_refusal(tmp_path: Path, share: float) -> None:
    bars(n=25).write_parquet(tmp_path / "whole")
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "bars.parquet").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"bars\.parquet must be readable Parquet"):
        FilesMarket(tmp_path).universe(NOBODY)


def test_a_torn_csv_is_refused_by_name(tmp_path: Path) -> None:
    with (tmp_path / "SPY.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["date", "open"], ["2024-01-02", "1", "2", "3"]])
    with pytest.raises(InputError, match=r"SPY\.csv must be readable CSV"):
        FilesMarket(tmp_path).universe(NOBODY)


def test_actions_land_on_their_bars_and_lost_ones_are_told(tmp_path: Path) -> None:
    pl.DataFrame(
        {
            "symbol": ["SPY", "SPY", "SPY", "SPY", "GONE"],
            "date": [
                date(2024, 1, 3),
                date(2024, 1, 3),
                date(2024, 1, 4),
                date(2024, 2, 1),
                date(2024, 1, 3),
            ],
            "dividend": [0.5, 0.25, 0.0, 1.0, 9.0],
            "split": [0.0, 2.0, 1.0, 0.0, 0.0],
        }
    ).write_parquet(tmp_path / "actions.parquet")
    market = folder_of(tmp_path, bars())
    fetched = market.fetch(["SPY"], date(2024, 1, 1), FAR, FAR)
    assert fetched.frame["dividend"].to_list() == [0.0, 0.75, 0.0]
    assert fetched.frame["split"].to_list() == [0.0, 2.0, 0.0]
    assert fetched.notices == ("actions.parquet: 1 actions ignored on dates without a bar",)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"symbol": ["SPY"], "date": [date(2024, 1, 3)], "split": [2.0]}, "without dividend"),
        (
            {"symbol": ["SPY"], "date": [date(2024, 1, 3)], "dividend": [NAN], "split": [0.0]},
            "must be finite",
        ),
        (
            {"symbol": ["SPY"], "date": ["soon"], "dividend": [1.0], "split": [0.0]},
            "YYYY-MM-DD",
        ),
    ],
)
def test_actions_that_cannot_be_understood_are_refused(
    tmp_path: Path, actions: dict[str, Any], message: str
) -> None:
    pl.DataFrame(actions).write_parquet(tmp_path / "actions.parquet")
    with pytest.raises(InputError, match=message):
        folder_of(tmp_path, bars()).universe(NOBODY)


@pytest.mark.roadmap("3.1")
def test_a_symbol_of_the_folders_universe_without_bars_halts_by_name(tmp_path: Path) -> None:
    (tmp_path / "universe.yaml").write_text(
        "symbols:\n  - {symbol: SPY, sector: INDEX}\n  - {symbol: GONE, sector: ENERGY}\n"
    )
    market = folder_of(tmp_path, bars(), bars("EXTRA"))
    universe = market.universe(NOBODY)
    assert universe.tradable == ("GONE", "SPY")
    assert universe.of("SPY").sector == "INDEX"
    assert universe.of("GONE").listed_on is None
    asof, policy = date(2024, 1, 5), HistoryPolicy()
    fetched = market.fetch(universe.tradable, date(2019, 1, 6), asof, asof)
    assert sorted(fetched.payloads) == ["GONE", "SPY"]
    words = {"universe": universe, "asof": asof, "history": policy}
    firsts = fetched.first_dates
    quality = score_bars(fetched.frame, policy=QualityPolicy(), first_dates=firsts, **words)
    prices = adjust_bars(fetched.frame, policy=QualityPolicy(), **words)
    coverage = cover_history(prices, quality, first_dates=firsts, **words)
    assert missing_history(coverage) == ("GONE",)


def test_sectors_nobody_declares_in_the_folder_come_from_the_configuration(
    tmp_path: Path,
) -> None:
    configured = Universe(symbols=(UniverseSymbol(symbol="SPY", sector="BROAD"),))
    market = folder_of(tmp_path, bars(), bars("QQQ"))
    universe = market.universe(configured)
    assert universe.of("SPY").sector == "BROAD"
    assert universe.of("QQQ").sector == "UNKNOWN"


def real_bars() -> Path:
    folder = os.environ.get("INSTGOV_BARS_DIR")
    if not folder:
        pytest.skip("INSTGOV_BARS_DIR is unset: no real bars to read")
    return Path(folder)


def test_the_real_bars_are_read_whole() -> None:
    market = FilesMarket(real_bars() / "dev")
    universe = market.universe(NOBODY)
    assert len(universe.tradable) == 56
    assert universe.references == ("^GSPC", "^VIX")
    frame = fetch_all(market)
    assert frame.height == 114_148
    splits = frame.filter(pl.col("split") > 0)
    assert set(splits["symbol"]) == {"PFE", "AMZN", "AAPL", "GOOGL", "TSLA", "NVDA"}


VERDICTS = (
    ("unadjusted_split_7to1", date(2015, 1, 1), "INVALID_DATA"),
    ("ticker_reuse_WM", date(2011, 1, 1), "INVALID_DATA"),
    ("bankrupt_WAMU", date(2008, 9, 26), "VALID"),
    ("bankrupt_WAMU", date(2008, 9, 27), "INVALID_DATA"),
    ("fx_bad_tick_RUB", date(2024, 12, 7), "INVALID_DATA"),
    ("fx_bad_tick_EURGBP", date(2022, 12, 31), "INVALID_DATA"),
    ("negative_price_CL", date(2022, 12, 31), "VALID"),
    ("stablecoin_USDT", date(2023, 1, 1), "VALID"),
    ("young_symbol", date(2024, 12, 7), "INSUFFICIENT_HISTORY"),
    ("yf_AET-L-1d-100x-error", date(2022, 6, 7), "INSUFFICIENT_HISTORY"),
    ("yf_4063-T-1d-bad-stock-split", date(2023, 4, 15), "INSUFFICIENT_HISTORY"),
)


@pytest.mark.roadmap("2.4")
@pytest.mark.parametrize(("case", "asof", "verdict"), VERDICTS)
def test_a_real_defect_read_from_its_folder_gets_the_verdict_it_deserves(
    case: str, asof: date, verdict: str
) -> None:
    market = FilesMarket(real_bars() / "defects" / case)
    universe = market.universe(NOBODY)
    fetched = market.fetch(universe.tradable, date(1990, 1, 1), asof, asof)
    scored = score_bars(
        fetched.frame,
        universe=universe,
        asof=asof,
        policy=QualityPolicy(),
        history=HistoryPolicy(),
        first_dates=fetched.first_dates,
    )
    assert scored["status"].to_list() == [verdict]


@pytest.mark.parametrize("symbol", ["../../x", "a/b", "NUL", "A\0"])
def test_a_folder_with_a_symbol_that_names_another_place_is_refused(
    tmp_path: Path, symbol: str
) -> None:
    market = folder_of(tmp_path, bars(), bars(symbol))
    with pytest.raises(InputError, match="symbol must be no path"):
        market.universe(NOBODY)
    assert {path.name for path in tmp_path.iterdir()} == {"bars.parquet"}
