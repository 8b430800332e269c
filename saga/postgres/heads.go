package postgres

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/saga"
)

const (
	// counts tells whether the due time in a row counts. One that does not is left
	// there while the saga is worked on, as its index would have to be touched.
	counts      = `s.undue <> s.sequence`
	dueOfHead   = `CASE WHEN ` + counts + ` THEN s.due END`
	headColumns = `s.tenant, s.type, s.key, s.sequence, s.commit_id, s.status, s.ready, ` + dueOfHead + `, s.attempts, s.schema, s.reason, s.started, s.updated`
	loadSQL     = `SELECT ` + headColumns + `, s.state, s.work FROM rondo.sagas s WHERE s.tenant = $1 AND s.type = $2 AND s.key = $3`
	historySQL  = `
SELECT h.sequence, h.at, h.kind, h.data FROM rondo.saga_history h
WHERE h.saga = (SELECT s.number FROM rondo.sagas s WHERE s.tenant = $1 AND s.type = $2 AND s.key = $3) AND h.sequence > $4
ORDER BY h.sequence LIMIT $5`
)

// scanHead reads the columns of a head, and what comes behind them.
func scanHead(rows pgx.Rows, more ...any) (saga.Record, error) {
	var (
		r                saga.Record
		commit           [16]byte
		status           string
		due              pgtype.Timestamptz
		attempts, schema int32
	)
	err := rows.Scan(append([]any{
		&r.ID.Tenant, &r.ID.Type, &r.ID.Key, &r.Sequence, &commit, &status, &r.Ready, &due, &attempts, &schema, &r.Reason, &r.Started, &r.Updated,
	}, more...)...)
	r.Commit, r.Status, r.Attempts, r.Schema = uuid.UUID(commit), saga.Status(status), int(attempts), int(schema)
	r.Started, r.Updated = r.Started.UTC(), r.Updated.UTC()
	if due.Valid {
		r.Due = due.Time.UTC()
	}
	return r, err
}

// Load returns the record of a saga; see [saga.Heads].
func (s *Store) Load(ctx context.Context, id saga.ID) (r saga.Record, found bool, err error) {
	if err := saga.CheckID("id", id); err != nil {
		return saga.Record{}, false, err
	}
	err = s.query(ctx, "load saga", loadSQL, []any{id.Tenant, id.Type, id.Key}, func(rows pgx.Rows) error {
		found = false
		for rows.Next() {
			var state, work []byte
			if r, err = scanHead(rows, &state, &work); err != nil {
				return err
			}
			r.State, r.Work, found = state, work, true
		}
		return nil
	})
	if err != nil {
		return saga.Record{}, false, err
	}
	return r, found, nil
}

// History returns what was decided; see [saga.Heads].
func (s *Store) History(ctx context.Context, id saga.ID, after int64, limit int) ([]saga.Entry, error) {
	if err := cmp.Or(saga.CheckID("id", id), saga.CheckLimit(limit)); err != nil {
		return nil, err
	}
	var entries []saga.Entry
	err := s.query(ctx, "read history", historySQL, []any{id.Tenant, id.Type, id.Key, after, limit}, func(rows pgx.Rows) error {
		entries = nil
		for rows.Next() {
			var e saga.Entry
			if err := rows.Scan(&e.Sequence, &e.At, &e.Kind, &e.Data); err != nil {
				return err
			}
			e.At = e.At.UTC()
			entries = append(entries, e)
		}
		return nil
	})
	return entries, err
}

// dueSQL finds what is due in each shard after a place of its own, so many at
// most: an index scan for each shard.
const dueSQL = `
SELECT n.nth::integer, d.tenant, n.type, d.key, d.due
FROM unnest($1::text[], $2::smallint[], $3::timestamptz[], $4::text[], $5::text[])
	WITH ORDINALITY AS n(type, shard, due, tenant, key, nth)
CROSS JOIN LATERAL (
	SELECT s.tenant, s.key, s.due FROM rondo.sagas s
	WHERE s.type = n.type AND s.shard = n.shard AND s.due IS NOT NULL AND (s.due, s.tenant, s.key) > (n.due, n.tenant, n.key) AND ` + counts + `
	ORDER BY s.due, s.tenant, s.key LIMIT %d) d`

