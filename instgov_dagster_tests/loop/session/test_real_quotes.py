"""A session on the real minutes of a day: decided on them, filled at them, folded again alike."""

import os
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from instgov_dagster.adapters.journal import read_frames, unbundle
from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.adapters.markets.quote_stream import SessionSpan
from instgov_dagster.loop.folding.replay import Replay
from instgov_dagster.loop.live.frames import CYCLE_KIND, FILLS_KIND, SESSION_KIND
from instgov_dagster.loop.platform import Platform, Settings, open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster_tests.loop.homes import run_night, write_config

DAY = date(2023, 8, 3)
SYMBOLS = ("AAPL", "JPM", "KO", "SPY", "TLT", "XOM", "^GSPC", "^VIX")
CYCLES = 130
SPAN = SessionSpan(day=DAY, cycles=CYCLES, seed=0)


@pytest.fixture(scope="module")
def led(bars_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A night on real bars and a session on the day's real minutes of SPY."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "bars").mkdir()
    for name in ("bars", "actions"):
        rows = pl.read_parquet(bars_dir / "dev" / f"{name}.parquet")
        rows.filter(pl.col("symbol").is_in(SYMBOLS)).write_parquet(folder / f"bars/{name}.parquet")
    write_config(folder / "config")
    settings = Settings(
        home=folder / "data",
        market=Market.FILES,
        bars=folder / "bars",
        quotes=bars_dir / "quotes",
        config_dir=folder / "config",
    )
    platform = open_platform(settings, os.environ)
    run_night(platform, DAY)
    run_session(platform, DAY, cycles=CYCLES, period_seconds=0.0, run_id="real")
    return platform


def cycles_of(platform: Platform) -> list[dict[str, pl.DataFrame]]:
    frames = read_frames(platform.home.journal_dir, Chain.LOOP.value)
    return [
        {name: pl.DataFrame(pl.from_arrow(table)) for name, table in unbundle(f.table()).items()}
        for f in frames
        if f.kind == CYCLE_KIND
    ]


@pytest.mark.nightly
def test_every_second_is_decided_on_the_real_quote_of_the_minute_before(
    led: Platform, bars_dir: Path
) -> None:
    frames = read_frames(led.home.journal_dir, Chain.LOOP.value)
    started = next(f for f in frames if f.kind == SESSION_KIND)
    assert started.meta["replayed"] == ["SPY"]
    stream = FilesMarket(bars_dir / "dev", quotes=bars_dir / "quotes").quote_stream(
        ("SPY",), SPAN, last_closes={}, half_spread_bps={}
    )
    seen = cycles_of(led)
    assert len(seen) == CYCLES
    for number, tables in enumerate(seen):
        row = tables["quotes"].row(by_predicate=pl.col("symbol") == "SPY", named=True)
        real = stream.quotes_at(number)
        assert (row["bid"], row["ask"]) == (real.bid[0], real.ask[0])
        decided = tables["governance_decisions"].filter(pl.col("symbol") == "SPY")
        assert "QUOTE_INVALID" not in decided["reason_codes"][0]
    mids = {tables["quotes"]["bid"].to_list()[0] for tables in seen}
    assert len(mids) > 1  # the others walk on meanwhile


@pytest.mark.nightly
def test_a_fill_of_spy_is_at_a_real_quote(led: Platform, bars_dir: Path) -> None:
    frames = read_frames(led.home.journal_dir, Chain.LOOP.value)
    fills = [unbundle(f.table())["fills"].to_pylist() for f in frames if f.kind == FILLS_KIND]
    mine = [row for rows in fills for row in rows if row["symbol"] == "SPY"]
    assert mine
    stream = FilesMarket(bars_dir / "dev", quotes=bars_dir / "quotes").quote_stream(
        ("SPY",), SPAN, last_closes={}, half_spread_bps={}
    )
    quoted = [stream.quotes_at(number) for number in range(CYCLES)]
    low = min(float(row.bid[0]) for row in quoted)
    high = max(float(row.ask[0]) for row in quoted)
    for row in mine:
        assert low - 1e-6 <= float(row["price"]) <= high + 1e-6
        assert np.isfinite(float(row["mid_price"]))


@pytest.mark.nightly
def test_a_session_on_real_quotes_is_folded_again_byte_for_byte(led: Platform) -> None:
    report = Replay(led.home, led.policy, key=None, code_hash=led.code_hash).run()
    assert (report.identical, report.different) == (CYCLES, [])
