"""A symbol whose market is closed gets no order, says so, and comes out of a replay again."""

import numpy as np
import pytest

from instgov_dagster.adapters.journal import read_frames, unbundle
from instgov_dagster.adapters.markets.quote_stream import SessionSpan
from instgov_dagster.bars.calendars import open_mask, xnys_close, xnys_open
from instgov_dagster.loop.folding.replay import Replay
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF

IN_EXCHANGE_HOURS = {"AAPL", "JPM", "KO", "SPY", "TLT", "XOM", "GC=F"}


@pytest.mark.roadmap("3.2")
def test_past_the_close_only_what_still_trades_is_ordered(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_close = xnys_close(ASOF) - xnys_open(ASOF)
    instant = SessionSpan.instant
    monkeypatch.setattr(
        SessionSpan, "instant", lambda span, cycle: instant(span, cycle) + after_close
    )
    run_session(platform, ASOF, cycles=3, period_seconds=0.0, run_id="evening")
    frames = [f for f in read_frames(platform.home.journal_dir, "loop") if f.kind == "cycle"]
    assert len(frames) == 3
    for frame in frames:
        tables = unbundle(frame.table())
        hours = dict(
            zip(
                tables["quotes"]["symbol"].to_pylist(),
                tables["quotes"]["is_open"].to_pylist(),
                strict=True,
            )
        )
        assert {symbol for symbol, is_open in hours.items() if not is_open} == IN_EXCHANGE_HOURS
        assert not set(tables["orders"]["symbol"].to_pylist()) & IN_EXCHANGE_HOURS
        for row in tables["governance_decisions"].to_pylist():
            is_closed = row["symbol"] in IN_EXCHANGE_HOURS
            assert (ReasonCode.MARKET_CLOSED.value in row["reason_codes"]) is is_closed
    replayed = Replay(
        platform.home, platform.policy, key=platform.key, code_hash=platform.code_hash
    ).run()
    assert (replayed.cycles, replayed.identical) == (3, 3)


def test_while_every_market_trades_a_frame_says_nothing_of_hours(platform: Platform) -> None:
    run_session(platform, ASOF, cycles=1, period_seconds=0.0, run_id="day")
    (frame,) = [f for f in read_frames(platform.home.journal_dir, "loop") if f.kind == "cycle"]
    assert "is_open" not in unbundle(frame.table())["quotes"].column_names


def test_hours_are_of_the_class_and_not_of_the_symbol() -> None:
    classes = (AssetClass.STOCKS, AssetClass.FX, AssetClass.CRYPTO, AssetClass.COMMODITIES)
    assert open_mask(classes, xnys_open(ASOF)) is None
    mask = open_mask(classes, xnys_close(ASOF))
    assert mask is not None
    np.testing.assert_array_equal(mask, [False, True, True, False])
