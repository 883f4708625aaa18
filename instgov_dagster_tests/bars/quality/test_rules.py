"""Each rule of data quality on a calm series with one defect planted, by hand."""

import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from instgov_dagster.bars.quality.rules import matches_split
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster_tests.bars.quality.frames import (
    calm_bars,
    scaled,
    scaled_before,
    sessions,
    universe_of,
    verdict,
    with_value,
)

N = 1257  # exchange sessions in the window of 2024-12-06


def flags_of(row: dict[str, Any]) -> dict[str, Any]:
    """Read the flags of a verdict."""
    return dict(json.loads(row["flags"]))


def test_a_calm_series_raises_no_flag() -> None:
    row = verdict(calm_bars())
    assert (row["rows"], row["expected_rows"]) == (N, N)
    assert (row["quality_score"], row["status"]) == (1.0, "VALID")
    assert flags_of(row) == {}
    assert row["reason_codes"] == ["DATA_VALID"]


@pytest.mark.roadmap("2.4")
def test_a_missing_session_costs_its_share_of_five_percent() -> None:
    gone = sessions()[600:610]
    row = verdict(calm_bars().filter(~pl.col("date").is_in(gone.tolist())))
    flag = flags_of(row)["MISSING_SESSIONS"]
    assert flag["count"] == 10
    assert flag["dates"] == [str(day) for day in gone[:5]]
    assert flag["penalty"] == pytest.approx(0.45 * (10 / N) / 0.05)
    assert row["quality_score"] == pytest.approx(1 - 0.45 * (10 / N) / 0.05)


@pytest.mark.roadmap("2.4", "2.5")
def test_five_percent_missing_is_invalid() -> None:
    gone = sessions()[100:163]  # 63 of 1257 is 5.01 %
    row = verdict(calm_bars().filter(~pl.col("date").is_in(gone.tolist())))
    assert row["quality_score"] == 0.55
    assert row["status"] == "INVALID_DATA"
    assert row["reason_codes"][0] == "INVALID_DATA"


def test_missing_counts_from_the_first_bar_not_from_the_window() -> None:
    row = verdict(calm_bars(last=400))
    assert row["expected_rows"] == 400
    assert "MISSING_SESSIONS" not in flags_of(row)


@pytest.mark.parametrize("behind", [1, 3])
def test_what_follows_the_last_bar_is_staleness_and_no_gap(behind: int) -> None:
    row = verdict(calm_bars().head(N - behind))
    assert row["status"] == "STALE"
    assert flags_of(row)["DATA_STALE"]["count"] == behind
    assert row["quality_score"] == 1.0


@pytest.mark.roadmap("2.4")
@pytest.mark.parametrize("value", [float("nan"), None, float("inf")])
@pytest.mark.parametrize("place", [0, 700, -1])
def test_a_row_without_finite_prices_is_a_missing_session(value: float | None, place: int) -> None:
    row = verdict(with_value(calm_bars(), place, close=value))
    flags = flags_of(row)
    assert flags["MISSING_SESSIONS"]["count"] == 1
    assert flags["PRICE_NOT_FINITE"]["count"] == 1
    assert row["rows"] == N - 1


@pytest.mark.roadmap("2.4")
def test_duplicates_cost_their_share_of_one_percent_whatever_they_say() -> None:
    bars = calm_bars()
    row = verdict(pl.concat([bars, bars.head(6), bars.head(3)]))
    flag = flags_of(row)["DUPLICATE_DATES"]
    assert flag["count"] == 9
    assert flag["penalty"] == pytest.approx(0.15 * (9 / N) / 0.01)
    assert row["rows"] == N


@pytest.mark.roadmap("2.4", "2.5")
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_one_price_at_or_below_zero_invalidates_a_stock(value: float) -> None:
    row = verdict(with_value(calm_bars(), 300, low=value))
    assert flags_of(row)["PRICE_NOT_POSITIVE"]["count"] == 1
    assert row["status"] == "INVALID_DATA"


def test_a_negative_commodity_price_is_real_and_costs_a_tenth() -> None:
    bars = calm_bars("CL=F", AssetClass.COMMODITIES)
    bars = with_value(bars, 300, low=-40.32, close=-37.63)
    row = verdict(bars, universe_of(**{"CL=F": AssetClass.COMMODITIES}))
    assert flags_of(row)["NEGATIVE_PRICE_VALID"]["penalty"] == 0.1
    assert (row["status"], row["quality_score"]) == ("VALID", 0.9)
    assert "PRICE_SPIKE" not in flags_of(row)


@pytest.mark.roadmap("2.4")
@pytest.mark.parametrize(
    ("symbol", "kind", "spiked", "spared"),
    [
        ("AAA", AssetClass.STOCKS, 0.32, 0.28),
        ("EURUSD=X", AssetClass.FX, 0.07, 0.03),
        ("BTC-USD", AssetClass.CRYPTO, 0.63, 0.57),
        ("NG=F", AssetClass.COMMODITIES, 0.63, 0.57),
    ],
)
def test_a_tick_that_comes_back_is_a_spike_beyond_its_class_threshold(
    symbol: str, kind: AssetClass, spiked: float, spared: float
) -> None:
    # Beneath 45 % neither way is a level break; the calm series itself moves half a percent.
    bars, universe = calm_bars(symbol, kind), universe_of(**{symbol: kind})
    found = verdict(scaled(bars, 500, math.exp(spiked)), universe)
    assert flags_of(found)["PRICE_SPIKE"]["dates"] == [str(bars["date"][500])]
    assert found["status"] == "INVALID_DATA"
    assert "PRICE_SPIKE" not in flags_of(verdict(scaled(bars, 500, math.exp(spared)), universe))


