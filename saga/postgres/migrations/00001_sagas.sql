-- The home of sagas: tables and indexes, no functions.
--
-- All of it is in the schema rondo, beside what an event store in the same
-- database has there. Whoever runs this owns it. Another role that is to use it
-- needs:
--
--   GRANT USAGE ON SCHEMA rondo TO app;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON rondo.sagas, rondo.saga_history,
--     rondo.saga_inbox, rondo.saga_workers, rondo.saga_leases, rondo.saga_pauses,
--     rondo.saga_effects TO app;
--   GRANT USAGE ON SEQUENCE rondo.saga_incarnation TO app;
--   GRANT SELECT ON rondo.saga_schema_version TO app;
--
-- Names are compared byte for byte, whatever collation the database has.

-- +goose Up

-- One row is one saga. It is replaced by every decision. What indexes are made of
-- seldom changes before the end, and pages have room, so that the new row is
-- written into the same page and no index is touched (a heap-only tuple).
CREATE TABLE rondo.sagas (
  number    bigint      NOT NULL GENERATED ALWAYS AS IDENTITY, -- that of its history
  sequence  bigint      NOT NULL,
  started   timestamptz NOT NULL,
  updated   timestamptz NOT NULL,
  due       timestamptz, -- NULL is never
  ended     timestamptz, -- when it was changed last, once it has ended
  attempts  integer     NOT NULL,
  schema    integer     NOT NULL,
  shard     smallint    NOT NULL,
  ready     boolean     NOT NULL,
  commit_id uuid        NOT NULL,
  tenant    text COLLATE "C" NOT NULL, -- '' is no tenant
  type      text COLLATE "C" NOT NULL,
  key       text COLLATE "C" NOT NULL,
  status    text COLLATE "C" NOT NULL,
  reason    text        NOT NULL,
  state     bytea       NOT NULL,
  work      bytea       NOT NULL,
  CONSTRAINT sagas_pkey PRIMARY KEY (tenant, type, key)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- What is due next in a shard.
CREATE INDEX sagas_due ON rondo.sagas (type, shard, due, tenant, key) WHERE due IS NOT NULL;

-- What has work to do at once, for whoever takes a shard over.
CREATE INDEX sagas_ready ON rondo.sagas (type, shard, tenant, key) WHERE ready;

-- What waits for an operator.
CREATE INDEX sagas_halted ON rondo.sagas (tenant, type, key) WHERE status IN ('stuck', 'paused');

-- What may be purged.
CREATE INDEX sagas_ended ON rondo.sagas (ended) WHERE ended IS NOT NULL;

-- One row is one decision.
CREATE TABLE rondo.saga_history (
  saga     bigint      NOT NULL, -- rondo.sagas.number
  sequence bigint      NOT NULL,
  at       timestamptz NOT NULL,
  kind     text        NOT NULL,
  data     bytea       NOT NULL,
  CONSTRAINT saga_history_pkey PRIMARY KEY (saga, sequence)
);

-- Messages that wait.
CREATE TABLE rondo.saga_inbox (
  position bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
  at       timestamptz NOT NULL,
  shard    smallint    NOT NULL,
  tenant   text COLLATE "C" NOT NULL,
  type     text COLLATE "C" NOT NULL,
  key      text COLLATE "C" NOT NULL,
  id       text COLLATE "C" NOT NULL,
  kind     text COLLATE "C" NOT NULL,
  body     bytea       NOT NULL,
  CONSTRAINT saga_inbox_pkey PRIMARY KEY (position),
  CONSTRAINT saga_inbox_id   UNIQUE (tenant, type, key, id)
);

CREATE INDEX saga_inbox_shard ON rondo.saga_inbox (type, shard, position);

-- Incarnations of all workers. One that was forgotten and comes back is newer.
CREATE SEQUENCE rondo.saga_incarnation AS bigint CACHE 1;

CREATE TABLE rondo.saga_workers (
  id          text COLLATE "C" NOT NULL,
  incarnation bigint      NOT NULL,
  expires     timestamptz NOT NULL, -- until then it lives
  draining    boolean     NOT NULL,
  types       text[]      NOT NULL,
  CONSTRAINT saga_workers_pkey PRIMARY KEY (id)
);

-- Who owns a shard; '' is nobody. A row that was made is not deleted: the epoch
-- ascends for ever.
CREATE TABLE rondo.saga_leases (
  type  text COLLATE "C" NOT NULL,
  shard smallint NOT NULL,
  epoch bigint   NOT NULL,
  owner text COLLATE "C" NOT NULL,
  CONSTRAINT saga_leases_pkey PRIMARY KEY (type, shard)
);

CREATE TABLE rondo.saga_pauses (
  type   text COLLATE "C" NOT NULL,
  paused boolean     NOT NULL,
  actor  text        NOT NULL,
  reason text        NOT NULL,
  at     timestamptz NOT NULL,
  CONSTRAINT saga_pauses_pkey PRIMARY KEY (type)
);

-- What effects have come to that commit in transactions of this database. A row
-- without an outcome is a tombstone: the effect was undone before it was done.
CREATE TABLE rondo.saga_effects (
  saga    text COLLATE "C" NOT NULL, -- type/key, and with a tenant tenant:type/key
  effect  text COLLATE "C" NOT NULL, -- sequence/index, with /undo of an undo
  at      timestamptz NOT NULL,
  undone  boolean     NOT NULL,
  outcome json,
  CONSTRAINT saga_effects_pkey PRIMARY KEY (saga, effect)
);

-- +goose Down

DROP TABLE rondo.saga_effects, rondo.saga_pauses, rondo.saga_leases, rondo.saga_workers,
  rondo.saga_inbox, rondo.saga_history, rondo.sagas;
DROP SEQUENCE rondo.saga_incarnation;
