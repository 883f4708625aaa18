"""A soak from its first process to its table: start, do harm, supervise, stop, measure."""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.journal import chain_position
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.bench.soak.incidents import (
    STOPPED_SECONDS,
    WHOLE,
    Incident,
    Kind,
    do,
    go_on,
    plan,
    seen_at,
    victim_of,
)
from instgov_dagster.bench.soak.measure import is_passed, measure
from instgov_dagster.bench.soak.page import table_of
from instgov_dagster.bench.soak.processes import processes_of
from instgov_dagster.bench.soak.site import Site
from instgov_dagster.loop.live.leading.register import Role
from instgov_dagster.vocabulary.governance import Chain

_LOOK = timedelta(seconds=0.2)
_FIRST_LEADER_SECONDS = 600.0
#: How long without a leader a supervisor lets pass before it starts everything again: longer than a
#: session takes to start on a busy machine, or it ends what is about to lead.
_PATIENCE_SECONDS = 75.0
#: After the end of `dagster dev`: when nothing may move any more, when no process may be left, and
#: how long is watched after that.
_LAST_CYCLE_SECONDS, _ORPHAN_SECONDS, _QUIET_SECONDS = 5.0, 120.0, 5.0


class Soak:
    """One soak of ``seconds`` from its first leader on.

    Parameters
    ----------
    say
        Hears a line whenever something happens.
    """

    def __init__(
        self,
        site: Site,
        *,
        seconds: float,
        say: Callable[[str], object],
        harm: Sequence[str] = WHOLE,
    ) -> None:
        self._site, self._seconds, self._say = site, seconds, say
        self._clock = RealClock()
        self._todo = list(plan(seconds, harm))
        self._stopped: Incident | None = None
        self._leaderless_since: datetime | None = None
        self.incidents: list[Incident] = []
        self.resumed: str | None = None

    def run(self) -> dict[str, Any]:
        """Run it to its end and measure it; whatever happens, no process of it stays."""
        site = self._site
        site.start()
        try:
            begun = self._await_leader()
            while (now := self._clock.now()) < begun + timedelta(seconds=self._seconds):
                self._supervise(now)
                self._harm(now, (now - begun).total_seconds())
                self._clock.sleep_until(now + _LOOK)
            self._say("interrupting dagster dev")
            code, stopped_at = site.stop(), self._clock.now()
            ended = self._watch_the_end(stopped_at)
        finally:
            self._clear()
        facts = measure(site, self.incidents)
        facts |= {
            "seconds": self._seconds,
            "asof": site.asof.isoformat(),
            "dev_exit": code,
            "dev_starts": site.starts,
            "undone": [kind.value for _, kind in self._todo],
            "stopped_leader": self.resumed,
            "incidents": [
                {**asdict(one), "kind": one.kind.value, "at": one.at.isoformat()}
                for one in self.incidents
            ],
            **ended,
        }
        facts["passed"] = is_passed(facts) and not facts["undone"]
        return facts

    def _await_leader(self) -> datetime:
        deadline = self._clock.now() + timedelta(seconds=_FIRST_LEADER_SECONDS)
        while self._clock.now() < deadline:
            if any(one.role is Role.LEADER for one in seen_at(self._site)):
                self._say("the first leader leads")
                return self._clock.now()
            self._clock.sleep_until(self._clock.now() + _LOOK)
        raise TimeoutError(f"no session led within {_FIRST_LEADER_SECONDS:.0f} s")

    def _supervise(self, now: datetime) -> None:
        # What systemd does for a deployed instance: whoever ended is started, who hangs restarted.
        if any(one.role is Role.LEADER for one in seen_at(self._site)):
            self._leaderless_since = None
            if self._site.is_running():
                return
        self._leaderless_since = self._leaderless_since or now
        is_hopeless = now - self._leaderless_since > timedelta(seconds=_PATIENCE_SECONDS)
        if self._site.is_running() and not is_hopeless:
            return
        self._note(Kind.RESTART, now, pid=0)
        self._site.stop()
        self._site.start()
        self._leaderless_since = None

    def _harm(self, now: datetime, elapsed: float) -> None:
        self._wake(now)
        if not self._todo or elapsed < self._todo[0][0]:
            return
        kind = self._todo[0][1]
        pid = victim_of(kind, self._site, seen_at(self._site), now)
        if pid is None:
            return
        self._todo.pop(0)
        self._note(kind, self._clock.now(), pid=pid)
        do(kind, pid)
        if kind is Kind.STOP_LEADER:
            self._stopped = self.incidents[-1]

    def _wake(self, now: datetime) -> None:
        stopped = self._stopped
        if stopped is None or now - stopped.at < timedelta(seconds=STOPPED_SECONDS):
            return
        is_there = go_on(stopped.pid, self._site)
        self.resumed = "went on" if is_there else "was ended by the watchdog before"
        self._say(f"the stopped leader {self.resumed}")
        self._stopped = None

    def _note(self, kind: Kind, now: datetime, *, pid: int) -> None:
        is_ready = any(one.role is Role.STANDBY for one in seen_at(self._site))
        self.incidents.append(Incident(kind=kind, at=now, pid=pid, had_standby=is_ready))
        self._say(f"{kind.value} (pid {pid}, standby {'ready' if is_ready else 'not ready'})")

    def _watch_the_end(self, stopped_at: datetime) -> dict[str, Any]:
        # A cycle after it is gone nothing moves in journal or account, and soon all are gone.
        self._clock.sleep_until(stopped_at + timedelta(seconds=_LAST_CYCLE_SECONDS))
        before, gone = self._standing(), None
        deadline = stopped_at + timedelta(seconds=_ORPHAN_SECONDS)
        while gone is None and self._clock.now() < deadline:
            if not processes_of(self._site.token):
                gone = (self._clock.now() - stopped_at).total_seconds()
            self._clock.sleep_until(self._clock.now() + _LOOK)
        left = [f"{one.kind} {one.pid}" for one in processes_of(self._site.token)]
        self._clock.sleep_until(self._clock.now() + timedelta(seconds=_QUIET_SECONDS))
        return {
            "gone_seconds_after_dev": None if gone is None else round(gone, 1),
            "orphans": left,
            "moved_after_the_end": self._standing() != before,
        }

    def _standing(self) -> tuple[int, int]:
        home = self._site.home
        account = read_account(home.paper_account)
        sequence = chain_position(home.journal_dir, Chain.LOOP.value).sequence
        return sequence, len(account.outcomes) if account else 0

    def _clear(self) -> None:
        # Also after an error: only what carries the soak's token.
        for one in processes_of(self._site.token):
            try:
                os.kill(one.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def soak(
    folder: Path,
    *,
    minutes: float,
    session_cycles: int,
    asof: date,
    token: str,
    harm: Sequence[str] = WHOLE,
) -> dict[str, Any]:
    """Make a site in a folder, soak it, and write table and numbers there.

    Parameters
    ----------
    folder
        Must not exist; everything of the soak is in it.
    minutes
        From the first leader on.
    session_cycles
        Length of a session: a planned hand-over after so many.
    harm
        What is done to it, see `plan`.
    """
    folder.mkdir(parents=True)
    site = Site(folder=folder.resolve(), asof=asof, token=token)
    clock = RealClock()

    def say(line: str) -> None:
        sys.stderr.write(f"{clock.now():%H:%M:%S} {line}\n")

    say("the night")
    site.furnish(session_cycles=session_cycles)
    say("dagster dev")
    facts = Soak(site, seconds=60.0 * minutes, say=say, harm=harm).run()
    facts["session_cycles"] = session_cycles
    (folder / "soak.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (folder / "soak.md").write_text(table_of(facts), encoding="utf-8")
    return facts
