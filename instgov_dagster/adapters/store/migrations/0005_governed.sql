-- databases: warehouse live
-- What was decided and done: nightly in the warehouse, live in the projection. Rows are appended
-- only; money is DECIMAL, risk is DOUBLE.
CREATE TABLE capital_allocations (
    cycle_id VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    strategy_id VARCHAR NOT NULL,
    allocated_weight DOUBLE NOT NULL CHECK (allocated_weight >= 0),
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    allocated BOOLEAN NOT NULL,
    weight DOUBLE NOT NULL,
    rank BIGINT NOT NULL,
    decision VARCHAR NOT NULL,
    mu_contribution DOUBLE NOT NULL,
    cvar_contribution DOUBLE NOT NULL,
    liquidity_cost DOUBLE NOT NULL,
    correlation_penalty DOUBLE NOT NULL,
    data_quality_penalty DOUBLE NOT NULL,
    model_decay_penalty DOUBLE NOT NULL,
    provider_penalty DOUBLE NOT NULL,
    time_decay_penalty DOUBLE NOT NULL,
    priced_out_bps DOUBLE NOT NULL,
    vetoed BOOLEAN NOT NULL,
    veto_reason VARCHAR,
    CHECK (NOT vetoed OR veto_reason IS NOT NULL),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE governance_decisions (
    cycle_id VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    symbol VARCHAR NOT NULL,
    decision VARCHAR NOT NULL
        CHECK (decision IN ('EXECUTE', 'REDUCE', 'HOLD', 'REJECT', 'VETO', 'INELIGIBLE')),
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    mu DOUBLE NOT NULL,
    sigma DOUBLE NOT NULL,
    cvar DOUBLE NOT NULL,
    data_quality DOUBLE NOT NULL,
    model_confidence DOUBLE NOT NULL,
    vetoed BOOLEAN NOT NULL,
    veto_reason VARCHAR,
    timestamp TIMESTAMPTZ NOT NULL,
    position_size DOUBLE,
    expected_return DOUBLE,
    expected_risk DOUBLE,
    strategy_id VARCHAR,
    strategy_stage VARCHAR,
    cvar_limit_check BOOLEAN,
    leverage_limit_check BOOLEAN,
    drawdown_limit_check BOOLEAN,
    correlation_limit_check BOOLEAN,
    sector_limit_check BOOLEAN,
    veto_triggers VARCHAR[] NOT NULL,
    headroom VARCHAR NOT NULL,
    CHECK (NOT vetoed OR veto_reason IS NOT NULL),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE system_states (
    state VARCHAR NOT NULL
        CHECK (state IN ('RUNNING', 'REDUCE_ONLY', 'HALT_SYSTEM', 'STOP_SYSTEM')),
    causes VARCHAR NOT NULL,
    chain VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE orders (
    client_order_id VARCHAR NOT NULL,
    cycle_id VARCHAR NOT NULL,
    decision_sequence BIGINT NOT NULL,
    symbol VARCHAR NOT NULL,
    side VARCHAR NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity DECIMAL(20, 8) NOT NULL CHECK (quantity > 0),
    limit_price DECIMAL(20, 8) NOT NULL,
    status VARCHAR NOT NULL,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE fills (
    client_order_id VARCHAR NOT NULL,
    cycle_id VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    side VARCHAR NOT NULL CHECK (side IN ('BUY', 'SELL')),
    sequence BIGINT NOT NULL,
    quantity DECIMAL(20, 8) NOT NULL CHECK (quantity > 0),
    price DECIMAL(20, 8) NOT NULL,
    mid_price DECIMAL(20, 8) NOT NULL,
    cost_usd DECIMAL(20, 8) NOT NULL CHECK (cost_usd >= 0),
    is_aggressive BOOLEAN NOT NULL,
    filled_at TIMESTAMPTZ NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE cash_ledger (
    cycle_id VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    entry VARCHAR NOT NULL,
    symbol VARCHAR,
    client_order_id VARCHAR,
    amount_usd DECIMAL(20, 8) NOT NULL,
    balance_usd DECIMAL(20, 8) NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- Seeded from the closed enum at every migration.
CREATE TABLE reason_codes (
    code VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    sentence VARCHAR NOT NULL
);
