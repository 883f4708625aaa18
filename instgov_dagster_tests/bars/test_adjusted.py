"""The adjusted layer applies what is missing once, and nothing that is there already."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.bars.adjusted import PRICE_SCHEMA, adjust_bars
from instgov_dagster.vocabulary.bars import AssetClass, Universe
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.bars.quality.frames import (
    ASOF,
    HISTORY,
    QUALITY,
    calm_bars,
    scaled_before,
    sessions,
    universe_of,
    with_value,
)

FX = universe_of(**{"EURUSD=X": AssetClass.FX})


def adjusted(bars: pl.DataFrame, **classes: AssetClass | None) -> pl.DataFrame:
    """Adjust bars; a symbol is a stock unless told."""
    universe = universe_of(**(classes or {bars["symbol"][0]: AssetClass.STOCKS}))
    return adjust_bars(bars, universe=universe, asof=ASOF, policy=QUALITY, history=HISTORY)


def test_clean_bars_pass_through_unchanged() -> None:
    bars = calm_bars()
    found = adjusted(bars)
    assert found.schema == pl.Schema(PRICE_SCHEMA)
    same = ["symbol", "date", "open", "high", "low", "close", "adj_close", "volume", "asset_class"]
    assert found.select(same).equals(bars.select(same))
    assert found["price"].to_list() == bars["adj_close"].to_list()
    assert not found["is_repaired"].any()


def test_an_unadjusted_split_divides_every_price_before_it() -> None:
    raw = with_value(scaled_before(calm_bars(), 600, 7.0), 600, split=7.0)
    found = adjusted(raw)
    clean = adjusted(calm_bars())
    for name in ("open", "high", "low", "close", "adj_close", "price"):
        assert found[name].to_list() == pytest.approx(clean[name].to_list())
    volumes = found["volume"].to_numpy() / raw["volume"].to_numpy()
    assert volumes[:600] == pytest.approx(7.0)
    assert volumes[600:] == pytest.approx(1.0)
    assert found["is_repaired"].to_list() == [True] * 600 + [False] * (raw.height - 600)


def test_a_split_already_in_the_prices_is_not_applied_twice() -> None:
    bars = calm_bars()
    assert adjusted(with_value(bars, 600, split=4.0)).equals(adjusted(bars))
    assert adjusted(with_value(bars, 600, split=1.054)).equals(adjusted(bars))


def test_a_close_left_raw_beside_an_adjusted_adj_close_is_divided_alone() -> None:
    clean = calm_bars()
    raw = with_value(scaled_before(clean, 600, 2.0), 600, split=2.0)
    raw = raw.with_columns(adj_close=clean["adj_close"])
    found = adjusted(raw)
    assert found["close"].to_list() == pytest.approx(clean["close"].to_list())
    assert found["price"].to_list() == clean["adj_close"].to_list()


def test_two_splits_multiply() -> None:
    raw = scaled_before(scaled_before(calm_bars(), 900, 2.0), 300, 5.0)
    raw = with_value(with_value(raw, 900, split=2.0), 300, split=5.0)
    found, clean = adjusted(raw), adjusted(calm_bars())
    assert found["price"].to_list() == pytest.approx(clean["price"].to_list())


def test_without_adj_close_recorded_dividends_are_reinvested() -> None:
    bars = calm_bars().with_columns(adj_close=pl.lit(None, dtype=pl.Float64))
    bars = with_value(bars, 600, dividend=2.0)
    found = adjusted(bars)
    close = bars["close"].to_numpy()
    ratio = found["price"].to_numpy() / close
    assert ratio[600:] == pytest.approx(1.0)
    assert ratio[:600] == pytest.approx(1.0 - 2.0 / close[599])
    assert found["adj_close"].null_count() == bars.height


def test_one_row_without_adj_close_disowns_the_column_for_the_symbol() -> None:
    bars = calm_bars().with_columns(adj_close=pl.col("close") * 0.5)
    found = adjusted(with_value(bars, 10, adj_close=None))
    assert found["price"].to_list() == bars["close"].to_list()


def test_a_dividend_larger_than_the_price_is_not_believed() -> None:
    bars = calm_bars().with_columns(adj_close=pl.lit(None, dtype=pl.Float64))
    assert adjusted(with_value(bars, 600, dividend=1e6)).equals(adjusted(bars))


def test_duplicates_off_session_rows_and_nan_rows_are_dropped() -> None:
    bars = calm_bars()
    saturday = bars.head(1).with_columns(date=pl.lit("2024-11-30").str.to_date())
    noisy = pl.concat([with_value(bars, 700, open=float("nan")), bars.head(5), saturday])
    found = adjusted(noisy)
    assert found["date"].to_list() == [d for i, d in enumerate(bars["date"]) if i != 700]


def test_a_usable_row_stands_for_its_unusable_duplicate() -> None:
    bars = calm_bars()
    twin = with_value(bars.slice(50, 1), 0, open=1.0, close=float("nan"))
    assert adjusted(pl.concat([twin, bars])).equals(adjusted(bars))


def test_an_impossible_price_is_null_and_a_negative_commodity_s_is_kept() -> None:
    stock = adjusted(with_value(calm_bars(), 50, close=-1.0, adj_close=-1.0))
    assert stock["price"][50] is None
    oil = with_value(calm_bars("CL=F", AssetClass.COMMODITIES), 50, close=-37.63, adj_close=-37.63)
    assert adjusted(oil, **{"CL=F": AssetClass.COMMODITIES})["price"][50] == -37.63


def late_bars() -> tuple[pl.DataFrame, np.ndarray]:
    """Give FX bars whose close is their own open, and the closes they should have had."""
    bars = calm_bars("EURUSD=X", AssetClass.FX)
    true = bars["close"].to_numpy()
    opens = np.concatenate([[100.0], true[:-1]])
    high, low = np.maximum(opens, true) * 1.001, np.minimum(opens, true) * 0.999
    late = bars.with_columns(
        open=pl.Series(opens),
        high=pl.Series(high),
        low=pl.Series(low),
        close=pl.Series(opens),
        adj_close=pl.Series(opens),
    )
    return late, true


def test_a_late_fx_close_becomes_the_next_open_and_the_last_bar_is_pending() -> None:
    late, true = late_bars()
    found = adjusted(late, **{"EURUSD=X": AssetClass.FX})
    assert found.height == late.height - 1
    assert found["date"].max() == late["date"][-2]
    assert found["close"].to_list() == true[:-1].tolist()
    assert found["price"].to_list() == found["close"].to_list()
    assert found["is_repaired"].all()
    assert (found["high"] >= found["close"]).all()
    assert (found["low"] <= found["close"]).all()


@pytest.mark.parametrize(("factor", "side"), [(1.2, "high"), (0.8, "low")])
def test_a_bar_is_widened_to_hold_the_close_it_was_given(factor: float, side: str) -> None:
    late, _ = late_bars()
    gapped = late["open"][300] * factor
    found = adjusted(with_value(late, 300, open=gapped), **{"EURUSD=X": AssetClass.FX})
    assert found["close"][299] == found[side][299] == gapped
    assert found["open"][299] == late["open"][299]


def test_a_holiday_is_bridged_and_a_longer_hole_leaves_its_eve_pending() -> None:
    late, true = late_bars()
    gone = {late["date"][i] for i in (400, 800, 801)}
    holed = late.filter(~pl.col("date").is_in(gone))
    found = adjusted(holed, **{"EURUSD=X": AssetClass.FX})
    by_date = dict(found.select("date", "close").iter_rows())
    # The open that follows the holiday closes its eve; the eve of two missing days has no close.
    assert by_date[late["date"][399]] == true[400]
    assert late["date"][799] not in by_date
    assert by_date[late["date"][802]] == true[802]


def test_fx_in_time_keeps_its_last_bar() -> None:
    bars = calm_bars("EURUSD=X", AssetClass.FX)
    found = adjusted(bars, **{"EURUSD=X": AssetClass.FX})
    assert found["date"].max() == bars["date"].max()
    assert not found["is_repaired"].any()


def test_lateness_is_found_symbol_by_symbol() -> None:
    late, _ = late_bars()
    fine = calm_bars("GBPUSD=X", AssetClass.FX)
    found = adjusted(
        pl.concat([fine, late]), **{"EURUSD=X": AssetClass.FX, "GBPUSD=X": AssetClass.FX}
    )
    repaired = found.group_by("symbol").agg(pl.col("is_repaired").all()).sort("symbol")
    assert repaired.rows() == [("EURUSD=X", True), ("GBPUSD=X", False)]


@settings(max_examples=15)
@given(st.permutations(range(120)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    bars = with_value(scaled_before(calm_bars(last=120), 60, 3.0), 60, split=3.0)
    assert adjusted(bars[order]).equals(adjusted(bars))


def test_a_bar_not_yet_closed_is_not_looked_at() -> None:
    bars = calm_bars()
    today = bars.tail(1).with_columns(date=pl.lit(ASOF), close=pl.lit(1e6))
    assert adjusted(pl.concat([bars, today])).equals(adjusted(bars))
    assert sessions()[-1] == np.datetime64("2024-12-05")


def test_an_empty_universe_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="universe must hold a symbol, was empty"):
        adjust_bars(
            calm_bars(),
            universe=Universe(symbols=()),
            asof=ASOF,
            policy=QUALITY,
            history=HISTORY,
        )


def test_no_bars_adjust_to_no_prices() -> None:
    found = adjusted(calm_bars().clear(), AAA=AssetClass.STOCKS)
    assert found.schema == pl.Schema(PRICE_SCHEMA)
    assert found.is_empty()
