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
from instgov_dagster.adapters.markets.quote_stream import (
    BridgedQuotes,
    SessionSpan,
    bridged_stream,
)
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.adapters.markets.simulation.quote_defects import (
    QuoteDefect,
    QuoteDefects,
    draw_defects,
)
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.vocabulary.bars import Universe, UniverseSymbol
from instgov_dagster.vocabulary.errors import InputError

DAY = date(2024, 12, 6)  # a Friday
SPAN = SessionSpan(day=DAY, cycles=30, period_seconds=1.0, seed=5)
DAY_CYCLES = SPAN.day_cycles


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


def test_the_first_quote_is_the_open_and_the_last_of_the_day_the_close() -> None:
    quotes = stream(bar("SPY", 601.0, 610.0, 598.0, 605.0))
    first, last = quotes.quotes_at(0), quotes.quotes_at(DAY_CYCLES)
    assert first.bid[0] == pytest.approx(601.0 * 0.9999)
    assert first.ask[0] == pytest.approx(601.0 * 1.0001)
    assert last.mid()[0] == pytest.approx(605.0)
    assert quotes.quotes_at(DAY_CYCLES - 1).mid()[0] != pytest.approx(605.0, abs=1e-6)
    assert quotes.quotes_at(DAY_CYCLES + 500).mid()[0] == pytest.approx(605.0)
    assert (quotes.bar_low[0], quotes.bar_high[0]) == (598.0, 610.0)


def test_a_day_that_closes_early_is_walked_in_as_many_cycles() -> None:
    friday = SessionSpan(day=date(2024, 11, 29), cycles=1, seed=5)  # closes at 13:00 New York
    quotes = stream(bar("SPY", 601.0, 610.0, 598.0, 605.0), span=friday)
    assert quotes.quotes_at(DAY_CYCLES - 1).mid()[0] != pytest.approx(605.0, abs=1e-6)
    assert quotes.quotes_at(DAY_CYCLES).mid()[0] == pytest.approx(605.0)


