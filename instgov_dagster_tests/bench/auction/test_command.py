import json
from typing import Any

import pytest

from instgov_dagster.bench.auction import command
from instgov_dagster.bench.auction.arrays import AuctionSize, Programme
from instgov_dagster.bench.auction.command import bench_auction
from instgov_dagster.bench.auction.engines import ENGINES, OURS, EngineEntry
from instgov_dagster.bench.auction.worker import measure
from instgov_dagster.vocabulary.errors import InputError

PAIR = (OURS, "highspy full RU")


def test_the_bench_measures_ours_and_a_peer_on_the_same_auction_ours_first() -> None:
    seen: list[dict[str, Any]] = []
    rows = bench_auction(
        [20], n_scenarios=60, engines=PAIR, n_ticks=3, tick_seconds=5.0, on_row=seen.append
    )
    assert [(row["engine"], row["programme"]) for row in rows] == [
        (OURS, "simple"),
        (OURS, "full"),
        (OURS, "full, 2 measures"),
        ("highspy full RU", "simple"),
        ("highspy full RU", "full"),
    ]
    assert sorted(map(id, seen)) == sorted(map(id, rows))
    for row in rows:
        assert (row["n"], row["s"], row["ticks"]) == (20, 60, 3)
        assert row["cpu_seconds"] > 0.0
        assert row["cold_ms"] > 0.0
        assert 0.0 < row["tick_ms_p50"] <= row["tick_ms_p99"]
        assert row["objective_difference"] <= 1e-9
        assert row["rss_mb"] > 0.0
        assert row["timed_out"] is False
        assert row["note"] is None
    for row in rows[:3]:
        assert row["gap"] <= 1e-9
        assert row["violation"] == 0.0
    assert rows[1]["deltas_ms"] > 0.0


def test_a_peer_out_of_time_is_a_row_that_says_so() -> None:
    (row,) = bench_auction([5], n_scenarios=60, engines=PAIR[1:], peer_seconds=0.01)[:1]
    assert row["timed_out"] is True
    assert row["n"] == 5
    assert row["cpu_seconds"] is None


def test_what_a_peer_told_before_its_time_was_up_is_kept() -> None:
    early = {"cpu_seconds": 1.0, "objective": 0.5}
    output = json.dumps(early).encode() + b'\n{"cpu_sec'
    assert command._last_report(output) == early
    assert command._last_report(None) == {}


def test_a_peer_that_is_not_installed_is_a_row_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = EngineEntry(
        module="libraries",
        factory="Cvqp",
        package="no-such-package",
        needs="no_such_module",
        solves_full=False,
        is_exact=False,
    )
    monkeypatch.setattr("instgov_dagster.bench.auction.engines.ENGINES", {"absent": absent})
    plan = command._Plan(engine="absent", programme=Programme.SIMPLE, size=AuctionSize(n_bids=5))
    row = command._measured(plan, 1.0, 1, 1.0)
    assert row["note"] == "not installed"
    assert row["version"] is None
    assert row["cold_ms"] is None


def test_at_five_hundred_bids_ours_is_asked_for_more_scenarios_too() -> None:
    plans = list(command._plans([500, 50], 1260, (OURS,)))
    asked = {(plan.size.n_bids, plan.size.n_scenarios) for plan in plans}
    assert asked == {(50, 1260), (500, 1260), (500, 2500), (500, 5000)}
    everyone = list(command._plans([50], 1260, tuple(ENGINES)))
    assert len(everyone) == len(ENGINES) + sum(e.solves_full for e in ENGINES.values()) + 1


def test_a_report_is_made_after_the_cold_solve_and_at_the_end() -> None:
    told: list[dict[str, Any]] = []
    size = AuctionSize(n_bids=10, n_scenarios=60)
    last = measure(
        "highspy full RU",
        size,
        Programme.SIMPLE,
        n_ticks=2,
        tick_seconds=5.0,
        on_report=lambda report: told.append(dict(report)),
    )
    assert len(told) == 2
    assert "tick_ms_p50" not in told[0]
    assert told[1] == last
    assert told[0]["objective"] == last["objective"]


@pytest.mark.parametrize("size", [0, -5, 2.5, True])
def test_a_size_that_is_no_count_is_refused(size: object) -> None:
    with pytest.raises(InputError, match="sizes"):
        bench_auction([size], engines=PAIR)  # type: ignore[list-item]  # the point
