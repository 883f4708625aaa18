"""Daily candles around given closes: the open, the extremes between, the volume."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.simulation.noise import stream, with_memory
from instgov_dagster.adapters.markets.simulation.parameters import WorldParameters
from instgov_dagster.adapters.markets.simulation.regimes import by_regime
from instgov_dagster.adapters.markets.simulation.tape import Moves


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """Open, high, low and close of each session, each ``(n_sessions,)``."""

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]


def draw_candles(
    seed: int,
    symbol: str,
    *,
    before: NDArray[np.float64],
    closes: NDArray[np.float64],
    moves: Moves,
    overnight_share: float,
) -> Candles:
    """Put a candle around each session.

    Parameters
    ----------
    before
        Log price at the previous close less what went ex since, ``(n_sessions,)``.
    closes
        Log price at the close, ``(n_sessions,)``.

    Notes
    -----
    The open is the point of a Brownian bridge from the last close to this one at the share of
    variance that falls overnight; high and low have the exact law of the extremes of a Brownian
    bridge from open to close (Glasserman 2004, Monte Carlo Methods in Financial Engineering,
    section 6.4), drawn independently.
    """
    normal = stream(seed, "open", symbol).standard_normal(closes.size)
    draws = stream(seed, "reach", symbol).random((closes.size, 2))
    share = overnight_share
    total = closes - before
    gaps = share * total + np.sqrt(share * (1.0 - share)) * moves.volatility * normal
    opens = before + gaps
    inside = closes - opens
    variance = (1.0 - share) * moves.volatility**2
    reach = inside**2 - 2.0 * variance * np.log1p(-draws).T
    high = opens + (inside + np.sqrt(reach[0])) / 2.0
    low = opens + (inside - np.sqrt(reach[1])) / 2.0
    return Candles(open=np.exp(opens), high=np.exp(high), low=np.exp(low), close=np.exp(closes))


def draw_dollar_volume(
    seed: int, symbol: str, *, adv_usd: float, moves: Moves, parameters: WorldParameters
) -> NDArray[np.float64]:
    """Draw the dollars traded in each session: more in big moves and in bad regimes."""
    noise = with_memory(
        stream(seed, "volume", symbol).standard_normal(moves.returns.size),
        parameters.volume_memory,
    )
    surprise = np.abs(moves.returns) / moves.volatility
    log_share = parameters.volume_noise * noise + parameters.volume_on_moves * (surprise - 1.0)
    return adv_usd * by_regime(parameters.volume_regime_scale, moves.regimes) * np.exp(log_share)
