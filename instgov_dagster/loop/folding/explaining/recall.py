"""One cycle called back: its frame, what it was told, and the same decision with all its parts."""

from dataclasses import dataclass, replace
from typing import cast

import polars as pl

from instgov_dagster.adapters.journal import Frame, chain_position, read_frames, unbundle
from instgov_dagster.adapters.journal.scan import Position
from instgov_dagster.adapters.journal.segments import list_segments
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.governance.decisions import compose_decisions, decisions_to_frame
from instgov_dagster.loop.cycle import CycleDecision, cycle_case
from instgov_dagster.loop.decision.casework import Findings, symbol_cases
from instgov_dagster.loop.decision.conditions import all_vetoes
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.folding.replay import Replay
from instgov_dagster.loop.live.frames import CYCLE_KIND, SESSION_KIND
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain, Veto

_LOOP = Chain.LOOP.value


#: What the journal tells of every bid, taken from it rather than from a solver that starts cold.
_TOLD_OF_BIDS = ("weight", "rank", "decision", "reason_codes", "priced_out_bps")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecalledCycle:
    """A cycle as the journal tells it and as it comes out again.

    Attributes
    ----------
    frame
        The verified frame of the cycle.
    after
        The frames after it: what became of its orders.
    found
        What the wings found, with the auction's answer to every bid as the journal tells it.
    is_exact
        Whether this gives the frame's decisions again; its gates are then those that decided.
    """

    frame: Frame
    after: tuple[Frame, ...]
    decision: CycleDecision
    found: Findings
    snapshot: Snapshot
    is_exact: bool


class _OneCycle(Replay):
    # Folds the wanted cycle alone, from the state that the frames before it left, cold.
    def _is_wanted(self, frame: Frame) -> bool:
        return str(frame.meta["cycle_id"]) == self._wanted


def recall_cycle(
    home: Home, policy: Policy, *, key: bytes | None, code_hash: str, cycle_id: str | None = None
) -> RecalledCycle:
    """Fold one cycle again from what the journal says it was told.

    Only the segments about the cycle are read. The cycle is folded alone; where its decisions do
    not come out again, which a solver kept hot may cause, it is folded from the cold start before.

    Parameters
    ----------
    policy
        The rules of the session.
    cycle_id
        Which cycle; the last one by default.

    Raises
    ------
    InputError
        If there is no such cycle, or it was decided under other rules.
    SystemHalt
        ``CHAIN_BROKEN`` where the frames do not verify; ``SNAPSHOT_MISSING`` where the night the
        session stood on is not kept.
    """
    frames, place = _frames_about(home, key, cycle_id)
    frame = frames[place]
    wanted = str(frame.meta["cycle_id"])
    for kind, chain in ((_OneCycle, frames), (Replay, None)):
        replay = kind(home, policy, key=key, code_hash=code_hash, wanted=wanted)
        replay.run(chain)
        if replay.turn is None or replay.kept is None:
            raise InputError(f"--cycle must be a cycle of a session, was {wanted}")
        recalled = _compare(frame, replay.turn.decision, replay.kept, policy)
        if recalled.is_exact:
            break
    return replace(recalled, after=tuple(frames[place + 1 :]))


def _compare(
    frame: Frame, decision: CycleDecision, snapshot: Snapshot, policy: Policy
) -> RecalledCycle:
    # Two solves of one auction agree on the weights; among equal prices the ranks may differ.
    snapshot = replace(snapshot, forecasts=decision.forecasts)
    tables = unbundle(frame.table())
    told = cast("pl.DataFrame", pl.from_arrow(tables["capital_allocations"]))
    bids, found = decision.auction.bids, decision.found
    names = ["strategy_id", "symbol"]
    if told.select(names).equals(bids.select(names)):
        columns = [told[name].cast(bids.schema[name]) for name in _TOLD_OF_BIDS]
        auction = replace(decision.auction, bids=bids.with_columns(columns))
        found = replace(found, auction=auction)
    cycle = cycle_case(decision.told, found, nav_usd=decision.valued.nav_usd, config=policy)
    cases = symbol_cases(snapshot, decision.valued, found, vetoes_of(decision, snapshot, policy))
    again = decisions_to_frame(compose_decisions(cases, cycle))
    recorded = cast("pl.DataFrame", pl.from_arrow(tables["governance_decisions"]))
    return RecalledCycle(
        frame=frame,
        after=(),
        decision=decision,
        found=found,
        snapshot=snapshot,
        is_exact=recorded.equals(again),
    )


def vetoes_of(decision: CycleDecision, snapshot: Snapshot, policy: Policy) -> tuple[Veto, ...]:
    """Give every veto a cycle was decided under."""
    risk = decision.found.verdict.risk_before
    return all_vetoes(decision.told.vetoes, snapshot, decision.valued, risk, policy)


def _frames_about(home: Home, key: bytes | None, cycle_id: str | None) -> tuple[list[Frame], int]:
    # From the last segment backwards, until all that the cycle went on from is in what was read.
    segments = list_segments(home.journal_dir, _LOOP)
    for first in reversed(segments):
        frames = list(read_frames(home.journal_dir, _LOOP, key=key, start=_start(home, first)))
        place = _place(frames, cycle_id)
        if place is not None and (first == 1 or _is_told(frames[: place + 1])):
            return frames, place
    if cycle_id is None:
        raise InputError(f"--home must hold a session's cycles, was {home.root}")
    raise InputError(f"--cycle must be in the loop's chain, was {cycle_id}")


def _start(home: Home, segment: int) -> Position:
    if segment == 1:
        return Position.start(_LOOP)
    before = chain_position(home.journal_dir, _LOOP, up_to=segment - 1)
    return Position(segment=segment, offset=0, sequence=before.sequence, head=before.head)


def _place(frames: list[Frame], cycle_id: str | None) -> int | None:
    for place in reversed(range(len(frames))):
        frame = frames[place]
        if frame.kind == CYCLE_KIND and cycle_id in (None, frame.meta["cycle_id"]):
            return place
    return None


def _is_told(frames: list[Frame]) -> bool:
    # The session's start must be there, and a cycle of the day before this one where there was one.
    target = frames[-1].meta
    starts = [
        frame.meta
        for frame in frames
        if frame.kind == SESSION_KIND
        and frame.meta["event"] == "started"
        and frame.meta["session"] == target["session"]
    ]
    if not starts:
        return False
    earlier = (f for f in frames[:-1] if f.kind == CYCLE_KIND and f.meta["asof"] == target["asof"])
    return any(True for _ in earlier) or starts[0]["told_hash"] is None
