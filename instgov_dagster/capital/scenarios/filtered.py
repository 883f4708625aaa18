"""Filtered-historical scenarios: the past's returns in units of its volatility, at today's."""

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.scenarios.returns import floor_losses, horizon_returns
from instgov_dagster.capital.scenarios.sets import ScenarioMeasure
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode


def conditional_sigmas(prices: NDArray[np.float64], *, config: CVaRConfig) -> NDArray[np.float64]:
    """Estimate each symbol's daily volatility as it was known at each close.

    Exponentially weighted squares of one-session returns; a symbol's first
    ``filter_warmup_sessions`` of them are averaged to start it. A session without a return
    changes nothing.

    Parameters
    ----------
    prices
        Shape ``(n_sessions, n_symbols)``, NaN where nothing was known.

    Returns
    -------
    Shape ``(n_sessions, n_symbols)``, fractions a session; NaN before a symbol has warmed up.

    Notes
    -----
    RiskMetrics (1996): v_t = lambda v_{t-1} + (1 - lambda) r_t^2.
    """
    squares = horizon_returns(prices, sessions=1, config=config) ** 2
    is_seen = np.isfinite(squares)
    count = np.cumsum(is_seen, axis=0)
    warmup = config.filter_warmup_sessions
    share = np.where(count <= warmup, 1.0 / np.maximum(count, 1.0), 1.0 - config.filter_lambda)
    variances = np.zeros(squares.shape)
    variance = np.zeros(prices.shape[1])
    change = np.empty(variance.size)
    whole: list[bool] = np.all(is_seen, axis=1).tolist()
    for t, (square, weight, now) in enumerate(zip(squares, share, variances, strict=True)):
        told = square if whole[t] else np.where(is_seen[t], square, variance)
        np.subtract(told, variance, out=change)
        np.multiply(weight, change, out=change)
        variance = np.add(variance, change, out=now)
    sigmas = np.full(prices.shape, np.nan)
    sigmas[1:] = np.where(count >= warmup, np.sqrt(variances), np.nan)
    return sigmas


def filtered_measure(
    sigmas: NDArray[np.float64],
    asset_classes: tuple[AssetClass, ...],
    current: ScenarioMeasure,
    rows: NDArray[np.intp],
    *,
    config: CVaRConfig,
) -> ScenarioMeasure:
    """Scale every current scenario to today's volatility (SPEC 4).

    A return is divided by its symbol's volatility as known at the close it starts from, and
    multiplied by the volatility known now. A volatility below ``filter_floor_share`` of the
    symbol's median one counts as that much: a stale price must not make a scenario explode.

    Parameters
    ----------
    sigmas
        Shape ``(n_sessions, n_symbols)``, see `conditional_sigmas`, on the sessions the current
        scenarios were cut from.
    asset_classes
        The class of each column.
    current
        The current measure.
    rows
        The session each of its scenarios ends on, shape ``(n_scenarios,)``.

    Raises
    ------
    DataRejected
        ``TOO_FEW_SCENARIOS`` below ``min_scenarios`` of them once volatility has warmed up.

    Notes
    -----
    Barone-Adesi, Giannopoulos and Vosper (1999), Journal of Futures Markets 19: filtered
    historical simulation, here on overlapping returns over the horizon.
    """
    starts = rows - config.horizon_days
    warm = np.flatnonzero(np.isfinite(sigmas[starts]).all(axis=1))
    if warm.size < config.min_scenarios:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS,
            f"{warm.size} filtered rows of {config.min_scenarios}",
        )
    then, today = sigmas[starts[warm]], sigmas[-1]
    least = config.filter_floor_share * np.median(then, axis=0)
    moves = least > 0.0
    ratio = np.ones_like(then)
    floored = np.maximum(then[:, moves], least[moves])
    ratio[:, moves] = np.maximum(today[moves], least[moves]) / floored
    return ScenarioMeasure(
        name=RiskMeasure.FILTERED,
        end_dates=current.end_dates[warm],
        returns=np.ascontiguousarray(floor_losses(current.returns[warm] * ratio, asset_classes)),
        multiplier=1.0,
        reason_codes=(),
    )
