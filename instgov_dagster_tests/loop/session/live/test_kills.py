"""A leader of the market live killed on the way to the wire: each order once, or told as none."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import read_frames, unbundle
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.live.settling.after import reconcile_home
from instgov_dagster_tests.adapters.wire.world import ShiftedClock
from instgov_dagster_tests.loop.homes import ASOF
from instgov_dagster_tests.loop.live.witness import LOOP, Executioner, require_nothing_lost
from instgov_dagster_tests.loop.session.live.homes import living

POST = "POST /v2/orders"


def told(home: Path) -> tuple[set[str], Counter[tuple[str, str]]]:
    """Give the names of all orders planned, and how often an end was told of each."""
    planned, ends = set(), Counter[tuple[str, str]]()
    for frame in read_frames(Home(home).journal_dir, LOOP):
        if frame.kind == "session":
            continue
        for row in unbundle(frame.table())["orders"].to_pylist():
            if frame.kind == "cycle":
                planned.add(row["client_order_id"])
            elif row["status"] != "RESTING":
                ends[row["client_order_id"], row["status"]] += 1
    return planned, ends


@pytest.mark.roadmap("0.6", "9.4")
@pytest.mark.parametrize(
    ("point", "was_sent"),
    [
        pytest.param("frame_before_order", 0, marks=pytest.mark.nightly),
        ("record_before_wire", 0),
        pytest.param("wire_before_answer", 1, marks=pytest.mark.nightly),
    ],
)
def test_an_order_of_a_leader_killed_before_the_answer_is_once_everywhere_or_nowhere(
    block: Executioner, live_night: Path, tmp_path: Path, point: str, was_sent: int
) -> None:
    with living(live_night, tmp_path / "live", clock=ShiftedClock.at) as live:
        assert isinstance(live.clock, ShiftedClock)
        home, trading = live.folder / "data", live.world.trading
        task = {
            "environment": live.world.environment(),
            "shift_seconds": live.clock.shift.total_seconds(),
        }
        ended = block.lead(home, cycles=50, point=point, times=1, **task)
        assert ended.status == -signal.SIGKILL
        require_nothing_lost(home, ended)
        assert len(trading.orders) == live.world.wire.count(POST) == was_sent
        left, _ = told(home)
        again = block.lead(home, cycles=2, **task)
        assert again.report is not None, again.refused
        assert again.report["state"] == "RUNNING"
        planned, ends = told(home)
        at_broker = Counter(order["client_order_id"] for order in trading.orders.values())
        assert set(ends.values()) == set(at_broker.values()) == {1}
        assert {name for name, _ in ends} == planned
        unsent = {status for name, status in ends if name not in at_broker}
        assert unsent <= {"NEVER_SENT", "CANCELLED"}
        assert live.world.wire.count(POST) == len(at_broker)
        # What the killed leader meant is told and not sent again; what is held is decided anew.
        assert len(left & set(at_broker)) == was_sent
        assert planned - left <= set(at_broker)
        found = reconcile_home(live.open(), ASOF)
        assert [row for row in found.invariants if not row.passed] == []
