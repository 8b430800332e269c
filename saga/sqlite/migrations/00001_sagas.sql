-- The home of sagas. Times are microseconds since 1970 in UTC. Names are compared
-- byte for byte.

-- +goose Up

-- One row is one saga, and is replaced by every decision.
CREATE TABLE rondo_sagas (
    number    INTEGER PRIMARY KEY,          -- that of its history
    tenant    TEXT    NOT NULL,             -- '' is no tenant
    type      TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    shard     INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    commit_id BLOB    NOT NULL,             -- UUID, 16 bytes
    status    TEXT    NOT NULL,
    ready     INTEGER NOT NULL,             -- 1 if there is work to do at once
    due       INTEGER,                      -- NULL is never
    ended     INTEGER,                      -- when it was changed last, once it has ended
    attempts  INTEGER NOT NULL,
    schema    INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    started   INTEGER NOT NULL,
    updated   INTEGER NOT NULL,
    state     BLOB    NOT NULL,
    work      BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX rondo_sagas_id ON rondo_sagas (tenant, type, key);

-- What is due next in a shard.
CREATE INDEX rondo_sagas_due ON rondo_sagas (type, shard, due, tenant, key) WHERE due IS NOT NULL;

-- What has work to do at once, for whoever takes a shard over.
CREATE INDEX rondo_sagas_ready ON rondo_sagas (type, shard, tenant, key) WHERE ready = 1;

-- What waits for an operator.
CREATE INDEX rondo_sagas_halted ON rondo_sagas (tenant, type, key) WHERE status IN ('stuck', 'paused');

-- What may be purged.
CREATE INDEX rondo_sagas_ended ON rondo_sagas (ended) WHERE ended IS NOT NULL;

-- One row is one decision.
CREATE TABLE rondo_saga_history (
    saga     INTEGER NOT NULL,              -- rondo_sagas.number
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    data     BLOB    NOT NULL,
    PRIMARY KEY (saga, sequence)
) STRICT, WITHOUT ROWID;

-- Messages that wait. AUTOINCREMENT never gives a position twice, and SQLite's
-- write lock makes the order of positions that of commits.
CREATE TABLE rondo_saga_inbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX rondo_saga_inbox_id ON rondo_saga_inbox (tenant, type, key, id);

-- An entry ends with the position, so this reads a shard in the order of those.
CREATE INDEX rondo_saga_inbox_shard ON rondo_saga_inbox (type, shard);

-- An incarnation is never given twice, so that one that comes back is newer than
-- whoever was forgotten.
CREATE TABLE rondo_saga_workers (
    incarnation INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    types       TEXT    NOT NULL,           -- JSON array
    draining    INTEGER NOT NULL,           -- 1 if it gives up what it owns
    expires     INTEGER NOT NULL            -- until then it lives
) STRICT;

-- Who owns a shard; '' is nobody. A row that was made is not deleted: the epoch
-- ascends for ever.
CREATE TABLE rondo_saga_leases (
    type  TEXT    NOT NULL,
    shard INTEGER NOT NULL,
    owner TEXT    NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (type, shard)
) STRICT, WITHOUT ROWID;

CREATE TABLE rondo_saga_pauses (
    type   TEXT    NOT NULL PRIMARY KEY,
    paused INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What effects have come to that commit in transactions of this file. A row
-- without an outcome is a tombstone: the effect was undone before it was done.
CREATE TABLE rondo_saga_effects (
    saga    TEXT    NOT NULL,               -- type/key, and with a tenant tenant:type/key
    effect  TEXT    NOT NULL,               -- sequence/index, with /undo of an undo
    at      INTEGER NOT NULL,
    undone  INTEGER NOT NULL,               -- 1 if what comes later is refused
    outcome TEXT,                           -- JSON
    PRIMARY KEY (saga, effect)
) STRICT, WITHOUT ROWID;

-- +goose Down

DROP TABLE rondo_saga_effects;
DROP TABLE rondo_saga_pauses;
DROP TABLE rondo_saga_leases;
DROP TABLE rondo_saga_workers;
DROP TABLE rondo_saga_inbox;
DROP TABLE rondo_saga_history;
DROP TABLE rondo_sagas;
