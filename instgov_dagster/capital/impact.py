"""What trading costs: the square-root law per order, per symbol and as a nightly table."""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.spreads import estimate_spreads
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import ExecutionImpactEstimate, ExecutionRegime
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 1e4

#: The columns of the table market_impact.
MARKET_IMPACT_SCHEMA = pl.Schema(
    {
        "symbol": pl.String(),
        "adv_usd": pl.Float64(),
        "volatility_annual": pl.Float64(),
        "spread_bps": pl.Float64(),
        "market_impact_bps": pl.Float64(),
        "last_close": pl.Float64(),
        "last_session": pl.Date(),
        "reason_codes": pl.List(pl.String()),
    }
)


def _require_known(**numbers: float) -> None:
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0.0):
            raise DataRejected(ReasonCode.NO_IMPACT_ESTIMATE, f"{name} was {value!r}")


def estimate_impact(
    *,
    size_usd: float,
    adv_usd: float,
    volatility_annual: float,
    spread_bps: float,
    is_spread_quoted: bool,
    regime: ExecutionRegime,
    depletion: float,
    policy: ImpactPolicy,
) -> ExecutionImpactEstimate:
    """Estimate what one order costs (roadmap 8.3, 8.5), in basis points of its size.

    temporary = volatility_annual * sqrt(size / ADV) * 0.1 * 10000, permanent = half of it, spread
    cost = half the spread; each is multiplied by the regime and by (1 + 0.1 k), then summed, where
    k is the depletion. Square-root law: Toth et al. (2011), Physical Review X 1.

    Parameters
    ----------
    size_usd, adv_usd, volatility_annual
        The order and the median daily volume, US dollars; annual volatility, a fraction.
    spread_bps, is_spread_quoted
        The whole spread, and whether a quote gave it.
    depletion
        How many earlier slices the market has not recovered from (`remaining_depletion`).

    Raises
    ------
    DataRejected
        ``NO_IMPACT_ESTIMATE`` where volume, volatility, spread or size is missing or impossible;
        ``PARTICIPATION`` where the order is too large a share of daily volume.
    ValueError
        If the depletion is negative or not finite.
    """
    _require_known(size_usd=size_usd, adv_usd=adv_usd, volatility_annual=volatility_annual)
    if not (math.isfinite(depletion) and depletion >= 0.0):
        raise ValueError(f"depletion must be a finite number >= 0, was {depletion!r}")
    if not (math.isfinite(spread_bps) and spread_bps >= 0.0):
        raise DataRejected(ReasonCode.NO_IMPACT_ESTIMATE, f"spread_bps was {spread_bps!r}")
    participation = size_usd / adv_usd
    if participation > policy.max_participation:
        raise DataRejected(
            ReasonCode.PARTICIPATION, f"{participation:.4f} of {policy.max_participation:g}"
        )
    stretch = policy.regime_multipliers.of(regime)
    stretch *= 1.0 + policy.orders.child_cost_step * depletion
    root = volatility_annual * math.sqrt(participation)
    temporary = root * policy.temporary_coefficient * _BPS * stretch
    permanent = temporary * policy.permanent_share
    spread = spread_bps / 2.0 * stretch
    return ExecutionImpactEstimate(
        temporary_impact_bps=temporary,
        permanent_impact_bps=permanent,
        spread_cost_bps=spread,
        total_cost_bps=temporary + permanent + spread,
        liquidity_decay_rate=math.log(2.0) / policy.recovery_half_life_hours,
        regime=regime,
        confidence=_confidence(participation, policy, is_spread_quoted=is_spread_quoted),
        reason_codes=(ReasonCode.IMPACT_ESTIMATED,),
    )


def _confidence(participation: float, policy: ImpactPolicy, *, is_spread_quoted: bool) -> float:
    trust = 1.0 if is_spread_quoted else policy.modelled_spread_confidence
    return trust * (1.0 - policy.participation_doubt * participation / policy.max_participation)


def remaining_depletion(depletion: float, *, elapsed_hours: float, policy: ImpactPolicy) -> float:
    """Let the market recover: half of a depletion is gone after one half-life (roadmap 8.5).

    Parameters
    ----------
    depletion
        Slices the market had not recovered from, not negative.
    elapsed_hours
        Hours since then, not negative.

    Raises
    ------
    ValueError
        If the hours are negative or not finite.
    """
    if not (math.isfinite(elapsed_hours) and elapsed_hours >= 0.0):
        raise ValueError(f"elapsed_hours must be a finite number >= 0, was {elapsed_hours!r}")
    return depletion * math.exp2(-elapsed_hours / policy.recovery_half_life_hours)


