"""What the beliefs wing says: regimes, forecasts and model health; no computation lives here."""

import math
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.reasons import ReasonCode

SUM_TOLERANCE = 1e-12  # the promise of SPEC 2: probabilities sum to one within this
RATIO_TOLERANCE = 1e-9  # room for rounding where one field bounds another


class Regime(StrEnum):
    """The three market states, from calm to worst; the order is the order of every matrix."""

    NORMAL = "NORMAL"
    VOLATILE = "VOLATILE"
    CRISIS = "CRISIS"


def _require_distribution(name: str, values: tuple[float, ...]) -> None:
    if len(values) != len(Regime):
        raise ValueError(f"{name} must have {len(Regime)} entries, had {len(values)}")
    # "not (a and b)" refuses NaN as well, which fails every comparison
    if not all(0.0 <= value <= 1.0 for value in values):
        raise ValueError(f"{name} must lie within [0, 1], was {values!r}")
    total = math.fsum(values)
    if not abs(total - 1.0) <= SUM_TOLERANCE:
        raise ValueError(f"{name} must sum to 1 within {SUM_TOLERANCE:g}, was {total!r}")


def _require_finite_or_absent(name: str, value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number or None, was {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeProbabilityState:
    """What is believed about the regime today and five sessions ahead (roadmap 7.1).

    Notes
    -----
    The ``p_*_5d`` are the state probabilities at the end of the horizon; ``p_hit_crisis_5d`` is
    the chance of being in CRISIS on any of its sessions. An observation is ``None`` where the
    history held is too short for it or its input is missing; it is never NaN.
    ``transition_matrix`` rows and columns follow :class:`Regime`.
    """

    p_normal_5d: float = number(ge=0, le=1)
    p_volatile_5d: float = number(ge=0, le=1)
    p_crisis_5d: float = number(ge=0, le=1)
    p_hit_crisis_5d: float = number(ge=0, le=1)
    current_belief_normal: float = number(ge=0, le=1)
    current_belief_volatile: float = number(ge=0, le=1)
    current_belief_crisis: float = number(ge=0, le=1)
    spy_ma200_position: float | None
    volatility_percentile: float | None
    vix_level: float | None
    correlation_spike: float | None
    transition_matrix: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        check_bounds(self)
        _require_distribution("current belief", self.belief)
        _require_distribution("belief in five sessions", self.belief_5d)
        if len(self.transition_matrix) != len(Regime):
            raise ValueError(
                f"transition_matrix must have {len(Regime)} rows, had {len(self.transition_matrix)}"
            )
        for regime, row in zip(Regime, self.transition_matrix, strict=True):
            _require_distribution(f"transition_matrix row {regime}", row)
        for name in (
            "spy_ma200_position",
            "volatility_percentile",
            "vix_level",
            "correlation_spike",
        ):
            _require_finite_or_absent(name, getattr(self, name))
        if self.volatility_percentile is not None and not 0 <= self.volatility_percentile <= 1:
            raise ValueError(
                f"volatility_percentile must lie within [0, 1], was {self.volatility_percentile!r}"
            )
        if self.vix_level is not None and self.vix_level <= 0:
            raise ValueError(f"vix_level must be > 0, was {self.vix_level!r}")
        # crisis at the horizon's end is one way of being in crisis on some day of it
        if self.p_hit_crisis_5d < self.p_crisis_5d - RATIO_TOLERANCE:
            raise ValueError(
                "p_hit_crisis_5d must be >= p_crisis_5d, "
                f"was {self.p_hit_crisis_5d!r} < {self.p_crisis_5d!r}"
            )

    @property
    def belief(self) -> tuple[float, float, float]:
        """The filtered probabilities of today, in the order of :class:`Regime`."""
        return (
            self.current_belief_normal,
            self.current_belief_volatile,
            self.current_belief_crisis,
        )

    @property
    def belief_5d(self) -> tuple[float, float, float]:
        """The state probabilities at the horizon's end, in the order of :class:`Regime`."""
        return (self.p_normal_5d, self.p_volatile_5d, self.p_crisis_5d)

    @property
    def regime(self) -> Regime:
        """The most probable regime of today; a tie goes to the worse one."""
        order = tuple(Regime)
        return order[max(range(len(order)), key=lambda i: (self.belief[i], i))]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForecast:
    """One model's predictive law of one symbol's return over the horizon (roadmap 6.5).

    Notes
    -----
    Every number is a fraction of the price over ``horizon_days`` sessions, before costs; a loss
    is positive in ``cvar_95`` and ``p_loss`` is the chance of a return below zero.
    """

    symbol: str
    model_id: str
    mu: float = number()
    sigma: float = number(gt=0)
    p_loss: float = number(ge=0, le=1)
    cvar_95: float = number()
    lower_95: float = number()
    upper_95: float = number()
    horizon_days: int = number(ge=1)
    forecast_session: date

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.symbol or not self.model_id:
            raise ValueError("a forecast must name its symbol and its model")
        if not self.lower_95 <= self.mu <= self.upper_95:
            raise ValueError(
                f"mu must lie within its interval [{self.lower_95!r}, {self.upper_95!r}], "
                f"was {self.mu!r}"
            )
        # the mean loss of the worst 5 % cannot be smaller than the mean loss
        if self.cvar_95 < -self.mu - RATIO_TOLERANCE:
            raise ValueError(f"cvar_95 must be >= -mu, was {self.cvar_95!r} with mu {self.mu!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHealthMetrics:
    """How far one model may be trusted on one symbol today (roadmap 6.1).

    Notes
    -----
    ``mu``, ``sigma``, ``cvar_95`` and ``mu_adjusted`` are per horizon. ``model_age_days`` counts
    from the last validation pass. ``final_decay_factor`` never exceeds any factor it is made of.
    """

    mu: float = number()
    sigma: float = number(gt=0)
    p_loss: float = number(ge=0, le=1)
    cvar_95: float = number()
    confidence: float = number(ge=0, le=1)
    model_disagreement_var: float = number(ge=0)
    disagreement_penalty: float = number(ge=0, le=1)
    mu_adjusted: float = number()
    model_age_days: int = number(ge=0)
    rolling_forecast_error: float = number(ge=0)
    autocorr_flip_detected: bool
    age_decay_factor: float = number(ge=0, le=1)
    error_decay_factor: float = number(ge=0, le=1)
    final_decay_factor: float = number(ge=0, le=1)
    reason_codes: tuple[ReasonCode, ...]

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.reason_codes:
            raise ValueError("model health must state at least one reason code")
        ceiling = self.age_decay_factor * self.error_decay_factor
        if self.final_decay_factor > ceiling + RATIO_TOLERANCE:
            raise ValueError(
                f"final_decay_factor must be <= age x error = {ceiling!r}, "
                f"was {self.final_decay_factor!r}"
            )
        if self.confidence > self.final_decay_factor + RATIO_TOLERANCE:
            raise ValueError(
                f"confidence must be <= final_decay_factor = {self.final_decay_factor!r}, "
                f"was {self.confidence!r}"
            )
        if self.mu_adjusted > max(self.mu, 0.0) + RATIO_TOLERANCE:
            raise ValueError(
                f"mu_adjusted must be <= max(mu, 0) = {max(self.mu, 0.0)!r}, "
                f"was {self.mu_adjusted!r}"
            )