// Due returns what is due first; see [saga.Heads].
func (s *Store) Due(ctx context.Context, shards []saga.Shard, after saga.Due, limit int) ([]saga.Due, error) {
	if err := cmp.Or(saga.CheckShards(shards), saga.CheckLimit(limit)); err != nil {
		return nil, err
	}
	compare := func(a, b saga.Due) int { return cmp.Or(a.At.Compare(b.At), a.ID.Compare(b.ID)) }
	if after.At = saga.Recordable(after.At); !after.At.IsZero() {
		after.At = encodeTime(after.At)
	}
	return merged(ctx, s, shards, after, limit, compare, func(after saga.Due, each int) (string, []any, func(pgx.Rows) (int32, saga.Due, error)) {
		types, numbers := shardColumns(shards)
		at, tenants, keys := make([]pgtype.Timestamptz, len(shards)), make([]string, len(shards)), make([]string, len(shards))
		for i, shard := range shards {
			at[i] = pgtype.Timestamptz{Time: after.At, Valid: true}
			if after == (saga.Due{}) {
				at[i] = pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
			}
			tenants[i], keys[i] = placeIn(shard.Type, after.ID)
		}
		return fmt.Sprintf(dueSQL, each), []any{types, numbers, at, tenants, keys}, func(rows pgx.Rows) (nth int32, d saga.Due, err error) {
			err = rows.Scan(&nth, &d.ID.Tenant, &d.ID.Type, &d.ID.Key, &d.At)
			d.At = d.At.UTC()
			return nth, d, err
		}
	})
}

// placeIn is the place, by tenant and key, behind which those ids of a type are
// that come after id.
func placeIn(sagaType string, after saga.ID) (tenant, key string) {
	switch cmp.Compare(sagaType, after.Type) {
	case -1:
		return after.Tenant + "\x01", "" // no tenant is between: there are no zero bytes
	case 1:
		return after.Tenant, "" // no key is empty
	}
	return after.Tenant, after.Key
}

// readySQL finds what has work to do, as dueSQL finds what is due.
const readySQL = `
SELECT ` + headColumns + `, n.nth::integer
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[]) WITH ORDINALITY AS n(type, shard, tenant, key, nth)
CROSS JOIN LATERAL (
	SELECT * FROM rondo.sagas s
	WHERE s.type = n.type AND s.shard = n.shard AND s.ready AND (s.tenant, s.key) > (n.tenant, n.key) %s
	ORDER BY s.tenant, s.key LIMIT %d) s`

