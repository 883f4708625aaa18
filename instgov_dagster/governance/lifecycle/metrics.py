"""Numbers of one strategy's returns: Sharpe and its odds, drawdown, tail. No verdicts here."""

import math

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_EULER_GAMMA = 0.5772156649015329


def unit_returns(
    pnl: Vector, gross: Vector, volatility_annual: Vector, *, target: float, least_gross: float
) -> tuple[Vector, NDArray[np.bool_]]:
    """Turn profit and loss into returns per unit of deployed gross at one volatility (SPEC 8).

    r = pnl / gross * target / volatility. A strategy is judged on what it did with what it was
    given, so a stage's cap moves none of its numbers.

    Parameters
    ----------
    pnl
        Shape ``(n_sessions,)``: net of costs, fractions of NAV.
    gross
        The same shape: capital at work, fractions of NAV.
    volatility_annual
        The same shape: ex-ante, of the deployed book per unit of gross.
    target
        The annual volatility returns are scaled to.
    least_gross
        Sessions with less gross are not counted.

    Returns
    -------
    The returns of the deployed sessions, and which sessions those are. A session's loss is at
    most its whole unit: returns are at least -1.

    Raises
    ------
    ValueError
        If the shapes differ, or a deployed session has a number that is not finite or a
        volatility that is not positive.
    """
    if not pnl.shape == gross.shape == volatility_annual.shape or pnl.ndim != 1:
        shapes = f"{pnl.shape} {gross.shape} {volatility_annual.shape}"
        raise ValueError(f"pnl, gross and volatility must share one length, was {shapes}")
    is_deployed = ~(gross < least_gross)  # NaN counts as deployed and fails below
    p, g, v = pnl[is_deployed], gross[is_deployed], volatility_annual[is_deployed]
    if not (np.isfinite(p).all() and np.isfinite(g).all() and np.isfinite(v).all()):
        raise ValueError("deployed sessions must have finite pnl, gross and volatility")
    if (v <= 0).any():
        raise ValueError(f"volatility_annual must be > 0 where deployed, was {v.min()}")
    return np.maximum(p / g * (target / v), -1.0), is_deployed


def _scaled(returns: Vector) -> Vector | None:
    # By their largest size: none of the numbers below depends on scale, but tiny powers vanish.
    scale = float(np.abs(returns).max()) if returns.size else 0.0
    return returns / scale if math.isfinite(scale) and scale > 0.0 else None


def sharpe_ratio(returns: Vector) -> float | None:
    """Give mean over standard deviation per session; None where it cannot be measured."""
    scaled = _scaled(returns)
    return None if scaled is None else _ratio(scaled)


def _ratio(scaled: Vector) -> float | None:
    if scaled.size < 2:
        return None
    deviation = float(scaled.std(ddof=1))
    # A constant series has a deviation of rounding errors, not of risk.
    return float(scaled.mean()) / deviation if deviation > 1e-12 else None


def probabilistic_sharpe(returns: Vector, benchmark: float = 0.0) -> float | None:
    """Give the chance that the true Sharpe ratio exceeds a benchmark, both per session.

    Returns
    -------
    None where it cannot be measured: fewer than three returns, or returns without spread.

    Notes
    -----
    Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2):
    skewness and kurtosis (3 for a normal law) correct the standard error.
    """
    moments = sharpe_moments(returns)
    if moments is None or returns.size < 3:
        return None
    ratio, skewness, kurtosis = moments
    return sharpe_odds(
        ratio, n=returns.size, skewness=skewness, kurtosis=kurtosis, benchmark=benchmark
    )


def sharpe_moments(returns: Vector) -> tuple[float, float, float] | None:
    """Give Sharpe ratio, skewness and kurtosis per session; None where there is no ratio."""
    scaled = _scaled(returns)
    if scaled is None or (ratio := _ratio(scaled)) is None:
        return None
    centred = scaled - scaled.mean()
    variance = float((centred**2).mean())
    skewness = float((centred**3).mean()) / variance**1.5
    kurtosis = float((centred**4).mean()) / variance**2
    return ratio, skewness, kurtosis


def sharpe_odds(
    ratio: float, *, n: int, skewness: float, kurtosis: float, benchmark: float
) -> float | None:
    """Give the probabilistic Sharpe ratio from its moments; see `probabilistic_sharpe`."""
    from scipy.special import ndtr  # scipy is slow to import

    spread = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if n < 3 or not spread > 0.0:
        return None
    return float(ndtr((ratio - benchmark) * math.sqrt(n - 1) / math.sqrt(spread)))


