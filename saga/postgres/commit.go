package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
	UPDATE rondo.sagas SET sequence = $6, commit_id = $7, status = $8, ready = $9, due = $10, attempts = $11, schema = $12,
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

// Several changes are one statement too, with the records in arrays. The row of a
// saga is looked for by a subquery and joined by its place: a plain join is planned
// as one that reads the whole table while that is small, and the plan stays when it
// has grown. The sequence is asked for again with the join, which is what counts
// where another transaction is faster. OFFSET 0 keeps the lengths of the arrays from
// the planner, for the same reason as above.
const (
	changesPart = `
WITH change AS MATERIALIZED (
	SELECT g.*, g.epoch = 0 OR EXISTS (
			SELECT FROM rondo.saga_leases l WHERE l.type = g.type AND l.shard = g.shard AND l.epoch = g.epoch) AS held,
		CASE WHEN g.sequence > 1 THEN (
			SELECT s.ctid FROM rondo.sagas s WHERE s.tenant = g.tenant AND s.type = g.type AND s.key = g.key) END AS place
	FROM (SELECT $1::text[] AS a, $2::text[] AS b, $3::text[] AS c, $4::smallint[] AS d, $5::bigint[] AS e, $6::bigint[] AS f, $7::uuid[] AS g,
			$8::text[] AS h, $9::boolean[] AS i, $10::timestamptz[] AS j, $11::integer[] AS k, $12::integer[] AS l, $13::text[] AS m,
			$14::timestamptz[] AS n, $15::timestamptz[] AS o, $16::bytea[] AS p, $17::bytea[] AS q, $18::timestamptz[] AS r,
			$19::timestamptz[] AS s, $20::text[] AS t, $21::bytea[] AS u OFFSET 0) AS given
	CROSS JOIN LATERAL unnest(a, b, c, d, e, f, given.g, h, i, j, k, l, m, n, o, p, q, r, s, t, u)
	WITH ORDINALITY AS g(tenant, type, key, shard, epoch, sequence, commit_id, status, ready, due, attempts, schema, reason, started, updated,
		state, work, ended, at, kind, data, i)
)`
	startsPart = `, started AS (
	INSERT INTO rondo.sagas (sequence, started, updated, due, ended, attempts, schema, shard, ready, commit_id,
		tenant, type, key, status, reason, state, work)
	SELECT sequence, started, updated, due, ended, attempts, schema, shard, ready, commit_id, tenant, type, key, status, reason, state, work
	FROM change WHERE held AND sequence = 1 ORDER BY i
	ON CONFLICT (tenant, type, key) DO NOTHING
	RETURNING number, tenant, type, key
)`
	nextsPart = `, went AS (
	UPDATE rondo.sagas s SET sequence = c.sequence, commit_id = c.commit_id, status = c.status, ready = c.ready, due = c.due,
		attempts = c.attempts, schema = c.schema, reason = c.reason, started = c.started, updated = c.updated, state = c.state,
		work = c.work, ended = c.ended
	FROM change c WHERE c.held AND c.sequence > 1 AND s.ctid = c.place AND s.sequence = c.sequence - 1
	RETURNING s.number, c.i
)`
	madeStarts  = `SELECT s.number, c.i FROM started s JOIN change c USING (tenant, type, key)`
	madeNexts   = `SELECT number, i FROM went`
	entriesPart = `, entry AS (
	INSERT INTO rondo.saga_history (saga, sequence, at, kind, data)
	SELECT m.number, c.sequence, c.at, c.kind, c.data FROM made m JOIN change c USING (i)
)`
	consumedPart = `, consumed AS (
	DELETE FROM rondo.saga_inbox WHERE position = ANY (ARRAY(
		SELECT u.position FROM unnest($22::integer[], $23::bigint[]) AS u(i, position) WHERE u.i IN (SELECT i FROM made)))
)`
	postedPart = `, posted AS (
	INSERT INTO rondo.saga_inbox (at, shard, tenant, type, key, id, kind, body)
	SELECT u.at, u.shard, u.tenant, u.type, u.key, u.id, u.kind, u.body
	FROM unnest($24::integer[], $25::text[], $26::text[], $27::text[], $28::smallint[], $29::text[], $30::text[], $31::bytea[], $32::timestamptz[])
		WITH ORDINALITY AS u(i, tenant, type, key, shard, id, kind, body, at, n)
	WHERE u.i IN (SELECT i FROM made) ORDER BY u.n
	ON CONFLICT (tenant, type, key, id) DO NOTHING
)`
	verdictsPart = `
SELECT ARRAY(SELECT i::integer FROM made), ARRAY(SELECT i::integer FROM change WHERE NOT held)`
)

