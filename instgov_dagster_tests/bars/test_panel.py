"""The panel holds the last price at or before each exchange session, and nothing later."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instgov_dagster.bars.adjusted import adjust_bars, adjusted_prices
from instgov_dagster.bars.panel import (
    PricePanel,
    fill_forward,
    panel_of_prices,
    price_panel,
    range_panel,
)
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.bars.quality.frames import (
    ASOF,
    HISTORY,
    QUALITY,
    calm_bars,
    sessions,
    universe_of,
    with_value,
)

BARS = pl.concat([calm_bars("AAA"), calm_bars("BTC-USD", AssetClass.CRYPTO)])
PRICES = adjust_bars(
    BARS,
    universe=universe_of(**{"AAA": AssetClass.STOCKS, "BTC-USD": AssetClass.CRYPTO}),
    asof=ASOF,
    policy=QUALITY,
    history=HISTORY,
)


def panel(prices: pl.DataFrame, *symbols: str) -> PricePanel:
    """Give the panel of the night."""
    return price_panel(prices, symbols, asof=ASOF, history=HISTORY)


def test_the_panel_is_the_exchange_s_sessions_by_the_symbols_asked_for() -> None:
    found = panel(PRICES, "BTC-USD", "AAA")
    assert np.array_equal(found.dates, sessions())
    assert found.prices.shape == (1257, 2)
    stock = PRICES.filter(pl.col("symbol") == "AAA")["price"].to_numpy()
    assert np.array_equal(found.prices[:, 1], stock)


def test_a_weekend_of_crypto_compounds_into_monday() -> None:
    found = panel(PRICES, "BTC-USD")
    crypto = dict(PRICES.filter(pl.col("symbol") == "BTC-USD").select("date", "price").iter_rows())
    friday, monday = np.searchsorted(
        found.dates, np.array(["2024-11-22", "2024-11-25"], dtype="datetime64[D]")
    )
    assert found.prices[friday, 0] == crypto[date(2024, 11, 22)]
    assert found.prices[monday, 0] == crypto[date(2024, 11, 25)]
    assert monday == friday + 1


def test_a_missing_session_carries_the_last_price() -> None:
    thanksgiving_gone = PRICES.filter(
        (pl.col("symbol") == "AAA") & (pl.col("date") != date(2024, 11, 26))
    )
    found = panel(thanksgiving_gone, "AAA")
    at = int(np.searchsorted(found.dates, np.datetime64("2024-11-26")))
    assert found.prices[at, 0] == found.prices[at - 1, 0]


def test_before_the_first_price_there_is_none_and_a_stranger_has_none_at_all() -> None:
    young = PRICES.filter((pl.col("symbol") == "AAA") & (pl.col("date") >= date(2023, 1, 3)))
    found = panel(young, "AAA", "ZZZ")
    first = int(np.searchsorted(found.dates, np.datetime64("2023-01-03")))
    assert np.isnan(found.prices[:first, 0]).all()
    assert np.isfinite(found.prices[first:, 0]).all()
    assert np.isnan(found.prices[:, 1]).all()


def test_a_price_of_the_day_traded_is_not_seen() -> None:
    today = PRICES.tail(1).with_columns(date=pl.lit(ASOF), price=pl.lit(1e9))
    later = pl.concat([PRICES, today])
    assert np.array_equal(panel(later, "BTC-USD").prices, panel(PRICES, "BTC-USD").prices)


def test_the_order_of_rows_does_not_matter() -> None:
    shuffled = PRICES.sample(fraction=1.0, shuffle=True, seed=3)
    assert np.array_equal(panel(shuffled, "BTC-USD").prices, panel(PRICES, "BTC-USD").prices)


def test_a_panel_is_frozen_and_of_one_shape() -> None:
    found = panel(PRICES, "AAA")
    with pytest.raises(ValueError, match="read-only"):
        found.prices[0, 0] = 1.0
    with pytest.raises(ValueError, match=r"must have shape \(1257, 2\)"):
        PricePanel(dates=found.dates, symbols=("A", "B"), prices=found.prices)


def test_a_symbol_asked_for_twice_is_refused() -> None:
    with pytest.raises(InputError, match="symbols must be distinct"):
        panel(PRICES, "AAA", "AAA")


def test_no_symbols_make_an_empty_panel() -> None:
    assert panel(PRICES).prices.shape == (1257, 0)


DEFECTS = {
    "nan": {"close": float("nan")},
    "zero": {"close": 0.0, "adj_close": 0.0},
    "split": {"split": 2.0},
    "without": {"adj_close": None, "dividend": 0.5},
    "infinite": {"high": float("inf")},
}
KINDS = {"AAA": AssetClass.STOCKS, "BTC-USD": AssetClass.CRYPTO, "CL=F": AssetClass.COMMODITIES}


@given(
    st.lists(
        st.tuples(st.sampled_from([*KINDS]), st.sampled_from([*DEFECTS]), st.integers(0, 1256)),
        max_size=6,
    )
)
def test_prices_laid_out_from_their_arrays_are_those_of_the_table(
    defects: list[tuple[str, str, int]],
) -> None:
    frames = {symbol: calm_bars(symbol, kind) for symbol, kind in KINDS.items()}
    for symbol, name, place in defects:
        frames[symbol] = with_value(frames[symbol], place, **DEFECTS[name])
    common = {"universe": universe_of(**KINDS), "asof": ASOF, "policy": QUALITY, "history": HISTORY}
    bars, asked = pl.concat(frames.values()), ("BTC-USD", "stranger", "AAA")
    prices = adjusted_prices(bars, **common)
    found = panel_of_prices(prices, asked, asof=ASOF, history=HISTORY)
    table = panel(adjust_bars(bars, **common), *asked)
    assert found.prices.tobytes() == table.prices.tobytes()
    assert np.array_equal(found.dates, table.dates)
    recent = panel_of_prices(prices.kept(prices.days >= 900), asked, asof=ASOF, history=HISTORY)
    first = np.searchsorted(table.dates, np.datetime64(prices.start) + np.timedelta64(900, "D"))
    assert np.isnan(recent.prices[:first]).all()
    assert np.array_equal(recent.prices[-1], table.prices[-1], equal_nan=True)


def test_arrays_of_prices_refuse_a_symbol_asked_for_twice() -> None:
    prices = adjusted_prices(
        BARS, universe=universe_of(AAA=AssetClass.STOCKS), asof=ASOF, policy=QUALITY,
        history=HISTORY,
    )  # fmt: skip
    with pytest.raises(InputError, match="symbols must be distinct"):
        panel_of_prices(prices, ("AAA", "AAA"), asof=ASOF, history=HISTORY)


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 8), st.integers(1, 4)),
        elements=st.one_of(st.just(float("nan")), st.floats(-9, 9)),
    )
)
def test_filling_forward_is_the_pandas_way(prices: np.ndarray) -> None:
    pandas = pytest.importorskip("pandas")
    expected = pandas.DataFrame(prices).ffill().to_numpy()
    assert np.array_equal(fill_forward(prices), expected, equal_nan=True)


def test_the_ranges_stand_where_the_total_return_stands_and_weekends_are_one_bar() -> None:
    doubled = PRICES.with_columns(price=2.0 * pl.col("price"))
    found = panel(doubled, "BTC-USD", "ZZZ")
    ranges = range_panel(doubled, found, asof=ASOF, history=HISTORY)
    days = [date(2024, 11, day) for day in (23, 24, 25)]
    rows = PRICES.filter((pl.col("symbol") == "BTC-USD") & pl.col("date").is_in(days)).sort("date")
    at = int(np.searchsorted(found.dates, np.datetime64("2024-11-25")))
    scale = 2.0 * rows["price"] / rows["close"]
    assert ranges.open[at, 0] == pytest.approx(rows["open"][0] * scale[0], rel=1e-12)
    assert ranges.high[at, 0] == pytest.approx((rows["high"] * scale).max(), rel=1e-12)
    assert ranges.low[at, 0] == pytest.approx((rows["low"] * scale).min(), rel=1e-12)
    assert np.isnan(ranges.open[:, 1]).all()


def test_no_range_is_carried_over_a_session_without_a_bar() -> None:
    gone = PRICES.filter((pl.col("symbol") == "AAA") & (pl.col("date") != date(2024, 11, 26)))
    found = panel(gone, "AAA")
    ranges = range_panel(gone, found, asof=ASOF, history=HISTORY)
    at = int(np.searchsorted(found.dates, np.datetime64("2024-11-26")))
    assert np.isfinite(found.prices[at, 0])
    assert np.isnan([ranges.open[at, 0], ranges.high[at, 0], ranges.low[at, 0]]).all()


def test_a_bar_that_closed_at_or_below_zero_has_no_range() -> None:
    negative = PRICES.filter(pl.col("symbol") == "AAA").with_columns(
        close=pl.when(pl.col("date") == date(2024, 11, 26)).then(-37.63).otherwise("close")
    )
    found = panel(negative, "AAA")
    ranges = range_panel(negative, found, asof=ASOF, history=HISTORY)
    at = int(np.searchsorted(found.dates, np.datetime64("2024-11-26")))
    assert np.isnan(ranges.high[at, 0])
    assert np.isfinite(ranges.high[at - 1, 0])
