-- The event store: tables, row-level security, and the functions that append.
--
-- All of it is in the schema rondo. Whoever runs this owns it. Another role that
-- is to use the store needs:
--
--   GRANT USAGE ON SCHEMA rondo TO app;
--   GRANT SELECT, INSERT ON rondo.events TO app;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON rondo.claims, rondo.snapshots,
--     rondo.subscriptions, rondo.subject_keys TO app;
--   GRANT USAGE, SELECT ON SEQUENCE rondo.position TO app;
--   GRANT SELECT ON rondo.schema_version TO app;

-- +goose Up

-- Positions. Each is drawn once, by nextval; one drawn by a transaction that
-- rolled back is a gap. The store takes advisory locks whose lower 48 bits are a
-- position, so there can be no more than that.
CREATE SEQUENCE rondo.position AS bigint MINVALUE 1 MAXVALUE 281474976710655 CACHE 1;

CREATE TABLE rondo.events (
  position       bigint      NOT NULL,
  version        bigint      NOT NULL, -- in its stream, from 1
  at             timestamptz NOT NULL,
  id             uuid        NOT NULL,
  correlation_id uuid,
  causation_id   uuid,
  schema         smallint    NOT NULL, -- of data
  tenant         text COLLATE "C" NOT NULL, -- '.' is no tenant, '..x' the tenant '.x'
  stream         text COLLATE "C" NOT NULL,
  type           text COLLATE "C" NOT NULL,
  data           bytea       NOT NULL,
  actor          text,
  trace_parent   text,
  subject        text,
  labels         jsonb,
  CONSTRAINT events_pkey    PRIMARY KEY (position),
  CONSTRAINT events_version UNIQUE (tenant, stream, version),
  CONSTRAINT events_id      UNIQUE (tenant, id)
);

-- For reading one tenant's events among those of many. Without tenants it is
-- empty and costs nothing.
CREATE INDEX events_tenant ON rondo.events (tenant, position) WHERE tenant <> '.';

-- Idempotency keys.
CREATE TABLE rondo.claims (
  tenant text COLLATE "C" NOT NULL,
  key    text COLLATE "C" NOT NULL,
  hash   bytea NOT NULL,
  result bytea NOT NULL,
  until  timestamptz NOT NULL,
  CONSTRAINT claims_pkey PRIMARY KEY (tenant, key)
);

CREATE INDEX claims_until ON rondo.claims (until);

CREATE TABLE rondo.snapshots (
  tenant   text COLLATE "C" NOT NULL,
  stream   text COLLATE "C" NOT NULL,
  type     text COLLATE "C" NOT NULL,
  schema   smallint    NOT NULL,
  version  bigint      NOT NULL,
  data     bytea       NOT NULL,
  subjects text[]      NOT NULL,
  at       timestamptz NOT NULL,
  CONSTRAINT snapshots_pkey PRIMARY KEY (tenant, stream, type)
);

-- How far subscriptions have come, and who runs them.
CREATE TABLE rondo.subscriptions (
  tenant     text COLLATE "C" NOT NULL,
  name       text COLLATE "C" NOT NULL,
  owner      text        NOT NULL,
  token      bigint      NOT NULL, -- a fencing token
  checkpoint bigint      NOT NULL,
  expires    timestamptz NOT NULL,
  CONSTRAINT subscriptions_pkey PRIMARY KEY (tenant, name)
);

-- Encryption keys of those whom events are about.
CREATE TABLE rondo.subject_keys (
  tenant  text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  key     bytea, -- NULL once it was deleted
  CONSTRAINT subject_keys_pkey PRIMARY KEY (tenant, subject)
);

-- Row-level security. The tenant is in the setting rondo.tenant, as it is in the
-- column tenant, and is set for a transaction: at its end it is the empty string
-- again, which is no tenant's, so that a connection that is used again sees
-- nothing. '.*' is all tenants: it reads events and clears away expired claims.
-- FORCE makes it hold for the owner of the tables. Superusers and roles with
-- BYPASSRLS are exempt, as PostgreSQL has it.

