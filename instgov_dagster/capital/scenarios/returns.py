"""Returns over the decision horizon from closes, on a base that never nears zero."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode

_TOTAL_LOSS = -1.0


def base_prices(prices: NDArray[np.float64], *, config: CVaRConfig) -> NDArray[np.float64]:
    """Floor each close at a share of the median of the trailing closes.

    A return is a change over a base; a base near or below zero (oil on 2020-04-20) would make it
    meaningless, so it never falls below ``base_floor_share`` of the trailing median.

    Parameters
    ----------
    prices
        Shape ``(n_sessions, n_symbols)``, NaN where nothing was known.

    Returns
    -------
    Shape ``(n_sessions, n_symbols)``, NaN where the close is.
    """
    base = np.where(np.isfinite(prices), prices, np.nan)
    # Elsewhere the floor cannot bind: no median exceeds the highest price so far.
    highest = np.fmax.accumulate(prices, axis=0) if prices.size else prices
    low = np.flatnonzero((prices < config.base_floor_share * highest).any(axis=0))
    if not low.size:
        return base
    names = [str(i) for i in low]
    frame = pl.DataFrame(prices[:, low], schema=names, orient="row").fill_nan(None)
    medians = frame.select(
        pl.all().rolling_median(config.base_floor_sessions, min_samples=1)
    ).to_numpy()
    floor = config.base_floor_share * medians.astype(np.float64)
    base[:, low] = np.where(np.isfinite(prices[:, low]), np.maximum(prices[:, low], floor), np.nan)
    return base


def is_bounded(asset_classes: tuple[AssetClass, ...]) -> NDArray[np.bool_]:
    """Tell which columns cannot lose more than everything: all but COMMODITIES."""
    return np.array([kind is not AssetClass.COMMODITIES for kind in asset_classes], dtype=np.bool_)


def floor_losses(
    returns: NDArray[np.float64], asset_classes: tuple[AssetClass, ...]
) -> NDArray[np.float64]:
    """Keep made-up returns possible: none loses more than everything outside COMMODITIES."""
    floor = np.where(is_bounded(asset_classes), _TOTAL_LOSS, -np.inf)
    floored: NDArray[np.float64] = np.maximum(returns, floor)
    return floored


def horizon_returns(
    prices: NDArray[np.float64], *, sessions: int, config: CVaRConfig
) -> NDArray[np.float64]:
    """Divide each change over so many sessions by its base, see `base_prices`.

    Parameters
    ----------
    prices
        Shape ``(n_sessions, n_symbols)``, NaN where nothing was known.
    sessions
        From one close to the other.

    Returns
    -------
    Shape ``(n_sessions - sessions, n_symbols)``, NaN where a close is missing or the base is not
    positive; row t ends on session t + ``sessions``.
    """
    base = base_prices(prices, config=config)[:-sessions]
    change = prices[sessions:] - prices[:-sessions]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0.0, change / base, np.nan)


def scenario_returns(
    prices: NDArray[np.float64], asset_classes: tuple[AssetClass, ...], *, config: CVaRConfig
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Cut overlapping horizon returns from closes, keeping the rows complete for every symbol.

    A return is (P_t - P_{t-H}) / max(P_{t-H}, floor), see `base_prices` (SPEC 4).

    Parameters
    ----------
    prices
        Shape ``(n_sessions, n_symbols)``, one row a session, NaN where nothing was known.
    asset_classes
        The class of each column.

    Returns
    -------
    The returns, shape ``(n_scenarios, n_symbols)``, and the row of ``prices`` each one ends on.

    Raises
    ------
    ValueError
        If the shapes disagree.
    DataRejected
        ``TOO_FEW_SCENARIOS`` below ``min_scenarios`` complete rows; ``SCENARIO_REFUSED`` where a
        base is not positive or a return outside COMMODITIES loses more than everything.
    """
    if prices.ndim != 2 or prices.shape[1] != len(asset_classes):
        raise ValueError(f"prices must have {len(asset_classes)} columns, was {prices.shape}")
    horizon = config.horizon_days
    if prices.shape[0] <= horizon:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS, f"{prices.shape[0]} sessions for a horizon of {horizon}"
        )
    base = base_prices(prices, config=config)[:-horizon]
    change = prices[horizon:] - prices[:-horizon]
    complete = np.isfinite(change).all(axis=1) & np.isfinite(base).all(axis=1)
    rows = np.flatnonzero(complete)
    if rows.size < config.min_scenarios:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS, f"{rows.size} complete rows of {config.min_scenarios}"
        )
    change, base = change[rows], base[rows]
    if not (base > 0.0).all():
        column = int(np.argmin(base.min(axis=0)))
        raise DataRejected(
            ReasonCode.SCENARIO_REFUSED, f"the base price of column {column} is not positive"
        )
    returns = change / base
    worst = np.where(is_bounded(asset_classes), returns.min(axis=0, initial=np.inf), np.inf)
    if worst.size and worst.min() < _TOTAL_LOSS:
        column = int(np.argmin(worst))
        raise DataRejected(
            ReasonCode.SCENARIO_REFUSED, f"column {column} returned {worst[column]:.6f}"
        )
    return np.ascontiguousarray(returns), rows + horizon
