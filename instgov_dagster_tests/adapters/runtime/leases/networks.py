"""Hosts in network namespaces of their own, each on a cable to the database that can be pulled."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

# Of the block set aside for benchmarks of networks (RFC 2544); it leaves no namespace.
_SUBNETS = ("198.18.41", "198.18.42")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """What one host hangs on: its namespace, the database's end, and both addresses."""

    database: str
    namespace: str
    end: str
    server_address: str

    @property
    def inside(self) -> tuple[str, ...]:
        """The words that start a program on the host."""
        return ("ip", "netns", "exec", self.namespace)

    def pull(self) -> None:
        """Take the link down: what is sent is lost, and nobody is told."""
        _ip("-n", self.database, "link", "set", self.end, "down")

    def plug(self) -> None:
        """Put it up again; connections that both ends still believe in go on."""
        _ip("-n", self.database, "link", "set", self.end, "up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A database's host and two others, none of which sees anything else."""

    database: str
    cables: tuple[Cable, ...]

    @property
    def inside(self) -> tuple[str, ...]:
        """The words that start a program on the database's host."""
        return ("ip", "netns", "exec", self.database)


@contextmanager
def network() -> Iterator[Network]:
    """Make three namespaces and two cables; nothing of them is left at the end.

    Skips the test, saying why, where that is not permitted.
    """
    if shutil.which("ip") is None or shutil.which("setpriv") is None:
        pytest.skip("no network namespaces: ip or setpriv is not installed")
    names = [f"instgov{os.getpid()}{name}" for name in ("db", "one", "two")]
    made: list[str] = []
    try:
        for name in names:
            done = _run("ip", "netns", "add", name)
            if done.returncode:
                pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
            made.append(name)
            _ip("-n", name, "link", "set", "lo", "up")
        cables = tuple(_cable(names[0], names[at + 1], at) for at in range(2))
        yield Network(database=names[0], cables=cables)
    finally:
        for name in made:  # and with each the cables in it
            _run("ip", "netns", "del", name)


def _cable(database: str, host: str, at: int) -> Cable:
    # Made inside the namespaces: the machine's own never sees either end.
    ends, subnet = (f"to{at}", "up0"), _SUBNETS[at]
    _ip("-n", database, "link", "add", ends[0], "type", "veth", "peer", ends[1], "netns", host)
    for name, end, last in ((database, ends[0], 1), (host, ends[1], 2)):
        _ip("-n", name, "addr", "add", f"{subnet}.{last}/24", "dev", end)
        _ip("-n", name, "link", "set", end, "up")
    return Cable(database=database, namespace=host, end=ends[0], server_address=f"{subnet}.1")


def _ip(*words: str) -> None:
    done = _run("ip", *words)
    if done.returncode:
        pytest.skip(f"no cables between network namespaces here: {done.stderr.strip()}")


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, check=False)


def addresses(cables: Sequence[Cable]) -> tuple[str, ...]:
    """Give the database's address on each cable."""
    return tuple(cable.server_address for cable in cables)
