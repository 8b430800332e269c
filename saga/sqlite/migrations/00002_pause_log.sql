-- Who has paused and resumed types, and drained workers. What stood in
-- rondo_saga_pauses before, the last of each type, is where the log begins.

-- +goose Up

ALTER TABLE rondo_saga_pauses ADD COLUMN worker TEXT NOT NULL DEFAULT ''; -- of a drain

CREATE TABLE rondo_saga_pause_log (
    number INTEGER PRIMARY KEY,
    type   TEXT    NOT NULL,
    worker TEXT    NOT NULL,
    paused INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

INSERT INTO rondo_saga_pause_log (type, worker, paused, actor, reason, at)
SELECT type, worker, paused, actor, reason, at FROM rondo_saga_pauses ORDER BY at, type;

-- +goose Down

DROP TABLE rondo_saga_pause_log;
ALTER TABLE rondo_saga_pauses DROP COLUMN worker;
