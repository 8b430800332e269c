package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/internal/pghome"
	"github.com/seed57833328/rondo/saga"
)

// One change is one statement, with the record in plain parameters. The epoch is
// that of the statement's snapshot; a lease that changes hands at that very moment
// is not waited for, as the sequence keeps decisions single.
//
// Conditions are such that a plan for any parameters is as good as one for those at
// hand. Otherwise the server plans anew each time, which takes longer than all else.
const (
	heldOne   = `EXISTS (SELECT FROM rondo.saga_leases l WHERE l.type = $2 AND l.shard = $4::smallint AND l.epoch = $5::bigint)`
	unheldOne = `$4::smallint >= 0 AND $5::bigint = 0`

	startOneSQL = `
WITH head AS (
	INSERT INTO rondo.sagas (sequence, started, updated, due, ended, attempts, schema, shard, ready, commit_id,
		tenant, type, key, status, reason, state, work)
	SELECT $6::bigint, $14::timestamptz, $15::timestamptz, $10::timestamptz, $18::timestamptz, $11::integer, $12::integer, $4::smallint,
		$9::boolean, $7::uuid, $1::text, $2::text, $3::text, $8::text, $13::text, $16::bytea, $17::bytea
	WHERE {held}
	ON CONFLICT (tenant, type, key) DO NOTHING
	RETURNING number)`

	nextOneSQL = `
WITH head AS (
	UPDATE rondo.sagas SET sequence = $6, commit_id = $7, status = $8, ready = $9, attempts = $11, schema = $12,
		due = CASE WHEN $9 AND $10::timestamptz IS NULL THEN due ELSE $10 END, undue = CASE WHEN $9 AND $10::timestamptz IS NULL THEN $6::bigint ELSE 0 END,
		reason = $13, started = $14, updated = $15, state = $16, work = $17, ended = $18
	WHERE tenant = $1 AND type = $2 AND key = $3 AND sequence = $6::bigint - 1 AND {held}
	RETURNING number)`

	restOneSQL = `, entry AS (
	INSERT INTO rondo.saga_history (saga, sequence, at, kind, data) SELECT number, $6, $19, $20, $21 FROM head)
SELECT CASE WHEN EXISTS (SELECT FROM head) THEN 1 WHEN {held} THEN 2 ELSE 3 END`
)

// oneSQL are the statements for one change, by whether it starts a saga and whether
// it asks for an epoch.
var oneSQL = func() map[[2]bool]string {
	all := map[[2]bool]string{}
	for start, change := range map[bool]string{true: startOneSQL, false: nextOneSQL} {
		for fenced, held := range map[bool]string{true: heldOne, false: unheldOne} {
			all[[2]bool{start, fenced}] = strings.ReplaceAll(change+restOneSQL, "{held}", held)
		}
	}
	return all
}()

