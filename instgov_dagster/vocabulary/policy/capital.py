"""Every number the capital wing is run by, with its bounds; nothing is computed here."""

from dataclasses import dataclass, field

from instgov_dagster.vocabulary.bars import ClassTable
from instgov_dagster.vocabulary.capital import ExecutionRegime
from instgov_dagster.vocabulary.checks import check_bounds, number


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveragePolicy:
    """When the forecasts of the tail count as wrong (SPEC 4).

    ``e_limit`` is where the e-process blocks: within one window a correct model reaches it with a
    chance of at most one over it. ``e_max_bet`` bounds its bets, and where expected
    shortfall exceeds value at risk by no more than ``es_var_slack`` no bet is made. A test speaks
    from ``min_outcomes`` on; a p-value below ``significance`` or a Z2 below ``z2_limit`` warns.
    """

    e_limit: float = number(20.0, gt=1.0)
    e_max_bet: float = number(0.5, gt=0.0, lt=1.0)
    es_var_slack: float = number(1e-9, ge=0.0, le=1e-3)
    min_outcomes: int = number(63, ge=2)
    significance: float = number(0.05, gt=0.0, lt=1.0)
    z2_limit: float = number(-0.7, lt=0.0)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CVaRConfig:
    """The tail risk the book may carry (roadmap 5.1) and the scenarios it is measured on.

    ``haircut`` is the share of the limit the auction may use: an optimised book's realised CVaR
    runs above its in-sample one. A scenario's base price is floored at ``base_floor_share`` of the
    median of the trailing ``base_floor_sessions`` closes, because oil has traded below zero.

    Filtered scenarios are scaled by a volatility of weight ``filter_lambda`` that needs
    ``filter_warmup_sessions``, and that never counts as less than ``filter_floor_share`` of its
    median. The stress set is the worst ``stress_sessions`` of a universe of which at least
    ``stress_min_share`` of the symbols must be held; a proxy's beta is ``proxy_min_beta`` or more.
    """

    confidence_level: float = number(0.95, gt=0.5, lt=1.0)
    portfolio_limit: float = number(0.06, gt=0.0, le=1.0)
    marginal_limit: float = number(0.01, gt=0.0, le=1.0)
    scale_on_breach: bool = True
    min_scale_factor: float = number(0.0, ge=0.0, le=1.0)
    horizon_days: int = number(5, ge=1, le=63)
    min_scenarios: int = number(1000, ge=40)
    min_stressed_scenarios: int = number(240, ge=40)
    haircut: float = number(0.85, gt=0.0, le=1.0)
    missing_stress_multiplier: float = number(2.5, ge=1.0)
    base_floor_share: float = number(0.25, ge=0.0, le=1.0)
    base_floor_sessions: int = number(252, ge=1)
    filter_lambda: float = number(0.94, gt=0.0, lt=1.0)
    filter_warmup_sessions: int = number(63, ge=2)
    filter_floor_share: float = number(0.1, ge=0.0, le=1.0)
    stress_sessions: int = number(252, ge=40, le=1260)
    stress_min_share: float = number(0.5, gt=0.0, le=1.0)
    proxy_min_beta: float = number(1.0, ge=0.0, le=10.0)
    coverage: CoveragePolicy = field(default_factory=CoveragePolicy)

    def __post_init__(self) -> None:
        if not isinstance(self.scale_on_breach, bool):
            raise ValueError(
                f"CVaRConfig.scale_on_breach must be a bool, was {self.scale_on_breach!r}"
            )
        check_bounds(self)
        if self.stress_sessions < self.min_stressed_scenarios:
            raise ValueError(
                "CVaRConfig.stress_sessions must be >= min_stressed_scenarios "
                f"({self.min_stressed_scenarios}), was {self.stress_sessions}"
            )


