"""Worlds to test the capital wing in: returns, bids and instances of any size, by seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.assemble import AuctionTerms, build_instance
from instgov_dagster.capital.auction.bids import BidTable
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.values import adjusted_values
from instgov_dagster.capital.scenarios import ScenarioSet, with_missing_stress
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import CapitalAuctionInput, StrategyGrant
from instgov_dagster.vocabulary.governance import StrategyLifecycle
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy, CVaRConfig

NAV_USD = 10_000_000.0


def names(n: int) -> tuple[str, ...]:
    return tuple(f"S{i:03d}" for i in range(n))


def returns_of(n_scenarios: int, n_symbols: int, seed: int = 0) -> NDArray[np.float64]:
    """Fat-tailed five-session returns with one common factor, all above -1."""
    rng = np.random.default_rng([seed, n_scenarios, n_symbols])
    market = rng.standard_t(4, n_scenarios) * 0.015
    own = rng.standard_t(5, (n_scenarios, n_symbols)) * rng.uniform(0.01, 0.04, n_symbols)
    return np.maximum(0.001 + market[:, None] * rng.uniform(0.3, 1.5, n_symbols) + own, -0.95)


def scenarios_of(
    returns: NDArray[np.float64], config: CVaRConfig, symbols: tuple[str, ...] | None = None
) -> ScenarioSet:
    dates = np.datetime64("2020-01-01") + np.arange(returns.shape[0])
    return with_missing_stress(symbols or names(returns.shape[1]), dates, returns, config=config)


def bid(symbol: str = "S000", strategy_id: str = "momentum", **fields: Any) -> CapitalAuctionInput:
    values: dict[str, Any] = {
        "symbol": symbol,
        "asset_class": AssetClass.STOCKS,
        "mu": 0.004,
        "sigma": 0.03,
        "cvar_95": 0.06,
        "marginal_cvar": 0.05,
        "p_loss": 0.45,
        "data_quality_score": 1.0,
        "history_days": 1255,
        "provider_confidence": 1.0,
        "adv_usd": 1e9,
        "liquidity_cost_bps": 1.0,
        "market_impact_bps": 5.0,
        "correlation_risk": 0.0,
        "sector_exposure": 0.0,
        "holding_period_days": 5,
        "time_decay_rate": 0.0,
        "model_age_days": 1,
        "rolling_forecast_error": 1.0,
        "autocorr_flip_detected": False,
        "strategy_id": strategy_id,
        "strategy_lifecycle_stage": StrategyLifecycle.INCUBATING,
        "strategy_allocation_pct": 0.0,
    }
    return CapitalAuctionInput(**{**values, **fields})


def small_config(**fields: Any) -> CVaRConfig:
    """Allow as few scenarios as a hand calculation needs."""
    return CVaRConfig(**{"min_scenarios": 40, "min_stressed_scenarios": 40, **fields})


def instance_of(
    rows: Sequence[CapitalAuctionInput],
    scenarios: ScenarioSet,
    *,
    config: CVaRConfig,
    policy: AuctionPolicy | None = None,
    **terms: Any,
) -> AuctionInstance:
    """Build an instance from rows; terms default to an empty book and HARVESTING grants."""
    policy = policy or AuctionPolicy()
    bids = BidTable.from_rows(rows)
    n = len(rows)
    strategies = sorted({row.strategy_id for row in rows})
    defaults: dict[str, Any] = {
        "held": np.zeros(n),
        "blocks": ((),) * n,
        "freezes": ((),) * n,
        "budget": 1.0,
        "grants": tuple(
            StrategyGrant(strategy_id=name, stage_cap=0.10, capital_decay=1.0)
            for name in strategies
        ),
        "sectors": {row.symbol: "UNKNOWN" for row in rows},
        "traded_usd": {},
        "nav_usd": NAV_USD,
    }
    values = adjusted_values(
        bids,
        final_decay_factor=np.ones(n),
        sessions_since_forecast=np.zeros(n),
        policy=policy,
    )
    return build_instance(
        bids,
        values,
        scenarios,
        AuctionTerms(**{**defaults, **terms}),
        policy=policy,
        cvar_config=config,
    )


def random_instance(
    seed: int,
    *,
    n_symbols: int = 56,
    n_scenarios: int = 1255,
    n_strategies: int = 2,
    is_holding: bool = False,
    policy: AuctionPolicy | None = None,
    config: CVaRConfig | None = None,
    mu_scale: float = 0.004,
) -> AuctionInstance:
    """Build a random auction of every class with sectors, several strategies and odd sizes."""
    rng = np.random.default_rng([seed, 7])
    config = config or CVaRConfig()
    classes = list(AssetClass)
    kinds = rng.choice(4, n_symbols, p=[0.6, 0.15, 0.15, 0.1])
    adv = np.exp(rng.normal(19.0, 2.0, n_symbols))
    spread = rng.uniform(0.5, 8.0, n_symbols)
    impact = rng.uniform(1.0, 40.0, n_symbols)
    rows = [
        bid(
            symbol,
            f"strategy_{k}",
            asset_class=classes[kinds[i]],
            mu=float(rng.normal(0.5, 1.0) * mu_scale),
            adv_usd=float(adv[i]),
            liquidity_cost_bps=float(spread[i]),
            market_impact_bps=float(impact[i]),
            data_quality_score=float(rng.uniform(0.6, 1.0)),
            correlation_risk=float(rng.uniform(-1.0, 1.0)),
        )
        for i, symbol in enumerate(names(n_symbols))
        for k in range(n_strategies)
    ]
    stages = (0.02, 0.05, 0.10)
    grants = tuple(
        StrategyGrant(
            strategy_id=f"strategy_{k}",
            stage_cap=stages[int(rng.integers(3))],
            capital_decay=float(rng.uniform(0.5, 1.0)),
        )
        for k in range(n_strategies)
    )
    held = rng.uniform(0.0, 0.004, len(rows)) * (rng.random(len(rows)) < 0.5)
    return instance_of(
        rows,
        scenarios_of(returns_of(n_scenarios, n_symbols, seed), config),
        config=config,
        policy=policy,
        held=held if is_holding else np.zeros(len(rows)),
        grants=grants,
        sectors={
            s: f"sector_{i % 9}" if i % 10 else "UNKNOWN" for i, s in enumerate(names(n_symbols))
        },
        budget=float(rng.uniform(0.5, 1.0)),
    )
