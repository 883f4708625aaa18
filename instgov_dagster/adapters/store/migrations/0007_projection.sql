-- databases: live
-- How far the projection has read the journal; moved in the transaction that adds the rows.
CREATE TABLE journal_cursor (
    chain VARCHAR NOT NULL,
    segment BIGINT NOT NULL,
    "offset" BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    head VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
