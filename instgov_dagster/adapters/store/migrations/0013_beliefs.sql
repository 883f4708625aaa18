-- databases: warehouse
-- What the models were fitted to, what they were worth, and how many were ever tried.
ALTER TABLE regime_beliefs ADD COLUMN known_at TIMESTAMPTZ;

-- One row a fit that was tried: its parameters, or nulls and the reason. Later nights read all.
CREATE TABLE sigma_fits (
    symbol VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL,
    fitted_session DATE NOT NULL,
    omega DOUBLE CHECK (omega >= 0),
    alpha DOUBLE CHECK (alpha >= 0),
    gamma DOUBLE,
    beta DOUBLE CHECK (beta >= 0),
    dof DOUBLE CHECK (dof > 2),
    variance DOUBLE CHECK (variance > 0),
    n_returns BIGINT NOT NULL,
    log_likelihood DOUBLE,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- No value without its standard error; both are null where the sessions were too few.
CREATE TABLE model_evaluation (
    model_id VARCHAR NOT NULL,
    family VARCHAR NOT NULL CHECK (family IN ('mu', 'sigma')),
    metric VARCHAR NOT NULL,
    benchmark VARCHAR,
    value DOUBLE,
    standard_error DOUBLE,
    statistic DOUBLE,
    p_value DOUBLE CHECK (p_value BETWEEN 0 AND 1),
    n BIGINT NOT NULL CHECK (n >= 0),
    is_significant BOOLEAN NOT NULL,
    last_session DATE NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- Every variant ever evaluated, on the night it was first: the number of trials is their count.
CREATE TABLE model_trials (
    variant_sha256 VARCHAR NOT NULL,
    family VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL,
    parameters VARCHAR NOT NULL,
    first_evaluated DATE NOT NULL,
    trial_number BIGINT NOT NULL CHECK (trial_number > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE belief_pictures (
    name VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    svg VARCHAR NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
