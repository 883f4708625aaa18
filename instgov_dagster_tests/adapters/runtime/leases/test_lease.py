"""The lease of one host: one holder, a token that only grows, and a fence that reads it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.journal import Journal, verify_chain
from instgov_dagster.adapters.runtime import HostLease
from instgov_dagster.vocabulary.errors import Fenced, LeaseHeld
from instgov_dagster_tests.adapters.journal.chains import CHAIN, open_chain, rows
from instgov_dagster_tests.adapters.runtime.leases.leaders import host_folder, start


def test_each_holder_counts_one_more_and_only_one_holds(tmp_path: Path) -> None:
    path = tmp_path / "live.lease"
    for epoch in (1, 2, 3):
        with HostLease(path) as lease:
            assert (lease.epoch, lease.is_held, lease.is_intact()) == (epoch, True, True)
            with pytest.raises(LeaseHeld, match=f"pid {os.getpid()}"):
                HostLease(path).acquire()
            with lease.fence():
                pass
        assert (lease.epoch, lease.is_held) == (0, False)
    assert (tmp_path / "live.lease.epoch").read_text() == "3\n"


def test_a_fence_lets_nothing_through_once_another_was_counted(tmp_path: Path) -> None:
    old, other = HostLease(tmp_path / "live.lease"), HostLease(tmp_path / "live.lease")
    old.acquire()
    (tmp_path / "live.lease").unlink()  # a host that does not see this one's lock
    other.acquire()
    with pytest.raises(Fenced, match="led by epoch 2, not by 1"), old.fence():
        pytest.fail("the write went through")
    with other.fence():
        pass
    late = HostLease(tmp_path / "live.lease")
    other.release()
    late.acquire()
    with pytest.raises(Fenced, match="not by 0"), other.fence():
        pytest.fail("the write went through")


@given(text=st.text(max_size=12).filter(lambda text: not text.strip().isdecimal()))
def test_a_count_that_cannot_be_read_gives_no_lease(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("lease")
    (folder / "live.lease.epoch").write_bytes(text.encode("utf-8", "surrogatepass"))
    lease = HostLease(folder / "live.lease")
    with pytest.raises(Fenced):
        lease.acquire()
    assert not lease.is_held


def test_a_journal_writes_nothing_through_a_closed_fence_and_cuts_nothing(tmp_path: Path) -> None:
    old, new = HostLease(tmp_path / "live.lease"), HostLease(tmp_path / "live.lease")
    old.acquire()
    journal = open_chain(tmp_path)
    journal.fence = old.fence
    journal.append("cycle", rows(1), {"epoch": old.epoch})
    for name in ("live.lease", f"{CHAIN}/lock"):
        (tmp_path / name).unlink()
    new.acquire()
    with Journal.open(tmp_path, CHAIN) as another:
        another.fence = new.fence
        another.append("cycle", rows(1), {"epoch": new.epoch})
        with pytest.raises(Fenced):
            journal.append("cycle", rows(1), {"epoch": 1})
        another.append("cycle", rows(1), {"epoch": new.epoch})
    report = verify_chain(tmp_path, CHAIN)
    assert (report.ok, report.frames) == (True, 3)


def lines_until(host: subprocess.Popen[str], word: str, *, count: int = 1) -> list[list[str]]:
    """Read what a host says until it said a word so often; it must not end before."""
    assert host.stdout is not None
    said: list[list[str]] = []
    while sum(line[0] == word for line in said) < count:
        text = host.stdout.readline()
        assert text, f"the host ended before it said {word} {count} times: {said[-3:]}"
        said.append(text.split(maxsplit=3))
    return said


@pytest.mark.roadmap("0.6")
def test_a_leader_that_was_paused_cannot_write_after_a_new_one_began(tmp_path: Path) -> None:
    folder = host_folder(tmp_path / "shared", "one")
    old = start(folder)
    try:
        lines_until(old, "ack", count=3)
        os.kill(old.pid, signal.SIGSTOP)
        # Its locks are of a host that is gone for everybody else: files of those names are others.
        for name in ("live.lease", f"journal/{CHAIN}/lock"):
            (folder / name).unlink()
        new = HostLease(folder / "live.lease")
        new.acquire()
        with Journal.open(folder / "journal", CHAIN) as journal:
            journal.fence = new.fence
            first = journal.append("cycle", rows(1), {"epoch": new.epoch}).sequence
            os.kill(old.pid, signal.SIGCONT)
            said = lines_until(old, "fenced")
            last = journal.append("cycle", rows(1), {"epoch": new.epoch}).sequence
        assert last == first + 1
        assert all(int(line[2]) < first for line in said if line[0] == "ack")
        assert "epoch 2" in " ".join(said[-1])
    finally:
        os.kill(old.pid, signal.SIGCONT)
        assert old.stdin is not None
        old.stdin.close()
        old.wait()
    report = verify_chain(folder / "journal", CHAIN)
    assert (report.ok, report.frames) == (True, last)
