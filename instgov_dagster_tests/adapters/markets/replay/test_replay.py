"""Replayed minutes: known when over, standing until the next is due, in the bars' prices."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.adapters.markets.quote_stream import QuoteStream, SessionSpan
from instgov_dagster.adapters.markets.replay.minute_quotes import known_as, read_minutes
from instgov_dagster.bars.calendars import xnys_close, xnys_open
from instgov_dagster.vocabulary.errors import InputError

DAY = date(2024, 12, 6)
SPAN = SessionSpan(day=DAY, cycles=600, period_seconds=1.0, seed=5)
OPEN = datetime(2024, 12, 6, 9, 30)  # noqa: DTZ001  # the file shows a wall clock
MAX_AGE = 5.0
SYMBOLS = ("KO", "SPY")
Row = tuple[str, str, datetime, float, float]


def minute(n: int, bid: float, ask: float, symbol: str = "SPY", market: str = "equity") -> Row:
    """The minute that begins n minutes after the open, by the exchange's own clock."""
    return (symbol, market, OPEN + timedelta(minutes=n), bid, ask)


def write_folder(folder: Path, *rows: Row, opens: dict[str, float] | None = None) -> Path:
    opens = {"SPY": 50.0, "KO": 60.0} if opens is None else opens
    bars = [
        {"symbol": name, "date": day, "open": price, "high": price, "low": price, "close": price}
        | {"adj_close": price, "volume": 5.0}
        for name, price in opens.items()
        for day in (date(2024, 12, 5), DAY)
    ]
    pl.DataFrame(bars).write_parquet(folder / "bars.parquet")
    if rows:
        pl.DataFrame(
            {
                "symbol": [row[0] for row in rows],
                "market": [row[1] for row in rows],
                "ts_local": [row[2] for row in rows],
                "bid_low": [row[3] - 0.5 for row in rows],
                "bid_close": [row[3] for row in rows],
                "ask_high": [row[4] + 0.5 for row in rows],
                "ask_close": [row[4] for row in rows],
            }
        ).write_parquet(folder / "minute_quotes.parquet")
    return folder


def stream(folder: Path, **words: Any) -> QuoteStream:
    return FilesMarket(folder, **words).quote_stream(
        SYMBOLS,
        SPAN,
        last_closes={"SPY": 49.0, "KO": 60.0},
        half_spread_bps={"SPY": 1.0, "KO": 1.0},
    )


def valid(quotes: QuoteStream, cycle: int) -> bool:
    now = np.datetime64(quotes.instant(cycle).replace(tzinfo=None), "us")
    place = quotes.symbols.index("SPY")
    return bool(quotes.quotes_at(cycle).valid_mask(now, MAX_AGE)[place])


def spy(quotes: QuoteStream, cycle: int) -> tuple[float, float]:
    seen, place = quotes.quotes_at(cycle), quotes.symbols.index("SPY")
    return float(seen.bid[place]), float(seen.ask[place])


def test_a_minute_is_known_when_it_is_over_and_stands_until_the_next_is(tmp_path: Path) -> None:
    # The minute before the open closes at 99.9 / 100.1; its mid is brought to the bar's open, 50.
    rows = [minute(-1, 99.9, 100.1), minute(0, 100.9, 101.1), minute(1, 101.9, 102.1)]
    before = minute(-2, 80.0, 80.2)  # over a minute before the open: it stands no longer
    quotes = stream(write_folder(tmp_path, before, *rows))
    assert quotes.replayed == ("SPY",)
    for cycle, (bid, ask) in ((0, rows[0][3:]), (59, rows[0][3:]), (60, rows[1][3:])):
        assert spy(quotes, cycle) == pytest.approx((bid / 2.0, ask / 2.0))
        assert valid(quotes, cycle)
    assert spy(quotes, 120) == pytest.approx((50.95, 51.05))


