-- databases: warehouse
-- What a night was given beside its bars, frozen when it ingested: a repeated night stands on it.
CREATE TABLE night_portfolio (
    strategy_id VARCHAR,
    symbol VARCHAR,
    quantity VARCHAR,
    cash_usd VARCHAR NOT NULL,
    peak_nav_usd VARCHAR NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE night_strategy_returns (
    date DATE NOT NULL,
    strategy_id VARCHAR NOT NULL,
    pnl DOUBLE NOT NULL,
    gross DOUBLE NOT NULL,
    volatility_annual DOUBLE NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- One row a night: the state its own decision is told, and the causes of it as JSON.
CREATE TABLE night_system_state (
    state VARCHAR NOT NULL
        CHECK (state IN ('RUNNING', 'REDUCE_ONLY', 'HALT_SYSTEM', 'STOP_SYSTEM')),
    causes VARCHAR NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
