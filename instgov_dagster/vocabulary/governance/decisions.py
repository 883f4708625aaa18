"""The words of a decision: its verb, the gates it names, the decision itself."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from instgov_dagster.vocabulary.governance.lifecycle import StrategyLifecycle
from instgov_dagster.vocabulary.governance.requirements import (
    require_codes,
    require_finite,
    require_utc,
)
from instgov_dagster.vocabulary.reasons import ReasonCode


class Decision(StrEnum):
    """The verb of one decision: one a symbol a cycle, on the net (roadmap 9.1)."""

    EXECUTE = "EXECUTE"
    REDUCE = "REDUCE"
    HOLD = "HOLD"
    REJECT = "REJECT"
    VETO = "VETO"
    INELIGIBLE = "INELIGIBLE"

    @property
    def is_tradable(self) -> bool:
        """Whether an order may follow from the decision."""
        return self in (Decision.EXECUTE, Decision.REDUCE)


class Gate(StrEnum):
    """The gates a decision names one by one (roadmap 9.1, ``*_limit_check``)."""

    CVAR = "cvar"
    LEVERAGE = "leverage"
    DRAWDOWN = "drawdown"
    CORRELATION = "correlation"
    SECTOR = "sector"


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceDecision:
    """What was decided about one symbol, and why (roadmap 9.1, every field by its name).

    Attributes
    ----------
    mu, sigma, cvar
        Expected return, its deviation and CVaR per decision horizon, fractions of the position.
    data_quality, model_confidence
        In [0, 1].
    position_size
        The weight of NAV the symbol has once the decision is carried out.
    expected_return, expected_risk
        ``mu`` and ``cvar`` of that position, fractions of NAV.
    headroom
        Pairs of gate and headroom; ``passing_size`` names the size that would have passed.
    """

    decision: Decision
    reason_codes: tuple[ReasonCode, ...]
    mu: float
    sigma: float
    cvar: float
    data_quality: float
    model_confidence: float
    vetoed: bool = False
    veto_reason: ReasonCode | None = None
    cycle_id: str | None = None
    timestamp: datetime | None = None
    symbol: str | None = None
    position_size: float | None = None
    expected_return: float | None = None
    expected_risk: float | None = None
    strategy_id: str | None = None
    strategy_stage: StrategyLifecycle | None = None
    cvar_limit_check: bool | None = None
    leverage_limit_check: bool | None = None
    drawdown_limit_check: bool | None = None
    correlation_limit_check: bool | None = None
    sector_limit_check: bool | None = None
    veto_triggers: tuple[ReasonCode, ...] = ()
    headroom: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.decision, Decision):
            raise ValueError(f"GovernanceDecision.decision must be a Decision, was {self.decision}")
        require_codes("GovernanceDecision.reason_codes", self.reason_codes)
        self._require_numbers()
        self._require_veto()
        if self.decision is Decision.EXECUTE and False in self.limit_checks:
            raise ValueError("EXECUTE must not stand beside a failed limit check")
        if self.timestamp is not None:
            require_utc("GovernanceDecision.timestamp", self.timestamp)

    @property
    def limit_checks(self) -> tuple[bool | None, ...]:
        """The five named checks, in the order of `Gate`."""
        return (
            self.cvar_limit_check,
            self.leverage_limit_check,
            self.drawdown_limit_check,
            self.correlation_limit_check,
            self.sector_limit_check,
        )

    def _require_numbers(self) -> None:
        name = "GovernanceDecision"
        numbers = (
            ("mu", self.mu),
            ("sigma", self.sigma),
            ("cvar", self.cvar),
            ("position_size", self.position_size),
            ("expected_return", self.expected_return),
            ("expected_risk", self.expected_risk),
        )
        # A finite sum has finite terms; only where it is not are they looked at one by one.
        values = (value for _, value in (*numbers, *self.headroom) if value is not None)
        if not math.isfinite(sum(values)):
            require_finite(name, numbers)
            require_finite(f"{name}.headroom", self.headroom)
        if self.sigma < 0:
            raise ValueError(f"{name}.sigma must be >= 0, was {self.sigma!r}")
        for field, share in (
            ("data_quality", self.data_quality),
            ("model_confidence", self.model_confidence),
        ):
            if not 0.0 <= share <= 1.0:  # NaN fails this as well
                raise ValueError(f"{name}.{field} must be in [0, 1], was {share!r}")

    def _require_veto(self) -> None:
        if self.vetoed != (self.decision is Decision.VETO):
            raise ValueError(f"vetoed must be True exactly for VETO, was {self.decision}")
        if self.vetoed != (self.veto_reason is not None):
            raise ValueError(f"veto_reason must be given exactly when vetoed, was {self.vetoed}")
        if self.vetoed and self.veto_reason not in self.veto_triggers:
            raise ValueError(f"veto_triggers must hold {self.veto_reason}")
