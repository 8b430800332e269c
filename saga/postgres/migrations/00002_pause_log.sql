-- Who has paused and resumed types, and drained workers. What stood in
-- rondo.saga_pauses before, the last of each type, is where the log begins.
--
-- Another role that is to use the home needs, besides what it had:
--
--   GRANT SELECT, INSERT ON rondo.saga_pause_log TO app;

-- +goose Up

ALTER TABLE rondo.saga_pauses ADD COLUMN worker text NOT NULL DEFAULT ''; -- of a drain

CREATE TABLE rondo.saga_pause_log (
  number bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
  type   text COLLATE "C" NOT NULL,
  worker text        NOT NULL,
  paused boolean     NOT NULL,
  actor  text        NOT NULL,
  reason text        NOT NULL,
  at     timestamptz NOT NULL,
  CONSTRAINT saga_pause_log_pkey PRIMARY KEY (number)
);

INSERT INTO rondo.saga_pause_log (type, worker, paused, actor, reason, at)
SELECT type, worker, paused, actor, reason, at FROM rondo.saga_pauses ORDER BY at, type;

-- +goose Down

DROP TABLE rondo.saga_pause_log;
ALTER TABLE rondo.saga_pauses DROP COLUMN worker;
