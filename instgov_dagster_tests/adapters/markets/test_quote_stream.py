"""Quotes on the virtual clock: open first, close last, inside the bar, nothing of the future."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.adapters.markets.quote_defects import QuoteDefect, QuoteDefects, draw_defects
from instgov_dagster.adapters.markets.quote_stream import (
    BridgedQuotes,
    SessionSpan,
    bridged_stream,
)
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.vocabulary.bars import Universe, UniverseSymbol
from instgov_dagster.vocabulary.errors import InputError

DAY = date(2024, 12, 6)  # a Friday
SPAN = SessionSpan(day=DAY, cycles=30, period_seconds=1.0, seed=5)


def bar(symbol: str, *prices: float) -> dict[str, Any]:
    return {"symbol": symbol, **dict(zip(("open", "high", "low", "close"), prices, strict=True))}


def stream(*bars: dict[str, Any], span: SessionSpan = SPAN, **words: Any) -> BridgedQuotes:
    frame = pl.DataFrame(
        list(bars),
        schema={"symbol": pl.String, **dict.fromkeys(("open", "high", "low", "close"), pl.Float64)},
    )
    base: dict[str, Any] = {
        "last_closes": {"SPY": 600.0, "QQQ": 500.0},
        "half_spread_bps": {"SPY": 1.0, "QQQ": 2.0, "IWM": 3.0},
    }
    return bridged_stream(["SPY", "QQQ", "IWM"], frame, span, **(base | words))


def test_the_first_quote_is_the_open_and_the_last_one_the_close() -> None:
    quotes = stream(bar("SPY", 601.0, 610.0, 598.0, 605.0))
    first, last = quotes.quotes_at(0), quotes.quotes_at(29)
    assert first.bid[0] == pytest.approx(601.0 * 0.9999)
    assert first.ask[0] == pytest.approx(601.0 * 1.0001)
    assert last.mid()[0] == pytest.approx(605.0)
    assert quotes.quotes_at(500).mid()[0] == pytest.approx(605.0)
    assert (quotes.bar_low[0], quotes.bar_high[0]) == (598.0, 610.0)


def test_without_a_bar_the_last_close_stands_and_without_either_nothing_is_quoted() -> None:
    quotes = stream(bar("SPY", 601.0, 610.0, 598.0, 605.0))
    for cycle in (0, 15, 29):
        seen = quotes.quotes_at(cycle)
        assert seen.mid()[1] == pytest.approx(500.0)
        assert np.isnan(seen.bid[2])
        now = np.datetime64(quotes.instant(cycle).replace(tzinfo=None), "us")
        assert seen.valid_mask(now, 5.0).tolist() == [True, True, False]
    assert (quotes.bar_low[1], quotes.bar_high[1]) == (500.0, 500.0)


def test_a_symbol_without_a_known_spread_or_with_a_broken_bar_has_no_invented_quote() -> None:
    unknown = stream(bar("SPY", 601.0, 610.0, 598.0, 605.0), half_spread_bps={"QQQ": -1.0})
    assert np.isnan(unknown.quotes_at(3).bid[:2]).all()
    broken = stream(bar("SPY", 601.0, float("nan"), 598.0, 605.0))
    assert broken.quotes_at(7).mid()[0] == pytest.approx(600.0)


def test_the_clock_starts_at_the_open_of_the_exchange_and_moves_by_the_period() -> None:
    assert SPAN.instant(0) == datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
    assert SPAN.instant(90) - SPAN.instant(0) == timedelta(seconds=90)
    saturday = SessionSpan(day=date(2024, 12, 7), cycles=1, seed=5)
    assert saturday.instant(0) == datetime(2024, 12, 9, 14, 30, tzinfo=UTC)
    with pytest.raises(ValueError, match="cycle must be >= 0"):
        SPAN.instant(-1)
    observed = stream(bar("SPY", 1.0, 1.0, 1.0, 1.0)).quotes_at(2).observed_at
    assert observed[0] == np.datetime64("2024-12-06T14:30:02", "us")


@settings(deadline=None)
@given(
    st.floats(1.0, 1000.0),
    st.floats(0.0, 0.2),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.integers(1, 80),
    st.integers(0, 9),
)
def test_every_mid_lies_inside_the_bar_and_any_order_of_asking_sees_the_same(
    low: float, width: float, at: float, to: float, cycles: int, seed: int
) -> None:
    high = low * (1.0 + width)
    row = bar("SPY", low + at * (high - low), high, low, low + to * (high - low))
    span = SessionSpan(day=DAY, cycles=cycles, seed=seed)
    one, two = stream(row, span=span), stream(row, span=span)
    forward = [one.quotes_at(k).mid()[0] for k in range(cycles)]
    backward = [two.quotes_at(k).mid()[0] for k in reversed(range(cycles))]
    assert forward == backward[::-1]
    assert min(forward) >= low * (1 - 1e-12)
    assert max(forward) <= high * (1 + 1e-12)


def test_two_seeds_walk_two_paths_between_the_same_ends() -> None:
    row = bar("SPY", 601.0, 610.0, 598.0, 605.0)
    other = SessionSpan(day=DAY, cycles=30, seed=6)
    mids = [stream(row, span=span).mids[:, 0] for span in (SPAN, other)]
    assert not np.array_equal(mids[0], mids[1])
    np.testing.assert_allclose(mids[0][[0, -1]], mids[1][[0, -1]])


def test_a_day_delivered_twice_is_refused() -> None:
    with pytest.raises(InputError, match="each symbol once"):
        stream(bar("SPY", 1.0, 1.0, 1.0, 1.0), bar("SPY", 2.0, 2.0, 2.0, 2.0))


def test_a_span_refuses_numbers_out_of_bounds() -> None:
    with pytest.raises(ValueError, match="cycles"):
        SessionSpan(day=DAY, cycles=0, seed=1)
    with pytest.raises(ValueError, match="period_seconds"):
        SessionSpan(day=DAY, cycles=1, seed=1, period_seconds=0.0)


def test_the_files_market_quotes_the_folders_own_bar_of_the_day(tmp_path: Path) -> None:
    pl.DataFrame(
        {
            "symbol": ["SPY"] * 2,
            "date": [date(2024, 12, 5), DAY],
            "open": [1.0, 10.0],
            "high": [1.0, 12.0],
            "low": [1.0, 9.0],
            "close": [1.0, 11.0],
            "adj_close": [1.0, 11.0],
            "volume": [5.0, 5.0],
        }
    ).write_parquet(tmp_path / "bars.parquet")
    market = FilesMarket(tmp_path)
    quotes = market.quote_stream(
        ["SPY"], SPAN, last_closes={"SPY": 1.0}, half_spread_bps={"SPY": 0.0}
    )
    assert quotes.quotes_at(0).mid()[0] == 10.0
    assert quotes.quotes_at(29).mid()[0] == 11.0


def simulated(share: float) -> SimulatedMarket:
    symbols = tuple(UniverseSymbol(symbol=f"S{i:03d}", sector="X") for i in range(20))
    bad = QuoteDefects(crossed=share, one_sided=share, stale=share, missing=share)
    return SimulatedMarket(Universe(symbols=symbols), seed=2, quote_defects=bad)


def test_bad_quotes_come_in_the_known_share_and_in_all_four_kinds() -> None:
    share, n, cycles = 0.01, 400, 400
    bad = QuoteDefects(crossed=share, one_sided=share, stale=share, missing=share)
    kinds = np.concatenate(
        [draw_defects(bad, seed=2, day=DAY, cycle=k, n_symbols=n) for k in range(cycles)]
    )
    for place in range(len(QuoteDefect)):
        found = (kinds == place + 1).sum()
        # Six standard deviations of a binomial count.
        assert abs(found - share * n * cycles) < 6 * np.sqrt(share * n * cycles)


def test_each_kind_of_bad_quote_is_seen_as_invalid_and_the_good_ones_are_not() -> None:
    market = simulated(0.05)
    names = [f"S{i:03d}" for i in range(20)]
    words = {"last_closes": {}, "half_spread_bps": dict.fromkeys(names, 2.0)}
    quotes = market.quote_stream(names, SPAN, **words)
    clean = simulated(0.0).quote_stream(names, SPAN, **words)
    seen = set()
    for cycle in range(30):
        kinds = draw_defects(
            QuoteDefects(crossed=0.05, one_sided=0.05, stale=0.05, missing=0.05),
            seed=SPAN.seed,
            day=DAY,
            cycle=cycle,
            n_symbols=20,
        )
        now = np.datetime64(quotes.instant(cycle).replace(tzinfo=None), "us")
        answer = quotes.quotes_at(cycle)
        assert answer.valid_mask(now, 5.0).tolist() == (kinds == 0).tolist()
        good = kinds == 0
        assert np.array_equal(answer.bid[good], clean.quotes_at(cycle).bid[good])
        seen |= set(kinds.tolist())
    assert seen == {0, 1, 2, 3, 4}
