"""The history gate counts by calendar, excuses youth, and names whose lack of history halts."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.bars.adjusted import adjust_bars
from instgov_dagster.bars.history import (
    COVERAGE_SCHEMA,
    cover_history,
    has_minimum_history,
    missing_history,
)
from instgov_dagster.bars.ingestion import first_dates
from instgov_dagster.bars.quality import score_bars
from instgov_dagster.vocabulary.bars import AssetClass, Universe, UniverseSymbol
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.bars.quality.frames import (
    ASOF,
    HISTORY,
    QUALITY,
    calm_bars,
    scaled,
    universe_of,
)
from instgov_dagster_tests.bars.test_adjusted import late_bars

STOCK = universe_of(AAA=AssetClass.STOCKS)
OLD = {"AAA": date(1999, 1, 4)}


def covered(
    bars: pl.DataFrame,
    universe: Universe = STOCK,
    firsts: dict[str, date] | None = None,
    days: int | None = None,
) -> dict[str, Any]:
    """Cover the history of bars and give the row of the first symbol."""
    night = {"universe": universe, "asof": ASOF, "policy": QUALITY, "history": HISTORY}
    frame = cover_history(
        adjust_bars(bars, **night),
        score_bars(bars, **night),
        universe=universe,
        asof=ASOF,
        history=HISTORY,
        first_dates=OLD if firsts is None else firsts,
        days=days,
    )
    assert frame.schema == pl.Schema(COVERAGE_SCHEMA)
    return frame.row(0, named=True)


@pytest.mark.roadmap("3.1")
def test_a_full_window_passes_with_fewer_rows_than_the_nominal_1260() -> None:
    row = covered(calm_bars())
    assert (row["rows"], row["expected"], row["required"]) == (1257, 1257, 1244)
    assert row["passes"]
    assert row["reason_codes"] == ["HISTORY_SUFFICIENT", "HISTORY_SHORT_OF_NOMINAL"]
    assert row["last_bar"] == row["last_required"] == date(2024, 12, 5)


@pytest.mark.roadmap("3.1")
def test_crypto_needs_1806_of_1825_days_and_fx_1290_of_1304() -> None:
    crypto = universe_of(**{"BTC-USD": AssetClass.CRYPTO})
    row = covered(calm_bars("BTC-USD", AssetClass.CRYPTO), crypto)
    assert (row["expected"], row["required"], row["passes"]) == (1825, 1806, True)
    assert row["reason_codes"] == ["HISTORY_SUFFICIENT"]
    fx = universe_of(**{"EURUSD=X": AssetClass.FX})
    row = covered(calm_bars("EURUSD=X", AssetClass.FX), fx)
    assert (row["expected"], row["required"], row["passes"]) == (1304, 1290, True)


@pytest.mark.roadmap("3.1")
@pytest.mark.parametrize(("gone", "passes"), [(13, True), (14, False)])
def test_one_percent_may_be_missing_and_not_one_session_more(gone: int, *, passes: bool) -> None:
    bars = calm_bars()
    row = covered(bars.filter(~pl.col("date").is_in(bars["date"][100 : 100 + gone].implode())))
    assert row["rows"] == 1257 - gone
    assert row["passes"] is passes
    assert ("HISTORY_MISSING" in row["reason_codes"]) is not passes


@pytest.mark.roadmap("3.1")
def test_a_last_bar_one_session_old_fails_and_halts() -> None:
    row = covered(calm_bars().head(1256))
    assert not row["passes"]
    assert row["status"] == "STALE"
    assert row["reason_codes"] == ["DATA_STALE", "HISTORY_MISSING"]


def test_a_repaired_fx_symbol_may_end_one_session_before() -> None:
    late, _ = late_bars()
    fx = universe_of(**{"EURUSD=X": AssetClass.FX})
    firsts = {"EURUSD=X": date(2003, 12, 1)}
    row = covered(late, fx, firsts)
    assert row["passes"]
    assert row["last_bar"] == row["last_required"] == date(2024, 12, 4)
    assert not covered(late.head(late.height - 1), fx, firsts)["passes"]


def test_an_fx_symbol_in_time_must_end_on_the_last_session() -> None:
    fx = universe_of(**{"EURUSD=X": AssetClass.FX})
    bars = calm_bars("EURUSD=X", AssetClass.FX)
    assert covered(bars, fx)["last_required"] == date(2024, 12, 5)
    assert not covered(bars.head(1303), fx)["passes"]


@pytest.mark.roadmap("3.1")
def test_youth_by_first_bar_or_by_listing_excuses_too_few_rows() -> None:
    bars = calm_bars(last=700)
    by_first_bar = covered(bars, firsts=first_dates(bars))
    assert by_first_bar["is_listed_inside"]
    assert by_first_bar["status"] == "INSUFFICIENT_HISTORY"
    assert by_first_bar["reason_codes"] == ["INSUFFICIENT_HISTORY"]
    listed = UniverseSymbol(symbol="AAA", asset_class=AssetClass.STOCKS, listed_on=bars["date"][0])
    by_listing = covered(bars, Universe(symbols=(listed,)))
    assert by_listing["reason_codes"] == ["INSUFFICIENT_HISTORY"]


@pytest.mark.roadmap("3.1")
@pytest.mark.parametrize("firsts", [OLD, {}])
def test_a_symbol_not_known_to_be_young_halts(firsts: dict[str, date]) -> None:
    row = covered(calm_bars(last=700), firsts=firsts)
    assert not row["is_listed_inside"]
    assert "HISTORY_MISSING" in row["reason_codes"]


def test_youth_does_not_excuse_a_stale_symbol_that_had_enough_rows() -> None:
    bars = calm_bars().slice(5, 1250)  # listed a week into the window, two sessions behind
    row = covered(bars, firsts=first_dates(bars))
    assert row["is_listed_inside"]
    assert row["reason_codes"] == ["DATA_STALE", "HISTORY_MISSING"]


def test_a_first_bar_on_the_first_session_is_not_youth() -> None:
    # The window opens on a Sunday; the folder's first bar on Monday holds all there can be.
    bars = calm_bars()
    holed = bars.filter(~pl.col("date").is_in(bars["date"][100:200].implode()))
    row = covered(holed, firsts=first_dates(holed))
    assert not row["is_listed_inside"]
    assert "HISTORY_MISSING" in row["reason_codes"]


def test_invalid_data_keeps_its_status_and_does_not_halt_by_itself() -> None:
    row = covered(scaled(calm_bars(), 500, 3.0))
    assert row["status"] == "INVALID_DATA"
    assert row["passes"]


def test_rows_without_a_possible_price_do_not_count() -> None:
    row = covered(calm_bars().with_columns(adj_close=-pl.col("close"), close=-pl.col("close")))
    assert (row["rows"], row["passes"]) == (0, False)


def test_a_universe_symbol_without_a_single_bar_halts() -> None:
    row = covered(calm_bars().clear(), firsts={})
    assert (row["rows"], row["last_bar"]) == (0, None)
    assert row["reason_codes"] == ["DATA_STALE", "MISSING_SESSIONS", "HISTORY_MISSING"]


def test_a_reference_needs_rows_to_judge_and_the_last_session() -> None:
    universe = universe_of(**{"^VIX": None})
    row = covered(calm_bars("^VIX", None, last=63), universe)
    assert (row["required"], row["passes"], row["status"]) == (63, True, "REFERENCE")
    assert not covered(calm_bars("^VIX", None, last=62), universe)["passes"]
    stale = covered(calm_bars("^VIX", None).head(1256), universe)
    assert (stale["passes"], stale["status"]) == (False, "STALE")
    assert "HISTORY_MISSING" not in stale["reason_codes"]


def test_the_halting_symbols_are_named_and_sorted() -> None:
    universe = universe_of(CCC=AssetClass.STOCKS, BBB=AssetClass.STOCKS, AAA=AssetClass.STOCKS)
    night = {"universe": universe, "asof": ASOF, "policy": QUALITY, "history": HISTORY}
    frame = cover_history(
        adjust_bars(calm_bars("BBB"), **night),
        score_bars(calm_bars("BBB"), **night),
        universe=universe,
        asof=ASOF,
        history=HISTORY,
        first_dates={},
    )
    assert missing_history(frame) == ("AAA", "CCC")


@pytest.mark.roadmap("3.1")
@settings(max_examples=20)
@given(last=st.integers(1, 1257), behind=st.integers(0, 2))
def test_the_gate_of_one_symbol_is_the_row_of_the_coverage(last: int, behind: int) -> None:
    bars = calm_bars(last=last)
    bars = bars.head(bars.height - behind)
    prices = adjust_bars(bars, universe=STOCK, asof=ASOF, policy=QUALITY, history=HISTORY)
    for days in (1260, 252, 630):
        gate = has_minimum_history(prices, "AAA", days, universe=STOCK, asof=ASOF, history=HISTORY)
        assert gate is covered(bars, days=days)["passes"]
        assert not (behind and gate)


def test_days_name_a_window_in_proportion() -> None:
    row = covered(calm_bars(last=252), days=252)  # 365 days before 2024-12-06
    assert row["expected"] == 251
    assert row["passes"]
    with pytest.raises(InputError, match="days must name a window of two sessions"):
        covered(calm_bars(), days=1)


def test_the_gate_of_a_stranger_is_an_error() -> None:
    prices = adjust_bars(calm_bars(), universe=STOCK, asof=ASOF, policy=QUALITY, history=HISTORY)
    with pytest.raises(ValueError, match="must be in the universe"):
        has_minimum_history(prices, "ZZZ", universe=STOCK, asof=ASOF, history=HISTORY)
    assert has_minimum_history(prices, "AAA", universe=STOCK, asof=ASOF, history=HISTORY)
    tomorrow = ASOF + timedelta(days=1)
    assert not has_minimum_history(prices, "AAA", universe=STOCK, asof=tomorrow, history=HISTORY)
