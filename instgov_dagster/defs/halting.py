"""Where the system's errors become Dagster failures; nothing else in the shell translates them."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.governance.state import unknown_state
from instgov_dagster.vocabulary.errors import (
    Fenced,
    InstgovError,
    LeaseHeld,
    SystemHalt,
    WarehouseBusy,
)
from instgov_dagster.vocabulary.governance import SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode

#: Errors that carry no code of their own and latch nothing.
_CODES: dict[type[InstgovError], ReasonCode] = {
    Fenced: ReasonCode.FENCED,
    LeaseHeld: ReasonCode.LEASE_HELD,
    WarehouseBusy: ReasonCode.WAREHOUSE_BUSY,
}


@contextmanager
def failing_closed(platform: PlatformResource) -> Iterator[None]:
    """Fail the step for good where the body raises an error of the system; never retried.

    A `SystemHalt` is journalled first, so that the state is STOP_SYSTEM for every other process
    as well. An error the system did not raise on purpose passes through: Dagster fails the step
    with its trace.

    Raises
    ------
    dagster.Failure
        With the reason code, its sentence, what was found and the state it left as metadata.
    """
    try:
        yield
    except SystemHalt as halt:
        _journal(platform, halt)
        raise failure_of(halt, platform.state_log().refresh()) from halt
    except InstgovError as error:
        raise failure_of(error, platform.state_log().refresh()) from error


def failure_of(error: InstgovError, state: SystemState) -> dg.Failure:
    """Describe an error of the system as a failure that is never retried.

    Parameters
    ----------
    state
        The state of the system once the error was journalled, where it had to be.
    """
    code = getattr(error, "reason_code", _CODES.get(type(error)))
    metadata = {"error": type(error).__name__, "state": state.name.value}
    if isinstance(code, ReasonCode):
        metadata |= {
            "reason_code": code.value,
            "severity": code.severity.value,
            "sentence": code.sentence,
        }
    metadata["detail"] = getattr(error, "detail", str(error))
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)


def _journal(platform: PlatformResource, halt: SystemHalt) -> None:
    try:
        platform.journal_stop(halt)
    except SystemHalt as unwritable:
        # A journal that cannot be written is a stop by itself: it is the error to report.
        raise failure_of(unwritable, unknown_state(str(unwritable))) from halt
