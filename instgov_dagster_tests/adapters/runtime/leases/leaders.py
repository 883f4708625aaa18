"""A host that leads while it holds the lease: it writes frames and says each that it may act on.

Run as a program: the folder of the host's chain, the lease's file, and the database's address or
nothing. What it says stands on stdout, a line each: ``led EPOCH``, ``ack EPOCH SEQUENCE HEAD``,
``fenced WHY``, ``halt WHY``. It ends when its stdin does.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from instgov_dagster.adapters.journal import Journal
from instgov_dagster.adapters.runtime import HostLease, Lease
from instgov_dagster.adapters.runtime.leases.postgres_lease import PostgresLease
from instgov_dagster.vocabulary.errors import Fenced, LeaseHeld, SystemHalt
from instgov_dagster_tests.adapters.journal.chains import CHAIN, rows

_ROOT = Path(__file__).resolve().parents[4]
_PROGRAM = "from instgov_dagster_tests.adapters.runtime.leases.leaders import lead; lead()"
_PACE_SECONDS = 0.004
_POLL_SECONDS = 0.05


def host_folder(shared: Path, name: str) -> Path:
    """Make the folder of one host: the chain's segment is shared, the chain's lock is its own.

    Two hosts on one volume see one file and two tables of locks.
    """
    shared.mkdir(exist_ok=True)
    segment = shared / "000001.igj"
    segment.touch()
    chain = shared.parent / name / "journal" / CHAIN
    chain.mkdir(parents=True)
    (chain / segment.name).symlink_to(segment)
    return chain.parent.parent


def start(folder: Path, url: str = "", *, inside: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a host; ``inside`` are the words that start a program in a network of its own."""
    return subprocess.Popen(
        [*inside, sys.executable, "-c", _PROGRAM, str(folder), url],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def say(*words: object) -> None:
    """Write one line, whole or not at all."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def lead() -> None:
    """Lead whenever the lease can be had, until stdin ends."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    ends = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        ends.set()

    threading.Thread(target=watch, daemon=True).start()
    path = folder / "live.lease"
    lease: Lease = PostgresLease(path, url=url, name="test") if url else HostLease(path)
    while not ends.wait(_POLL_SECONDS):
        if lease.try_acquire():
            _lead_once(lease, folder, ends)
    lease.release()


def _lead_once(lease: Lease, folder: Path, ends: threading.Event) -> None:
    say("led", lease.epoch)
    try:
        with Journal.open(folder / "journal", CHAIN) as journal:
            journal.fence = lease.fence
            while not ends.is_set():
                receipt = journal.append("cycle", rows(1), {"epoch": lease.epoch})
                if lease.is_intact():
                    say("ack", lease.epoch, receipt.sequence, receipt.frame_sha256)
                time.sleep(_PACE_SECONDS)
    except Fenced as fenced:
        say("fenced", fenced)
    except LeaseHeld as held:
        say("held", held)
    except SystemHalt as halt:
        say("halt", halt)
        raise SystemExit(1) from halt
    lease.release()