def test_where_the_next_minute_does_not_come_the_quote_ages_from_when_it_was_due(
    tmp_path: Path,
) -> None:
    # Known at second 0, vouched for until 60, five seconds of age allowed, none at 185.
    quotes = stream(write_folder(tmp_path, minute(-1, 99.9, 100.1), minute(2, 99.9, 100.1)))
    answers = [valid(quotes, cycle) for cycle in (0, 60, 65, 66, 179, 180, 245, 246)]
    assert answers == [True, True, True, False, False, True, True, False]


@pytest.mark.parametrize(
    ("bid", "ask", "is_valid"),
    [(100.0, 100.0, True), (100.2, 100.0, False), (0.0, 100.0, False), (100.0, np.nan, False)],
)
def test_what_was_quoted_is_judged_as_it_was_quoted(
    tmp_path: Path, bid: float, ask: float, *, is_valid: bool
) -> None:
    quotes = stream(write_folder(tmp_path, minute(-1, 99.9, 100.1), minute(0, bid, ask)))
    assert valid(quotes, 0)
    assert valid(quotes, 60) is is_valid


def test_before_a_first_good_minute_no_quote_is_valid_and_the_open_waits_for_it(
    tmp_path: Path,
) -> None:
    quotes = stream(write_folder(tmp_path, minute(-1, 0.0, 100.1), minute(1, 99.9, 100.1)))
    assert [valid(quotes, cycle) for cycle in (0, 60, 119, 120)] == [False, False, False, True]
    assert spy(quotes, 120) == pytest.approx((49.95, 50.05))


def test_without_the_days_bar_nothing_says_in_which_prices_and_no_quote_is_valid(
    tmp_path: Path,
) -> None:
    quotes = stream(write_folder(tmp_path, minute(-1, 99.9, 100.1), opens={"KO": 60.0}))
    assert quotes.replayed == ("SPY",)
    assert not valid(quotes, 0)


def test_a_symbol_without_minutes_is_walked_and_at_the_pace_of_the_clock(tmp_path: Path) -> None:
    quotes = stream(write_folder(tmp_path, minute(-1, 99.9, 100.1)))
    length = (xnys_close(DAY) - xnys_open(DAY)).total_seconds()
    assert quotes.walked.span.day_cycles == length  # type: ignore[attr-defined]  # a replayed one
    assert quotes.quotes_at(0).mid()[0] == pytest.approx(60.0)


def test_a_fill_at_any_replayed_quote_lies_inside_the_range_told_of_the_day(tmp_path: Path) -> None:
    quotes = stream(write_folder(tmp_path, *[minute(n, 90.0 + n, 90.2 + n) for n in range(-1, 9)]))
    for cycle in range(0, 540, 7):
        bid, ask = spy(quotes, cycle)
        assert quotes.bar_low[1] <= bid <= ask <= quotes.bar_high[1]


@given(
    cycle=st.integers(0, 500),
    later=st.lists(st.floats(1.0, 500.0), min_size=10, max_size=10),
)
def test_no_quote_tells_anything_of_a_minute_that_is_not_over(
    tmp_path_factory: pytest.TempPathFactory, cycle: int, later: list[float]
) -> None:
    known = [minute(n, 100.0 + n, 100.2 + n) for n in range(-1, 10)]
    end = OPEN + timedelta(seconds=cycle)
    changed = [
        row if row[2] + timedelta(minutes=1) <= end else (*row[:3], price, price + 0.2)
        for row, price in zip(known, [100.0, *later], strict=True)
    ]
    one, other = (
        stream(write_folder(tmp_path_factory.mktemp("minutes"), *rows)) for rows in (known, changed)
    )
    assert spy(one, cycle) == spy(other, cycle)


