"""Two hosts watched while they lead: what each said, and that no two ever led at once."""

import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from instgov_dagster.adapters.journal import read_frames, verify_chain
from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster_tests.adapters.journal.chains import CHAIN
from instgov_dagster_tests.adapters.runtime.leases.servers import Wire

#: A host that says nothing for so long hangs: the test fails instead of waiting on.
PATIENCE_SECONDS = 120.0


@dataclass(slots=True, kw_only=True)
class Watched:
    """A host, the wire it hangs on where that is one of ours, and all it said."""

    host: subprocess.Popen[str]
    wire: Wire | None = None
    said: list[list[str]] = field(default_factory=list)

    def listen(self) -> threading.Thread:
        def read() -> None:
            assert self.host.stdout is not None
            for text in self.host.stdout:
                self.said.append(text.split(maxsplit=3))

        thread = threading.Thread(target=read)
        thread.start()
        return thread

    def acks(self) -> int:
        return sum(line[0] == "ack" for line in self.said)


def wait_for_progress(hosts: list[Watched]) -> None:
    """Return when some host acknowledged a frame that it had not when this was called."""
    before, deadline = [one.acks() for one in hosts], time.monotonic() + PATIENCE_SECONDS
    while [one.acks() for one in hosts] == before:
        assert time.monotonic() < deadline, [one.said[-3:] for one in hosts]
        assert [one.host.poll() for one in hosts] == [None] * len(hosts)
        RealClock().sleep_until(RealClock().now() + timedelta(milliseconds=20))


def require_one_leader_at_a_time(hosts: list[Watched], folder: Path) -> int:
    """Hold all that was acknowledged against the chain; give how many leaders wrote."""
    assert [line for one in hosts for line in one.said if line[0] == "halt"] == []
    report = verify_chain(folder / "journal", CHAIN)
    assert report.ok, report.reason
    frames = list(read_frames(folder / "journal", CHAIN))
    epochs = [frame.meta["epoch"] for frame in frames]
    assert epochs == sorted(epochs)
    told = [{int(line[1]) for line in one.said if line[0] == "led"} for one in hosts]
    assert not told[0] & told[1]
    heads = {frame.sequence: (frame.meta["epoch"], frame.head.hex()) for frame in frames}
    for one in hosts:
        for line in one.said:
            if line[0] == "ack":
                assert heads[int(line[2])] == (int(line[1]), line[3].strip())
    return len(set(epochs))
