-- databases: warehouse
-- What earlier sessions left as evidence: each night adds the days no night before it has read.
CREATE TABLE session_accounts (
    date DATE NOT NULL,
    strategy_id VARCHAR NOT NULL,
    realised DOUBLE NOT NULL,
    explained DOUBLE NOT NULL,
    costs DOUBLE NOT NULL,
    orders DOUBLE NOT NULL CHECK (orders >= 0),
    errors DOUBLE NOT NULL CHECK (errors >= 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE recorded_fills (
    date DATE NOT NULL,
    symbol VARCHAR NOT NULL,
    side DOUBLE NOT NULL CHECK (side IN (-1, 1)),
    price DOUBLE NOT NULL,
    mid DOUBLE NOT NULL,
    half_spread DOUBLE NOT NULL,
    cost_bps DOUBLE NOT NULL,
    modelled_bps DOUBLE NOT NULL,
    is_aggressive BOOLEAN NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE passive_orders (
    date DATE NOT NULL,
    symbol VARCHAR NOT NULL,
    is_filled BOOLEAN NOT NULL,
    markout_bps DOUBLE,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- What operators had cleared when the night ingested: a veto is named by whom, code and day.
CREATE TABLE night_veto_clears (
    strategy_id VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    reason_code VARCHAR NOT NULL,
    raised_on DATE NOT NULL,
    operator VARCHAR NOT NULL CHECK (length(trim(operator)) > 0),
    reason VARCHAR NOT NULL CHECK (length(trim(reason)) > 0),
    sequence BIGINT NOT NULL,
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- Every rule's answer, fired or not; the statistic is infinite where it could not be measured.
CREATE TABLE veto_findings (
    strategy_id VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    trigger VARCHAR NOT NULL,
    reason_code VARCHAR NOT NULL CHECK (starts_with(reason_code, 'VETO_')),
    fired BOOLEAN NOT NULL,
    statistic DOUBLE NOT NULL,
    threshold DOUBLE NOT NULL,
    n BIGINT NOT NULL CHECK (n >= 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- Every veto that is remembered, standing or not, as the night saw it.
CREATE TABLE vetoes (
    strategy_id VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    reason_code VARCHAR NOT NULL CHECK (starts_with(reason_code, 'VETO_')),
    trigger VARCHAR NOT NULL,
    raised_on DATE NOT NULL,
    statistic DOUBLE NOT NULL,
    threshold DOUBLE NOT NULL,
    n BIGINT NOT NULL CHECK (n >= 0),
    cleared_on DATE CHECK (cleared_on >= raised_on),
    is_standing BOOLEAN NOT NULL,
    sessions_left BIGINT CHECK (sessions_left >= 0),
    "asof" DATE NOT NULL,
    run_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- One row a stage a strategy has been in. A stage is never entered twice, so it begins on the first
-- night that saw it (the first of all on the strategy's start) and ends where the next begins.
CREATE OR REPLACE VIEW strategy_lifecycle AS
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
        min("asof") AS first_seen,
        min(start_date) AS born,
        arg_max(capital_pct, "asof") AS capital_pct,
        arg_max(performance_metrics, "asof") AS performance_metrics,
        arg_max(capital_decay, "asof") AS capital_decay,
        arg_max(sessions_since_proof, "asof") AS sessions_since_proof,
        arg_max(reason_codes, "asof") AS reason_codes
    FROM strategy_lifecycle_log
    SEMI JOIN writes USING ("asof", run_id, recorded_at)
    GROUP BY strategy_id, stage
),
dated AS (
    SELECT
        *,
        CASE
            WHEN row_number() OVER (PARTITION BY strategy_id ORDER BY first_seen) = 1 THEN born
            ELSE first_seen
        END AS start_date
    FROM stages
)
SELECT
    strategy_id,
    stage,
    start_date,
    lead(start_date) OVER (PARTITION BY strategy_id ORDER BY start_date, first_seen) AS end_date,
    capital_pct,
    performance_metrics,
    capital_decay,
    sessions_since_proof,
    reason_codes
FROM dated;