// List returns records; see [saga.Heads].
func (s *Store) List(ctx context.Context, q saga.Query) ([]saga.Record, error) {
	if err := saga.CheckQuery(&q); err != nil {
		return nil, err
	}
	if q.Ready && len(q.Shards) > 0 {
		compare := func(a, b saga.Record) int { return a.ID.Compare(b.ID) }
		return merged(ctx, s, q.Shards, saga.Record{ID: q.After}, q.Limit, compare, func(after saga.Record, each int) (string, []any, func(pgx.Rows) (int32, saga.Record, error)) {
			types, numbers := shardColumns(q.Shards)
			tenants, keys := make([]string, len(types)), make([]string, len(types))
			for i := range types {
				tenants[i], keys[i] = placeIn(types[i], after.ID)
			}
			w := where{args: []any{types, numbers, tenants, keys}}
			w.matches(&q)
			return fmt.Sprintf(readySQL, w.sql.String(), each), w.args, func(rows pgx.Rows) (nth int32, r saga.Record, err error) {
				r, err = scanHead(rows, &nth)
				return nth, r, err
			}
		})
	}
	var w where
	from := `rondo.sagas s`
	if q.Ready {
		w.and(`s.ready`)
	}
	if len(q.Shards) > 0 {
		types, numbers := shardColumns(q.Shards)
		w.and(`(s.type, s.shard) IN (SELECT * FROM unnest(%s::text[], %s::smallint[]))`, types, numbers)
	}
	if !q.DueBefore.IsZero() && len(q.Shards) == 0 {
		from = dueShards
	}
	w.matches(&q)
	if q.After != (saga.ID{}) {
		w.and(`(s.tenant, s.type, s.key) > (%s, %s, %s)`, q.After.Tenant, q.After.Type, q.After.Key)
	}
	sql := `SELECT ` + headColumns + ` FROM ` + from + ` WHERE true` + w.sql.String() + ` ORDER BY s.tenant, s.type, s.key LIMIT ` + fmt.Sprint(q.Limit)
	var records []saga.Record
	err := s.query(ctx, "list sagas", sql, w.args, func(rows pgx.Rows) error {
		records = nil
		for rows.Next() {
			r, err := scanHead(rows)
			if err != nil {
				return err
			}
			records = append(records, r)
		}
		return nil
	})
	return records, err
}

// dueShards are the sagas that are due some time, shard by shard, so that the
// index by time is of use: it is skipped through for the shards that there are.
const dueShards = `(
	WITH RECURSIVE shards AS (
		(SELECT type, shard FROM rondo.sagas WHERE due IS NOT NULL ORDER BY type, shard LIMIT 1)
		UNION ALL
		SELECT n.type, n.shard FROM shards f CROSS JOIN LATERAL (
			SELECT type, shard FROM rondo.sagas WHERE due IS NOT NULL AND (type, shard) > (f.type, f.shard)
			ORDER BY type, shard LIMIT 1) n)
	SELECT * FROM shards) p(type, shard) JOIN rondo.sagas s ON s.type = p.type AND s.shard = p.shard AND s.due IS NOT NULL`

// where is a condition in the making.
type where struct {
	sql  strings.Builder
	args []any
}

// and adds a condition in which %s stands for each argument.
func (w *where) and(condition string, args ...any) {
	names := make([]any, len(args))
	for i, a := range args {
		w.args = append(w.args, a)
		names[i] = fmt.Sprintf("$%d", len(w.args))
	}
	w.sql.WriteString(" AND ")
	fmt.Fprintf(&w.sql, condition, names...)
}

// matches adds what a query asks for besides shards, readiness and the place.
// Statuses are checked words and stand as they are, so that an index on some of
// them is found to be of use.
func (w *where) matches(q *saga.Query) {
	if !q.AllTenants {
		w.and(`s.tenant = %s`, q.Tenant)
	}
	if q.Type != "" {
		w.and(`s.type = %s`, q.Type)
	}
	if len(q.Statuses) > 0 {
		var list []string
		for _, status := range q.Statuses {
			list = append(list, "'"+string(status)+"'")
		}
		w.and(`s.status IN (` + strings.Join(list, ", ") + `)`)
	}
	if !q.StartedBefore.IsZero() {
		w.and(`s.started < %s`, encodeBound(q.StartedBefore))
	}
	if !q.DueBefore.IsZero() {
		w.and(`s.due < %s AND `+counts, encodeBound(q.DueBefore))
	}
	if q.Attempts > 0 {
		w.and(`s.attempts >= %s`, q.Attempts)
	}
	if q.Owner != "" {
		w.and(`EXISTS (SELECT FROM rondo.saga_leases l WHERE l.type = s.type AND l.shard = s.shard AND l.owner = %s)`, q.Owner)
	}
}

// encodeBound is a time that others are compared with. What is within its
// microsecond is before it.
func encodeBound(t time.Time) time.Time {
	bound := encodeTime(t)
	if bound.Before(t) && bound.Before(lastTime) {
		bound = bound.Add(time.Microsecond)
	}
	return bound
}
