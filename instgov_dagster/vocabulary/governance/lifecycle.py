"""The words of a strategy's life: its stages and where it stands (roadmap 10.1, 10.2)."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.governance.requirements import require_codes, require_finite
from instgov_dagster.vocabulary.reasons import ReasonCode


class StrategyLifecycle(StrEnum):
    """The stage of a strategy (roadmap 10.1); the last one is terminal."""

    INCUBATING = "INCUBATING"
    SCALING = "SCALING"
    HARVESTING = "HARVESTING"
    DECOMMISSIONED = "DECOMMISSIONED"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyLifecycleState:
    """Where one strategy stands and what it has earned (roadmap 10.2, every field by its name).

    Attributes
    ----------
    max_capital_pct
        The stage's cap on gross, percent of NAV, before decay.
    total_return, max_drawdown
        Of the net return per unit of deployed gross, scaled to the target volatility; fractions,
        a drawdown positive.
    sharpe_rolling
        Annualised, over the trailing proof window; None where it cannot be measured.
    profit_factor
        Gains over losses; None before the first loss.
    decay_rate
        ln 2 over the half-life, per session.
    capital_decay
        2 to the minus ``sessions_since_proof`` over the half-life, in [0, 1].
    sessions, deployed_sessions
        Sessions since the start, and those of them with capital at work.
    psr_min_sessions, dsr_min_sessions
        The minimum track record beside each figure: deployed sessions from which it would pass its
        promotion if its moments stayed as they are; None where no length would do.
    looked_at_session
        Value of ``sessions`` at the last look; transitions happen at looks only.
    """

    strategy_id: str
    stage: StrategyLifecycle
    max_capital_pct: float = number(ge=0, le=100)
    total_return: float = number(ge=-1)
    sharpe_rolling: float | None
    max_drawdown: float = number(ge=0)
    profit_factor: float | None
    signal_stale_hours: float = number(ge=0)
    error_rate: float = number(ge=0, le=1)
    last_profit_date: date | None
    decay_rate: float = number(gt=0)
    start_date: date
    capital_decay: float = number(ge=0, le=1)
    sessions_since_proof: int = number(ge=0)
    sessions: int = number(ge=0)
    deployed_sessions: int = number(ge=0)
    looked_at_session: int = number(ge=0)
    psr: float | None
    psr_min_sessions: float | None
    dsr: float | None
    dsr_min_sessions: float | None
    reason_codes: tuple[ReasonCode, ...]

    def __post_init__(self) -> None:
        if not self.strategy_id:
            raise ValueError("StrategyLifecycleState.strategy_id must not be empty")
        check_bounds(self)
        require_codes("StrategyLifecycleState.reason_codes", self.reason_codes)
        optional = (
            "sharpe_rolling",
            "profit_factor",
            "psr",
            "psr_min_sessions",
            "dsr",
            "dsr_min_sessions",
        )
        require_finite("StrategyLifecycleState", ((f, getattr(self, f)) for f in optional))
        if self.stage is StrategyLifecycle.DECOMMISSIONED and self.max_capital_pct != 0:
            raise ValueError(f"a decommissioned strategy holds 0 %, was {self.max_capital_pct!r}")

    @property
    def stage_cap(self) -> float:
        """The stage's cap before decay, a fraction of NAV."""
        return self.max_capital_pct / 100.0

    @property
    def capital_pct(self) -> float:
        """The cap in force tonight: the stage's, decayed; percent of NAV."""
        return self.max_capital_pct * self.capital_decay

    @property
    def capital_cap(self) -> float:
        """The cap in force tonight as a fraction of NAV."""
        return self.capital_pct / 100.0
