-- +goose Up

-- Events in the order of their positions. AUTOINCREMENT never gives a position
-- twice, and SQLite's write lock makes the order of positions that of commits:
-- who has read up to a position has missed nothing before it.
CREATE TABLE rondo_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   TEXT    NOT NULL,              -- '' without tenants
    stream   TEXT    NOT NULL,
    version  INTEGER NOT NULL,              -- 1 for the first of a stream
    id       BLOB    NOT NULL,              -- UUID, 16 bytes
    type     TEXT    NOT NULL,
    schema   INTEGER NOT NULL,
    at       INTEGER NOT NULL,              -- microseconds since 1970 in UTC
    meta     TEXT,                          -- JSON, NULL if there is none
    data     BLOB    NOT NULL,
    category TEXT GENERATED ALWAYS AS (substr(stream, 1, instr(stream || '-', '-') - 1)) VIRTUAL
) STRICT;

CREATE UNIQUE INDEX rondo_events_stream ON rondo_events (tenant, stream, version);
CREATE UNIQUE INDEX rondo_events_id ON rondo_events (tenant, id);
-- An entry of an index ends with the position, so these two serve reads in the
-- order of positions.
CREATE INDEX rondo_events_category ON rondo_events (category);
CREATE INDEX rondo_events_tenant ON rondo_events (tenant) WHERE tenant <> '';

-- Idempotency keys.
CREATE TABLE rondo_claims (
    tenant TEXT    NOT NULL,
    key    TEXT    NOT NULL,
    hash   BLOB    NOT NULL,
    result BLOB    NOT NULL,
    until  INTEGER NOT NULL,                -- microseconds since 1970 in UTC
    UNIQUE (tenant, key)
) STRICT;

CREATE INDEX rondo_claims_until ON rondo_claims (until);

CREATE TABLE rondo_snapshots (
    tenant   TEXT    NOT NULL,
    stream   TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    schema   INTEGER NOT NULL,
    version  INTEGER NOT NULL,              -- of the last event in it
    subjects TEXT,                          -- JSON array, NULL if there are none
    at       INTEGER NOT NULL,              -- microseconds since 1970 in UTC
    data     BLOB    NOT NULL,
    UNIQUE (tenant, stream, type)
) STRICT;

-- How far subscriptions have come, and who runs them.
CREATE TABLE rondo_checkpoints (
    tenant       TEXT    NOT NULL,
    subscription TEXT    NOT NULL,
    owner        TEXT    NOT NULL,          -- the last one, '' if there was none
    token        INTEGER NOT NULL,          -- fencing token of the last lease
    checkpoint   INTEGER NOT NULL,
    expires      INTEGER NOT NULL,          -- microseconds since 1970 in UTC
    UNIQUE (tenant, subscription)
) STRICT;

-- Encryption keys of subjects.
CREATE TABLE rondo_keys (
    tenant  TEXT NOT NULL,
    subject TEXT NOT NULL,
    key     BLOB,                           -- NULL if it was deleted
    UNIQUE (tenant, subject)
) STRICT;

-- +goose Down

DROP TABLE rondo_keys;
DROP TABLE rondo_checkpoints;
DROP TABLE rondo_snapshots;
DROP TABLE rondo_claims;
DROP TABLE rondo_events;
