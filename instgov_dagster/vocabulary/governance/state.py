"""The words of the system's state: the lattice, its causes and the events that move it."""

from dataclasses import dataclass
from enum import StrEnum

from instgov_dagster.vocabulary.governance.requirements import require_codes
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode


class SystemStateName(StrEnum):
    """The lattice RUNNING < REDUCE_ONLY < HALT_SYSTEM < STOP_SYSTEM, compared by rank.

    Comparing with a text that names no state raises ``ValueError``.
    """

    RUNNING = "RUNNING"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALT_SYSTEM = "HALT_SYSTEM"
    STOP_SYSTEM = "STOP_SYSTEM"

    @property
    def rank(self) -> int:
        """The place in the lattice, 0 for RUNNING to 3 for STOP_SYSTEM."""
        return _RANKS[self]

    @property
    def allows_increase(self) -> bool:
        """Whether an order that adds exposure may be sent."""
        return self is SystemStateName.RUNNING

    @property
    def allows_reduction(self) -> bool:
        """Whether an order that takes exposure off may be sent."""
        return self is not SystemStateName.STOP_SYSTEM

    @property
    def allows_cancel(self) -> bool:
        """Whether a resting order may be cancelled; nothing at all is sent in STOP_SYSTEM."""
        return self is not SystemStateName.STOP_SYSTEM

    @property
    def is_latched(self) -> bool:
        """Whether only an operator's resume leads out."""
        return self.rank >= SystemStateName.HALT_SYSTEM.rank

    # The order of the text would put HALT_SYSTEM below RUNNING.
    def __lt__(self, other: str) -> bool:
        return self.rank < SystemStateName(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= SystemStateName(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > SystemStateName(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= SystemStateName(other).rank


_RANKS = {name: rank for rank, name in enumerate(SystemStateName)}
_LEAST_STATE = {
    Severity.STOP: SystemStateName.STOP_SYSTEM,
    Severity.HALT: SystemStateName.HALT_SYSTEM,
}


def least_state(reason_code: ReasonCode) -> SystemStateName:
    """Name the mildest state the code may cause, by its severity."""
    return _LEAST_STATE.get(reason_code.severity, SystemStateName.REDUCE_ONLY)


class Chain(StrEnum):
    """The three journal chains, one writer each."""

    LOOP = "loop"
    NIGHT = "night"
    OPERATOR = "operator"


class EventKind(StrEnum):
    """What an event does to a cause."""

    RAISED = "RAISED"
    CLEARED = "CLEARED"
    RESUMED = "RESUMED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that stands against trading.

    Attributes
    ----------
    symbols
        Sorted and unique; empty where the cause is about the whole system.
    is_latched
        True exactly for HALT_SYSTEM and STOP_SYSTEM: only an operator leads out of them.
    """

    state: SystemStateName
    reason_code: ReasonCode
    detail: str
    symbols: tuple[str, ...] = ()
    is_latched: bool

    def __post_init__(self) -> None:
        require_codes("Cause.reason_code", (self.reason_code,))
        if type(self.state) is not SystemStateName or self.state is SystemStateName.RUNNING:
            raise ValueError(f"Cause.state must be above RUNNING, was {self.state!r}")
        if self.state < least_state(self.reason_code):
            least = least_state(self.reason_code)
            raise ValueError(f"{self.reason_code} must cause {least} at least, was {self.state}")
        if self.is_latched != self.state.is_latched:
            raise ValueError(f"Cause.is_latched must be {self.state.is_latched} for {self.state}")
        if not self.detail.strip():
            raise ValueError("Cause.detail must say what was found")
        if self.symbols != tuple(sorted(set(self.symbols))):
            raise ValueError(f"Cause.symbols must be sorted and unique, was {self.symbols}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemState:
    """The state of the system and every cause of it, the gravest first."""

    name: SystemStateName
    causes: tuple[Cause, ...]

    def __post_init__(self) -> None:
        gravest = max((cause.state for cause in self.causes), default=SystemStateName.RUNNING)
        if self.name is not gravest:
            raise ValueError(f"SystemState.name must be {gravest} by its causes, was {self.name}")

    @property
    def reason_codes(self) -> tuple[ReasonCode, ...]:
        """The state's own code, then the codes of its causes, each once."""
        codes = [_STATE_CODES[self.name], *(cause.reason_code for cause in self.causes)]
        return tuple(dict.fromkeys(codes))

    @property
    def allows_increase(self) -> bool:
        """Whether an order that adds exposure may be sent."""
        return self.name.allows_increase

    @property
    def allows_reduction(self) -> bool:
        """Whether an order that takes exposure off may be sent."""
        return self.name.allows_reduction

    @property
    def allows_cancel(self) -> bool:
        """Whether a resting order may be cancelled."""
        return self.name.allows_cancel


_STATE_CODES = {
    SystemStateName.RUNNING: ReasonCode.STATE_RUNNING,
    SystemStateName.REDUCE_ONLY: ReasonCode.STATE_REDUCE_ONLY,
    SystemStateName.HALT_SYSTEM: ReasonCode.STATE_HALTED,
    SystemStateName.STOP_SYSTEM: ReasonCode.STATE_STOPPED,
}


def state_code(name: SystemStateName) -> ReasonCode:
    """Give the reason code a decision carries for the state it was made in."""
    return _STATE_CODES[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEvent:
    """One row of a journal chain that moves the state.

    Attributes
    ----------
    sequence
        Of the frame that holds the event, in its own chain.
    heads
        Pairs of chain and sequence: how far the writer had read the other chains. An event acts
        only on what its writer can have seen; a chain not named was not read.
    cause
        What is raised or cleared; None for a resume.
    operator, reason
        Who resumed and why; required of a resume.
    """

    kind: EventKind
    chain: Chain
    sequence: int
    heads: tuple[tuple[Chain, int], ...] = ()
    cause: Cause | None = None
    operator: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if type(self.kind) is not EventKind or type(self.chain) is not Chain:
            raise ValueError(f"an event has a kind and a chain, was {self.kind!r} {self.chain!r}")
        if isinstance(self.sequence, bool) or self.sequence < 0:
            raise ValueError(f"StateEvent.sequence must be >= 0, was {self.sequence!r}")
        if len({chain for chain, _ in self.heads}) != len(self.heads):
            raise ValueError("StateEvent.heads must name each chain once")
        if (self.cause is None) != (self.kind is EventKind.RESUMED):
            raise ValueError(f"a cause is given exactly when raised or cleared, was {self.kind}")
        if self.kind is EventKind.RESUMED:
            self._require_operator()

    def _require_operator(self) -> None:
        if self.chain is not Chain.OPERATOR:
            raise ValueError(f"a resume stands in the operator chain, was {self.chain}")
        for name, text in (("operator", self.operator), ("reason", self.reason)):
            if text is None or not text.strip():
                raise ValueError(f"StateEvent.{name} must be given for a resume")

    def horizon(self, chain: Chain) -> int:
        """Give the last sequence of ``chain`` whose events this one can have seen, -1 for none."""
        if chain is self.chain:
            return self.sequence - 1
        return dict(self.heads).get(chain, -1)