def impact_coefficients(
    adv_usd: NDArray[np.float64],
    volatility_annual: NDArray[np.float64],
    *,
    nav_usd: float,
    policy: ImpactPolicy,
) -> NDArray[np.float64]:
    """Return k in the cost k t^1.5 of trading a weight t, temporary and permanent together.

    Parameters
    ----------
    adv_usd, volatility_annual
        Shape ``(n_symbols,)``.
    nav_usd
        Net asset value, US dollars.

    Returns
    -------
    Shape ``(n_symbols,)``, fractions of net asset value; NaN where volume or volatility is
    missing or not positive.
    """
    is_known = (adv_usd > 0.0) & (volatility_annual > 0.0)
    is_known &= np.isfinite(adv_usd) & np.isfinite(volatility_annual)
    ratio = np.divide(nav_usd, adv_usd, out=np.full(adv_usd.shape, np.nan), where=is_known)
    scale = policy.temporary_coefficient * (1.0 + policy.permanent_share)
    coefficients: NDArray[np.float64] = scale * volatility_annual * np.sqrt(ratio)
    return coefficients


def annual_volatility(price_history: pl.DataFrame, *, policy: ImpactPolicy) -> pl.DataFrame:
    """Annualise the deviation of the last sessions' price changes.

    Parameters
    ----------
    price_history
        Columns ``symbol``, ``date``, ``price`` and ``asset_class``.

    Returns
    -------
    Columns ``symbol`` and ``volatility_annual``, null where fewer than ``volatility_sessions``
    changes are known; references are left out.
    """
    years = pl.col("asset_class").replace_strict(
        {member.value: policy.sessions_per_year.of(member) for member in AssetClass},
        default=None,
        return_dtype=pl.Float64,
    )
    before = pl.col("price").shift(1).over("symbol")
    change = pl.when(before > 0.0).then(pl.col("price") / before - 1.0)
    recent = (
        price_history[["symbol", "date", "price", "asset_class"]]
        .sort("symbol", "date")
        .with_columns(change=change, years=years)
        .filter(pl.col("years").is_not_null())
        .group_by("symbol", maintain_order=True)
        .tail(policy.volatility_sessions)
    )
    is_enough = pl.col("change").is_finite().sum() >= policy.volatility_sessions
    deviation = pl.col("change").std() * pl.col("years").last().sqrt()
    return recent.group_by("symbol", maintain_order=True).agg(
        pl.when(is_enough).then(deviation).alias("volatility_annual")
    )


def estimate_market_impact(
    price_history: pl.DataFrame,
    *,
    adv: pl.DataFrame,
    last_prices: pl.DataFrame,
    nav_usd: float,
    reference_size: float,
    policy: ImpactPolicy,
) -> pl.DataFrame:
    """Build the nightly table market_impact: one row a symbol that could be traded.

    Parameters
    ----------
    price_history
        Columns ``symbol``, ``date``, ``high``, ``low``, ``close``, ``price``, ``asset_class``.
    adv
        Columns ``symbol`` and ``adv_usd``.
    last_prices
        Columns ``symbol``, ``last_close`` and ``last_session``.
    nav_usd
        Net asset value, US dollars.
    reference_size
        The trade ``market_impact_bps`` is quoted at, a fraction of net asset value.

    Returns
    -------
    Columns of `MARKET_IMPACT_SCHEMA`, sorted by symbol. ``market_impact_bps`` is the temporary and
    permanent impact; null with ``NO_IMPACT_ESTIMATE`` where volume or volatility is missing.
    """
    volatility = dict(annual_volatility(price_history, policy=policy).iter_rows())
    names = sorted(volatility)
    spreads = dict(estimate_spreads(price_history, policy=policy).iter_rows())
    volumes = dict(adv[["symbol", "adv_usd"]].iter_rows())
    last = last_prices[["symbol", "last_close", "last_session"]].iter_rows()
    closes = {symbol: (close, session) for symbol, close, session in last}
    impact = impact_coefficients(
        np.array([volumes.get(name) for name in names], dtype=np.float64),
        np.array([volatility[name] for name in names], dtype=np.float64),
        nav_usd=nav_usd,
        policy=policy,
    )
    is_known = np.isfinite(impact).tolist()
    bps = (impact * math.sqrt(reference_size) * _BPS).tolist()
    yes, no = [ReasonCode.IMPACT_ESTIMATED.value], [ReasonCode.NO_IMPACT_ESTIMATE.value]
    rows = [
        (
            name,
            volumes.get(name),
            volatility[name],
            spreads.get(name),
            None if math.isnan(cost) else cost,
            *closes.get(name, (None, None)),
            yes if ok else no,
        )
        for name, cost, ok in zip(names, bps, is_known, strict=True)
    ]
    return pl.DataFrame(rows, schema=MARKET_IMPACT_SCHEMA, orient="row")
