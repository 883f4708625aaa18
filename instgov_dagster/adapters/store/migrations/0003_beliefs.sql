-- databases: warehouse
-- What a night believes: the regime, the forecasts, the health of the models behind them.
CREATE TABLE regime_beliefs (
    session DATE NOT NULL,
    p_normal_5d DOUBLE NOT NULL CHECK (p_normal_5d BETWEEN 0 AND 1),
    p_volatile_5d DOUBLE NOT NULL CHECK (p_volatile_5d BETWEEN 0 AND 1),
    p_crisis_5d DOUBLE NOT NULL CHECK (p_crisis_5d BETWEEN 0 AND 1),
    p_hit_crisis_5d DOUBLE NOT NULL CHECK (p_hit_crisis_5d BETWEEN 0 AND 1),
    current_belief_normal DOUBLE NOT NULL,
    current_belief_volatile DOUBLE NOT NULL,
    current_belief_crisis DOUBLE NOT NULL,
    spy_ma200_position DOUBLE,
    volatility_percentile DOUBLE,
    vix_level DOUBLE,
    correlation_spike DOUBLE,
    transition_matrix DOUBLE[] NOT NULL CHECK (len(transition_matrix) = 9),
    gross_multiplier DOUBLE NOT NULL CHECK (gross_multiplier BETWEEN 0 AND 1),
    is_reduce_only BOOLEAN NOT NULL,
    parameters VARCHAR NOT NULL,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- reason_codes is empty where the model has nothing to report: a forecast decides nothing.
CREATE TABLE model_forecasts (
    symbol VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL,
    mu DOUBLE,
    sigma DOUBLE,
    p_loss DOUBLE,
    cvar_95 DOUBLE,
    lower_95 DOUBLE,
    upper_95 DOUBLE,
    horizon_days BIGINT NOT NULL,
    forecast_session DATE NOT NULL,
    reason_codes VARCHAR[] NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE model_decay_metrics (
    symbol VARCHAR NOT NULL,
    date DATE NOT NULL,
    model_id VARCHAR NOT NULL,
    model_age_days BIGINT,
    rolling_error DOUBLE,
    autocorr_flip BOOLEAN,
    decay_factor DOUBLE NOT NULL CHECK (decay_factor BETWEEN 0 AND 1),
    mu DOUBLE,
    sigma DOUBLE,
    p_loss DOUBLE,
    cvar_95 DOUBLE,
    confidence DOUBLE NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    model_disagreement_var DOUBLE,
    disagreement_penalty DOUBLE,
    mu_adjusted DOUBLE,
    rolling_forecast_error DOUBLE,
    autocorr_flip_detected BOOLEAN,
    age_decay_factor DOUBLE,
    error_decay_factor DOUBLE,
    final_decay_factor DOUBLE NOT NULL CHECK (final_decay_factor BETWEEN 0 AND 1),
    is_healthy BOOLEAN NOT NULL,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