def _check_table(owner: str, table: ClassTable, *, least: float, most: float) -> None:
    for name in ("stocks", "fx", "commodities", "crypto"):
        value = getattr(table, name)
        if not least <= value <= most:
            raise ValueError(f"{owner}.{name} must be in [{least:g}, {most:g}], was {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionPolicy:
    """The auction: its hurdle, its caps, and the tolerances of its solver and its checks.

    ``hurdle`` is lambda, the return required per unit of current CVaR over the same horizon. A
    strategy may grow to ``target_share`` of its cap and is sold by force only above the cap.
    ``impact_chords`` pieces stand for the 3/2 power of the impact, their ends spaced by the
    power ``impact_grading``. ``forced_sale_penalty`` prices selling beyond the participation
    limit, so that it happens only where a cap leaves no other way. Ties are broken by
    ``min(tie_spacing, tie_spacing_total / n_bids)`` a rank. The engine begins with
    ``engine_first_symbols`` symbols and ``engine_band`` scenarios to either side of a tail's edge,
    lets in at most ``engine_batch`` of either in a round, and is built again once its size is
    ``engine_growth`` times what its first answer needed. The search for lambda-star begins with the
    ``ratio_first_symbols`` of the best ratio alone and ``ratio_band`` scenarios to either side.
    """

    hurdle: float = number(0.02, ge=0.0)
    name_cap: float = number(0.05, ge=0.0, le=1.0)
    sector_cap: float = number(0.25, ge=0.0, le=1.0)
    uncapped_sector: str = "UNKNOWN"
    class_caps: ClassTable = field(
        default_factory=lambda: ClassTable(stocks=0.80, fx=0.50, commodities=0.30, crypto=0.10)
    )
    participation: float = number(0.10, gt=0.0, le=1.0)
    target_share: float = number(0.95, gt=0.0, le=1.0)
    correlation_weight: float = number(0.25, ge=0.0, le=1.0)
    impact_reference_size: float = number(0.01, gt=0.0, le=1.0)
    impact_chords: int = number(12, ge=8, le=64)
    impact_grading: float = number(2.0, ge=1.0, le=4.0)
    forced_sale_penalty: float = number(1.0, gt=0.0)
    tie_spacing: float = number(1e-8, ge=0.0, le=1e-6)
    tie_spacing_total: float = number(1e-5, ge=0.0, le=1e-3)
    weight_quantum: float = number(1e-10, gt=0.0, le=1e-4)
    quantum_slack: float = number(1e-2, ge=0.0, le=0.1)
    holding_tolerance: float = number(1e-9, ge=0.0, le=1e-6)
    solver_tolerance: float = number(1e-9, ge=1e-10, le=1e-6)
    solver_iterations: int = number(200_000, ge=1000)
    engine_first_symbols: int = number(60, ge=1)
    engine_band: int = number(10, ge=2)
    engine_batch: int = number(120, ge=1)
    engine_growth: float = number(2.5, gt=1.0, le=100.0)
    feasibility_tolerance: float = number(1e-9, gt=0.0, le=1e-6)
    cvar_tolerance: float = number(1e-8, gt=0.0, le=1e-4)
    gap_tolerance: float = number(1e-9, gt=0.0, le=1e-4)
    suboptimal_gap: float = number(1e-5, gt=0.0, le=1e-2)
    price_tolerance: float = number(1e-8, ge=0.0, le=1e-4)
    ratio_gross_bound: float = number(1e4, ge=1.0)
    ratio_first_symbols: int = number(100, ge=1)
    ratio_band: int = number(40, ge=2)

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.uncapped_sector:
            raise ValueError("AuctionPolicy.uncapped_sector must be a non-empty text, was ''")
        _check_table("AuctionPolicy.class_caps", self.class_caps, least=0.0, most=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeTable:
    """One number for each execution regime."""

    calm: float = number(ge=0.0)
    volatile: float = number(ge=0.0)
    crisis: float = number(ge=0.0)

    def __post_init__(self) -> None:
        check_bounds(self)

    def of(self, regime: ExecutionRegime) -> float:
        """Look up the number of one regime."""
        match regime:
            case ExecutionRegime.CALM:
                return self.calm
            case ExecutionRegime.VOLATILE:
                return self.volatile
            case ExecutionRegime.CRISIS:
                return self.crisis


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPolicy:
    """How planned trades become orders.

    ``lots`` is the smallest tradable quantity of each class, in units of the instrument; a
    quantity is rounded toward zero to it. ``crisis_participation`` is the share of daily volume a
    reduction may take in a crisis. ``passive_offset_share`` places a passive limit inside its own
    side of the spread: 0 at the mid, 1 at the touch.
    """

    min_order_usd: float = number(200.0, ge=0.0)
    lots: ClassTable = field(
        default_factory=lambda: ClassTable(
            stocks=0.0001, fx=1.0, commodities=0.0001, crypto=0.000001
        )
    )
    passive_offset_share: float = number(1.0, ge=0.0, le=1.0)
    slices: int = number(4, ge=1, le=100)
    slice_interval_seconds: float = number(900.0, gt=0.0)
    child_cost_step: float = number(0.1, ge=0.0)
    crisis_participation: float = number(0.05, gt=0.0, le=1.0)

    def __post_init__(self) -> None:
        check_bounds(self)
        _check_table("OrderPolicy.lots", self.lots, least=1e-8, most=1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactPolicy:
    """What trading costs (SPEC 6): the square-root law with annual volatility, and the spread.

    With annual volatility the coefficient 0.1 is the square-root law's Y of 0.1 * sqrt(252) = 1.6
    (Toth et al. 2011, Physical Review X 1). The confidence in an estimate is
    ``modelled_spread_confidence`` where no quote gave the spread, and loses
    ``participation_doubt`` of itself at the participation limit.
    """

    temporary_coefficient: float = number(0.1, gt=0.0)
    permanent_share: float = number(0.5, ge=0.0)
    max_participation: float = number(0.10, gt=0.0, le=1.0)
    volatility_sessions: int = number(63, ge=21)
    sessions_per_year: ClassTable = field(
        default_factory=lambda: ClassTable(stocks=252, fx=260, commodities=252, crypto=365)
    )
    spread_sessions: int = number(252, ge=21)
    spread_min_sessions: int = number(21, ge=2)
    spread_floor_bps: ClassTable = field(
        default_factory=lambda: ClassTable(stocks=2.0, fx=1.0, commodities=5.0, crypto=10.0)
    )
    regime_multipliers: RegimeTable = field(
        default_factory=lambda: RegimeTable(calm=1.0, volatile=1.5, crisis=3.0)
    )
    recovery_half_life_hours: float = number(1.0, gt=0.0)
    modelled_spread_confidence: float = number(0.6, ge=0.0, le=1.0)
    participation_doubt: float = number(0.5, ge=0.0, le=1.0)
    orders: OrderPolicy = field(default_factory=OrderPolicy)

    def __post_init__(self) -> None:
        check_bounds(self)
        _check_table("ImpactPolicy.spread_floor_bps", self.spread_floor_bps, least=0.0, most=1e4)
        _check_table("ImpactPolicy.sessions_per_year", self.sessions_per_year, least=1, most=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """The limits of the named gates beside CVaR; drawdown is from the peak, a loss positive.

    ``correlation`` is held against the correlation of horizon returns with the book held, over
    the last ``correlation_sessions`` scenarios.
    """

    leverage: float = number(1.0, gt=0.0, le=10.0)
    drawdown: float = number(0.18, gt=0.0, lt=1.0)
    correlation: float = number(0.9, gt=0.0, le=1.0)
    correlation_sessions: int = number(252, ge=63)
    sector: float = number(0.25, gt=0.0, le=1.0)
    uncapped_sector: str = "UNKNOWN"
    hurdle_tolerance: float = number(1e-12, ge=0.0, le=1e-6)
    limit_tolerance: float = number(1e-9, ge=0.0, le=1e-6)
    passing_share_steps: int = number(30, ge=1, le=60)

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.uncapped_sector:
            raise ValueError("RiskLimits.uncapped_sector must be a non-empty text, was ''")
