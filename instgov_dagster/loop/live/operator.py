"""An operator's halt or resume: one frame of the operator's chain; no store is opened for it."""

from instgov_dagster.adapters.journal import Journal, read_anchors, verify_chain
from instgov_dagster.adapters.runtime import Clock, Home
from instgov_dagster.governance.state import (
    PROVED_BY_RESUMING,
    halt_event,
    observe_causes,
    resume_event,
)
from instgov_dagster.loop.state_log import StateLog, write_events
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.governance import Chain, StateEvent, SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode


def act(
    home: Home,
    key: bytes | None,
    *,
    operator: str,
    reason: str,
    is_halt: bool,
    clock: Clock | None = None,
) -> tuple[SystemState, int]:
    """Latch or lift a halt in an operator's name; returns the state and the frame's sequence.

    Only the journal is needed: a halt must work while the warehouse is busy, lost or damaged.

    Parameters
    ----------
    key
        The journal's HMAC key, if it has one.
    clock
        Stamps the frame; the machine's clock by default.

    Raises
    ------
    InputError
        If the operator or the reason is blank; nothing is written then.
    ResumeRefused
        If a condition still stands: its own check must clear it first.
    SystemHalt
        ``CHAIN_BROKEN`` for a resume, where a chain does not verify or differs from its anchors.
    LeaseHeld
        If another operator is writing.
    """
    if not operator.strip() or not reason.strip():
        raise InputError(
            f"--operator and --reason must not be blank, were {operator!r} and {reason!r}"
        )
    log = StateLog(home, key)
    if not is_halt:
        _require_sound(home, key)
    chain = Chain.OPERATOR.value
    with Journal.open(
        home.journal_dir, chain, key=key, clock=clock, anchors=read_anchors(home.anchors, chain)
    ) as journal:
        log.refresh()
        sequence = journal.sequence + 1
        # What the checks above proved, where a stop was latched here for want of another chain.
        over = () if is_halt else _over(log, sequence)
        event = (
            halt_event(operator=operator, reason=reason, sequence=sequence, heads=log.heads)
            if is_halt
            else resume_event(
                [*log.events, *over],
                operator=operator,
                reason=reason,
                sequence=sequence,
                heads=log.heads,
            )
        )
        return write_events(home, journal, log, [*over, event]), sequence


def _require_sound(home: Home, key: bytes | None) -> None:
    for chain in Chain:
        anchors = read_anchors(home.anchors, chain.value)
        report = verify_chain(home.journal_dir, chain.value, key=key, anchors=anchors)
        if not report.ok:
            raise SystemHalt(ReasonCode.CHAIN_BROKEN, f"{report.first_bad}: {report.reason}")


def _over(log: StateLog, sequence: int) -> tuple[StateEvent, ...]:
    # The chains hold; and a disk that takes this very frame is not full.
    return observe_causes(
        log.events,
        (),
        domain=PROVED_BY_RESUMING,
        chain=Chain.OPERATOR,
        sequence=sequence,
        heads=log.heads,
    )
