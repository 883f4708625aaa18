"""A day's live sessions folded again: bytes on the machine that decided, decisions on another."""

from dataclasses import dataclass
from datetime import date

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.folding.machine import machine_fingerprint
from instgov_dagster.loop.folding.replay import Replay, ReplayReport, day_name
from instgov_dagster.loop.live.frames import SESSION_KIND
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """What folding a day again found.

    Attributes
    ----------
    day
        The day whose sessions were folded, None where nothing was traded up to the day asked for.
    refused
        Why the day could not be folded by today's rules; None where it was.
    """

    day: date | None
    replay: ReplayReport
    refused: str | None = None

    @property
    def is_judged(self) -> bool:
        """Whether the fold was by the rules and the code that decided."""
        return self.refused is None and not self.replay.is_other_code

    @property
    def difference(self) -> int:
        """How many frames did not come out again."""
        return len(self.replay.different)


def check_parity(
    home: Home, policy: Policy, *, key: bytes | None, code_hash: str, day: date
) -> ParityReport:
    """Fold the sessions of the last day up to ``day`` that has any (issue 6, part 4).

    Parameters
    ----------
    policy, code_hash
        Today's rules and code. A day decided under other rules is refused, not judged.

    Raises
    ------
    SystemHalt
        ``CHAIN_BROKEN`` where the chain does not verify; ``SNAPSHOT_MISSING`` where a night that a
        session stood on is not kept.
    """
    found = _last_day(home, key, day)
    if found is None:
        return ParityReport(day=None, replay=ReplayReport())
    replay = Replay(
        home,
        policy,
        key=key,
        code_hash=code_hash,
        wanted=day_name(found),
        machine=machine_fingerprint(),
    )
    try:
        return ParityReport(day=found, replay=replay.run())
    except InputError as refusal:
        return ParityReport(day=found, replay=replay.report, refused=str(refusal))


def _last_day(home: Home, key: bytes | None, day: date) -> date | None:
    found: date | None = None
    for frame in read_frames(home.journal_dir, Chain.LOOP.value, key=key):
        if frame.kind == SESSION_KIND and date.fromisoformat(frame.meta["asof"]) <= day:
            asof = date.fromisoformat(frame.meta["asof"])
            found = asof if found is None else max(found, asof)
    return found
