"""The tail risk of one book on every measure, and the scaling of a book in breach."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.cvar import (
    book_losses,
    breach_scale,
    cvar,
    cvar_standard_error,
)
from instgov_dagster.capital.scenarios import ScenarioSet
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRisk:
    """The CVaR of one book on every measure, fractions of net asset value.

    ``gate`` is the largest measure and the number the portfolio limit is held against; every
    number is NaN where the book or a scenario was not finite, and no gate opens on NaN.
    """

    measures: tuple[tuple[RiskMeasure, float], ...]
    gate: float
    standard_error: float
    n_scenarios: int
    reason_codes: tuple[ReasonCode, ...]

    @property
    def current(self) -> float:
        """CVaR on the current scenarios."""
        return self.of(RiskMeasure.CURRENT)

    @property
    def stressed(self) -> float:
        """CVaR on the stressed scenarios, or the multiplied current one."""
        return self.of(RiskMeasure.STRESSED)

    def of(self, name: RiskMeasure) -> float:
        """Look up one measure; NaN where it was not taken."""
        return dict(self.measures).get(name, math.nan)

    @property
    def is_finite(self) -> bool:
        """Whether every measure is a number."""
        return math.isfinite(self.gate) and all(math.isfinite(v) for _, v in self.measures)


def take_measures(
    weights: NDArray[np.float64], scenarios: ScenarioSet, *, confidence_level: float
) -> tuple[tuple[RiskMeasure, float], ...]:
    """Measure a book on every set of scenarios; a multiplied measure acts on max(CVaR, 0).

    Parameters
    ----------
    weights
        Shape ``(n_symbols,)``, fractions of net asset value.
    confidence_level
        Tail level alpha in (0, 1).

    Raises
    ------
    ValueError
        If shapes disagree or a number is not finite.
    """
    plain: dict[int, float] = {}
    taken = []
    for measure in scenarios.measures:
        key = id(measure.returns)
        if key not in plain:
            losses = book_losses(measure.returns, weights)
            plain[key] = cvar(losses, confidence_level=confidence_level)
        value = plain[key]
        if measure.multiplier != 1.0:
            value = measure.multiplier * max(value, 0.0)
        taken.append((measure.name, value))
    return tuple(taken)


def measure_book(
    weights: NDArray[np.float64], scenarios: ScenarioSet, *, config: CVaRConfig
) -> BookRisk:
    """Measure a book on every measure (SPEC 4); the gate number is the largest.

    Parameters
    ----------
    weights
        Shape ``(n_symbols,)`` in the order of ``scenarios.symbols``, fractions of net asset value.

    Returns
    -------
    The measures; all NaN with ``RISK_NOT_FINITE`` where a number was not finite.

    Raises
    ------
    ValueError
        If the number of weights is not the number of symbols.
    """
    if weights.shape != (len(scenarios.symbols),):
        raise ValueError(f"weights must have {len(scenarios.symbols)} rows, was {weights.shape}")
    n_scenarios = scenarios.current.returns.shape[0]
    if not np.isfinite(weights).all() or not all(m.is_finite for m in scenarios.measures):
        return BookRisk(
            measures=tuple((measure.name, math.nan) for measure in scenarios.measures),
            gate=math.nan,
            standard_error=math.nan,
            n_scenarios=n_scenarios,
            reason_codes=(ReasonCode.RISK_NOT_FINITE,),
        )
    level = config.confidence_level
    taken = take_measures(weights, scenarios, confidence_level=level)
    gate = max(value for _, value in taken)
    codes = [code for measure in scenarios.measures for code in measure.reason_codes]
    is_breach = gate > config.portfolio_limit
    codes.append(ReasonCode.PORTFOLIO_CVAR_BREACH if is_breach else ReasonCode.CVAR_WITHIN_LIMITS)
    return BookRisk(
        measures=taken,
        gate=gate,
        standard_error=cvar_standard_error(
            book_losses(scenarios.current.returns, weights),
            confidence_level=level,
            overlap_sessions=config.horizon_days,
        ),
        n_scenarios=n_scenarios,
        reason_codes=tuple(dict.fromkeys(codes)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaledBook:
    """A book after breach scaling: every weight times one factor in [0, 1]."""

    weights: NDArray[np.float64]
    scale: float
    reason_codes: tuple[ReasonCode, ...]


def scale_book(
    weights: NDArray[np.float64], scenarios: ScenarioSet, *, config: CVaRConfig
) -> ScaledBook:
    """Scale every position of a book in breach by min(1, limit / CVaR) (roadmap 5.5).

    No weight ever grows and none changes sign; a book within its limit, or one whose tail gains,
    is returned as it is.

    Parameters
    ----------
    weights
        Shape ``(n_symbols,)`` in the order of ``scenarios.symbols``.

    Raises
    ------
    DataRejected
        ``RISK_NOT_FINITE`` where the book cannot be measured; ``CVAR_SCALE_REFUSED`` (a HALT)
        where scaling is switched off or would go below ``min_scale_factor``.
    """
    risk = measure_book(weights, scenarios, config=config)
    if not risk.is_finite:
        raise DataRejected(ReasonCode.RISK_NOT_FINITE, "the book's CVaR cannot be measured")
    scale = breach_scale(risk.gate, config.portfolio_limit)
    if scale >= 1.0:
        return ScaledBook(weights=weights, scale=1.0, reason_codes=(ReasonCode.CVAR_WITHIN_LIMITS,))
    if not config.scale_on_breach or scale < config.min_scale_factor:
        raise DataRejected(
            ReasonCode.CVAR_SCALE_REFUSED,
            f"CVaR {risk.gate:.6f} of {config.portfolio_limit:g} needs a factor of {scale:.6f}, "
            f"least {config.min_scale_factor:g}, scaling {config.scale_on_breach}",
        )
    return ScaledBook(
        weights=weights * scale, scale=scale, reason_codes=(ReasonCode.CVAR_BREACH_SCALED,)
    )
