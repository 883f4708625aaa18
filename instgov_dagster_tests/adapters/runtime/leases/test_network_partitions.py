"""Two hosts in networks of their own, whose cables are pulled: never do both write."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.adapters.runtime.leases.postgres_lease import (
    ANSWER_SECONDS,
    FRESH_SECONDS,
    SILENCE_SECONDS,
)
from instgov_dagster_tests.adapters.runtime.leases.leaders import host_folder, start
from instgov_dagster_tests.adapters.runtime.leases.networks import (
    Cable,
    Network,
    addresses,
    network,
)
from instgov_dagster_tests.adapters.runtime.leases.servers import postgres
from instgov_dagster_tests.adapters.runtime.leases.watching import (
    Watched,
    require_one_leader_at_a_time,
    wait_for_progress,
)

#: Shorter than an answer may take; longer; and longer than the server waits for a silent host.
LASTING = ((0.05, 1.5), (ANSWER_SECONDS, 5.0), (SILENCE_SECONDS + 1.0, SILENCE_SECONDS + 4.0))
#: How often each.
WEIGHTS = (20, 20, 10)


@dataclass(slots=True, kw_only=True)
class Partitions:
    """What was done to the cables, and what a host that hung on none of them still wrote."""

    draw: random.Random
    seconds: list[float] = field(default_factory=list)
    written_alone: list[int] = field(default_factory=list)

    def partition(self, hosts: list[Watched], cables: tuple[Cable, ...]) -> None:
        """Pull one cable, or both, for a while."""
        chosen = self.draw.choice([(0,), (1,), (0, 1)])
        seconds = self.draw.uniform(*self.draw.choices(LASTING, WEIGHTS)[0])
        for at in chosen:
            cables[at].pull()
        # An answer that came just before the cut is believed in for so long, and no longer.
        known = ANSWER_SECONDS + FRESH_SECONDS + 0.5
        _wait(min(seconds, known))
        before = [hosts[at].acks() for at in chosen]
        _wait(max(seconds - known, 0.0))
        self.written_alone += [
            hosts[at].acks() - seen for at, seen in zip(chosen, before, strict=True)
        ]
        for at in chosen:
            cables[at].plug()
        self.seconds.append(seconds)


def _wait(seconds: float) -> None:
    clock = RealClock()
    clock.sleep_until(clock.now() + timedelta(seconds=seconds))


def lead(net: Network, url: str, folder: Path, *, partitions: int, seed: int) -> int:
    """Let two hosts lead one chain while their cables are pulled; give how many leaders wrote."""
    done = Partitions(draw=random.Random(seed))  # noqa: S311  # not for secrets
    hosts, threads = [], []
    for name, cable in zip(("one", "two"), net.cables, strict=True):
        address = f"postgresql://instgov@{cable.server_address}:{urlsplit(url).port}/postgres"
        place = host_folder(folder / "shared", name)
        hosts.append(Watched(host=start(place, address, inside=cable.inside)))
        threads.append(hosts[-1].listen())
    try:
        for _ in range(partitions):
            wait_for_progress(hosts)
            done.partition(hosts, net.cables)
        wait_for_progress(hosts)
    finally:
        for one, thread in zip(hosts, threads, strict=True):
            assert one.host.stdin is not None
            one.host.stdin.close()
            one.host.wait()
            thread.join()
    leaders = require_one_leader_at_a_time(hosts, folder / "one")
    assert set(done.written_alone) == {0}
    print(  # noqa: T201  # the figures of the run, with -s
        f"{len(done.seconds)} partitions of {min(done.seconds):.2f} to {max(done.seconds):.2f} s,"
        f" {leaders} leaders, {sum(one.acks() for one in hosts)} frames acknowledged"
    )
    return leaders


@pytest.mark.nightly
def test_of_hosts_whose_cables_are_pulled_fifty_times_no_two_ever_both_write(
    tmp_path: Path,
) -> None:
    with network() as net, postgres(inside=net.inside, also=addresses(net.cables)) as url:
        assert lead(net, url, tmp_path, partitions=50, seed=3) >= 5
