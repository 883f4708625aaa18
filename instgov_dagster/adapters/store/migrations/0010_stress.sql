-- databases: warehouse
-- The stress set is pinned: when its scenarios end, the hash of every bit, who stands by proxy.
ALTER TABLE stress_scenarios ADD COLUMN window_start DATE;
ALTER TABLE stress_scenarios ADD COLUMN window_end DATE;
ALTER TABLE stress_scenarios ADD COLUMN window_sha256 VARCHAR;
ALTER TABLE stress_scenarios ADD COLUMN proxies VARCHAR[];

-- What a night expects of the book it was handed, and of each strategy's part of it: the forecast
-- that the coverage tests hold against what came.
CREATE TABLE risk_forecasts (
    scope VARCHAR NOT NULL,  -- '*' is the whole book, else a strategy
    session DATE NOT NULL,
    horizon_days BIGINT NOT NULL CHECK (horizon_days > 0),
    gross DOUBLE NOT NULL CHECK (gross >= 0),
    value_at_risk DOUBLE NOT NULL,
    cvar DOUBLE NOT NULL,
    standard_error DOUBLE NOT NULL,
    n_scenarios BIGINT NOT NULL,
    symbols VARCHAR[] NOT NULL,
    weights DOUBLE[] NOT NULL,
    CHECK (len(symbols) = len(weights)),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE cvar_coverage (
    scope VARCHAR NOT NULL,
    test VARCHAR NOT NULL
        CHECK (test IN ('e_process', 'kupiec', 'christoffersen', 'acerbi_szekely')),
    value DOUBLE,
    p_value DOUBLE CHECK (p_value BETWEEN 0 AND 1),
    limit_value DOUBLE NOT NULL,
    outcomes BIGINT NOT NULL CHECK (outcomes >= 0),
    exceedances BIGINT NOT NULL CHECK (exceedances BETWEEN 0 AND outcomes),
    highest DOUBLE,
    last_session DATE,
    is_judged BOOLEAN NOT NULL,
    passed BOOLEAN NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
