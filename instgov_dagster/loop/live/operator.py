"""An operator's halt or resume: one frame of the operator's chain; no store is opened for it."""

from instgov_dagster.adapters.journal import Journal, read_anchors
from instgov_dagster.adapters.runtime import Clock, Home
from instgov_dagster.governance.state import halt_event, resume_event
from instgov_dagster.loop.state_log import StateLog, write_events
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain, SystemState


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
    LeaseHeld
        If another operator is writing.
    """
    if not operator.strip() or not reason.strip():
        raise InputError(
            f"--operator and --reason must not be blank, were {operator!r} and {reason!r}"
        )
    log = StateLog(home, key)
    chain = Chain.OPERATOR.value
    with Journal.open(
        home.journal_dir, chain, key=key, clock=clock, anchors=read_anchors(home.anchors, chain)
    ) as journal:
        log.refresh()
        sequence = journal.sequence + 1
        event = (
            halt_event(operator=operator, reason=reason, sequence=sequence, heads=log.heads)
            if is_halt
            else resume_event(
                log.events, operator=operator, reason=reason, sequence=sequence, heads=log.heads
            )
        )
        return write_events(home, journal, log, [event]), sequence