def test_two_jumps_the_same_way_are_a_trend_and_no_spike() -> None:
    up = math.exp(-0.33)
    bars = scaled_before(scaled_before(calm_bars(), 501, up), 500, up)
    assert flags_of(verdict(bars)) == {}


def test_the_last_bar_alone_cannot_be_told_a_spike() -> None:
    row = verdict(scaled(calm_bars(), -1, math.exp(0.33)))
    assert "PRICE_SPIKE" not in flags_of(row)


@pytest.mark.roadmap("2.4")
def test_an_unapplied_split_is_a_level_break() -> None:
    row = verdict(scaled_before(calm_bars(), 600, 2.0))
    assert flags_of(row)["LEVEL_BREAK"]["count"] == 1
    assert row["status"] == "INVALID_DATA"


def test_a_recorded_split_that_matches_explains_the_break() -> None:
    bars = with_value(scaled_before(calm_bars(), 600, 2.0), 600, split=2.0)
    assert verdict(bars)["status"] == "VALID"


def test_a_recorded_split_that_does_not_match_explains_nothing() -> None:
    bars = with_value(scaled_before(calm_bars(), 600, 2.0), 600, split=7.0)
    assert "LEVEL_BREAK" in flags_of(verdict(bars))


def test_a_split_recorded_on_adjusted_prices_is_no_break() -> None:
    assert verdict(with_value(calm_bars(), 600, split=4.0))["quality_score"] == 1.0


@pytest.mark.parametrize(
    ("volume", "is_break"), [(5e6, False), (1.5e6, True), (0.0, True), (None, True)]
)
def test_only_known_heavy_trading_explains_a_crash(volume: float | None, *, is_break: bool) -> None:
    # 1.45 times the price before: the crash day's own dollars are 5e6 shares at the lower price.
    bars = with_value(scaled_before(calm_bars(), 600, 1.6), 600, volume=volume)
    assert ("LEVEL_BREAK" in flags_of(verdict(bars))) is is_break


def test_an_index_crash_of_more_than_four_percent_excuses_a_break() -> None:
    broken = scaled_before(calm_bars(), 600, 1.6)
    crashing = scaled_before(calm_bars("^GSPC", None, seed=3), 600, 1.06)
    calm_index = calm_bars("^GSPC", None, seed=3)
    assert "LEVEL_BREAK" not in flags_of(verdict(pl.concat([broken, crashing])))
    assert "LEVEL_BREAK" in flags_of(verdict(pl.concat([broken, calm_index])))


def test_a_level_break_is_looked_for_in_stocks_only() -> None:
    bars = scaled_before(calm_bars("BTC-USD", AssetClass.CRYPTO), 600, 1.8)
    row = verdict(bars, universe_of(**{"BTC-USD": AssetClass.CRYPTO}))
    assert row["quality_score"] == 1.0


@pytest.mark.roadmap("2.4")
def test_a_high_below_the_close_is_told_beyond_50_basis_points() -> None:
    bars = calm_bars()
    close = bars["close"][200]
    told = with_value(bars, 200, high=close * 0.994, open=close * 0.99, low=close * 0.98)
    spared = with_value(bars, 200, high=close * 0.996, open=close * 0.99, low=close * 0.98)
    flag = flags_of(verdict(told))["OHLC_INCONSISTENT"]
    assert flag["count"] == 1
    assert flag["penalty"] == pytest.approx(0.20 * (1 / N) / 0.02)
    assert flags_of(verdict(spared)) == {}


def test_rows_off_session_are_dropped_and_reported() -> None:
    bars = calm_bars()
    saturday = bars.head(2).with_columns(
        date=pl.Series(["2024-11-30", "2024-12-01"]).str.to_date(), close=pl.lit(-5.0)
    )
    row = verdict(pl.concat([bars, saturday]))
    assert flags_of(row)["OFF_SESSION_ROWS"]["count"] == 2
    assert (row["rows"], row["quality_score"]) == (N, 1.0)


def test_bars_after_the_night_or_before_the_window_change_nothing() -> None:
    bars = calm_bars()
    later = bars.tail(3).with_columns(pl.col("date").dt.offset_by("7d"), close=pl.lit(-5.0))
    earlier = bars.head(3).with_columns(pl.col("date").dt.offset_by("-30d"), close=pl.lit(0.0))
    assert verdict(pl.concat([bars, later])) == verdict(bars)
    assert verdict(pl.concat([bars, earlier])) == verdict(bars)


@pytest.mark.parametrize(
    ("move", "split", "matches"),
    [
        (0.25, 4.0, True),
        (0.21, 4.0, True),
        (0.30, 4.0, True),
        (0.19, 4.0, False),
        (0.31, 4.0, False),
        (1.03, 4.0, False),
        (10.0, 0.1, True),
        (1.00, 1.054, False),
        (0.95, 1.054, True),
        (0.50, 0.0, False),
        (0.50, float("nan"), False),
        (1.00, 1.0, False),
    ],
)
def test_a_split_matches_within_twenty_percent_and_better_than_nothing(
    move: float, split: float, *, matches: bool
) -> None:
    found = matches_split(np.log([move]), np.array([split]), tolerance=0.20)
    assert bool(found[0]) is matches