def test_quotes_that_were_asked_for_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    write_folder(tmp_path)
    with pytest.raises(InputError, match="--quotes must name a folder"):
        FilesMarket(tmp_path, quotes=tmp_path / "none")
    (tmp_path / "old").mkdir()
    old = write_folder(tmp_path / "old", minute(-1440, 1.0, 1.0))
    with pytest.raises(InputError, match="--quotes must hold minutes of 2024-12-06"):
        stream(tmp_path, quotes=old)
    # Beside the bars they are replayed on the days they have, and on no other.
    assert stream(old).replayed == ()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (pl.col("symbol").alias("name"), "twice|once"),
        (pl.lit("option").alias("market"), "market must be one of"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_by_what_is_wrong(
    tmp_path: Path, change: pl.Expr, complaint: str
) -> None:
    path = (
        write_folder(tmp_path, minute(0, 1.0, 1.1), minute(0, 1.0, 1.1)) / "minute_quotes.parquet"
    )
    pl.read_parquet(path).with_columns(change).write_parquet(path)
    with pytest.raises(InputError, match=complaint):
        read_minutes(path, SYMBOLS, since=xnys_open(DAY), until=xnys_close(DAY))
    pl.read_parquet(path).drop("ask_high").write_parquet(path)
    with pytest.raises(InputError, match="ask_high"):
        read_minutes(path, SYMBOLS, since=xnys_open(DAY), until=xnys_close(DAY))
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_minutes(path, SYMBOLS, since=xnys_open(DAY), until=xnys_close(DAY))


@pytest.mark.parametrize(
    ("symbol", "market", "name"),
    [
        ("SPY", "equity", "SPY"),
        ("EURUSD", "forex", "EURUSD=X"),
        ("USDJPY", "forex", "JPY=X"),
        ("BTCUSD", "crypto", "BTC-USD"),
        ("BTCEUR", "crypto", "BTC-EUR"),
    ],
)
def test_a_symbol_of_the_file_is_called_as_this_system_calls_it(
    symbol: str, market: str, name: str
) -> None:
    assert known_as(symbol, market) == name


def test_on_real_minutes_every_second_of_the_first_half_hour_has_a_tight_quote(
    bars_dir: Path,
) -> None:
    day = date(2023, 8, 3)
    span = SessionSpan(day=day, cycles=1800, period_seconds=1.0, seed=5)
    market = FilesMarket(bars_dir / "dev", quotes=bars_dir / "quotes")
    quotes = market.quote_stream(
        ("AAPL", "SPY"), span, last_closes={}, half_spread_bps={"AAPL": 1.0}
    )
    assert quotes.replayed == ("SPY",)
    bar = market.day_bars(("SPY",), day).row(0, named=True)
    assert quotes.quotes_at(0).mid()[1] == pytest.approx(bar["open"], rel=1e-12)
    spreads, mids = [], []
    for cycle in range(0, 1800, 5):
        seen = quotes.quotes_at(cycle)
        now = np.datetime64(quotes.instant(cycle).replace(tzinfo=None), "us")
        assert seen.valid_mask(now, MAX_AGE).tolist() == [True, True]
        mids.append(float(seen.mid()[1]))
        spreads.append(1e4 * float(seen.ask[1] - seen.bid[1]) / mids[-1])
    # One cent on SPY is 0.2 basis points; a real market moved within half an hour.
    assert 0.1 < np.median(spreads) < 1.0
    assert 2.0 < 1e4 * (max(mids) / min(mids) - 1.0) < 200.0
    # The walk through the bar stays inside it, the real day stays near it.
    assert bar["low"] * 0.998 < min(mids) < max(mids) < bar["high"] * 1.002


@pytest.mark.parametrize(
    ("day", "symbols"),
    [(date(2018, 4, 4), {"BTC-USD", "ETH-USD", "EURUSD=X", "LTC-USD"})],
)
def test_on_real_minutes_the_other_classes_are_found_by_their_own_names(
    bars_dir: Path, day: date, symbols: set[str]
) -> None:
    found = read_minutes(
        bars_dir / "quotes" / "minute_quotes.parquet",
        [*symbols, "SPY"],
        since=xnys_open(day),
        until=xnys_close(day),
    )
    assert set(found) == symbols
    bars = FilesMarket(bars_dir / "dev").day_bars(sorted(symbols), day)
    for name, close in bars.select("symbol", "close").iter_rows():
        mid = (found[name].bid + found[name].ask) / 2.0
        # Another exchange than the bars' source, and another hour than their close.
        assert np.abs(mid / close - 1.0).max() < (0.02 if name.endswith("=X") else 0.12)
