"""Write down why nothing more is sent, in whichever chain can still be written."""

import sys

from instgov_dagster.adapters.journal import Journal
from instgov_dagster.governance.state import cause_of
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.state_log import observe
from instgov_dagster.vocabulary.errors import InstgovError, SystemHalt
from instgov_dagster.vocabulary.governance import Cause, Chain, SystemStateName


def latch_stop(platform: Platform, journal: Journal | None, halt: SystemHalt) -> None:
    """Latch STOP_SYSTEM for what was raised.

    Parameters
    ----------
    journal
        The writer's own chain, tried first; None where it could not be opened. Where it cannot be
        written, the night's or the operator's chain is, and where none can, stderr is told.
    """
    cause = cause_of(halt.reason_code, halt.detail, state=SystemStateName.STOP_SYSTEM)
    problems = []
    if journal is not None:
        problem = _try(platform, journal, cause)
        if problem is None:
            return
        problems.append(problem)
    for chain in (Chain.NIGHT, Chain.OPERATOR):
        # Broken, full or held by another: the next chain is tried, and the last word is told.
        try:
            with platform.open_chain(chain) as other:
                problem = _try(platform, other, cause)
        except InstgovError as error:
            problem = str(error)
        if problem is None:
            return
        problems.append(problem)
    sys.stderr.write(f"the cause could not be journalled: {'; '.join(problems)}\n")


def _try(platform: Platform, journal: Journal, cause: Cause) -> str | None:
    log = platform.state_log()
    try:
        observe(platform.home, journal, log, (cause,), domain={cause.reason_code})
    except InstgovError as error:
        return str(error)
    return None
