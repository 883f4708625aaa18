-- databases: warehouse
-- What a night knows of the data: its quality, the adjusted history, coverage, the verdicts.
CREATE TABLE data_quality (
    symbol VARCHAR NOT NULL,
    asset_class VARCHAR NOT NULL,
    quality_score DOUBLE NOT NULL CHECK (quality_score BETWEEN 0 AND 1),
    status VARCHAR NOT NULL
        CHECK (status IN ('VALID', 'INVALID_DATA', 'INSUFFICIENT_HISTORY', 'STALE', 'REFERENCE')),
    rows BIGINT NOT NULL,
    expected_rows BIGINT NOT NULL,
    first_bar DATE,
    last_bar DATE,
    flags VARCHAR NOT NULL,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- The adjusted history of one night, replaced as a whole; bar_versions keeps what it came from.
CREATE TABLE price_history (
    symbol VARCHAR NOT NULL,
    date DATE NOT NULL,
    open DOUBLE,
    high DOUBLE,
    low DOUBLE,
    close DOUBLE,
    adj_close DOUBLE,
    volume DOUBLE,
    asset_class VARCHAR NOT NULL
        CHECK (asset_class IN ('STOCKS', 'FX', 'CRYPTO', 'COMMODITIES', 'REFERENCE')),
    price DOUBLE,
    is_repaired BOOLEAN NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE history_coverage (
    symbol VARCHAR NOT NULL,
    asset_class VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    expected BIGINT NOT NULL,
    required BIGINT NOT NULL,
    first_bar DATE,
    last_bar DATE,
    last_required DATE,
    is_listed_inside BOOLEAN NOT NULL,
    passes BOOLEAN NOT NULL,
    status VARCHAR NOT NULL,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE data_governance (
    symbol VARCHAR NOT NULL,
    asset_class VARCHAR NOT NULL,
    sector VARCHAR NOT NULL,
    is_reference BOOLEAN NOT NULL,
    status VARCHAR NOT NULL,
    data_quality DOUBLE NOT NULL CHECK (data_quality BETWEEN 0 AND 1),
    history_days BIGINT NOT NULL,
    provider VARCHAR NOT NULL,
    provider_confidence DOUBLE NOT NULL CHECK (provider_confidence BETWEEN 0 AND 1),
    has_route BOOLEAN NOT NULL,
    is_eligible BOOLEAN NOT NULL,
    is_halting BOOLEAN NOT NULL,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
