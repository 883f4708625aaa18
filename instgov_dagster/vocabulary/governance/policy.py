"""The numbers of governance, each a bounded field whose default is the specification's."""

from dataclasses import dataclass

from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.governance.lifecycle import StrategyLifecycle


@dataclass(frozen=True, slots=True, kw_only=True)
class VetoPolicy:
    """When governance vetoes and for how long (roadmap 9.2).

    Attributes
    ----------
    sticky_sessions
        How long a veto stands unless it is cleared.
    execution_sessions
        Fills of so many sessions are judged together.
    bar_test_min_fills
        A fill outside its bar is impossible, not unlikely: the first one fires.
    decay_min
        A model whose weight has decayed below it may add nothing.
    """

    sticky_sessions: int = number(21, ge=1)
    unexplained_floor_bps: float = number(2.0, gt=0)
    unexplained_mad_multiple: float = number(4.0, gt=0)
    unexplained_sessions: int = number(63, ge=5)
    rank_sessions: int = number(250, ge=10)
    rank_correlation_min: float = number(0.70, ge=-1, le=1)
    bar_test_min_fills: int = number(1, ge=1)
    execution_sessions: int = number(63, ge=1)
    execution_min_fills: int = number(20, ge=2)
    better_than_mid_share: float = number(0.95, gt=0, le=1)
    better_than_mid_p_value: float = number(0.01, gt=0, lt=1)
    slippage_deviation_ratio: float = number(0.1, gt=0, lt=1)
    passive_fill_rate: float = number(0.95, gt=0, le=1)
    passive_markout_bps: float = number(0.0)
    markout_minutes: float = number(5.0, gt=0)
    dependency_share: float = number(0.45, gt=0, le=1)
    stale_gross_share: float = number(0.20, gt=0, le=1)
    wins_sessions: int = number(63, ge=5)
    wins_correlation: float = number(0.70, gt=0, lt=1)
    wins_effective_bets: float = number(2.0, ge=1)
    wins_min_winners: int = number(3, ge=2)
    decay_min: float = number(0.10, ge=0, lt=1)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCaps:
    """The most a strategy may hold in each stage, gross, percent of NAV (roadmap 10.5)."""

    incubating: float = number(2.0, ge=0, le=100)
    scaling: float = number(5.0, ge=0, le=100)
    harvesting: float = number(10.0, ge=0, le=100)
    decommissioned: float = number(0.0, ge=0, le=0)

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.incubating <= self.scaling <= self.harvesting:
            raise ValueError(f"StageCaps must rise with the stage, was {self}")

    def of(self, stage: StrategyLifecycle) -> float:
        """Give the cap of ``stage``, percent of NAV."""
        match stage:
            case StrategyLifecycle.INCUBATING:
                return self.incubating
            case StrategyLifecycle.SCALING:
                return self.scaling
            case StrategyLifecycle.HARVESTING:
                return self.harvesting
            case StrategyLifecycle.DECOMMISSIONED:
                return self.decommissioned


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRules:
    """What a strategy must show to leave INCUBATING and SCALING (roadmap 10.3)."""

    scaling_sessions: int = number(126, ge=2)
    scaling_blocks: int = number(6, ge=1)
    scaling_positive_blocks: int = number(4, ge=1)
    scaling_psr: float = number(0.985, gt=0, lt=1)
    scaling_max_drawdown: float = number(0.10, gt=0, le=1)
    scaling_error_rate: float = number(0.01, ge=0, le=1)
    harvesting_sessions: int = number(252, ge=2)
    harvesting_psr: float = number(0.995, gt=0, lt=1)
    harvesting_dsr: float = number(0.90, gt=0, lt=1)
    harvesting_e_value: float = number(20.0, gt=1)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.scaling_positive_blocks > self.scaling_blocks:
            raise ValueError(
                f"scaling_positive_blocks must be <= {self.scaling_blocks}, "
                f"was {self.scaling_positive_blocks}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecommissionRules:
    """What ends a strategy for good, and when many at once are a halt instead (roadmap 10.3)."""

    drawdown: float = number(0.20, gt=0, le=1)
    psr: float = number(0.02, ge=0, lt=1)
    psr_sessions: int = number(126, ge=2)
    capital_decay: float = number(0.10, ge=0, lt=1)
    vetoes: int = number(3, ge=1)
    veto_sessions: int = number(63, ge=1)
    mass_share: float = number(0.5, gt=0, le=1)
    mass_sessions: int = number(21, ge=1)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecyclePolicy:
    """Stages, looks, proof and decay of capital (roadmap 10.x).

    Attributes
    ----------
    look_sessions
        Transitions are judged every so many sessions only; the tests assume it.
    half_life_sessions
        Capital without proof halves in so many sessions.
    proof_sessions
        A trailing net result of at least zero over them is proof.
    grace_sessions
        The first sessions of a strategy are proof by themselves.
    least_gross
        A session with less capital at work, a fraction of NAV, says nothing about the strategy.
    """

    stage_caps: StageCaps = StageCaps()
    promotion: PromotionRules = PromotionRules()
    decommission: DecommissionRules = DecommissionRules()
    look_sessions: int = number(21, ge=1)
    half_life_sessions: float = number(63.0, gt=0)
    proof_sessions: int = number(63, ge=1)
    grace_sessions: int = number(126, ge=0)
    least_gross: float = number(1e-6, gt=0, lt=1)
    target_volatility_annual: float = number(0.08, gt=0)
    sessions_per_year: int = number(252, ge=200, le=366)
    horizon_sessions: int = number(5, ge=1)
    confidence_level: float = number(0.95, gt=0.5, lt=1)

    def __post_init__(self) -> None:
        check_bounds(self)
