"""The stressed scenarios: the worst year the market holds for the universe, pinned each night."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from instgov_dagster.capital.cvar import cvar_rows
from instgov_dagster.capital.scenarios.returns import floor_losses, horizon_returns, is_bounded
from instgov_dagster.capital.scenarios.sets import ScenarioMeasure
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.policy.capital import CVaRConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldPrices:
    """All closes that may be stressed on: ``dates`` (T,) ascending, ``prices`` (T, n_symbols).

    They end where the night's window ends and begin as early as the market holds anything; a
    close that was not known, or may not be trusted, is NaN.
    """

    dates: NDArray[np.datetime64]
    prices: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.prices.ndim != 2 or self.dates.shape != (self.prices.shape[0],):
            raise ValueError(
                f"HeldPrices must have one date a row, was {self.dates.shape} for "
                f"{self.prices.shape}"
            )


def worst_window(losses: NDArray[np.float64], *, config: CVaRConfig) -> int:
    """Find the window of ``stress_sessions`` losses with the largest CVaR; the first of equals.

    Parameters
    ----------
    losses
        Of the equal-weight universe, shape ``(n_scenarios,)``, in time order, a loss positive.

    Returns
    -------
    Where the window starts.

    Raises
    ------
    ValueError
        If there are fewer losses than a window holds.
    """
    windows = sliding_window_view(losses, config.stress_sessions)
    return int(np.argmax(cvar_rows(windows, confidence_level=config.confidence_level)))


def stressed_measure(
    held: HeldPrices,
    symbols: tuple[str, ...],
    asset_classes: tuple[AssetClass, ...],
    current: ScenarioMeasure,
    *,
    config: CVaRConfig,
) -> ScenarioMeasure | None:
    """Pin the stress set: every symbol's returns in the universe's worst year (SPEC 4).

    The universe is weighted equally over the symbols that have a return; a row of fewer than
    ``stress_min_share`` of them does not count. The window may lie inside the current one, but
    only where more is held than that: history that was never longer has nothing to say about
    what it does not hold.

    Parameters
    ----------
    held
        A column for each symbol.
    symbols, asset_classes
        The name and the class of each column.
    current
        The current measure: where it begins, and the betas of what needs a proxy.

    Returns
    -------
    The measure, its proxied symbols named; ``None`` where fewer than ``min_stressed_scenarios``
    rows are held before the current ones.

    Raises
    ------
    ValueError
        If the number of columns is not the number of symbols.
    """
    if not held.prices.shape[1] == len(symbols) == len(asset_classes):
        raise ValueError(f"held must have {len(symbols)} columns, was {held.prices.shape}")
    if held.prices.shape[0] <= config.horizon_days:
        return None
    returns = horizon_returns(held.prices, sessions=config.horizon_days, config=config)
    returns[is_bounded(asset_classes) & (returns < -1.0)] = np.nan
    ends = held.dates[config.horizon_days :]
    counted = np.isfinite(returns).sum(axis=1)
    rows = np.flatnonzero(counted >= max(config.stress_min_share * len(symbols), 1.0))
    earlier = int((ends[rows] < current.end_dates[0]).sum())
    if earlier < config.min_stressed_scenarios or rows.size < config.stress_sessions:
        return None
    universe = np.nanmean(returns[rows], axis=1)
    start = worst_window(-universe, config=config)
    chosen = rows[start : start + config.stress_sessions]
    columns, is_proxy = _fill(returns[chosen], asset_classes, current, config)
    return ScenarioMeasure(
        name=RiskMeasure.STRESSED,
        end_dates=ends[chosen].astype("datetime64[D]"),
        returns=np.ascontiguousarray(columns),
        multiplier=1.0,
        reason_codes=(),
        proxies=tuple(name for name, flag in zip(symbols, is_proxy, strict=True) if flag),
    )


def _fill(
    returns: NDArray[np.float64],
    asset_classes: tuple[AssetClass, ...],
    current: ScenarioMeasure,
    config: CVaRConfig,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    # A column with a hole is replaced as a whole: beta times the mean of its class, or of all
    # symbols where none of the class has a history of its own.
    is_own = np.asarray(np.isfinite(returns).all(axis=0))
    filled = returns.copy()
    classes = np.array([kind.value for kind in asset_classes])
    for i in np.flatnonzero(~is_own):
        peers = _peers(is_own, classes == classes[i])
        factor = _mean(returns, peers)
        filled[:, i] = _beta(current.returns[:, i], _mean(current.returns, peers), config) * factor
    return floor_losses(filled, asset_classes), ~is_own


def _peers(is_own: NDArray[np.bool_], is_class: NDArray[np.bool_]) -> NDArray[np.bool_]:
    peers: NDArray[np.bool_] = is_own & is_class
    return peers if peers.any() else is_own


def _mean(returns: NDArray[np.float64], columns: NDArray[np.bool_]) -> NDArray[np.float64]:
    # Where no symbol has a whole history, of those that have a return on the row.
    chosen = returns[:, columns] if columns.any() else returns
    mean: NDArray[np.float64] = np.nanmean(chosen, axis=1)
    return mean


def _beta(returns: NDArray[np.float64], factor: NDArray[np.float64], config: CVaRConfig) -> float:
    # Least squares on the current scenarios. What nobody saw in the crisis is not taken to be
    # milder than its class: the beta is at least the policy's.
    centred = factor - factor.mean()
    variance = float(centred @ centred)
    if not variance > 0.0:
        return config.proxy_min_beta
    return max(float(centred @ (returns - returns.mean())) / variance, config.proxy_min_beta)
