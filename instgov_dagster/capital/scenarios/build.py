"""The night's whole set: current, filtered and stressed scenarios, or what stands in for them."""

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.scenarios.filtered import conditional_sigmas, filtered_measure
from instgov_dagster.capital.scenarios.returns import scenario_returns
from instgov_dagster.capital.scenarios.sets import ScenarioMeasure, ScenarioSet
from instgov_dagster.capital.scenarios.stress import HeldPrices, stressed_measure
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode


def build_scenarios(
    dates: NDArray[np.datetime64],
    symbols: tuple[str, ...],
    asset_classes: tuple[AssetClass, ...],
    prices: NDArray[np.float64],
    *,
    config: CVaRConfig,
    held: HeldPrices | None = None,
) -> ScenarioSet:
    """Build the night's scenario set from closes: current, filtered-historical and stressed.

    Without a stress set the stressed measure is ``missing_stress_multiplier`` times the current
    one and says ``STRESS_SET_MISSING``.

    Parameters
    ----------
    dates
        Shape ``(n_sessions,)``.
    symbols, asset_classes
        The name and the class of each column.
    prices
        Shape ``(n_sessions, n_symbols)``, NaN where nothing was known.
    held
        All that is held of the same symbols, before the window too; ``None`` has no stress set.

    Raises
    ------
    ValueError, DataRejected
        As `scenario_returns`, `filtered_measure` and `stressed_measure`.
    """
    if dates.shape != (prices.shape[0],) or len(symbols) != prices.shape[1]:
        raise ValueError(
            f"prices must be {dates.size} x {len(symbols)}, was {prices.shape[0]} x "
            f"{prices.shape[1]}"
        )
    returns, rows = scenario_returns(prices, asset_classes, config=config)
    current = current_measure(dates[rows].astype("datetime64[D]"), returns, config=config)
    sigmas = _sigmas(dates, prices, held, config)
    filtered = filtered_measure(sigmas, asset_classes, current, rows, config=config)
    stressed = None
    if held is not None:
        stressed = stressed_measure(held, symbols, asset_classes, current, config=config)
    stressed = stressed or missing_stress(current, config=config)
    return ScenarioSet(symbols=symbols, measures=(current, filtered, stressed))


def _sigmas(
    dates: NDArray[np.datetime64],
    prices: NDArray[np.float64],
    held: HeldPrices | None,
    config: CVaRConfig,
) -> NDArray[np.float64]:
    # Longer history warms volatility up before the window begins: no scenario is lost to it.
    if held is None:
        return conditional_sigmas(prices, config=config)
    if not np.array_equal(held.dates[-dates.size :], dates):
        raise ValueError("held must end on the sessions of the window")
    return conditional_sigmas(held.prices, config=config)[-dates.size :]


def current_measure(
    end_dates: NDArray[np.datetime64], returns: NDArray[np.float64], *, config: CVaRConfig
) -> ScenarioMeasure:
    """Hold returns as the current measure.

    Parameters
    ----------
    end_dates
        Shape ``(n_scenarios,)``.
    returns
        Shape ``(n_scenarios, n_symbols)``.

    Raises
    ------
    DataRejected
        ``TOO_FEW_SCENARIOS`` below ``min_scenarios`` rows.
    """
    if returns.shape[0] < config.min_scenarios:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS, f"{returns.shape[0]} rows of {config.min_scenarios}"
        )
    return ScenarioMeasure(
        name=RiskMeasure.CURRENT,
        end_dates=end_dates,
        returns=returns,
        multiplier=1.0,
        reason_codes=(),
    )


def missing_stress(current: ScenarioMeasure, *, config: CVaRConfig) -> ScenarioMeasure:
    """Stand in for a stress set that is not held: the current measure, multiplied."""
    return ScenarioMeasure(
        name=RiskMeasure.STRESSED,
        end_dates=current.end_dates,
        returns=current.returns,
        multiplier=config.missing_stress_multiplier,
        reason_codes=(ReasonCode.STRESS_SET_MISSING,),
    )


def with_missing_stress(
    symbols: tuple[str, ...],
    end_dates: NDArray[np.datetime64],
    returns: NDArray[np.float64],
    *,
    config: CVaRConfig,
) -> ScenarioSet:
    """Hold current returns as the current measure and, multiplied, as the missing stressed one.

    Parameters
    ----------
    symbols
        The name of each column.
    end_dates
        Shape ``(n_scenarios,)``.
    returns
        Shape ``(n_scenarios, n_symbols)``.

    Raises
    ------
    DataRejected
        ``TOO_FEW_SCENARIOS`` below ``min_scenarios`` rows.
    """
    current = current_measure(end_dates, returns, config=config)
    return ScenarioSet(symbols=symbols, measures=(current, missing_stress(current, config=config)))
