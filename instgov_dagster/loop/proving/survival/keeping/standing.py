"""The system's state in memory: the same events and the same fold as the three chains' own."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from instgov_dagster.governance.state import (
    fold_events,
    fold_state,
    observe_causes,
    resume_event,
)
from instgov_dagster.vocabulary.errors import ResumeRefused
from instgov_dagster.vocabulary.governance import Cause, Chain, StateEvent, SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode

OPERATOR: Final = "survival-policy"


@dataclass(slots=True)
class Standing:
    """Events of three chains that nobody writes to disk, folded as the journal's are.

    Attributes
    ----------
    acts
        What the operator's policy did, one row an act.
    """

    events: list[StateEvent] = field(default_factory=list)
    heads: dict[Chain, int] = field(default_factory=lambda: dict.fromkeys(Chain, -1))
    acts: list[dict[str, Any]] = field(default_factory=list)
    _folded: tuple[int, SystemState] | None = None

    @property
    def state(self) -> SystemState:
        """The state that follows from every event."""
        if self._folded is None or self._folded[0] != len(self.events):
            self._folded = (len(self.events), fold_events(self.events, heads=self.heads))
        return self._folded[1]

    def observe(
        self, chain: Chain, found: Collection[Cause], *, domain: Collection[ReasonCode]
    ) -> SystemState:
        """Take what a check found, and clear what it no longer finds; see `observe_causes`."""
        events = observe_causes(
            self.events,
            found,
            domain=domain,
            chain=chain,
            sequence=self.heads[chain] + 1,
            heads=self.heads,
        )
        if events:
            self.events += events
            self.heads[chain] += 1
        return self.state

    def resume(self, day: date, reason: str) -> bool:
        """Resume as an operator would; False where a condition still stands.

        The act is kept, refused or not.
        """
        sequence = self.heads[Chain.OPERATOR] + 1
        lifted = sorted({cause.reason_code.value for cause in self.state.causes})
        try:
            event = resume_event(
                self.events, operator=OPERATOR, reason=reason, sequence=sequence, heads=self.heads
            )
        except ResumeRefused as refusal:
            self.act(day, "resume_refused", str(refusal))
            return False
        self.events.append(event)
        self.heads[Chain.OPERATOR] = sequence
        self.act(day, "resume", f"{reason}: {', '.join(lifted)}")
        return True

    def act(self, day: date, act: str, detail: str) -> None:
        """Keep what the operator's policy did."""
        self.acts.append({"date": day, "act": act, "detail": detail})

    def before_night(self, refound: Collection[ReasonCode]) -> SystemState:
        """Give the state a night is frozen on; see `loop.live.recovery.night_inputs`."""
        causes = [c for c in self.state.causes if c.is_latched or c.reason_code not in refound]
        return fold_state(causes)