ALTER TABLE rondo.events        ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE rondo.claims        ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE rondo.snapshots     ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE rondo.subscriptions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE rondo.subject_keys  ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- Events are read and appended; nothing lets them be changed or deleted. A
-- subquery is evaluated once for a scan, not for each row.
CREATE POLICY reads ON rondo.events FOR SELECT
  USING (tenant = (SELECT current_setting('rondo.tenant', true)) OR (SELECT current_setting('rondo.tenant', true)) = '.*');
CREATE POLICY appends ON rondo.events FOR INSERT
  WITH CHECK (tenant = current_setting('rondo.tenant', true) AND tenant <> '');

CREATE POLICY tenant ON rondo.claims        USING (tenant = current_setting('rondo.tenant', true)) WITH CHECK (tenant = current_setting('rondo.tenant', true) AND tenant <> '');
CREATE POLICY tenant ON rondo.snapshots     USING (tenant = current_setting('rondo.tenant', true)) WITH CHECK (tenant = current_setting('rondo.tenant', true) AND tenant <> '');
CREATE POLICY tenant ON rondo.subscriptions USING (tenant = current_setting('rondo.tenant', true)) WITH CHECK (tenant = current_setting('rondo.tenant', true) AND tenant <> '');
CREATE POLICY tenant ON rondo.subject_keys  USING (tenant = current_setting('rondo.tenant', true)) WITH CHECK (tenant = current_setting('rondo.tenant', true) AND tenant <> '');

CREATE POLICY all_tenants_read   ON rondo.claims FOR SELECT USING (current_setting('rondo.tenant', true) = '.*');
CREATE POLICY all_tenants_delete ON rondo.claims FOR DELETE USING (current_setting('rondo.tenant', true) = '.*');

-- The lock watermark. Whoever appends first takes a shared advisory lock, until
-- the end of the transaction, whose key is the last position that was drawn by
-- then; only then does he draw his own, which are greater. A reader that sees the
-- least of these keys knows that nothing at or below it is still to come. See
-- doc.go for why that holds.
--
-- The key has 'ro' in its upper 16 bits (29295), so that it is not taken for a
-- lock of somebody else's.

-- hold takes the lock: it reads the last position first, and is called before one
-- is drawn. It is false always. It and draw are of one expression, which the
-- planner puts in the place of the call.
CREATE FUNCTION rondo.hold() RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT pg_advisory_xact_lock_shared((29295::bigint << 48) | coalesce(pg_sequence_last_value('rondo.position'::regclass), 0)) IS NULL
$$;

-- draw draws a position.
CREATE FUNCTION rondo.draw() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT nextval('rondo.position'::regclass)
$$;

-- appending takes the lock once in a transaction that appends several times. A
-- rolled back savepoint undoes both the lock and the setting.
-- +goose StatementBegin
CREATE FUNCTION rondo.appending() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('rondo.appending', true) = 'yes' THEN
    RETURN;
  END IF;
  IF rondo.hold() OR set_config('rondo.appending', 'yes', true) IS NULL THEN
    RETURN;
  END IF;
END $$;
-- +goose StatementEnd

-- head tells up to where the log can be read: safe is the greatest position of an
-- event such that no event at or below it is still to come. seen is the greatest
-- position of any event that is there, drawn the last that was drawn, and
-- in_flight the least key of the locks that are held: NULL if nobody appends.
--
-- The order of its statements is what makes it right. It needs READ COMMITTED,
-- where the last one sees what was committed before the locks were looked at.
-- +goose StatementBegin
CREATE FUNCTION rondo.head(OUT safe bigint, OUT seen bigint, OUT drawn bigint, OUT in_flight bigint) LANGUAGE plpgsql AS $$
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE read_only_sql_transaction USING MESSAGE = 'the server is a standby, which does not know who appends on the primary';
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE invalid_transaction_state USING MESSAGE = 'rondo.head() needs a READ COMMITTED transaction';
  END IF;
  IF set_config('rondo.tenant', '.*', true) IS NULL THEN
    RETURN;
  END IF;
  drawn := coalesce(pg_sequence_last_value('rondo.position'::regclass), 0);
  in_flight := (
    SELECT min(((l.classid::bigint & 65535) << 32) | l.objid::bigint)
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid::bigint >> 16 = 29295 AND l.mode = 'ShareLock' AND l.granted
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
  );
  SELECT coalesce((SELECT max(e.position) FROM rondo.events e WHERE e.position <= least(drawn, in_flight)), 0),
         coalesce((SELECT max(e.position) FROM rondo.events e), 0)
    INTO safe, seen;
