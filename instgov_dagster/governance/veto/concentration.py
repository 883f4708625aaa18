"""The vetoes on hidden concentration: one provider, one bar, stale bars, one winning bet."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.governance.veto.findings import are_finite, fire_unmeasured, require_lengths
from instgov_dagster.vocabulary.governance import VetoFinding, VetoPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

Vector = NDArray[np.float64]

_ROUNDING = 1e-12  # sums of weights round; at the limit is over it
_DEPENDENCY = ReasonCode.VETO_DATA_DEPENDENCY


def veto_data_dependency(
    weights: Vector,
    resolved: Mapping[str, Vector],
    is_stale: NDArray[np.bool_],
    policy: VetoPolicy,
    *,
    skipped: Collection[str] = (),
) -> tuple[VetoFinding, ...]:
    """Judge how far the target hangs on one provider, one bar or stale bars (roadmap 9.2).

    Parameters
    ----------
    weights
        Shape ``(n_symbols,)``: the target, fractions of NAV.
    resolved
        What was left out, a provider or ``last_bar``, to the target solved without it.
    is_stale
        Shape ``(n_symbols,)``: bars that are stale or were revised.
    skipped
        Names in ``resolved`` that are the only route of a class: without them there is nothing
        to compare with.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    require_lengths(weights=weights, is_stale=is_stale, **resolved)
    n = int(np.count_nonzero(weights))
    gross = float(np.abs(weights).sum())
    findings = [
        _judge_move(name, weights, other, n, policy)
        for name, other in sorted(resolved.items())
        if name not in skipped
    ]
    trigger = "data_dependency.stale_gross"
    if not are_finite(weights):
        return (*findings, fire_unmeasured(trigger, policy.stale_gross_share, n, _DEPENDENCY))
    share = float(np.abs(weights[is_stale]).sum()) / gross if gross > 0 else 0.0
    stale = VetoFinding(
        trigger=trigger,
        fired=share > policy.stale_gross_share,
        statistic=share,
        threshold=policy.stale_gross_share,
        n=n,
        reason_code=_DEPENDENCY,
    )
    return (*findings, stale)


def _judge_move(
    name: str, weights: Vector, other: Vector, n: int, policy: VetoPolicy
) -> VetoFinding:
    trigger = f"data_dependency.{name}"
    if not are_finite(weights, other):
        return fire_unmeasured(trigger, policy.dependency_share, n, _DEPENDENCY)
    gross = float(np.abs(weights).sum())
    moved = float(np.abs(weights - other).sum())
    statistic = moved / (2.0 * gross) if gross > 0 else 0.0
    return VetoFinding(
        trigger=trigger,
        fired=statistic >= policy.dependency_share - _ROUNDING,
        statistic=statistic,
        threshold=policy.dependency_share,
        n=n,
        reason_code=_DEPENDENCY,
    )


def veto_correlated_wins(
    returns: NDArray[np.float64], policy: VetoPolicy
) -> tuple[VetoFinding, ...]:
    """Judge whether the winning strategies are one bet (roadmap 9.2); it bars increases only.

    Parameters
    ----------
    returns
        Shape ``(n_sessions, n_strategies)``: daily returns, oldest first; the last window counts,
        and a shorter history does not fire.

    Returns
    -------
    Two findings: the winners' mean pairwise correlation, and their effective number of bets,
    exp of the entropy of the correlation matrix's eigenvalue shares. ``n`` counts the winners.

    Raises
    ------
    ValueError
        If ``returns`` is not two-dimensional.

    Notes
    -----
    Meucci (2009), Managing Diversification, Risk 22(5), on the winners' correlation matrix.
    """
    if returns.ndim != 2:
        raise ValueError(f"returns must have two dimensions, was {returns.shape}")
    code = ReasonCode.VETO_CORRELATED_WINS
    window = returns[-policy.wins_sessions :]
    names = ("correlated_wins.correlation", "correlated_wins.effective_bets")
    limits = (policy.wins_correlation, policy.wins_effective_bets)
    if not are_finite(window):
        found = zip(names, limits, strict=True)
        return tuple(fire_unmeasured(name, limit, window.shape[1], code) for name, limit in found)
    winners = window[:, window.sum(axis=0) > 0]
    n = int(winners.shape[1])
    is_enough = n >= policy.wins_min_winners and window.shape[0] >= policy.wins_sessions
    mean, bets = _concentration(winners)
    return (
        VetoFinding(
            trigger=names[0],
            fired=is_enough and mean > policy.wins_correlation,
            statistic=mean,
            threshold=policy.wins_correlation,
            n=n,
            reason_code=code,
        ),
        VetoFinding(
            trigger=names[1],
            fired=is_enough and bets < policy.wins_effective_bets,
            statistic=bets,
            threshold=policy.wins_effective_bets,
            n=n,
            reason_code=code,
        ),
    )


def _concentration(winners: NDArray[np.float64]) -> tuple[float, float]:
    n = winners.shape[1]
    if n < 2 or winners.shape[0] < 2:
        return 0.0, float(n)
    centred = winners - winners.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    # A constant winner moves with nothing: its correlation with the others is 0.
    unit = np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 0)
    correlation = unit.T @ unit
    np.fill_diagonal(correlation, 1.0)
    mean = (float(correlation.sum()) - n) / (n * (n - 1))
    shares = np.clip(np.linalg.eigvalsh(correlation), 0.0, None) / n
    positive = shares[shares > 0]
    return mean, float(np.exp(-(positive * np.log(positive)).sum()))
