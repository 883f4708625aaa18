"""Workers beside one process on a provider that is late: whole, within its limit, faster."""

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime.shards import Shard, all_shards
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.bench.ingest.command import BenchFailed
from instgov_dagster.bench.ingest.shard_worker import NIGHT
from instgov_dagster.bench.ingest.shards import (
    Crew,
    Wanted,
    bench_shards,
    compare,
    finish,
    provider_of,
)
from instgov_dagster.bench.ingest.wire import ProviderLimit, most_within
from instgov_dagster.vocabulary.errors import InputError

#: The policy paces twenty requests a second; four at a time and 50 ms late each worker could make
#: eighty. The provider itself refuses the twenty-sixth of any second.
SMALL = Wanted(
    n_symbols=60,
    workers=2,
    n_sessions=40,
    latency_seconds=0.05,
    rate=1200.0,
    limit=ProviderLimit(requests=25, window_seconds=1.0),
)
KEYS = "symbol, date, ordinal, version, open, close, volume, source_sha256, is_withdrawn"
WAIT_SECONDS = 120.0


def bars(folder: Path) -> list[tuple[object, ...]]:
    store = WarehouseResource(database=str(folder / "data" / "warehouse.duckdb"))
    with store.reader() as con:
        rows = con.execute(f"SELECT {KEYS} FROM bar_versions ORDER BY ALL").fetchall()  # noqa: S608  # named above
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("seconds", "window", "most"),
    [
        ([], 1.0, 0),
        ([5.0], 1.0, 1),
        ([0.0, 0.5, 1.0, 1.4], 1.0, 3),  # 0.5, 1.0, 1.4; the window is open at its beginning
        ([0.0, 1.0, 2.0], 1.0, 1),
        ([0.0, 0.0, 0.0, 9.0], 1.0, 3),
    ],
)
def test_requests_are_counted_in_the_window_that_holds_the_most(
    seconds: list[float], window: float, most: int
) -> None:
    assert most_within(seconds, window) == most


@pytest.mark.roadmap("2.1", "2.6")
def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    first, second = all_shards(2)
    with provider_of(SMALL) as provider:
        crew = Crew.hired(tmp_path, SMALL, provider.url, shards=2)
        workers = [crew.start(shard.key) for shard in (first, second)]
        names = set(second.share(f"S{place:05d}" for place in range(SMALL.n_symbols)))
        deadline = time.monotonic() + WAIT_SECONDS
        while len(names & set(provider.asked())) < 8:
            assert workers[1].poll() is None, workers[1].communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        workers[1].send_signal(signal.SIGKILL)
        workers[1].communicate()
        asked = set(provider.asked())
        finish(workers[:1])
        assert workers[1].returncode == -signal.SIGKILL
        assert names - asked, "it was killed in the middle"
        with pytest.raises(BenchFailed, match=r"SHARDS_INCOMPLETE.*02-of-02: nothing is there"):
            finish([crew.start(NIGHT)])
        assert bars(tmp_path) == []
        ((brought,),) = finish([crew.start(second.key)])
        ((night,),) = finish([crew.start(NIGHT)])
        # Together they kept the rate of the policy, so the provider refused none.
        assert provider.refused() == 0
        assert provider.most_in_a_window() <= SMALL.limit.requests
    assert brought["symbols"] == len(names)
    assert night["added"] == SMALL.n_symbols * SMALL.n_sessions
    found = Counter(row[0] for row in bars(tmp_path))
    assert found == {f"S{place:05d}": SMALL.n_sessions for place in range(SMALL.n_symbols)}
    assert {row[3] for row in bars(tmp_path)} == {1}


def test_a_size_or_a_number_of_workers_out_of_bounds_is_refused() -> None:
    with pytest.raises(InputError, match="sizes must be from 1 to 99999, was 0"):
        bench_shards([0])
    with pytest.raises(InputError, match="workers must be from 2 to 64, were 1"):
        bench_shards([10], workers=1)
    assert Shard(number=1, of=1).key == "01-of-01"


@pytest.mark.nightly
@pytest.mark.roadmap("2.1")
def test_four_workers_bring_five_thousand_symbols_three_times_faster_within_the_limit() -> None:
    wanted = Wanted(n_symbols=5000)
    several, one = compare(wanted)
    assert several["rows"] == one["rows"] == 5000 * wanted.n_sessions
    for row in (several, one):
        assert row["requests"] == 5000
        assert row["refused"] == 0
        assert row["most_in_window"] <= wanted.limit.requests
    assert several["ratio"] >= 3.0, (several, one)
