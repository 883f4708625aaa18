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
    return float(_by_ranges(*_logs(high, low, close)))


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
    return float(_by_middles(*_logs(high, low, close)))


Floats = NDArray[np.float64]


def _by_ranges(highs: Floats, lows: Floats, closes: Floats) -> Floats:
    # Logs, sessions along the last axis.
    above = np.minimum(highs[..., 1:] - closes[..., :-1], 0.0)
    gap = np.maximum(lows[..., 1:] - closes[..., :-1], 0.0) + above
    next_high, next_low = highs[..., 1:] - gap, lows[..., 1:] - gap
    beta = (highs[..., :-1] - lows[..., :-1]) ** 2 + (next_high - next_low) ** 2
    range_of_two = np.maximum(highs[..., :-1], next_high) - np.minimum(lows[..., :-1], next_low)
    gamma = range_of_two**2
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / _K - np.sqrt(gamma / _K)
    growth = np.exp(alpha)
    spread = 2.0 * (growth - 1.0) / (1.0 + growth)
    found: Floats = np.maximum(spread.mean(axis=-1), 0.0)
    return found


def _by_middles(highs: Floats, lows: Floats, closes: Floats) -> Floats:
    middle = (highs + lows) / 2.0
    product = (closes[..., :-1] - middle[..., :-1]) * (closes[..., :-1] - middle[..., 1:])
    found: Floats = np.sqrt(np.maximum(4.0 * product.mean(axis=-1), 0.0))
    return found


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
    kinds = [member.value for member in AssetClass]
    names = ("symbol", "date", "asset_class", "high", "low", "close")
    rows = price_history.filter(pl.col("asset_class").is_in(kinds)).select(names)
    rows = rows.sort("symbol", "date")
    high, low, close = (rows[name].to_numpy() for name in names[3:])
    prices = np.stack((high, low, close))
    is_usable = (low > 0.0) & (close > 0.0) & (high >= low) & np.isfinite(prices).all(axis=0)
    ends = (
        np.flatnonzero((rows["symbol"] != rows["symbol"].shift(-1)).fill_null(value=True)) + 1
    ).tolist()
    last = rows[["symbol", "asset_class"]][[end - 1 for end in ends]]
    found = np.array([policy.spread_floor_bps.of(AssetClass(kind)) for kind in last["asset_class"]])
    # Symbols with as many usable sessions are estimated side by side.
    alike: dict[int, list[tuple[int, NDArray[np.intp]]]] = {}
    for place, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        first = max(start, end - policy.spread_sessions)
        recent = first + np.flatnonzero(is_usable[first:end])
        if recent.size >= policy.spread_min_sessions:
            alike.setdefault(recent.size, []).append((place, recent))
    for group in alike.values():
        logs = np.log(prices[:, np.array([recent for _, recent in group])])
        spreads = np.minimum(_by_ranges(*logs), _by_middles(*logs)) * _BPS
        places = [place for place, _ in group]
        found[places] = np.maximum(spreads, found[places])
    return pl.DataFrame({"symbol": last["symbol"], "spread_bps": found}, schema=SPREAD_SCHEMA)
