"""The words of the capital wing: bids, grants, gates, impact. Numbers are in policy.capital."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from instgov_dagster.vocabulary.audit import OrderSide
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.governance import StrategyLifecycle
from instgov_dagster.vocabulary.reasons import ReasonCode


class AuctionStatus(StrEnum):
    """The step of the ladder an auction ended on, best first."""

    OPTIMAL = "OPTIMAL"
    CERTIFIED_SUBOPTIMAL = "CERTIFIED_SUBOPTIMAL"
    PREVIOUS_SCALED = "PREVIOUS_SCALED"
    NO_TRADE = "NO_TRADE"


class AuctionDecision(StrEnum):
    """What the auction does with one bid."""

    GRANT = "GRANT"
    HOLD = "HOLD"
    REDUCE = "REDUCE"
    LOSE = "LOSE"
    BLOCKED = "BLOCKED"
    VETOED = "VETOED"


class RiskMeasure(StrEnum):
    """The CVaR measures a book is held against."""

    CURRENT = "CURRENT"
    FILTERED = "FILTERED"
    STRESSED = "STRESSED"


class CoverageTest(StrEnum):
    """How the forecasts of the tail are held against what came (SPEC 4)."""

    E_PROCESS = "e_process"
    KUPIEC = "kupiec"
    CHRISTOFFERSEN = "christoffersen"
    ACERBI_SZEKELY = "acerbi_szekely"


class ExecutionRegime(StrEnum):
    """How the market is traded (roadmap 8.1)."""

    CALM = "CALM"
    VOLATILE = "VOLATILE"
    CRISIS = "CRISIS"


class OrderStyle(StrEnum):
    """How an order rests in the market."""

    PASSIVE_LIMIT = "PASSIVE_LIMIT"
    SLICED = "SLICED"


def _require_text(owner: str, field: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{owner}.{field} must be a non-empty text, was {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CapitalAuctionInput:
    """One bid for capital: one strategy on one symbol (roadmap 4.1, every field).

    Returns are fractions over ``holding_period_days`` sessions, a loss positive; ``mu`` is what
    the models expect after the disagreement penalty and before every other penalty.
    ``liquidity_cost_bps`` is half the spread; ``market_impact_bps`` is the temporary and permanent
    impact of a trade of one percent of net asset value; ``adv_usd`` 0 says volume is unknown.
    ``rolling_forecast_error`` is a ratio to the reference window's; ``sector_exposure`` is the
    current gross of the bid's sector over net asset value, ``strategy_allocation_pct`` that of its
    strategy in percent.

    Raises
    ------
    ValueError
        Naming the field, what it must be and the value it had: a bid that carries NaN, an
        infinity or an impossible number cannot exist.
    """

    symbol: str
    asset_class: AssetClass
    mu: float = number(ge=-1.0, le=1.0)
    sigma: float = number(gt=0.0, le=10.0)
    cvar_95: float = number(ge=-10.0, le=10.0)
    marginal_cvar: float = number(ge=-10.0, le=10.0)
    p_loss: float = number(ge=0.0, le=1.0)
    data_quality_score: float = number(ge=0.0, le=1.0)
    history_days: int = number(ge=0)
    provider_confidence: float = number(ge=0.0, le=1.0)
    adv_usd: float = number(ge=0.0)
    liquidity_cost_bps: float = number(ge=0.0, le=10_000.0)
    market_impact_bps: float = number(ge=0.0)
    correlation_risk: float = number(ge=-1.0, le=1.0)
    sector_exposure: float = number(ge=0.0)
    holding_period_days: int = number(ge=1)
    time_decay_rate: float = number(ge=0.0)
    model_age_days: int = number(ge=0)
    rolling_forecast_error: float = number(ge=0.0)
    autocorr_flip_detected: bool
    strategy_id: str
    strategy_lifecycle_stage: StrategyLifecycle
    strategy_allocation_pct: float = number(ge=0.0)

    def __post_init__(self) -> None:
        _require_text("CapitalAuctionInput", "symbol", self.symbol)
        _require_text("CapitalAuctionInput", "strategy_id", self.strategy_id)
        wanted: tuple[tuple[str, type], ...] = (
            ("asset_class", AssetClass),
            ("strategy_lifecycle_stage", StrategyLifecycle),
            ("autocorr_flip_detected", bool),
            ("history_days", int),
            ("holding_period_days", int),
            ("model_age_days", int),
        )
        for field, kind in wanted:
            value = getattr(self, field)
            if not isinstance(value, kind):
                raise ValueError(
                    f"CapitalAuctionInput.{field} must be {kind.__name__}, was {value!r}"
                )
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapitalAuctionOutput:
    """What one bid received and why (roadmap 4.2, every field); losers have one as well.

    ``weight``, ``mu_contribution``, ``cvar_contribution`` and ``liquidity_cost`` are fractions of
    net asset value; the penalties are fractions of price taken off ``mu`` and add up, with
    ``provider_penalty``, ``time_decay_penalty`` and the negative part of ``mu``, to
    ``mu - mu_hat``. ``priced_out_bps`` is how far the bid's value lay below the price of the
    capital it needs, 0 for a bid that holds or gains capital.
    """

    symbol: str
    allocated: bool
    weight: float = number(ge=0.0)
    rank: int = number(ge=1)
    decision: AuctionDecision
    reason_codes: tuple[ReasonCode, ...]
    mu_contribution: float = number()
    cvar_contribution: float = number()
    liquidity_cost: float = number(ge=0.0)
    correlation_penalty: float = number(ge=0.0)
    data_quality_penalty: float = number(ge=0.0)
    model_decay_penalty: float = number(ge=0.0)
    vetoed: bool
    veto_reason: ReasonCode | None
    strategy_id: str
    provider_penalty: float = number(ge=0.0)
    time_decay_penalty: float = number(ge=0.0)
    priced_out_bps: float = number(ge=0.0)

    def __post_init__(self) -> None:
        _require_text("CapitalAuctionOutput", "symbol", self.symbol)
        _require_text("CapitalAuctionOutput", "strategy_id", self.strategy_id)
        if not self.reason_codes:
            raise ValueError("CapitalAuctionOutput.reason_codes must hold at least one, was ()")
        if self.vetoed != (self.veto_reason is not None):
            raise ValueError(
                "CapitalAuctionOutput.veto_reason must be set exactly when vetoed, "
                f"was {self.veto_reason!r}"
            )
        if self.allocated != (self.weight > 0.0):
            raise ValueError(
                f"CapitalAuctionOutput.allocated must say weight > 0, was {self.allocated!r}"
            )
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyGrant:
    """What one strategy may hold: its stage's cap and what decay has left of it.

    ``stage_cap`` is the gross fraction of net asset value the stage allows (roadmap 10.5) and
    ``capital_decay`` the share left since the strategy last proved itself (roadmap 0.8).
    """

    strategy_id: str
    stage_cap: float = number(ge=0.0, le=1.0)
    capital_decay: float = number(ge=0.0, le=1.0)

    def __post_init__(self) -> None:
        _require_text("StrategyGrant", "strategy_id", self.strategy_id)
        check_bounds(self)

    @property
    def cap(self) -> float:
        """The gross fraction of net asset value the strategy may hold today."""
        return self.stage_cap * self.capital_decay


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """The answer of one gate: whether it opened, the number it judged, the limit, and why.

    ``None`` in a number says it was not a finite number, which never passes.
    """

    name: str
    passed: bool
    value: float | None
    limit: float | None
    headroom: float | None
    reason_codes: tuple[ReasonCode, ...]

    def __post_init__(self) -> None:
        _require_text("GateResult", "name", self.name)
        if not self.reason_codes:
            raise ValueError("a gate answers with at least one reason code, was ()")
        if self.passed and self.value is None:
            raise ValueError(f"gate {self.name} must not pass on a value that is not finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionImpactEstimate:
    """What a trade is expected to cost (roadmap 8.2, every field), in basis points of its size.

    ``liquidity_decay_rate`` is the rate per hour at which the market recovers from a trade;
    ``confidence`` in [0, 1] falls with the share of daily volume and where the spread is modelled
    and not quoted.
    """

    temporary_impact_bps: float = number(ge=0.0)
    permanent_impact_bps: float = number(ge=0.0)
    spread_cost_bps: float = number(ge=0.0)
    total_cost_bps: float = number(ge=0.0)
    liquidity_decay_rate: float = number(ge=0.0)
    regime: ExecutionRegime
    confidence: float = number(ge=0.0, le=1.0)
    reason_codes: tuple[ReasonCode, ...]

    def __post_init__(self) -> None:
        if not self.reason_codes:
            raise ValueError("ExecutionImpactEstimate.reason_codes must hold at least one, was ()")
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """One order the plan would send; without an impact estimate it cannot exist (roadmap 0.9).

    ``quantity`` is in units of the instrument and unsigned, ``weight_delta`` signed and a fraction
    of net asset value; ``release_after_seconds`` is when the slice is due after the first one.
    """

    sequence: int = number(ge=0)
    symbol: str
    strategy_id: str
    side: OrderSide
    style: OrderStyle
    quantity: Decimal
    weight_delta: float = number()
    notional_usd: float = number(gt=0.0)
    limit_price: float = number(gt=0.0)
    slice_index: int = number(ge=0)
    slice_count: int = number(ge=1)
    release_after_seconds: float = number(ge=0.0)
    impact: ExecutionImpactEstimate
    reason_codes: tuple[ReasonCode, ...]

    def __post_init__(self) -> None:
        _require_text("PlannedOrder", "symbol", self.symbol)
        _require_text("PlannedOrder", "strategy_id", self.strategy_id)
        if not isinstance(self.impact, ExecutionImpactEstimate):
            raise ValueError(f"PlannedOrder.impact must be an estimate, was {self.impact!r}")
        if not self.quantity.is_finite() or self.quantity <= 0:
            raise ValueError(f"PlannedOrder.quantity must be > 0, was {self.quantity}")
        if not self.reason_codes:
            raise ValueError("PlannedOrder.reason_codes must hold at least one, was ()")
        if (self.side is OrderSide.BUY) != (self.weight_delta > 0.0):
            raise ValueError(
                f"PlannedOrder.side must agree with weight_delta, was {self.side} "
                f"{self.weight_delta!r}"
            )
        check_bounds(self)
