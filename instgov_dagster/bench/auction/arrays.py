"""The auctions that are measured: returns, bids and caps of any size, by seed."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.assemble import AuctionTerms, build_instance
from instgov_dagster.capital.auction.bids import BidTable
from instgov_dagster.capital.auction.instance import AuctionInstance, Incidence
from instgov_dagster.capital.auction.values import AdjustedValues, adjusted_values
from instgov_dagster.capital.scenarios import ScenarioMeasure, ScenarioSet
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure, StrategyGrant
from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.governance import StrategyLifecycle
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy, CVaRConfig

_NAV_USD = 1e8
_N_FACTORS = 16
_N_STRATEGIES = 24
_N_SECTORS = 11
_CLASSES = (AssetClass.STOCKS, AssetClass.FX, AssetClass.COMMODITIES, AssetClass.CRYPTO)
#: A trade is held for ten horizons, so a tenth of its cost stands against one horizon's value.
_HORIZONS_HELD = 10.0


class Programme(StrEnum):
    """What is solved: what every library can express, or everything SPEC 5 asks for."""

    SIMPLE = "simple"
    FULL = "full"
    FULL_TWO_MEASURES = "full, 2 measures"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionSize:
    """How large an auction is measured, and how hard: bids, scenarios, hurdle, CVaR limit.

    ``cvar_limit`` is what the auction may use of it in the full programme, where it binds; the
    simple one has no limit. ``tick_share`` of the bids are forecast again each second, by
    ``tick_move`` deviations of the values; holdings drift by ``drift``.
    """

    n_bids: int = number(ge=1, le=99_999)
    n_scenarios: int = number(1260, ge=40, le=100_000)
    seed: int = number(0, ge=0)
    hurdle: float = number(0.02, ge=0.0)
    cvar_limit: float = number(0.012, gt=0.0)
    tick_share: float = number(0.01, gt=0.0, le=1.0)
    tick_move: float = number(0.1, gt=0.0)
    drift: float = number(0.002, ge=0.0)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Market:
    # One symbol a bid: returns (n_scenarios, n_bids) and columns of shape (n_bids,).
    returns: NDArray[np.float64]
    others: NDArray[np.float64]
    values: NDArray[np.float64]
    caps: NDArray[np.float64]
    sectors: NDArray[np.intp]
    classes: NDArray[np.intp]
    strategies: NDArray[np.intp]
    stages: NDArray[np.float64]
    adv_usd: NDArray[np.float64]
    spread: NDArray[np.float64]
    held: NDArray[np.float64]


def make_instance(size: AuctionSize, programme: Programme) -> AuctionInstance:
    """Make one auction: fat-tailed factor returns with clustered volatility, weak forecasts.

    The simple one is max mu'w - lambda CVaR(w), sum w <= 1, 0 <= w <= u, without costs or
    holdings. The full one is assembled as the cycle assembles its own.
    """
    market = _market(size)
    whole = _full(size, market, has_second=programme is Programme.FULL_TWO_MEASURES)
    if programme is not Programme.SIMPLE:
        return whole
    n = size.n_bids
    free, nothing = np.ones(n), np.zeros(n)
    return replace(
        whole,
        values=market.values,
        held=nothing,
        caps=market.caps,
        groups=whole.groups[:1],
        membership=Incidence.from_rows(whole.membership.to_rows()[:1]),
        group_caps=whole.group_caps[:1],
        half_spread=nothing,
        impact=nothing,
        traded=nothing,
        buy_limits=free,
        sell_limits=free,
        measure_limits=(1.0,),
    )


def next_instance(instance: AuctionInstance, size: AuctionSize, tick: int) -> AuctionInstance:
    """Give the auction a second later: some bids forecast again, the book drifted."""
    rng = np.random.default_rng([size.seed, size.n_bids, 1 + tick])
    n = size.n_bids
    moved = rng.choice(n, max(1, round(size.tick_share * n)), replace=False)
    values = instance.values.copy()
    values[moved] += size.tick_move * values.std() * rng.standard_normal(moved.size)
    held = instance.held * (1.0 + size.drift * rng.standard_normal(n))
    return replace(instance, values=values, held=np.minimum(held, instance.caps))


def without_penalties(instance: AuctionInstance) -> AdjustedValues:
    """Attribute the values of an instance whose bids carry no penalty."""
    none = np.zeros(len(instance.bid_ids))
    value = np.maximum(instance.values, 0.0)
    return AdjustedValues(
        mu=value,
        negative_part=none,
        data_quality_penalty=none,
        model_decay_penalty=none,
        provider_penalty=none,
        correlation_penalty=none,
        time_decay_penalty=none,
        mu_hat=value,
    )


def _market(size: AuctionSize) -> _Market:
    n, s = size.n_bids, size.n_scenarios
    rng = np.random.default_rng([size.seed, n, s])
    classes = rng.choice(4, n, p=[0.70, 0.15, 0.10, 0.05])
    sectors = rng.integers(0, _N_SECTORS, n)
    loadings = np.zeros((n, _N_FACTORS))
    loadings[:, 0] = rng.normal(1.0, 0.35, n) * np.choose(classes, [1.0, 0.8, 0.3, 1.4])
    loadings[np.arange(n), 1 + sectors] = rng.normal(1.0, 0.3, n)
    loadings[:, 12:] = rng.normal(0.0, 0.5, (n, _N_FACTORS - 12))
    own = np.choose(classes, [0.016, 0.007, 0.006, 0.04]) * np.exp(0.3 * rng.standard_normal(n))
    returns = _returns(rng, loadings, own, s)
    sigma = returns.std(axis=0)
    values = 0.06 * sigma * rng.standard_normal(n)
    adv = np.exp(rng.normal(17.0, 1.5, n))
    caps = np.minimum(0.05, 0.10 * adv / _NAV_USD + 0.002) * min(1.0, 240.0 / n)
    strategies = rng.integers(0, _N_STRATEGIES, n)
    stages = rng.choice([0.02, 0.05, 0.10], _N_STRATEGIES, p=[0.3, 0.4, 0.3])
    held = np.zeros(n)
    chosen = rng.choice(n, min(n, max(5, n // 10)), replace=False)
    held[chosen] = 0.5 * caps[chosen] * rng.uniform(0.0, 0.8, chosen.size)
    return _Market(
        returns=returns,
        others=0.5 * _returns(rng, loadings, own, s),
        values=values,
        # At most the name cap, which no purchase of the full programme may pass either.
        caps=np.clip(caps, 1.5 / n, AuctionPolicy().name_cap).round(6),
        sectors=sectors,
        classes=classes,
        strategies=strategies,
        stages=stages,
        adv_usd=adv,
        spread=np.clip(6e-4 * np.exp(-0.25 * (np.log(adv) - 17.0)), 5e-5, 5e-3),
        held=held * min(1.0, 0.25 / max(float(held.sum()), 1e-12)),
    )


def _returns(
    rng: np.random.Generator,
    loadings: NDArray[np.float64],
    own: NDArray[np.float64],
    n_scenarios: int,
) -> NDArray[np.float64]:
    # Student factors on one slow log volatility: what makes tails cluster.
    shocks = rng.standard_normal(n_scenarios)
    logs = np.zeros(n_scenarios)
    for t in range(1, n_scenarios):
        logs[t] = 0.97 * logs[t - 1] + 0.14 * shocks[t]
    volatility = np.exp(logs - logs.mean())[:, None]
    factors = rng.standard_t(4, (n_scenarios, _N_FACTORS)) / np.sqrt(2.0) * volatility
    factors *= np.r_[0.009, np.full(_N_FACTORS - 1, 0.004)]
    noise = rng.standard_t(5, (n_scenarios, own.size)) / np.sqrt(5.0 / 3.0) * np.sqrt(volatility)
    returns: NDArray[np.float64] = np.maximum(factors @ loadings.T + own * noise, -0.95)
    return returns


def _full(size: AuctionSize, market: _Market, *, has_second: bool) -> AuctionInstance:
    policy = AuctionPolicy(hurdle=size.hurdle)
    bids = _bids(market, policy)
    n = len(bids)
    values = adjusted_values(
        bids,
        final_decay_factor=np.ones(n),
        sessions_since_forecast=np.zeros(n),
        policy=policy,
    )
    terms = AuctionTerms(
        held=market.held,
        blocks=((),) * n,
        freezes=((),) * n,
        budget=1.0,
        grants=tuple(
            StrategyGrant(strategy_id=_strategy(k), stage_cap=float(cap), capital_decay=1.0)
            for k, cap in enumerate(market.stages)
        ),
        sectors={
            str(symbol): f"sector {sector}"
            for symbol, sector in zip(bids.symbol, market.sectors, strict=True)
        },
        traded_usd={},
        nav_usd=_NAV_USD,
    )
    haircut = CVaRConfig().haircut
    return build_instance(
        bids,
        values,
        _scenarios(tuple(bids.symbol.tolist()), market, has_second=has_second),
        terms,
        policy=policy,
        cvar_config=CVaRConfig(portfolio_limit=size.cvar_limit / haircut, haircut=haircut),
    )


def _strategy(k: int) -> str:
    return f"strategy {k:02d}"


def _bids(market: _Market, policy: AuctionPolicy) -> BidTable:
    n = market.values.size
    sigma = market.returns.std(axis=0)
    reference = np.sqrt(policy.impact_reference_size * _NAV_USD / market.adv_usd)
    impact = 0.15 * sigma * np.sqrt(252.0) * reference / _HORIZONS_HELD
    zeros, ones = np.zeros(n), np.ones(n)
    return BidTable(
        symbol=np.array([f"S{i:05d}" for i in range(n)]),
        asset_class=np.array([_CLASSES[k].value for k in market.classes]),
        mu=market.values,
        sigma=sigma,
        cvar_95=2.0 * sigma,
        marginal_cvar=2.0 * sigma,
        p_loss=0.5 * ones,
        data_quality_score=ones,
        history_days=np.full(n, 1260),
        provider_confidence=ones,
        adv_usd=market.adv_usd,
        liquidity_cost_bps=1e4 * market.spread / 2.0 / _HORIZONS_HELD,
        market_impact_bps=1e4 * impact,
        correlation_risk=zeros,
        sector_exposure=zeros,
        holding_period_days=np.ones(n, dtype=np.int64),
        time_decay_rate=zeros,
        model_age_days=np.ones(n, dtype=np.int64),
        rolling_forecast_error=ones,
        autocorr_flip_detected=np.zeros(n, dtype=np.bool_),
        strategy_id=np.array([_strategy(k) for k in market.strategies]),
        strategy_lifecycle_stage=np.full(n, StrategyLifecycle.HARVESTING.value),
        strategy_allocation_pct=zeros,
    )


def _scenarios(symbols: tuple[str, ...], market: _Market, *, has_second: bool) -> ScenarioSet:
    dates = np.datetime64("2020-01-01") + np.arange(market.returns.shape[0])
    found = [(RiskMeasure.CURRENT, market.returns), (RiskMeasure.FILTERED, market.others)]
    measures = tuple(
        ScenarioMeasure(
            name=name, end_dates=dates, returns=returns, multiplier=1.0, reason_codes=()
        )
        for name, returns in found[: 2 if has_second else 1]
    )
    return ScenarioSet(symbols=symbols, measures=measures)
