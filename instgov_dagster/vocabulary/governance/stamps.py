"""The words of the execution order: its seven phases and the stamp each leaves."""

from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum


class Phase(StrEnum):
    """The seven steps of the roadmap's execution order, in order."""

    INGESTION = "ingestion"
    DB_VERIFICATION = "db_verification"
    DATA_GOVERNANCE = "data_governance"
    CAPITAL_COMPETITION = "capital_competition"
    CVAR_RISK_GATES = "cvar_risk_gates"
    EXECUTION_SIMULATION = "execution_simulation"
    LIVE_TRADING = "live_trading"

    @property
    def step(self) -> int:
        """The place of the phase in the order, from 1 to 7."""
        return list(Phase).index(self) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStamp:
    """Proof that a step ran for a date, on which outputs and after which steps.

    Attributes
    ----------
    output_hash
        sha256 over the step's outputs.
    parents
        The ``stamp_hash`` of every earlier step, in order.
    stamp_hash
        sha256 over all the other fields.
    """

    phase: Phase
    asof: date
    output_hash: str
    parents: tuple[str, ...]
    stamp_hash: str

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) and field.name != "parents":
                raise ValueError(f"PhaseStamp.{field.name} must not be empty")

    @property
    def step(self) -> int:
        """The place of the phase in the execution order."""
        return self.phase.step
