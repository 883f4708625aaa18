"""Bid-ask spreads estimated from daily high, low and close; quotes are better where they exist."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy

_BPS = 1e4
_K = 3.0 - 2.0 * np.sqrt(2.0)

#: The columns of `estimate_spreads`.
SPREAD_SCHEMA = pl.Schema({"symbol": pl.String(), "spread_bps": pl.Float64()})


def corwin_schultz(
    high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64]
) -> float:
    """Estimate the spread from the highs and lows of pairs of sessions, as a fraction of price.

    Pairs are averaged before the estimate is cut at zero: cutting each pair turns noise into
    dozens of basis points on names that trade at one.

    Parameters
    ----------
    high, low, close
        Shape ``(n_sessions,)``, positive, oldest first.

    Raises
    ------
    ValueError
        If there are fewer than two sessions or a price is not positive and finite.

    Notes
    -----
    Corwin and Schultz (2012), Journal of Finance 67, with their overnight adjustment.
    """
    highs, lows, closes = _logs(high, low, close)
    above = np.minimum(highs[1:] - closes[:-1], 0.0)
    gap = np.maximum(lows[1:] - closes[:-1], 0.0) + above
    next_high, next_low = highs[1:] - gap, lows[1:] - gap
    beta = (highs[:-1] - lows[:-1]) ** 2 + (next_high - next_low) ** 2
    gamma = (np.maximum(highs[:-1], next_high) - np.minimum(lows[:-1], next_low)) ** 2
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / _K - np.sqrt(gamma / _K)
    spread = 2.0 * (np.exp(alpha) - 1.0) / (1.0 + np.exp(alpha))
    return max(float(spread.mean()), 0.0)


def abdi_ranaldo(
    high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64]
) -> float:
    """Estimate the spread from closes against mid-ranges, as a fraction of price.

    The square root of the mean of 4 (c_t - eta_t)(c_t - eta_{t+1}), cut at zero, where eta is the
    mid of the log range.

    Parameters and errors as `corwin_schultz`.

    Notes
    -----
    Abdi and Ranaldo (2017), Review of Financial Studies 30.
    """
    highs, lows, closes = _logs(high, low, close)
    middle = (highs + lows) / 2.0
    product = (closes[:-1] - middle[:-1]) * (closes[:-1] - middle[1:])
    return float(np.sqrt(max(4.0 * float(product.mean()), 0.0)))


def _logs(*prices: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    for part in prices:
        if part.size < 2 or not (np.isfinite(part) & (part > 0.0)).all():
            raise ValueError("prices must be at least two, finite and positive")
    return [np.log(part) for part in prices]


def estimate_spreads(price_history: pl.DataFrame, *, policy: ImpactPolicy) -> pl.DataFrame:
    """Estimate each symbol's whole spread over its last sessions, floored by class (SPEC 6).

    The smaller of `corwin_schultz` and `abdi_ranaldo`: both read volatility as spread on liquid
    names, seldom on the same ones. A symbol with too few usable sessions gets its class's floor.

    Parameters
    ----------
    price_history
        Columns ``symbol``, ``date``, ``high``, ``low``, ``close`` and ``asset_class``; rows of
        other classes (references) are left out.

    Returns
    -------
    Columns of `SPREAD_SCHEMA`, one row a symbol, sorted.
    """
    usable = price_history.filter(
        pl.col("asset_class").is_in([member.value for member in AssetClass])
    ).sort("symbol", "date")
    rows = []
    for (symbol,), frame in usable.group_by("symbol", maintain_order=True):
        floor = policy.spread_floor_bps.of(AssetClass(frame["asset_class"][-1]))
        recent = frame.tail(policy.spread_sessions).filter(
            (pl.col("low") > 0.0)
            & (pl.col("close") > 0.0)
            & (pl.col("high") >= pl.col("low"))
            & pl.all_horizontal(pl.col("high", "low", "close").is_finite())
        )
        found = 0.0
        if recent.height >= policy.spread_min_sessions:
            prices = [recent[name].to_numpy() for name in ("high", "low", "close")]
            found = min(corwin_schultz(*prices), abdi_ranaldo(*prices)) * _BPS
        rows.append((str(symbol), max(found, floor)))
    return pl.DataFrame(rows, schema=SPREAD_SCHEMA, orient="row")
