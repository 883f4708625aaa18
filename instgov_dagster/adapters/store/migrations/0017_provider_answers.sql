-- databases: warehouse
-- What became of each question of a night to a provider: its confidence is counted from these.
CREATE TABLE provider_answers (
    provider VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    reason_code VARCHAR NOT NULL,
    status BIGINT,
    requests BIGINT NOT NULL CHECK (requests >= 0),
    rows BIGINT NOT NULL CHECK (rows >= 0),
    detail VARCHAR NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
