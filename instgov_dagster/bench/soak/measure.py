"""What a soak came to by the journal alone: leaders, gaps, chain, replay, reconciliation."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from instgov_dagster.adapters.journal import Frame, read_anchors, read_frames, verify_chain
from instgov_dagster.bench.soak.incidents import Incident, Kind
from instgov_dagster.bench.soak.site import Site
from instgov_dagster.loop.folding.replay import Replay
from instgov_dagster.loop.live.frames import CYCLE_KIND, SESSION_KIND
from instgov_dagster.loop.live.leading.memory import PACED
from instgov_dagster.loop.live.settling.after import reconcile_home
from instgov_dagster.loop.platform import Settings, open_platform
from instgov_dagster.vocabulary.governance import Chain

#: What is promised where a standby is ready, seconds from the last cycle to the next (issue 7).
PLANNED_LIMIT = 1.5
KILLED_LIMIT = 3.0
#: What two cycles of one leader may lie apart before it is listed.
WITHIN_LIMIT = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One cycle as its frame tells it."""

    cycle_id: str
    session: str
    pid: int
    began: datetime
    is_late: bool
    orders: int


@dataclass(slots=True, kw_only=True)
class Turn:
    """How a session came to lead and how it ended, as its frames tell it.

    Attributes
    ----------
    ready
        Since when it stood by; None for one that did not.
    has_ended, ended_by
        Whether it ended in order, and at whose request; one that was killed did not end.
    """

    ready: datetime | None = None
    has_ended: bool = False
    ended_by: str | None = None

    def take(self, meta: Mapping[str, Any]) -> None:
        """Take a frame of the session's beginning or end."""
        if meta["event"] == "ended":
            self.has_ended, self.ended_by = True, meta["ended_by"]
        elif "turn" in meta:
            self.ready = datetime.fromisoformat(meta["turn"]["ready"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Two cycles that follow each other further apart, or under another leader.

    Attributes
    ----------
    limit
        What was promised, seconds; None where nothing is promised, and ``why`` explains it.
    """

    at: datetime
    seconds: float
    why: str
    limit: float | None

    @property
    def ok(self) -> bool:
        """Whether the promise was kept; what nothing explains was not promised and not kept."""
        return bool(self.why) and (self.limit is None or self.seconds <= self.limit)


def read_cycles(frames: Iterable[Frame]) -> tuple[tuple[Cycle, ...], Mapping[str, Turn]]:
    """Read the paced cycles of a chain, and how each session began and ended, by its name."""
    cycles: list[Cycle] = []
    turns: dict[str, Turn] = {}
    for frame in frames:
        if frame.kind == CYCLE_KIND and PACED in frame.meta:
            paced = frame.meta[PACED]
            cycles.append(
                Cycle(
                    cycle_id=frame.meta["cycle_id"],
                    session=frame.meta["session"],
                    pid=int(paced["pid"]),
                    began=datetime.fromisoformat(paced["began"]),
                    is_late=bool(frame.meta["is_late"]),
                    orders=len(frame.meta["shares"]),
                )
            )
        elif frame.kind == SESSION_KIND:
            turns.setdefault(str(frame.meta["session"]), Turn()).take(frame.meta)
    return tuple(cycles), turns


def shared_seconds(cycles: Sequence[Cycle]) -> tuple[str, ...]:
    """Name the seconds of the clock in which two processes began a cycle; none may be."""
    leaders: dict[datetime, set[int]] = defaultdict(set)
    for cycle in cycles:
        leaders[cycle.began.replace(microsecond=0)].add(cycle.pid)
    return tuple(second.isoformat() for second, pids in leaders.items() if len(pids) > 1)


def find_gaps(
    cycles: Sequence[Cycle], turns: Mapping[str, Turn], incidents: Sequence[Incident]
) -> tuple[Gap, ...]:
    """List every change of leader, and whatever lies further apart within one session."""
    gaps = []
    for before, after in pairwise(cycles):
        seconds = (after.began - before.began).total_seconds()
        if before.session == after.session:
            if seconds > WITHIN_LIMIT:
                gaps.append(_within(before, after, seconds, incidents))
            continue
        why, limit = _why(before, after, turns, incidents)
        gaps.append(Gap(at=before.began, seconds=seconds, why=why, limit=limit))
    return tuple(gaps)


def _within(before: Cycle, after: Cycle, seconds: float, incidents: Sequence[Incident]) -> Gap:
    why = ", ".join(one.kind.value for one in _met(before, after, incidents))
    if not why:
        why = "a late cycle, recorded, which held" if after.is_late else "a slow beat, not late"
    return Gap(at=before.began, seconds=seconds, why=why, limit=None)


def _why(
    before: Cycle, after: Cycle, turns: Mapping[str, Turn], incidents: Sequence[Incident]
) -> tuple[str, float | None]:
    left, taken = turns[before.session], turns[after.session]
    is_ready = taken.ready is not None and taken.ready <= before.began
    met = _met(before, after, incidents)
    if met:
        why = ", ".join(dict.fromkeys(one.kind.value for one in met))
        is_promised = is_ready and {one.kind for one in met} == {Kind.KILL_LEADER}
        return why, KILLED_LIMIT if is_promised else None
    if not left.has_ended:
        return "", None
    why = "planned" if left.ended_by is None else f"ended by {left.ended_by}"
    if left.ended_by is None and is_ready:
        return why, PLANNED_LIMIT
    return why if is_ready else f"{why}, no standby ready yet", None


def _met(before: Cycle, after: Cycle, incidents: Sequence[Incident]) -> list[Incident]:
    # What was done between two cycles, or a moment before the first of them was on disk.
    grain = timedelta(seconds=1.0)
    return [one for one in incidents if before.began - grain <= one.at <= after.began]


def measure(site: Site, incidents: Sequence[Incident]) -> dict[str, Any]:
    """Read the journal of a soak that is over, fold it again, and hold it against the broker."""
    settings = Settings(home=site.home.root, config_dir=site.config)
    platform = open_platform(settings, os.environ)
    frames = read_frames(site.home.journal_dir, Chain.LOOP.value, key=platform.key)
    cycles, turns = read_cycles(frames)
    gaps = find_gaps(cycles, turns, incidents)
    reports = [
        verify_chain(
            site.home.journal_dir,
            chain.value,
            key=platform.key,
            anchors=read_anchors(site.home.anchors, chain.value),
        )
        for chain in Chain
    ]
    replay = Replay(
        site.home, platform.policy, key=platform.key, code_hash=platform.code_hash
    ).run()
    held = reconcile_home(platform, site.asof)
    names = [cycle.cycle_id for cycle in cycles]
    beats = sorted((b.began - a.began).total_seconds() for a, b in pairwise(cycles))
    return {
        "cycles": len(cycles),
        "sessions": len({cycle.session for cycle in cycles}),
        "symbols": len(platform.universe.tradable),
        "late_cycles": sum(cycle.is_late for cycle in cycles),
        "orders": sum(cycle.orders for cycle in cycles),
        "beat_p50": beats[len(beats) // 2] if beats else None,
        "beat_p99": beats[int(0.99 * (len(beats) - 1))] if beats else None,
        "shared_seconds": list(shared_seconds(cycles)),
        "duplicate_cycle_ids": len(names) - len(set(names)),
        "gaps": [
            {
                "at": gap.at.isoformat(),
                "seconds": round(gap.seconds, 3),
                "why": gap.why or "NOT EXPLAINED",
                "limit": gap.limit,
                "ok": gap.ok,
            }
            for gap in gaps
        ],
        "chains": {report.chain: report.ok for report in reports},
        "replayed": replay.cycles,
        "replay_identical": replay.ok and replay.identical == replay.cycles,
        "reconciled": not held.is_led and all(row.passed for row in held.invariants),
        "state": held.state.name.value,
    }


def is_passed(facts: Mapping[str, Any]) -> bool:
    """Tell whether everything that a soak must show was shown."""
    return (
        facts["cycles"] > 0
        and not facts["shared_seconds"]
        and facts["duplicate_cycle_ids"] == 0
        and all(gap["ok"] for gap in facts["gaps"])
        and all(facts["chains"].values())
        and facts["replay_identical"]
        and facts["reconciled"]
        and not facts["orphans"]
        and not facts["moved_after_the_end"]
    )
