-- databases: warehouse
-- What a night would do with the capital: scenarios, costs, bids, gates, the plan.
CREATE TABLE stress_scenarios (
    measure VARCHAR NOT NULL,
    scenario_date DATE NOT NULL,
    returns DOUBLE[] NOT NULL CHECK (len(returns) > 0),
    symbols_hash VARCHAR NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE market_impact (
    symbol VARCHAR NOT NULL,
    adv_usd DOUBLE,
    volatility_annual DOUBLE,
    spread_bps DOUBLE,
    market_impact_bps DOUBLE,
    last_close DOUBLE,
    last_session DATE,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE auction_bids (
    cycle_id VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    asset_class VARCHAR NOT NULL,
    mu DOUBLE NOT NULL,
    sigma DOUBLE NOT NULL,
    cvar_95 DOUBLE NOT NULL,
    marginal_cvar DOUBLE NOT NULL,
    p_loss DOUBLE NOT NULL,
    data_quality_score DOUBLE NOT NULL CHECK (data_quality_score BETWEEN 0 AND 1),
    history_days BIGINT NOT NULL,
    provider_confidence DOUBLE NOT NULL,
    adv_usd DOUBLE NOT NULL,
    liquidity_cost_bps DOUBLE NOT NULL,
    market_impact_bps DOUBLE NOT NULL,
    correlation_risk DOUBLE NOT NULL,
    sector_exposure DOUBLE NOT NULL,
    holding_period_days BIGINT NOT NULL,
    time_decay_rate DOUBLE NOT NULL,
    model_age_days BIGINT NOT NULL,
    rolling_forecast_error DOUBLE NOT NULL,
    autocorr_flip_detected BOOLEAN NOT NULL,
    strategy_id VARCHAR NOT NULL,
    strategy_lifecycle_stage VARCHAR NOT NULL,
    strategy_allocation_pct DOUBLE NOT NULL,
    mu_hat DOUBLE NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE risk_verdicts (
    cycle_id VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,  -- '*' is the whole book
    gate VARCHAR NOT NULL,
    passed BOOLEAN NOT NULL,
    value DOUBLE,
    limit_value DOUBLE,
    headroom DOUBLE,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    CHECK (NOT passed OR value IS NOT NULL),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE execution_plan (
    cycle_id VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    symbol VARCHAR NOT NULL,
    strategy_id VARCHAR NOT NULL,
    side VARCHAR NOT NULL CHECK (side IN ('BUY', 'SELL')),
    style VARCHAR NOT NULL,
    quantity DECIMAL(20, 8) NOT NULL CHECK (quantity > 0),
    weight_delta DOUBLE NOT NULL,
    notional_usd DOUBLE NOT NULL,
    limit_price DOUBLE NOT NULL,
    slice_index BIGINT NOT NULL,
    slice_count BIGINT NOT NULL,
    release_after_seconds DOUBLE NOT NULL,
    temporary_impact_bps DOUBLE NOT NULL,
    permanent_impact_bps DOUBLE NOT NULL,
    spread_cost_bps DOUBLE NOT NULL,
    total_cost_bps DOUBLE NOT NULL,
    liquidity_decay_rate DOUBLE NOT NULL,
    regime VARCHAR NOT NULL CHECK (regime IN ('CALM', 'VOLATILE', 'CRISIS')),
    confidence DOUBLE NOT NULL,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
