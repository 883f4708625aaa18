"""The risk gates, one function each: numbers in, a verdict out; no book is changed here."""

import math

from instgov_dagster.capital.book import BookRisk
from instgov_dagster.vocabulary.capital import ExecutionRegime, GateResult
from instgov_dagster.vocabulary.policy.capital import CVaRConfig, RiskLimits
from instgov_dagster.vocabulary.reasons import ReasonCode

_OPEN = ReasonCode.CVAR_WITHIN_LIMITS


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _blind(name: str, value: float, limit: float) -> GateResult:
    # What cannot be seen does not pass, and says so before any comparison is made.
    return GateResult(
        name=name,
        passed=False,
        value=_finite(value),
        limit=_finite(limit),
        headroom=None,
        reason_codes=(ReasonCode.RISK_NOT_FINITE,),
    )


def _judge(
    name: str, before: float, value: float, limit: float, code: ReasonCode, limits: RiskLimits
) -> GateResult:
    # `before` is what the limit may have been raised to: unseen, it would hide in a maximum.
    if not (math.isfinite(before) and math.isfinite(value) and math.isfinite(limit)):
        return _blind(name, value, limit)
    passed = value <= limit + limits.limit_tolerance
    return GateResult(
        name=name,
        passed=passed,
        value=value,
        limit=limit,
        headroom=limit - value,
        reason_codes=(ReasonCode.WITHIN_LIMIT if passed else code,),
    )


def gate_cvar(before: BookRisk, after: BookRisk, *, config: CVaRConfig) -> GateResult:
    """Judge the final book as one (roadmap 0.5, 5.4).

    Where the book was in breach before, it may not get worse; else every measure must be within
    the portfolio limit.

    Parameters
    ----------
    before, after
        The book as it is, and as it would be with every order done.
    """
    name = "cvar"
    if not (before.is_finite and after.is_finite):
        return _blind(name, after.gate, config.portfolio_limit)
    limit = max(before.gate, config.portfolio_limit)
    passed = after.gate <= limit
    code = _OPEN if passed else ReasonCode.PORTFOLIO_CVAR_BREACH
    return GateResult(
        name=name,
        passed=passed,
        value=after.gate,
        limit=limit,
        headroom=limit - after.gate,
        reason_codes=(code,),
    )


def gate_marginal(delta: float, *, config: CVaRConfig) -> GateResult:
    """Judge how much current CVaR one order adds to the final book, last in (roadmap 5.3)."""
    if not math.isfinite(delta):
        return _blind("marginal_cvar", delta, config.marginal_limit)
    passed = delta <= config.marginal_limit
    code = _OPEN if passed else ReasonCode.MARGINAL_CVAR_BREACH
    return GateResult(
        name="marginal_cvar",
        passed=passed,
        value=delta,
        limit=config.marginal_limit,
        headroom=config.marginal_limit - delta,
        reason_codes=(code,),
    )


def gate_hurdle(
    delta: float, net_gain: float, *, hurdle: float, is_forced: bool, limits: RiskLimits
) -> GateResult:
    """Judge whether an order that adds current CVaR pays for it (roadmap 5.4).

    Passes where it adds none, or where its gain after costs is at least lambda times what it
    adds. A reduction forced by a cap is no investment and owes no return; every other gate still
    judges it.

    Parameters
    ----------
    delta
        The current CVaR the order adds, last in.
    net_gain
        Its expected value less its costs, a fraction of net asset value.
    hurdle
        Lambda, which always multiplies the current measure.
    is_forced
        Whether the order reduces a holding that exceeds a cap.
    """
    price = hurdle * delta
    if not (math.isfinite(price) and math.isfinite(net_gain)):
        return _blind("hurdle", price, net_gain)
    passed = delta <= 0.0 or is_forced or net_gain >= price - limits.hurdle_tolerance
    code = _OPEN if passed else ReasonCode.CVAR_HURDLE_NOT_MET
    return GateResult(
        name="hurdle",
        passed=passed,
        value=price,
        limit=net_gain,
        headroom=net_gain - price,
        reason_codes=(code,),
    )


def gate_execution(delta: float, *, is_increase: bool, regime: ExecutionRegime) -> GateResult:
    """Judge whether the regime lets an order go at all (roadmap 8.4).

    In a crisis nothing is done but reductions that take CVaR off.

    Parameters
    ----------
    delta
        The current CVaR the order adds, last in.
    is_increase
        Whether the order increases a position.
    regime
        How the market is traded.
    """
    if not math.isfinite(delta):
        return _blind("execution", delta, 0.0)
    passed = regime is not ExecutionRegime.CRISIS or (not is_increase and delta < 0.0)
    code = ReasonCode.WITHIN_LIMIT if passed else ReasonCode.EXECUTION_CRISIS_NO_INCREASE
    limit = 0.0 if regime is ExecutionRegime.CRISIS else None
    return GateResult(
        name="execution",
        passed=passed,
        value=delta,
        limit=limit,
        headroom=None if limit is None else limit - delta,
        reason_codes=(code,),
    )


def gate_prefix(before: float, prefix: float, *, config: CVaRConfig) -> GateResult:
    """Judge the book after the first orders of the list: CVaR <= max(limit, before)."""
    limit = max(before, config.portfolio_limit) if math.isfinite(before) else math.nan
    if not (math.isfinite(prefix) and math.isfinite(limit)):
        return _blind("prefix_cvar", prefix, limit)
    passed = prefix <= limit
    code = _OPEN if passed else ReasonCode.PREFIX_CVAR_BREACH
    return GateResult(
        name="prefix_cvar",
        passed=passed,
        value=prefix,
        limit=limit,
        headroom=limit - prefix,
        reason_codes=(code,),
    )


def gate_leverage(before: float, after: float, *, limits: RiskLimits) -> GateResult:
    """Judge gross exposure; a book above the limit may only shrink.

    Parameters
    ----------
    before, after
        Gross exposure, fractions of net asset value.
    """
    limit = max(before, limits.leverage)
    return _judge("leverage", before, after, limit, ReasonCode.LEVERAGE_LIMIT, limits)


def gate_drawdown(drawdown: float, *, is_increase: bool, limits: RiskLimits) -> GateResult:
    """Judge the drawdown from the peak; past its limit nothing may increase.

    Parameters
    ----------
    drawdown
        A fraction of the peak, a loss positive.
    is_increase
        Whether the order increases a position.
    """
    limit = limits.drawdown if is_increase else max(limits.drawdown, drawdown)
    return _judge("drawdown", drawdown, drawdown, limit, ReasonCode.DRAWDOWN_LIMIT, limits)


def gate_correlation(correlation: float, *, is_increase: bool, limits: RiskLimits) -> GateResult:
    """Judge the correlation of what is bought with the book held; a reduction passes.

    Parameters
    ----------
    correlation
        Of horizon returns, in [-1, 1].
    is_increase
        Whether the order increases a position.
    """
    limit = limits.correlation if is_increase else max(limits.correlation, correlation)
    return _judge(
        "correlation", correlation, correlation, limit, ReasonCode.CORRELATION_LIMIT, limits
    )


def gate_sector(before: float, after: float, *, sector: str, limits: RiskLimits) -> GateResult:
    """Judge a sector's gross exposure; above the limit it may only shrink, UNKNOWN is uncapped.

    Parameters
    ----------
    before, after
        The sector's gross, fractions of net asset value.
    """
    limit = max(before, limits.sector)
    if sector == limits.uncapped_sector:
        limit = max(limit, after)
    return _judge("sector", before, after, limit, ReasonCode.SECTOR_LIMIT, limits)