// changesSQL are the statements for several changes, by what is among them.
var changesSQL = func() (all [8]string) {
	for kind := range all {
		var made []string
		b := strings.Builder{}
		b.WriteString(changesPart)
		if kind&withStarts != 0 {
			b.WriteString(startsPart)
			made = append(made, madeStarts)
		}
		if kind&withNexts != 0 {
			b.WriteString(nextsPart)
			made = append(made, madeNexts)
		}
		if len(made) == 0 {
			continue
		}
		fmt.Fprintf(&b, ", made AS MATERIALIZED (%s)", strings.Join(made, " UNION ALL "))
		b.WriteString(entriesPart)
		if kind&withMessages != 0 {
			b.WriteString(consumedPart)
			b.WriteString(postedPart)
		}
		b.WriteString(verdictsPart)
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
		var made, fenced []int32
		for rows.Next() {
			if err := rows.Scan(&made, &fenced); err != nil {
				return err
			}
		}
		for i := range verdicts {
			verdicts[i] = saga.Conflict
		}
		for _, i := range made {
			verdicts[order[i-1]] = saga.Committed
		}
		for _, i := range fenced {
			verdicts[order[i-1]] = saga.Fenced
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
		r.ID.Tenant, r.ID.Type, r.ID.Key, int16(r.ID.Shard().Number), c.Epoch, r.Sequence, [16]byte(r.Commit), string(r.Status), r.Ready,
		encodeDue(r.Due), int32(r.Attempts), int32(r.Schema), r.Reason, encodeTime(r.Started), encodeTime(r.Updated),
		encodeBytes(r.State), encodeBytes(r.Work), encodeEnded(r), encodeTime(c.Entry.At), c.Entry.Kind, encodeBytes(c.Entry.Data),
	}
}

// changeColumns are changes as arrays.
type changeColumns struct {
	kind                  int
	tenant, sagaType, key []string
	shard                 []int16
	epoch, sequence       []int64
	commit                [][16]byte
	status                []string
	ready                 []bool
	due                   []pgtype.Timestamptz
	attempts, schema      []int32
	reason                []string
	started, updated      []time.Time
	state, work           [][]byte
	ended                 []pgtype.Timestamptz
	at                    []time.Time
	entry                 []string
	data                  [][]byte
	messages              messageColumns
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
	texts, bytes := make([]string, 6*n), make([][]byte, 3*n)
	text := func(k int) []string { return texts[k*n : (k+1)*n : (k+1)*n] }
	numbers, integers, times := make([]int64, 2*n), make([]int32, 2*n), make([]time.Time, 3*n)
	stamps := make([]pgtype.Timestamptz, 2*n)
	c = &changeColumns{
		tenant: text(0), sagaType: text(1), key: text(2), status: text(3), reason: text(4), entry: text(5),
		shard: make([]int16, n), epoch: numbers[:n:n], sequence: numbers[n:], commit: make([][16]byte, n), ready: make([]bool, n),
		due: stamps[:n:n], ended: stamps[n:], attempts: integers[:n:n], schema: integers[n:],
		started: times[:n:n], updated: times[n : 2*n : 2*n], at: times[2*n:],
		state: bytes[:n:n], work: bytes[n : 2*n : 2*n], data: bytes[2*n:],
	}
	for i, at := range order {
		c.set(i, &changes[at])
	}
	return c, order
}

func (c *changeColumns) set(i int, change *saga.Change) {
	r, e := &change.Record, &change.Entry
	if r.Sequence == 1 {
		c.kind |= withStarts
	} else {
		c.kind |= withNexts
	}
	c.tenant[i], c.sagaType[i], c.key[i], c.shard[i] = r.ID.Tenant, r.ID.Type, r.ID.Key, int16(r.ID.Shard().Number)
	c.epoch[i], c.sequence[i], c.commit[i], c.status[i], c.ready[i] = change.Epoch, r.Sequence, r.Commit, string(r.Status), r.Ready
	c.due[i], c.ended[i], c.attempts[i], c.schema[i], c.reason[i] = encodeDue(r.Due), encodeEnded(r), int32(r.Attempts), int32(r.Schema), r.Reason
	c.started[i], c.updated[i], c.at[i], c.entry[i] = encodeTime(r.Started), encodeTime(r.Updated), encodeTime(e.At), e.Kind
	c.state[i], c.work[i], c.data[i] = encodeBytes(r.State), encodeBytes(r.Work), encodeBytes(e.Data)
	nth := int32(i + 1)
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
		c.started, c.updated, c.state, c.work, c.ended, c.at, c.entry, c.data,
	}
	if m := &c.messages; c.kind&withMessages != 0 {
		args = append(args, m.consumedChange, m.consumed, m.change, m.tenant, m.sagaType, m.key, m.shard, m.id, m.kind, m.body, m.at)
	}
	return args
}
