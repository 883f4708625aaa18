-- databases: warehouse
-- Bars as received, every version of them. A row is never changed or removed: a restated bar is a
-- new version, a bar the provider withdrew is a version that says so. No key, no index: an indexed
-- upsert costs three times as much, and the diff that appends is what keeps rows unique.
CREATE TABLE bar_versions (
    symbol VARCHAR NOT NULL,
    date DATE NOT NULL,
    ordinal SMALLINT NOT NULL CHECK (ordinal >= 0),  -- 1, 2, … for a date delivered again
    version INTEGER NOT NULL CHECK (version >= 1),
    open DOUBLE,
    high DOUBLE,
    low DOUBLE,
    close DOUBLE,
    adj_close DOUBLE,
    volume DOUBLE,
    dividend DOUBLE,
    split DOUBLE,
    asset_class VARCHAR NOT NULL
        CHECK (asset_class IN ('STOCKS', 'FX', 'CRYPTO', 'COMMODITIES', 'REFERENCE')),
    provider VARCHAR NOT NULL,
    source VARCHAR,
    known_at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    run_id VARCHAR NOT NULL,
    source_sha256 VARCHAR NOT NULL,
    is_restated BOOLEAN NOT NULL,
    is_withdrawn BOOLEAN NOT NULL
);

-- The payload each symbol's bars were last compared with: the same bytes again need no comparing.
CREATE TABLE bar_sources (
    symbol VARCHAR NOT NULL,
    source_sha256 VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    bars BIGINT NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE symbol_classes (
    symbol VARCHAR NOT NULL,
    asset_class VARCHAR NOT NULL
        CHECK (asset_class IN ('STOCKS', 'FX', 'CRYPTO', 'COMMODITIES', 'REFERENCE')),
    is_reference BOOLEAN NOT NULL CHECK (is_reference = (asset_class = 'REFERENCE')),
    first_seen DATE NOT NULL,
    run_id VARCHAR NOT NULL
);
