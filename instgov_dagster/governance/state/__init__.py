"""The state of the system: the fold over causes, and over the events of the three chains."""

from instgov_dagster.governance.state.causes import (
    CAUSES,
    PROVED_BY_RESUMING,
    CauseRow,
    Ending,
    causes_markdown,
)
from instgov_dagster.governance.state.events import (
    OCCURRENCES,
    conditions_standing,
    fold_events,
    halt_event,
    observe_causes,
    resume_event,
    standing_causes,
)
from instgov_dagster.governance.state.fold import (
    cause_of,
    cause_order,
    fold_state,
    parse_state,
    unknown_state,
)

__all__ = [
    "CAUSES",
    "OCCURRENCES",
    "PROVED_BY_RESUMING",
    "CauseRow",
    "Ending",
    "cause_of",
    "cause_order",
    "causes_markdown",
    "conditions_standing",
    "fold_events",
    "fold_state",
    "halt_event",
    "observe_causes",
    "parse_state",
    "resume_event",
    "standing_causes",
    "unknown_state",
]
