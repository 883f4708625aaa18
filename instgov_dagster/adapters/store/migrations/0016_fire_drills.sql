-- databases: warehouse
-- One row a drill that was held: the fault, what had to follow, what did, and when. Append-only.
CREATE TABLE fire_drills (
    drill VARCHAR NOT NULL,
    control VARCHAR NOT NULL,
    injected VARCHAR NOT NULL,
    expected_reason_code VARCHAR NOT NULL,
    expected_state VARCHAR NOT NULL,
    fired BOOLEAN NOT NULL,
    reason_code VARCHAR,
    state VARCHAR NOT NULL
        CHECK (state IN ('RUNNING', 'REDUCE_ONLY', 'HALT_SYSTEM', 'STOP_SYSTEM')),
    statistic DOUBLE,
    detail VARCHAR NOT NULL,
    "at" TIMESTAMPTZ NOT NULL,
    CHECK (NOT fired OR reason_code = expected_reason_code),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
