"""The state as a fold of the events of three chains: latching, clearing and resuming."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from instgov_dagster.governance.state.fold import cause_of, cause_order, fold_state
from instgov_dagster.vocabulary.errors import ResumeRefused
from instgov_dagster.vocabulary.governance import (
    Cause,
    Chain,
    EventKind,
    StateEvent,
    SystemState,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

Heads = Mapping[Chain, int]

# What happened once and cannot be checked again: the operator's resume alone lifts it. Every other
# latched cause is a condition, and a resume is refused until its check has cleared it.
OCCURRENCES = frozenset(
    {
        ReasonCode.OPERATOR_HALT,
        ReasonCode.MASS_DRAWDOWN_REVIEW,
        ReasonCode.UNEXPECTED_FAILURE,
        ReasonCode.FENCED,
        ReasonCode.AUDIT_WRITE_FAILED,
        ReasonCode.HISTORY_IN_LIVE_LOOP,
        ReasonCode.ORDER_NOT_APPROVED,
        ReasonCode.ORDER_UNKNOWN_OUTCOME,
        ReasonCode.AUCTION_INFEASIBLE,
        ReasonCode.CVAR_SCALE_REFUSED,
        ReasonCode.SNAPSHOT_EXPIRED,
    }
)


@dataclass(frozen=True, slots=True)
class _Reach:
    # How far one event reaches: the last sequence of each chain that it acts on.
    event: StateEvent
    limits: Heads

    def covers(self, other: StateEvent) -> bool:
        return other.sequence <= self.limits[other.chain]

    def saw(self, other: StateEvent) -> bool:
        # A clear and the resume that rests on it may share one frame of the operator.
        is_same_frame = (other.chain, other.sequence) == (self.event.chain, self.event.sequence)
        return is_same_frame or self.covers(other)


@dataclass(frozen=True, slots=True)
class _Raised:
    cause: Cause
    is_cleared: bool
    is_standing: bool


def _reach(event: StateEvent) -> _Reach:
    return _Reach(event, {chain: event.horizon(chain) for chain in Chain})


def _is_lifted(raised: StateEvent, cause: Cause, clears: list[_Reach], resume: _Reach) -> bool:
    if not resume.covers(raised):
        return False
    if cause.reason_code in OCCURRENCES:
        return True
    return any(clear.covers(raised) and resume.saw(clear.event) for clear in clears)


def _ledger(events: Iterable[StateEvent]) -> list[_Raised]:
    # Only the last raising of a cause in a chain matters: it is the hardest to clear or resume.
    raised: dict[tuple[Chain, Cause], StateEvent] = {}
    clears: dict[ReasonCode, list[_Reach]] = {}
    resumes: list[_Reach] = []
    for event in events:
        if event.cause is None:
            resumes.append(_reach(event))
        elif event.kind is EventKind.CLEARED:
            clears.setdefault(event.cause.reason_code, []).append(_reach(event))
        else:
            key = (event.chain, event.cause)
            last = raised.get(key)
            if last is None or event.sequence > last.sequence:
                raised[key] = event
    rows = []
    for (_, cause), event in raised.items():
        its_clears = clears.get(cause.reason_code, [])
        is_cleared = any(clear.covers(event) for clear in its_clears)
        is_lifted = any(_is_lifted(event, cause, its_clears, resume) for resume in resumes)
        is_standing = not is_lifted if cause.is_latched else not is_cleared
        rows.append(_Raised(cause, is_cleared, is_standing))
    return rows


def _claims_beyond(events: Iterable[StateEvent], heads: Heads) -> list[str]:
    claims = []
    for event in events:
        seen = ((event.chain, event.sequence), *event.heads)
        claims += [
            f"{event.chain} {event.sequence} claims {chain} {sequence} of {heads.get(chain, -1)}"
            for chain, sequence in seen
            if sequence > heads.get(chain, -1)
        ]
    return claims


def fold_events(events: Iterable[StateEvent], *, heads: Heads) -> SystemState:
    """Fold the events of the three chains into the state, in whatever order they arrive.

    A cause that is not latched (REDUCE_ONLY) stands until a later event clears its code. A latched
    one (HALT_SYSTEM, STOP_SYSTEM) stands until an operator's resume that comes after it and, where
    it is a condition and not one of `OCCURRENCES`, after an event that cleared it. *Later* is by
    sequence inside a chain and by the writer's recorded heads between chains, never by a clock:
    what a writer cannot have seen it does not undo.

    Parameters
    ----------
    heads
        The last sequence of every chain that was read whole and verified, -1 for an empty one. A
        chain that is missing, or an event that claims to have seen more, is STOP_SYSTEM.
    """
    listed = list(events)
    causes = [row.cause for row in _ledger(listed) if row.is_standing]
    missing = [chain.value for chain in Chain if chain not in heads]
    if missing:
        detail = f"chains not read or not verified: {', '.join(missing)}"
        causes.append(cause_of(ReasonCode.STATE_UNKNOWN, detail))
    elif claims := _claims_beyond(listed, heads):
        causes.append(cause_of(ReasonCode.STATE_UNKNOWN, f"an event {claims[0]}"))
    return fold_state(causes)


def standing_causes(events: Iterable[StateEvent]) -> tuple[Cause, ...]:
    """List the causes that stand after the events, the gravest first; see `fold_events`."""
    return tuple(sorted({row.cause for row in _ledger(events) if row.is_standing}, key=cause_order))


def conditions_standing(events: Iterable[StateEvent]) -> tuple[Cause, ...]:
    """List the latched conditions that no check has cleared: a resume would not lift them."""
    return tuple(
        sorted(
            {
                row.cause
                for row in _ledger(events)
                if row.is_standing
                and row.cause.is_latched
                and not row.is_cleared
                and row.cause.reason_code not in OCCURRENCES
            },
            key=cause_order,
        )
    )


def observe_causes(
    events: Iterable[StateEvent],
    found: Iterable[Cause],
    *,
    domain: Collection[ReasonCode],
    chain: Chain,
    sequence: int,
    heads: Heads,
) -> tuple[StateEvent, ...]:
    """Turn what a check found into the events that say what changed; nothing new, no event.

    A check speaks for its own chain: what another chain raised, under whatever code, only a check
    that writes to that chain clears.

    Parameters
    ----------
    events
        Everything written so far in the three chains.
    found
        What stands by the check's own finding now.
    domain
        The codes the check speaks for: only these it may clear. A code found must be in it.
    chain, sequence
        Where the events will be written: the frame that will hold them.
    heads
        How far the writer has read the other chains.

    Raises
    ------
    ValueError
        If a cause was found whose code is outside the domain.
    """
    now = set(found)
    strangers = sorted({cause.reason_code for cause in now} - set(domain))
    if strangers:
        raise ValueError(f"found causes must lie in the check's domain, was {strangers}")
    own = [row for row in events if row.kind is not EventKind.RAISED or row.chain is chain]
    held = {row.cause for row in _ledger(own) if row.is_standing and not row.is_cleared}
    mine = {cause for cause in held if cause.reason_code in domain}
    gone = {cause.reason_code for cause in mine - now} - OCCURRENCES
    # Clearing a code clears all of it, so what remains of it is raised again in the same frame.
    new = {cause for cause in now if cause not in mine or cause.reason_code in gone}
    others = tuple(sorted((c, n) for c, n in heads.items() if c is not chain))

    def event(kind: EventKind, cause: Cause) -> StateEvent:
        # A clear that names no other chain reaches none.
        seen = () if kind is EventKind.CLEARED else others
        return StateEvent(kind=kind, chain=chain, sequence=sequence, heads=seen, cause=cause)

    lost = sorted((c for c in mine - now if c.reason_code in gone), key=cause_order)
    cleared = {cause.reason_code: cause for cause in lost}
    return (
        *(event(EventKind.CLEARED, cause) for cause in cleared.values()),
        *(event(EventKind.RAISED, cause) for cause in sorted(new, key=cause_order)),
    )


def halt_event(*, operator: str, reason: str, sequence: int, heads: Heads) -> StateEvent:
    """Write an operator's halt as the event that latches it (SPEC 7).

    Raises
    ------
    ValueError
        If the operator or the reason is blank.
    """
    if not operator.strip() or not reason.strip():
        raise ValueError(f"a halt needs an operator and a reason, was {operator!r} {reason!r}")
    return StateEvent(
        kind=EventKind.RAISED,
        chain=Chain.OPERATOR,
        sequence=sequence,
        heads=tuple(sorted((c, n) for c, n in heads.items() if c is not Chain.OPERATOR)),
        cause=cause_of(ReasonCode.OPERATOR_HALT, f"{operator}: {reason}"),
        operator=operator,
        reason=reason,
    )


def resume_event(
    events: Iterable[StateEvent], *, operator: str, reason: str, sequence: int, heads: Heads
) -> StateEvent:
    """Write an operator's resume, unless a condition still stands (SPEC 7).

    Parameters
    ----------
    heads
        The last verified sequence of every chain: the resume lifts nothing that comes after.

    Raises
    ------
    ResumeRefused
        If a latched condition has not been cleared by its own check; it names every one.
    ValueError
        If the operator or the reason is blank, or a chain has no head.
    """
    missing = [chain.value for chain in Chain if chain not in heads]
    if missing:
        raise ValueError(f"a resume needs the head of every chain, was without {missing}")
    standing = conditions_standing(events)
    if standing:
        raise ResumeRefused([(cause.reason_code, cause.detail) for cause in standing])
    return StateEvent(
        kind=EventKind.RESUMED,
        chain=Chain.OPERATOR,
        sequence=sequence,
        heads=tuple(sorted((c, n) for c, n in heads.items() if c is not Chain.OPERATOR)),
        operator=operator,
        reason=reason,
    )
