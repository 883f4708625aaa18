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
    if scaled is None or scaled.size < 2:
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
    ratio, scaled = sharpe_ratio(returns), _scaled(returns)
    if ratio is None or scaled is None or returns.size < 3:
        return None
    centred = scaled - scaled.mean()
    variance = float((centred**2).mean())
    skewness = float((centred**3).mean()) / variance**1.5
    kurtosis = float((centred**4).mean()) / variance**2
    return sharpe_odds(
        ratio, n=returns.size, skewness=skewness, kurtosis=kurtosis, benchmark=benchmark
    )


def sharpe_odds(
    ratio: float, *, n: int, skewness: float, kurtosis: float, benchmark: float
) -> float | None:
    """Give the probabilistic Sharpe ratio from its moments; see `probabilistic_sharpe`."""
    from scipy.special import ndtr  # scipy is slow to import

    spread = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if n < 3 or not spread > 0.0:
        return None
    return float(ndtr((ratio - benchmark) * math.sqrt(n - 1) / math.sqrt(spread)))


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


def deflated_sharpe(returns: Vector, trial_sharpes: Vector) -> float | None:
    """Give the chance that a strategy's Sharpe ratio is real, given every trial made.

    Parameters
    ----------
    trial_sharpes
        Shape ``(n_trials,)``: the per-session Sharpe ratio of every variant ever tried.

    Returns
    -------
    None where it cannot be measured: no trial, or a trial that is not finite.
    """
    if not trial_sharpes.size or not np.isfinite(trial_sharpes).all():
        return None
    n = int(trial_sharpes.size)
    deviation = float(trial_sharpes.std(ddof=1)) if n > 1 else 0.0
    return probabilistic_sharpe(returns, expected_best_sharpe(n, deviation))


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
