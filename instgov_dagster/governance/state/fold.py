"""The state of the system as a fold: the gravest cause wins, and what is unknown stops."""

from collections.abc import Iterable

from instgov_dagster.vocabulary.governance import (
    Cause,
    SystemState,
    SystemStateName,
    least_state,
)
from instgov_dagster.vocabulary.reasons import ReasonCode


def cause_of(
    reason_code: ReasonCode,
    detail: str,
    *,
    symbols: Iterable[str] = (),
    state: SystemStateName | None = None,
) -> Cause:
    """Name what stands against trading; the code's severity says how grave it is at least.

    Parameters
    ----------
    state
        A graver state than the code's own; None takes the code's own.

    Raises
    ------
    ValueError
        If ``state`` is milder than the code's severity or the detail is empty.
    """
    gravity = least_state(reason_code) if state is None else state
    return Cause(
        state=gravity,
        reason_code=reason_code,
        detail=detail,
        symbols=tuple(sorted(set(symbols))),
        is_latched=gravity.is_latched,
    )


def unknown_state(detail: str) -> SystemState:
    """Give the state of a system whose state cannot be established: STOP_SYSTEM."""
    cause = cause_of(ReasonCode.STATE_UNKNOWN, detail)
    return SystemState(name=SystemStateName.STOP_SYSTEM, causes=(cause,))


def parse_state(text: str | None) -> SystemStateName:
    """Read a persisted name of a state; anything else is STOP_SYSTEM."""
    known = {name.value: name for name in SystemStateName}
    return known.get(text or "", SystemStateName.STOP_SYSTEM)


def cause_order(cause: Cause) -> tuple[int, str, tuple[str, ...], str]:
    """Sort causes the gravest first, then by code, symbols and detail."""
    return (-cause.state.rank, cause.reason_code, cause.symbols, cause.detail)


def fold_state(causes: Iterable[Cause] | None) -> SystemState:
    """Fold causes into the state: the maximum over them, RUNNING where none stands (SPEC 7).

    Parameters
    ----------
    causes
        Everything that stands now; None where it could not be read, which is STOP_SYSTEM.
    """
    if causes is None:
        return unknown_state("the causes of the state could not be read")
    listed = list(causes)
    strangers = [cause for cause in listed if not isinstance(cause, Cause)]
    if strangers:
        return unknown_state(f"not a cause: {strangers[0]!r}")
    unique = tuple(sorted(set(listed), key=cause_order))
    name = max((cause.state for cause in unique), default=SystemStateName.RUNNING)
    return SystemState(name=name, causes=unique)
