"""A rate shared: among threads, among processes through a file, among hosts through Postgres."""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instgov_dagster.adapters.markets.live.limits import TokenBucket
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.adapters.runtime.turns import (
    FileTurns,
    PostgresTurns,
    RateUnknown,
    shared_turns,
)
from instgov_dagster_tests.adapters.runtime.leases.servers import free_port, postgres
from instgov_dagster_tests.repository.roadmap import ROOT

NOON = datetime(2025, 3, 12, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NONE = timedelta(0)
# A process that takes turns of a hundredth of a second and says when each of them is.
TAKER = """
import sys
from datetime import timedelta
from pathlib import Path
from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.adapters.runtime.turns import FileTurns
turns, clock = FileTurns(Path(sys.argv[1])), RealClock()
for _ in range(int(sys.argv[2])):
    turn = turns.reserve(clock.now(), timedelta(milliseconds=10), timedelta(0))
    print(turn.timestamp(), flush=True)
"""


def gaps(instants: Sequence[datetime]) -> list[float]:
    ordered = sorted(instants)
    return [(b - a).total_seconds() for a, b in itertools.pairwise(ordered)]


def test_two_takers_of_one_file_never_share_a_turn(tmp_path: Path) -> None:
    takers = [FileTurns(tmp_path / "polygon.turn") for _ in range(2)]
    turns = [taker.reserve(NOON, SECOND, NONE) for _ in range(3) for taker in takers]
    assert turns == [NOON + place * SECOND for place in range(6)]
    assert (tmp_path / "polygon.turn").stat().st_mode & 0o077 == 0


def test_threads_that_take_at_once_each_get_a_turn_of_their_own(tmp_path: Path) -> None:
    file = FileTurns(tmp_path / "polygon.turn")
    with ThreadPoolExecutor(8) as pool:
        turns = list(pool.map(lambda _: file.reserve(NOON, SECOND, NONE), range(200)))
    assert sorted(turns) == [NOON + place * SECOND for place in range(200)]


def test_processes_of_one_host_share_the_rate(tmp_path: Path) -> None:
    words = [sys.executable, "-c", TAKER, str(tmp_path / "polygon.turn"), "60"]
    takers = [
        subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = [taker.communicate(timeout=120)[0] for taker in takers]
    turns = [datetime.fromtimestamp(float(line), UTC) for out in told for line in out.split()]
    assert len(turns) == 120
    assert min(gaps(turns)) >= 0.0099


def test_an_idle_rate_saves_up_its_burst_and_no_more(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    bucket = TokenBucket(60.0, burst=3, clock=clock, turns=FileTurns(tmp_path / "a.turn"))
    bucket.reserve()
    clock.advance(timedelta(hours=5))
    now = clock.now()
    taken = [bucket.reserve() for _ in range(5)]
    assert taken == [now, now, now, now + SECOND, now + 2 * SECOND]


@pytest.mark.parametrize("held", ["", "nonsense", "2025-03-12T12:00:00", "\x00\x00"])
def test_a_file_that_says_nothing_delays_nobody(tmp_path: Path, held: str) -> None:
    (tmp_path / "a.turn").write_text(held)
    turns = FileTurns(tmp_path / "a.turn")
    assert turns.reserve(NOON, SECOND, NONE) == NOON
    assert turns.reserve(NOON, SECOND, NONE) == NOON + SECOND


def test_a_turn_of_a_clock_that_was_set_back_is_forgotten(tmp_path: Path) -> None:
    turns = FileTurns(tmp_path / "a.turn")
    turns.reserve(NOON + timedelta(days=300), SECOND, NONE)
    assert turns.reserve(NOON, SECOND, NONE) == NOON


def test_each_provider_has_a_rate_of_its_own(tmp_path: Path) -> None:
    turns = shared_turns(tmp_path, url=None, system="instgov")
    assert turns("polygon").reserve(NOON, SECOND, NONE) == NOON
    assert turns("yahoo").reserve(NOON, SECOND, NONE) == NOON
    assert sorted(path.name for path in tmp_path.iterdir()) == ["polygon.turn", "yahoo.turn"]


def test_a_database_that_does_not_answer_gives_no_turn() -> None:
    url = f"postgresql://instgov@127.0.0.1:{free_port()}/nowhere"
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed: the extra deploy brings it")
    with pytest.raises(RateUnknown, match=r"the rate instgov/polygon must be known"):
        PostgresTurns(url, "instgov/polygon").reserve(NOON, SECOND, NONE)


@pytest.mark.nightly
def test_hosts_share_a_rate_through_the_database() -> None:
    step = timedelta(milliseconds=200)
    with postgres() as url:
        hosts = [shared_turns(Path("/"), url=url, system="instgov")("polygon") for _ in range(3)]
        with ThreadPoolExecutor(6) as pool:
            turns = list(pool.map(lambda n: hosts[n % 3].reserve(NOON, step, NONE), range(30)))
        # Each is told how long to wait from its own now: the last of thirty waits 29 steps,
        # less what the questions themselves took.
        assert len(set(turns)) == 30
        assert min(turns) < NOON + step
        assert NOON + 29 * step - timedelta(seconds=5) <= max(turns) <= NOON + 29 * step
        other = shared_turns(Path("/"), url=url, system="rehearsal")("polygon")
        assert other.reserve(NOON, step, NONE) < NOON + step