def track_record_needed(
    ratio: float, *, skewness: float, kurtosis: float, benchmark: float, confidence: float
) -> float | None:
    """Give how many sessions a Sharpe ratio must be seen for to exceed its benchmark so surely.

    MinTRL = 1 + (1 - skewness SR + (kurtosis - 1) / 4 SR^2) (z / (SR - benchmark))^2, the number
    of sessions from which the probabilistic Sharpe ratio reaches ``confidence``.

    Returns
    -------
    None where no length suffices: the ratio does not exceed its benchmark.

    Notes
    -----
    Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2),
    the minimum track record length.
    """
    from scipy.special import ndtri  # scipy is slow to import

    spread = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if not (ratio > benchmark and spread > 0.0):
        return None
    return 1.0 + spread * (float(ndtri(confidence)) / (ratio - benchmark)) ** 2


def minimum_track_record(
    returns: Vector, *, confidence: float, benchmark: float = 0.0
) -> float | None:
    """Give `track_record_needed` by the returns' own moments; None where it cannot be measured."""
    moments = sharpe_moments(returns)
    if moments is None:
        return None
    ratio, skewness, kurtosis = moments
    return track_record_needed(
        ratio, skewness=skewness, kurtosis=kurtosis, benchmark=benchmark, confidence=confidence
    )


def expected_best_sharpe(n_trials: int, deviation: float) -> float:
    """Give the Sharpe ratio the best of so many worthless trials is expected to show.

    Notes
    -----
    Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio Management
    40(5), the expected maximum of normal draws. One trial expects nothing.
    """
    from scipy.special import ndtri  # scipy is slow to import

    if n_trials < 2:
        return 0.0
    first = float(ndtri(1.0 - 1.0 / n_trials))
    second = float(ndtri(1.0 - 1.0 / (n_trials * math.e)))
    return deviation * ((1.0 - _EULER_GAMMA) * first + _EULER_GAMMA * second)


def trials_deviation(ratios: Vector, n_sessions: int) -> float:
    """Give the spread of the trials' Sharpe ratios that a deflated one is held against.

    The larger of two: the spread seen between the strategies measured, and the spread that
    worthless trials of the same length show by chance alone, 1 / sqrt(n - 1). Trials that never
    traded have no ratio of their own; a handful of strategies that happen to agree must not make
    the hurdle low.

    Parameters
    ----------
    ratios
        Shape ``(n_measured,)``: per-session Sharpe ratios of the strategies measured.
    n_sessions
        Sessions of the strategy judged.
    """
    seen = float(ratios.std(ddof=1)) if ratios.size > 1 else 0.0
    return max(seen, 1.0 / math.sqrt(max(n_sessions - 1, 1)))


def deflated_sharpe(returns: Vector, n_trials: int, deviation: float) -> float | None:
    """Give the chance that a strategy's Sharpe ratio is real, given every trial made.

    Parameters
    ----------
    n_trials
        Every variant ever tried, the ledger's count.
    deviation
        Of the trials' per-session Sharpe ratios; see `trials_deviation`.

    Returns
    -------
    None where it cannot be measured: no trial was counted, or the deviation is not finite.
    """
    if n_trials < 1 or not math.isfinite(deviation):
        return None
    return probabilistic_sharpe(returns, expected_best_sharpe(n_trials, deviation))


def drawdown_path(returns: Vector) -> Vector:
    """Give the fall from the highest value so far after each return, in [0, 1]."""
    value = np.cumprod(1.0 + returns)
    peak = np.maximum.accumulate(np.concatenate(([1.0], value)))[1:]
    return 1.0 - value / peak


def profit_factor(returns: Vector) -> float | None:
    """Give gains over losses; None before the first loss."""
    losses = -float(returns[returns < 0].sum())
    return float(returns[returns > 0].sum()) / losses if losses > 0 else None


def positive_blocks(returns: Vector, *, blocks: int, length: int) -> int:
    """Count the blocks with a positive sum among the last ones; 0 where they are not all held."""
    wanted = blocks * length
    if returns.size < wanted:
        return 0
    return int((returns[-wanted:].reshape(blocks, length).sum(axis=1) > 0).sum())


def return_per_cvar(returns: Vector, *, horizon: int, confidence_level: float) -> float:
    """Give the mean return over the horizon per unit of its CVaR, both over overlapping sums.

    Returns
    -------
    ``inf`` where the tail holds no loss and the mean is positive, ``-inf`` where there are too few
    returns or the mean is not positive.

    Notes
    -----
    Rockafellar and Uryasev (2002): the worst (1 - alpha) n losses, the last one in part.
    """
    if returns.size < horizon:
        return -math.inf
    sums = np.convolve(returns, np.ones(horizon), mode="valid")
    losses = np.sort(-sums)[::-1]
    mass = (1.0 - confidence_level) * losses.size
    whole = int(mass)
    tail = float(losses[:whole].sum()) + (mass - whole) * float(losses[whole])
    mean, cvar = float(sums.mean()), tail / mass
    if cvar <= 0:
        return math.inf if mean > 0 else -math.inf
    return mean / cvar
