-- databases: live
-- What each live cycle was and said beside its rows, and what each session brought by strategy.
CREATE TABLE live_cycles (
    cycle_id VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL,
    state VARCHAR NOT NULL
        CHECK (state IN ('RUNNING', 'REDUCE_ONLY', 'HALT_SYSTEM', 'STOP_SYSTEM')),
    is_late BOOLEAN NOT NULL,
    is_stale BOOLEAN NOT NULL,
    nav_usd DOUBLE NOT NULL,
    gross DOUBLE NOT NULL,
    drawdown DOUBLE NOT NULL,
    cvar_current DOUBLE,
    cvar_filtered DOUBLE,
    cvar_stressed DOUBLE,
    cvar_gate DOUBLE NOT NULL,
    cvar_standard_error DOUBLE,
    auction_status VARCHAR NOT NULL,
    hurdle DOUBLE NOT NULL,
    lambda_star DOUBLE,
    snapshot_id VARCHAR NOT NULL,
    inputs_hash VARCHAR NOT NULL,
    config_hash VARCHAR NOT NULL,
    code_hash VARCHAR NOT NULL,
    frame_sequence BIGINT NOT NULL,
    chain_head VARCHAR NOT NULL,  -- of the loop's chain once the cycle's frame stood
    night_head VARCHAR,
    operator_head VARCHAR,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE session_results (
    session_id VARCHAR NOT NULL,
    strategy_id VARCHAR NOT NULL,
    value_usd DOUBLE NOT NULL,
    pnl DOUBLE NOT NULL,
    gross DOUBLE NOT NULL,
    volatility_annual DOUBLE NOT NULL,
    frame_sequence BIGINT NOT NULL,
    chain_head VARCHAR NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
