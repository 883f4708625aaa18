"""What a path of net asset value and a record of forecasts say: the numbers a risk officer asks."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.panel import PricePanel
from instgov_dagster.capital.coverage import (
    CoverageOutcomes,
    CoverageVerdict,
    e_statistics,
    interleaved_e_process,
    judge_coverage,
)
from instgov_dagster.governance.lifecycle.metrics import (
    deflated_sharpe,
    probabilistic_sharpe,
    sharpe_ratio,
    trials_deviation,
)
from instgov_dagster.loop.steps.coverage import HeldReturns, realised_outcomes
from instgov_dagster.vocabulary.policy.capital import CVaRConfig

Floats = NDArray[np.float64]
_WEEK: Final = 5
_YEAR: Final = 252


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMeasures:
    """One path of net asset value in numbers; losses positive, fractions of the value before.

    Attributes
    ----------
    sharpe_annual, sharpe_error
        Mean over deviation of the sessions' returns, annualised, and its standard error.
    psr, dsr
        The chance that the true ratio is above zero, alone and given every trial made.
    """

    n: int
    total_return: float
    volatility_annual: float
    max_drawdown: float
    worst_5d_loss: float
    sharpe_annual: float | None
    sharpe_error: float | None
    psr: float | None
    dsr: float | None
    trials: int


def worst_loss(nav: Floats, *, sessions: int) -> float:
    """Give the largest loss over so many sessions, 0 where there was none or the path is short."""
    if nav.size <= sessions:
        return 0.0
    return max(0.0, float((1.0 - nav[sessions:] / nav[:-sessions]).max()))


def max_drawdown(nav: Floats) -> float:
    """Give the largest fall from the highest value before it."""
    return float((1.0 - nav / np.maximum.accumulate(nav)).max(initial=0.0))


def measure_path(nav: Floats, *, trials: int) -> PathMeasures:
    """Measure a path.

    Parameters
    ----------
    nav
        Shape ``(n + 1,)``, positive: the value it began with, then one a session.
    trials
        Variants that were tried, this one among them.

    Raises
    ------
    ValueError
        If a value is not positive and finite.

    Notes
    -----
    The standard error is Lo's (2002), Financial Analysts Journal 58, with Mertens' correction for
    skewness and kurtosis; PSR and DSR are those of the lifecycle (Bailey and Lopez de Prado 2014).
    """
    if nav.size == 0 or not (np.isfinite(nav).all() and (nav > 0.0).all()):
        raise ValueError("nav must be finite and > 0 on every session")
    returns = nav[1:] / nav[:-1] - 1.0
    ratio = sharpe_ratio(returns) if returns.size > 1 else None
    deviation = trials_deviation(np.array([] if ratio is None else [ratio]), max(returns.size, 1))
    return PathMeasures(
        n=int(returns.size),
        total_return=float(nav[-1] / nav[0] - 1.0),
        volatility_annual=float(returns.std(ddof=1) * np.sqrt(_YEAR)) if returns.size > 1 else 0.0,
        max_drawdown=max_drawdown(nav),
        worst_5d_loss=worst_loss(nav, sessions=_WEEK),
        sharpe_annual=None if ratio is None else float(ratio * np.sqrt(_YEAR)),
        sharpe_error=None if ratio is None else _sharpe_error(returns, ratio),
        psr=probabilistic_sharpe(returns) if ratio is not None else None,
        dsr=deflated_sharpe(returns, trials, deviation) if ratio is not None else None,
        trials=trials,
    )


def _sharpe_error(returns: Floats, ratio: float) -> float:
    z = (returns - returns.mean()) / returns.std()
    skew, kurtosis = float((z**3).mean()), float((z**4).mean())
    variance = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    return float(np.sqrt(max(variance, 0.0) / returns.size * _YEAR))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """What came of the forecasts of the whole book's tail.

    Attributes
    ----------
    e_path
        The mean of the interleaved e-processes after each outcome.
    breaches
        One row an outcome whose loss exceeded its value at risk.
    """

    outcomes: CoverageOutcomes
    verdicts: tuple[CoverageVerdict, ...]
    e_path: Floats
    breaches: pl.DataFrame

    @property
    def cvar_exceedance_rate(self) -> float | None:
        """The share of realised losses beyond the CVaR forecast for them."""
        found = self.outcomes
        return float((found.losses > found.cvar).mean()) if found.losses.size else None

    def value(self, test: str) -> float | None:
        """Give what one test says over the whole walk."""
        return next((v.value for v in self.verdicts if v.test.value == test), None)


def cover_walk(
    forecasts: pl.DataFrame, panel: PricePanel, *, asof: date, config: CVaRConfig
) -> Coverage:
    """Hold every forecast of a walk against what came of it.

    Parameters
    ----------
    forecasts
        `PAST_FORECASTS` of the whole book.
    panel
        Prices of the whole span, every symbol that was held.
    asof
        The day after the walk.
    """
    outcomes = realised_outcomes(forecasts, HeldReturns(panel, config=config))
    statistics = e_statistics(
        outcomes,
        probability=1.0 - config.confidence_level,
        slack=config.coverage.es_var_slack,
    )
    path = interleaved_e_process(
        statistics,
        outcomes.places,
        lanes=config.horizon_days,
        max_bet=config.coverage.e_max_bet,
    )
    exceeded = outcomes.exceeded
    breaches = pl.DataFrame(
        {
            "horizon_end": outcomes.ends[exceeded].astype("datetime64[D]"),
            "loss": outcomes.losses[exceeded],
            "value_at_risk": outcomes.value_at_risk[exceeded],
            "cvar": outcomes.cvar[exceeded],
            "e_value": path[exceeded],
        }
    )
    return Coverage(
        outcomes=outcomes,
        verdicts=judge_coverage(outcomes, asof=asof, config=config),
        e_path=path,
        breaches=breaches,
    )


def state_days(sessions: pl.DataFrame, state: str) -> int:
    """Count the sessions that ended in a state."""
    return int((sessions["state"] == state).sum())


def plain(measures: PathMeasures) -> dict[str, Any]:
    """Give the three numbers every benchmark is compared by."""
    return {
        "total_return": measures.total_return,
        "max_drawdown": measures.max_drawdown,
        "worst_5d_loss": measures.worst_5d_loss,
    }