// Several changes are one statement too, with the records in arrays. What is
// unnested in one list of columns goes in step; OFFSET 0 keeps the lengths of the
// arrays from the planner, for the same reason as above, and has it take few rows
// for granted. Changes that lack their lease are not among what comes of that.
//
// The row of a saga is looked for by a subquery and joined by its place: a plain join
// is planned as one that reads the whole table while that is small, and the plan
// stays when it has grown. The sequence is asked for again with the join, which is
// what counts where another transaction is faster.
//
// What is due no more is left in the row of a saga that is ready, as one that does
// not count (see counts): with its index untouched the new row is a heap-only tuple.
// A start has minus the number of its change in undue, which is no sequence: so the
// number comes back with what was inserted.
const (
	changesPart = `
WITH change AS MATERIALIZED (
	SELECT c.*, CASE WHEN c.sequence > 1 THEN (
		SELECT s.ctid FROM rondo.sagas s WHERE s.tenant = c.tenant AND s.type = c.type AND s.key = c.key AND s.sequence = c.sequence - 1) END AS place
	FROM (
		SELECT unnest(g.tenant) AS tenant, unnest(g.type) AS type, unnest(g.key) AS key, unnest(g.shard) AS shard, unnest(g.epoch) AS epoch,
			unnest(g.sequence) AS sequence, unnest(g.commit_id) AS commit_id, unnest(g.status) AS status, unnest(g.ready) AS ready, unnest(g.due) AS due,
			unnest(g.attempts) AS attempts, unnest(g.schema) AS schema, unnest(g.reason) AS reason, unnest(g.started) AS started,
			unnest(g.updated) AS updated, unnest(g.state) AS state, unnest(g.work) AS work, unnest(g.ended) AS ended, unnest(g.at) AS at,
			unnest(g.kind) AS kind, unnest(g.data) AS data, unnest(g.i) AS i
		FROM (SELECT $1::text[] AS tenant, $2::text[] AS type, $3::text[] AS key, $4::smallint[] AS shard, $5::bigint[] AS epoch,
				$6::bigint[] AS sequence, $7::uuid[] AS commit_id, $8::text[] AS status, $9::boolean[] AS ready, $10::timestamptz[] AS due,
				$11::integer[] AS attempts, $12::integer[] AS schema, $13::text[] AS reason, $14::timestamptz[] AS started,
				$15::timestamptz[] AS updated, $16::bytea[] AS state, $17::bytea[] AS work, $18::timestamptz[] AS ended,
				$19::timestamptz[] AS at, $20::text[] AS kind, $21::bytea[] AS data, $22::integer[] AS i OFFSET 0) g
		OFFSET 0
	) c
	WHERE c.epoch = 0 OR c.epoch = (SELECT l.epoch FROM rondo.saga_leases l WHERE l.type = c.type AND l.shard = c.shard)
)`
	startsPart = `, started AS (
	INSERT INTO rondo.sagas (sequence, started, updated, due, ended, attempts, schema, shard, ready, commit_id,
		tenant, type, key, status, reason, state, work, undue)
	SELECT sequence, started, updated, due, ended, attempts, schema, shard, ready, commit_id, tenant, type, key, status, reason, state, work, -i
	FROM change WHERE sequence = 1
	ON CONFLICT (tenant, type, key) DO NOTHING
	RETURNING number, (-undue)::integer AS i
)`
	nextsPart = `, went AS (
	UPDATE rondo.sagas s SET sequence = c.sequence, commit_id = c.commit_id, status = c.status, ready = c.ready,
		due = CASE WHEN c.ready AND c.due IS NULL THEN s.due ELSE c.due END, undue = CASE WHEN c.ready AND c.due IS NULL THEN c.sequence ELSE 0 END,
		attempts = c.attempts, schema = c.schema, reason = c.reason, started = c.started, updated = c.updated, state = c.state,
		work = c.work, ended = c.ended
	FROM change c WHERE c.sequence > 1 AND s.ctid = c.place AND s.sequence = c.sequence - 1
	RETURNING s.number, s.sequence, c.at, c.kind, c.data, c.i
)`
	ofStarts = `SELECT number, 1 AS sequence, ($19::timestamptz[])[i] AS at, ($20::text[])[i] AS kind, ($21::bytea[])[i] AS data FROM started`
	ofNexts  = `SELECT number, sequence, at, kind, data FROM went`

	entriesPart  = `, entry AS (INSERT INTO rondo.saga_history (saga, sequence, at, kind, data) %s)`
	consumedPart = `, consumed AS (
	DELETE FROM rondo.saga_inbox WHERE position = ANY (ARRAY(
		SELECT u.position FROM unnest($23::integer[], $24::bigint[]) AS u(i, position) WHERE u.i IN (%s)))
)`
	postedPart = `, posted AS (
	INSERT INTO rondo.saga_inbox (at, shard, tenant, type, key, id, kind, body)
	SELECT u.at, u.shard, u.tenant, u.type, u.key, u.id, u.kind, u.body
	FROM unnest($25::integer[], $26::text[], $27::text[], $28::text[], $29::smallint[], $30::text[], $31::text[], $32::bytea[], $33::timestamptz[])
		WITH ORDINALITY AS u(i, tenant, type, key, shard, id, kind, body, at, n)
	WHERE u.i IN (%s) ORDER BY u.n
	ON CONFLICT (tenant, type, key, id) DO NOTHING
)`
	verdictsPart = `
SELECT ARRAY(%s), ARRAY(SELECT i FROM change)`
)