END $$;
-- +goose StatementEnd

-- append_many decides a number of appends of one tenant, one after the other,
-- each on what those before it leave, and writes those that are accepted. What it
-- returns is by write, by event and by append.
--
-- An append is writes, a write is events of one stream. s_ is by stream (each
-- once), w_ by write and e_ by event. The writes are in the order of the appends.
-- The events are in the order of their streams' names, which is the order in which
-- rows are inserted, so that two transactions do not deadlock; e_nth tells the
-- order in which they get positions. Writes and appends count from 1.
--
-- p_careful looks for duplicates of all events beforehand. Otherwise that is done
-- for refused appends only, and a duplicate among the others violates a unique
-- index. Whoever raced with somebody else gets a unique violation too: then it is
-- to be called again, in a new transaction or after a savepoint.
--
-- p_shared says that the transaction is a user's, who may append several times.
--
-- verdicts: 0 accepted, 1 duplicate event, 2 claimed, 3 conflict. details is the
-- event (in the order of positions), the claim or the write; actuals the version
-- in a conflict. All three are NULL if everything was accepted.
-- +goose StatementBegin
CREATE FUNCTION rondo.append_many(
  p_tenant text, p_careful boolean, p_shared boolean, p_appends integer,
  s_name text[],
  w_append integer[], w_stream integer[], w_expected bigint[], w_events integer[],
  e_write integer[], e_index integer[], e_nth integer[], e_stream text[], e_id uuid[], e_type text[], e_schema smallint[], e_data bytea[],
  e_correlation_id uuid[], e_causation_id uuid[], e_actor text[], e_trace_parent text[], e_subject text[], e_labels jsonb[],
  c_append integer[], c_key text[], c_hash bytea[], c_result bytea[], c_until timestamptz[],
  OUT firsts bigint[], OUT positions bigint[], OUT at timestamptz,
  OUT verdicts integer[], OUT details integer[], OUT actuals bigint[]
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_current  bigint[];
  v_verdict  integer[] := array_fill(0, ARRAY[p_appends]);
  v_detail   integer[] := array_fill(0, ARRAY[p_appends]);
  v_actual   bigint[]  := array_fill(0::bigint, ARRAY[p_appends]);
  v_writes   integer   := coalesce(cardinality(w_append), 0);
  v_first    bigint[]  := array_fill(0::bigint, ARRAY[v_writes]);
  v_refused  boolean   := false;
  v_append   integer;
  v_begin    integer   := 1;
  v_next     integer;
  v_version  bigint;
  v_expected bigint;
  v_count    integer;
  v_row      record;
BEGIN
  IF set_config('rondo.tenant', p_tenant, true) IS NULL THEN
    RETURN;
  END IF;
  IF p_shared THEN
    PERFORM rondo.appending();
  ELSIF rondo.hold() THEN
    RETURN;
  END IF;

  IF p_careful THEN
    FOR v_row IN
      SELECT DISTINCT ON (w_append[u.write]) w_append[u.write] AS append, u.nth
      FROM unnest(e_write, e_nth, e_id) AS u(write, nth, id)
      JOIN rondo.events e ON e.tenant = p_tenant AND e.id = u.id
      ORDER BY 1, 2
    LOOP
      v_verdict[v_row.append] := 1;
      v_detail[v_row.append] := v_row.nth;
      v_refused := true;
    END LOOP;
  END IF;

  IF c_key IS NOT NULL THEN
    FOR v_row IN
      SELECT DISTINCT ON (u.append) u.append, u.claim
      FROM unnest(c_append, c_key) WITH ORDINALITY AS u(append, key, claim)
      JOIN rondo.claims c ON c.tenant = p_tenant AND c.key = u.key AND c.until > clock_timestamp()
      ORDER BY 1, 2
    LOOP
      IF v_verdict[v_row.append] = 0 THEN
        v_verdict[v_row.append] := 2;
        v_detail[v_row.append] := v_row.claim;
        v_refused := true;
      END IF;
    END LOOP;
  END IF;

  v_current := ARRAY(
    SELECT coalesce((SELECT e.version FROM rondo.events e WHERE e.tenant = p_tenant AND e.stream = s.name ORDER BY e.version DESC LIMIT 1), 0)
    FROM unnest(s_name) WITH ORDINALITY AS s(name, n) ORDER BY s.n
  );

  -- The writes of one append follow each other, from v_begin on.
  WHILE v_begin <= v_writes LOOP
    v_append := w_append[v_begin];
    v_next := v_begin;
    WHILE v_next <= v_writes AND w_append[v_next] = v_append LOOP
      IF v_verdict[v_append] = 0 THEN
        v_version := v_current[w_stream[v_next]];
        v_expected := w_expected[v_next];
        IF v_version <> v_expected AND v_expected <> -1 AND (v_expected <> -2 OR v_version = 0) THEN
          v_verdict[v_append] := 3;
          v_detail[v_append] := v_next;
          v_actual[v_append] := v_version;
          v_refused := true;
        END IF;
      END IF;
      v_next := v_next + 1;
    END LOOP;
    IF v_verdict[v_append] = 0 THEN
      WHILE v_begin < v_next LOOP
        v_version := v_current[w_stream[v_begin]];
        v_first[v_begin] := v_version + 1;
        v_current[w_stream[v_begin]] := v_version + w_events[v_begin];
        v_begin := v_begin + 1;
      END LOOP;
    END IF;
    v_begin := v_next;
  END LOOP;

  IF v_refused AND NOT p_careful THEN
    FOR v_row IN
      SELECT DISTINCT ON (w_append[u.write]) w_append[u.write] AS append, u.nth
      FROM unnest(e_write, e_nth, e_id) AS u(write, nth, id)
      JOIN rondo.events e ON e.tenant = p_tenant AND e.id = u.id
      WHERE v_verdict[w_append[u.write]] > 0
      ORDER BY 1, 2
    LOOP
      v_verdict[v_row.append] := 1;
      v_detail[v_row.append] := v_row.nth;
    END LOOP;
  END IF;

  IF c_key IS NOT NULL THEN
    v_count := (SELECT count(*) FROM unnest(c_append) AS u(append) WHERE v_verdict[u.append] = 0);
    INSERT INTO rondo.claims AS c (tenant, key, hash, result, until)
    SELECT p_tenant, u.key, u.hash, u.result, u.until
    FROM unnest(c_append, c_key, c_hash, c_result, c_until) AS u(append, key, hash, result, until)
    WHERE v_verdict[u.append] = 0
    ORDER BY u.key
    ON CONFLICT ON CONSTRAINT claims_pkey DO UPDATE
      SET hash = excluded.hash, result = excluded.result, until = excluded.until
      WHERE c.until <= clock_timestamp();
    GET DIAGNOSTICS v_next = ROW_COUNT;
    IF v_next < v_count THEN
      RAISE unique_violation USING MESSAGE = 'a claim was taken at the same time', CONSTRAINT = 'claims_pkey';
    END IF;
  END IF;

  at := clock_timestamp();
  firsts := v_first;
  IF v_writes > 0 THEN
    positions := ARRAY(SELECT rondo.draw() FROM generate_series(1, cardinality(e_write)));
    INSERT INTO rondo.events (position, version, at, id, correlation_id, causation_id, schema, tenant, stream, type, data,
                              actor, trace_parent, subject, labels)
    SELECT positions[u.nth], v_first[u.write] + u.index, append_many.at, u.id, u.correlation_id, u.causation_id, u.schema, p_tenant, u.stream, u.type, u.data,
           u.actor, u.trace_parent, u.subject, u.labels
    FROM unnest(e_write, e_index, e_nth, e_stream, e_id, e_type, e_schema, e_data,
                e_correlation_id, e_causation_id, e_actor, e_trace_parent, e_subject, e_labels)
      AS u(write, index, nth, stream, id, type, schema, data, correlation_id, causation_id, actor, trace_parent, subject, labels)
    WHERE v_first[u.write] > 0;
  END IF;
  IF v_refused THEN
    verdicts := v_verdict;
    details := v_detail;
    actuals := v_actual;
  END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION rondo.append_many, rondo.head, rondo.appending, rondo.draw, rondo.hold;
DROP TABLE rondo.subject_keys, rondo.subscriptions, rondo.snapshots, rondo.claims, rondo.events;
DROP SEQUENCE rondo.position;
