-- databases: warehouse
-- The strategies' lives, the execution order's stamps, and what each night wrote.
CREATE TABLE strategy_lifecycle_log (
    strategy_id VARCHAR NOT NULL,
    stage VARCHAR NOT NULL
        CHECK (stage IN ('INCUBATING', 'SCALING', 'HARVESTING', 'DECOMMISSIONED')),
    start_date DATE NOT NULL,
    capital_pct DOUBLE NOT NULL CHECK (capital_pct BETWEEN 0 AND 100),
    capital_decay DOUBLE NOT NULL CHECK (capital_decay BETWEEN 0 AND 1),
    sessions_since_proof BIGINT NOT NULL,
    performance_metrics VARCHAR NOT NULL,
    reason_codes VARCHAR[] NOT NULL CHECK (len(reason_codes) > 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE phase_stamps (
    phase VARCHAR NOT NULL,
    step BIGINT NOT NULL CHECK (step BETWEEN 1 AND 7),
    parents VARCHAR[] NOT NULL,
    output_hash VARCHAR NOT NULL,
    stamp_hash VARCHAR NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- Which rows of a night's table are its latest: a write that changed nothing is not repeated.
CREATE TABLE night_writes (
    table_name VARCHAR NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    content_sha256 VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    sequence BIGINT NOT NULL
);

-- One row a stage a strategy has been in. The log is append-only, so the end of a stage is the
-- start of the next, and a stage's numbers are those of the last night that saw it.
CREATE VIEW strategy_lifecycle AS
WITH writes AS (
    SELECT "asof", run_id, recorded_at
    FROM night_writes
    WHERE table_name = 'strategy_lifecycle_log'
    QUALIFY row_number() OVER (PARTITION BY "asof" ORDER BY sequence DESC) = 1
),
stages AS (
    SELECT
        strategy_id,
        stage,
        start_date,
        arg_max(capital_pct, "asof") AS capital_pct,
        arg_max(performance_metrics, "asof") AS performance_metrics,
        arg_max(capital_decay, "asof") AS capital_decay,
        arg_max(sessions_since_proof, "asof") AS sessions_since_proof,
        arg_max(reason_codes, "asof") AS reason_codes
    FROM strategy_lifecycle_log
    SEMI JOIN writes USING ("asof", run_id, recorded_at)
    GROUP BY strategy_id, stage, start_date
)
SELECT
    strategy_id,
    stage,
    start_date,
    lead(start_date) OVER (PARTITION BY strategy_id ORDER BY start_date, stage) AS end_date,
    capital_pct,
    performance_metrics,
    capital_decay,
    sessions_since_proof,
    reason_codes
FROM stages;