// changesSQL are the statements for several changes, by what is among them.
var changesSQL = func() (all [8]string) {
	for kind := range all {
		var entries, made []string
		b := strings.Builder{}
		b.WriteString(changesPart)
		if kind&withStarts != 0 {
			b.WriteString(startsPart)
			entries, made = append(entries, ofStarts), append(made, "SELECT i FROM started")
		}
		if kind&withNexts != 0 {
			b.WriteString(nextsPart)
			entries, made = append(entries, ofNexts), append(made, "SELECT i FROM went")
		}
		if len(made) == 0 {
			continue
		}
		union := func(parts []string) string { return strings.Join(parts, " UNION ALL ") }
		fmt.Fprintf(&b, entriesPart, union(entries))
		if kind&withMessages != 0 {
			fmt.Fprintf(&b, consumedPart, union(made))
			fmt.Fprintf(&b, postedPart, union(made))
		}
		fmt.Fprintf(&b, verdictsPart, union(made))
		all[kind] = b.String()
	}
	return all
}()

// What may be among changes.
const (
	withStarts = 1 << iota
	withNexts
	withMessages
)

// Commit makes changes; see [saga.Heads]. It is one statement and one round trip.
func (s *Store) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	const doing = "commit decisions"
	if err := saga.CheckChanges(changes); err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, s.open(ctx)
	}
	verdicts := make([]saga.Verdict, len(changes))
	if c := &changes[0]; len(changes) == 1 && len(c.Consumed)+len(c.Posts) == 0 {
		sql := oneSQL[[2]bool{c.Record.Sequence == 1, c.Epoch != 0}]
		err := s.query(ctx, doing, sql, oneArgs(c), func(rows pgx.Rows) error {
			for rows.Next() {
				var v int32
				if err := rows.Scan(&v); err != nil {
					return err
				}
				verdicts[0] = saga.Verdict(v)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return verdicts, nil
	}
	cols, order := columnsOf(changes)
	err := s.query(ctx, doing, changesSQL[cols.kind], cols.args(), func(rows pgx.Rows) error {
		var made, held []int32
		for rows.Next() {
			if err := rows.Scan(&made, &held); err != nil {
				return err
			}
		}
		for i := range verdicts {
			verdicts[i] = saga.Fenced
		}
		for _, i := range held {
			verdicts[order[i-1]] = saga.Conflict
		}
		for _, i := range made {
			verdicts[order[i-1]] = saga.Committed
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, v := range verdicts {
		if v == saga.Committed && len(changes[i].Posts) > 0 {
			s.rouse()
			break
		}
	}
	return verdicts, nil
}

func oneArgs(c *saga.Change) []any {
	r := &c.Record
	return []any{
		r.ID.Tenant, r.ID.Type, r.ID.Key, int16(r.ID.Shard().Number), c.Epoch, r.Sequence, pgtype.UUID{Bytes: r.Commit, Valid: true}, string(r.Status), r.Ready,
		encodeDue(r.Due), int32(r.Attempts), int32(r.Schema), r.Reason, encodeTime(r.Started), encodeTime(r.Updated),
		encodeBytes(r.State), encodeBytes(r.Work), encodeEnded(r), encodeTime(c.Entry.At), c.Entry.Kind, encodeBytes(c.Entry.Data),
	}
}

// changeColumns are changes as arrays.
type changeColumns struct {
	kind                    int
	tenant, sagaType, key   pghome.Array[pgtype.Text]
	shard                   []int16
	epoch, sequence         []int64
	commit                  pghome.Array[pgtype.UUID]
	status                  pghome.Array[pgtype.Text]
	ready                   []bool
	due                     pghome.Array[pgtype.Timestamptz]
	attempts, schema, nth   []int32
	reason                  pghome.Array[pgtype.Text]
	started, updated, ended pghome.Array[pgtype.Timestamptz]
	state, work             pghome.Array[pghome.Blob]
	at                      pghome.Array[pgtype.Timestamptz]
	entry                   pghome.Array[pgtype.Text]
	data                    pghome.Array[pghome.Blob]
	messages                messageColumns
}

// columnsOf makes arrays of changes, in the order of their ids: so two commits
// that have sagas in common do not wait for each other crosswise. order are the
// indexes of the changes.
func columnsOf(changes []saga.Change) (c *changeColumns, order []int) {
	n := len(changes)
	order = make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(changes[i].Record.ID.Compare(changes[j].Record.ID), cmp.Compare(i, j))
	})
	texts, blobs, times := make([]pgtype.Text, 6*n), make([]pghome.Blob, 3*n), make([]pgtype.Timestamptz, 5*n)
	numbers, integers := make([]int64, 2*n), make([]int32, 3*n)
	c = &changeColumns{
		tenant: part(texts, 0, n), sagaType: part(texts, 1, n), key: part(texts, 2, n), status: part(texts, 3, n), reason: part(texts, 4, n),
		entry: part(texts, 5, n), shard: make([]int16, n), epoch: part(numbers, 0, n), sequence: part(numbers, 1, n),
		commit: make([]pgtype.UUID, n), ready: make([]bool, n), attempts: part(integers, 0, n), schema: part(integers, 1, n), nth: part(integers, 2, n),
		due: part(times, 0, n), ended: part(times, 1, n), started: part(times, 2, n), updated: part(times, 3, n), at: part(times, 4, n),
		state: part(blobs, 0, n), work: part(blobs, 1, n), data: part(blobs, 2, n),
	}
	for i, at := range order {
		c.set(i, &changes[at])
	}
	return c, order
}

// part is the k-th part of a slice, of n elements.
func part[T any](all []T, k, n int) []T { return all[k*n : (k+1)*n : (k+1)*n] }

func (c *changeColumns) set(i int, change *saga.Change) {
	r, e := &change.Record, &change.Entry
	if r.Sequence == 1 {
		c.kind |= withStarts
	} else {
		c.kind |= withNexts
	}
	c.tenant[i], c.sagaType[i], c.key[i], c.shard[i] = text(r.ID.Tenant), text(r.ID.Type), text(r.ID.Key), int16(r.ID.Shard().Number)
	c.epoch[i], c.sequence[i], c.commit[i] = change.Epoch, r.Sequence, pgtype.UUID{Bytes: r.Commit, Valid: true}
	c.status[i], c.ready[i], c.due[i], c.ended[i] = text(string(r.Status)), r.Ready, encodeDue(r.Due), encodeEnded(r)
	c.attempts[i], c.schema[i], c.reason[i] = int32(r.Attempts), int32(r.Schema), text(r.Reason)
	c.started[i], c.updated[i], c.at[i], c.entry[i] = timestamp(r.Started), timestamp(r.Updated), timestamp(e.At), text(e.Kind)
	c.state[i], c.work[i], c.data[i] = encodeBytes(r.State), encodeBytes(r.Work), encodeBytes(e.Data)
	nth := int32(i + 1)
	c.nth[i] = nth
	for _, p := range change.Consumed {
		c.kind |= withMessages
		c.messages.consumedChange, c.messages.consumed = append(c.messages.consumedChange, nth), append(c.messages.consumed, p)
	}
	for k := range change.Posts {
		c.kind |= withMessages
		c.messages.add(nth, &change.Posts[k])
	}
}

func (c *changeColumns) args() []any {
	args := []any{
		c.tenant, c.sagaType, c.key, c.shard, c.epoch, c.sequence, c.commit, c.status, c.ready, c.due, c.attempts, c.schema, c.reason,
		c.started, c.updated, c.state, c.work, c.ended, c.at, c.entry, c.data, c.nth,
	}
	if m := &c.messages; c.kind&withMessages != 0 {
		args = append(args, m.consumedChange, m.consumed, m.change, m.tenant, m.sagaType, m.key, m.shard, m.id, m.kind, m.body, m.at)
	}
	return args
}
