"""`instgov bench live`: rows that say what happened, sizes that are refused."""

from typing import Any

import numpy as np
import pytest

from instgov_dagster.bench.live import command
from instgov_dagster.bench.live.command import MEASURES, OURS, PLAIN, bench_live, memory_of
from instgov_dagster.vocabulary.errors import InputError


def test_memory_by_hand_is_the_slope_after_the_first_quarter() -> None:
    # 100 MiB grow to 200 while warming up; then one MiB every ten seconds
    warm_up = [(float(t), 100.0 + 10.0 * t) for t in range(10)]
    after = [(10.0 + t, 200.0 + 0.1 * t) for t in range(31)]
    told = memory_of(np.array([*warm_up, *after]))
    assert told["rss_mb"] == pytest.approx(203.0)
    assert told["rss_start_mb"] == pytest.approx(200.0)
    assert told["rss_end_mb"] == pytest.approx(203.0)
    # 0.1 MiB a second are 360 an hour, of 200
    assert told["rss_growth_percent_an_hour"] == pytest.approx(180.0)


@pytest.mark.parametrize("size", [True, 7, 42, 60_006, 6.0])
def test_a_size_that_is_no_market_is_refused_before_anything_is_written(size: Any) -> None:
    with pytest.raises(InputError, match="sizes must be"):
        bench_live([size])


def test_a_session_too_short_to_measure_is_refused() -> None:
    with pytest.raises(InputError, match="seconds must be"):
        bench_live([48], seconds=1.0)


@pytest.mark.nightly
@pytest.mark.roadmap("3.1")
def test_the_governed_session_and_the_plain_way_decide_alike() -> None:
    seen: list[dict[str, Any]] = []
    rows = bench_live([96], seconds=12.0, period_seconds=0.0, on_row=seen.append)
    ours, plain = rows
    assert seen == rows
    assert (ours["engine"], plain["engine"]) == (OURS, PLAIN)
    assert set(MEASURES) <= set(ours)
    assert ours["state"] == "RUNNING"
    assert ours["cycles"] == 12
    assert ours["orders"] > 0
    assert 0.0 < ours["cycle_ms_p50"] <= ours["cycle_ms_p99"] <= ours["cycle_ms_max"]
    assert ours["frame_bytes"] > 0
    assert plain["same_decisions"] == 1.0
    assert plain["cycle_ms_p50"] > ours["cycle_ms_p50"]


def test_a_plain_way_out_of_time_is_a_row_that_says_so(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_PLAIN_CYCLES", 1)
    row = command._plain(tmp_path, 8, {"SPY": "HOLD"}, peer_seconds=0.0)
    assert row["timed_out"] is True
    assert row["cycles"] == 0
    assert "cycle_ms_p50" not in row