def test_a_second_session_goes_on_where_the_first_ended() -> None:
    row = bar("SPY", 601.0, 610.0, 598.0, 605.0)
    whole = stream(row, span=SessionSpan(day=DAY, cycles=600, seed=5))
    later = SessionSpan(day=DAY, cycles=300, seed=5, first_cycle=300)
    assert later.numbers() == range(300, 600)
    for cycle in later.numbers():
        one, two = whole.quotes_at(cycle), stream(row, span=later).quotes_at(cycle)
        assert whole.instant(cycle) == later.instant(cycle)
        for name in ("bid", "ask", "observed_at"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_a_day_of_more_cycles_is_walked_more_slowly_on_the_same_path() -> None:
    row = bar("SPY", 601.0, 610.0, 598.0, 605.0)
    slow = stream(row, span=SessionSpan(day=DAY, cycles=10, seed=5, day_cycles=8 * DAY_CYCLES))
    seen = [slow.quotes_at(8 * cycle).mid()[0] for cycle in range(DAY_CYCLES)]
    assert seen == [stream(row).quotes_at(cycle).mid()[0] for cycle in range(DAY_CYCLES)]
    assert len(set(seen)) == DAY_CYCLES


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
    span = SessionSpan(day=DAY, cycles=cycles, seed=seed, period_seconds=300.0)
    one, two = stream(row, span=span), stream(row, span=span)
    forward = [one.quotes_at(k).mid()[0] for k in range(cycles)]
    backward = [two.quotes_at(k).mid()[0] for k in reversed(range(cycles))]
    assert forward == backward[::-1]
    assert min(forward) >= low * (1 - 1e-12)
    assert max(forward) <= high * (1 + 1e-12)


def test_two_seeds_walk_two_paths_between_the_same_ends() -> None:
    row = bar("SPY", 601.0, 610.0, 598.0, 605.0)
    one, two = (stream(row, span=SessionSpan(day=DAY, cycles=30, seed=s)) for s in (5, 6))
    ends = {0, DAY_CYCLES}
    for cycle in (0, 10, 200, 450, DAY_CYCLES):
        is_same = one.quotes_at(cycle).mid()[0] == two.quotes_at(cycle).mid()[0]
        assert is_same == (cycle in ends)


def test_a_symbol_s_quotes_do_not_depend_on_who_else_is_quoted() -> None:
    row = bar("SPY", 601.0, 610.0, 598.0, 605.0)
    alone = stream(row)
    beside = stream(bar("QQQ", 501.0, 510.0, 498.0, 505.0), row)
    for cycle in (0, 90, 500):
        assert alone.quotes_at(cycle).bid[0] == beside.quotes_at(cycle).bid[0]


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
    assert quotes.quotes_at(DAY_CYCLES).mid()[0] == 11.0
    # Without a spread the folder's market is locked at every instant, which is normal.
    for cycle in (0, 10_000):
        seen = quotes.quotes_at(cycle)
        now = np.datetime64(quotes.instant(cycle).replace(tzinfo=None), "us")
        assert seen.bid[0] == seen.ask[0]
        assert seen.valid_mask(now, 5.0).tolist() == [True]


def odd(share: float) -> QuoteDefects:
    return QuoteDefects(crossed=share, one_sided=share, stale=share, missing=share, locked=share)


def simulated(share: float) -> SimulatedMarket:
    symbols = tuple(UniverseSymbol(symbol=f"S{i:03d}", sector="X") for i in range(20))
    return SimulatedMarket(Universe(symbols=symbols), seed=2, quote_defects=odd(share))


def test_odd_quotes_come_in_the_known_share_and_in_all_five_kinds() -> None:
    share, n, cycles = 0.01, 400, 400
    kinds = np.concatenate(
        [draw_defects(odd(share), seed=2, day=DAY, cycle=k, n_symbols=n) for k in range(cycles)]
    )
    for place in range(len(QuoteDefect)):
        found = (kinds == place + 1).sum()
        # Six standard deviations of a binomial count.
        assert abs(found - share * n * cycles) < 6 * np.sqrt(share * n * cycles)


def shows(kind: QuoteDefect, seen: Quotes, place: int, now: np.datetime64) -> bool:
    bid, ask = float(seen.bid[place]), float(seen.ask[place])
    match kind:
        case QuoteDefect.CROSSED:
            return bid > ask > 0
        case QuoteDefect.ONE_SIDED:
            return bid == 0 < ask
        case QuoteDefect.STALE:
            return bool(now - seen.observed_at[place] == np.timedelta64(30, "s"))
        case QuoteDefect.MISSING:
            return bool(np.isnan([bid, ask]).all())
        case QuoteDefect.LOCKED:
            return bid == ask > 0


def test_every_kind_but_a_locked_quote_is_seen_as_invalid_and_the_good_ones_are_not() -> None:
    market, names = simulated(0.05), [f"S{i:03d}" for i in range(20)]
    words: dict[str, Any] = {"last_closes": {}, "half_spread_bps": dict.fromkeys(names, 2.0)}
    quotes = market.quote_stream(names, SPAN, **words)
    clean = simulated(0.0).quote_stream(names, SPAN, **words)
    counted = dict.fromkeys(QuoteDefect, 0)
    for cycle in range(30):
        kinds = draw_defects(odd(0.05), seed=SPAN.seed, day=DAY, cycle=cycle, n_symbols=20)
        now = np.datetime64(quotes.instant(cycle).replace(tzinfo=None), "us")
        answer, plain = quotes.quotes_at(cycle), clean.quotes_at(cycle)
        locked = list(QuoteDefect).index(QuoteDefect.LOCKED) + 1
        assert answer.valid_mask(now, 5.0).tolist() == np.isin(kinds, (0, locked)).tolist()
        assert np.array_equal(answer.bid[kinds == 0], plain.bid[kinds == 0])
        np.testing.assert_allclose(answer.mid()[kinds == locked], plain.mid()[kinds == locked])
        for place, number in enumerate(kinds.tolist()):
            if number:
                kind = list(QuoteDefect)[number - 1]
                assert shows(kind, answer, place, now)
                counted[kind] += 1
    assert all(counted.values())
