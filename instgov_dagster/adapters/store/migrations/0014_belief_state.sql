-- databases: warehouse
-- The models as the night left them: what a live session forecasts from, bit for bit.
CREATE TABLE belief_state (
    session DATE NOT NULL,
    symbols VARCHAR[] NOT NULL CHECK (len(symbols) > 0),
    packed BLOB NOT NULL,
    packed_sha256 VARCHAR NOT NULL CHECK (len(packed_sha256) = 64),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
