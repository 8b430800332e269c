package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed57833328/rondo/internal/sqlitefile"
	"github.com/seed57833328/rondo/saga"
)

// selectDue goes along rondo_sagas_due from where it is to begin.
const selectDue = `SELECT due, tenant, key FROM rondo_sagas INDEXED BY rondo_sagas_due
	WHERE type = ? AND shard = ? AND due >= ? AND due <= ? AND (due, tenant, key) > (?, ?, ?) ORDER BY due, tenant, key LIMIT ?`

// firsts gathers the first of what several shards have, each in its order, and
// does not look at what comes too late in a shard.
type firsts[T any] struct {
	found   []T
	limit   int
	compare func(a, b *T) int
}

// add takes what a shard has next, and tells whether more of it may belong.
func (f *firsts[T]) add(v T) (more bool) {
	full := len(f.found) == f.limit
	if full && f.compare(&v, &f.found[len(f.found)-1]) > 0 {
		return false
	}
	at, _ := slices.BinarySearchFunc(f.found, v, func(a, b T) int { return f.compare(&a, &b) })
	if full {
		f.found = f.found[:len(f.found)-1]
	}
	f.found = slices.Insert(f.found, at, v)
	return true
}

// Due returns what is due first; see [saga.Heads].
func (s *Store) Due(ctx context.Context, shards []saga.Shard, after saga.Due, limit int) ([]saga.Due, error) {
	if err := cmp.Or(saga.CheckShards(shards), saga.CheckLimit(limit), s.file.Enter(ctx)); err != nil {
		return nil, err
	}
	f := firsts[saga.Due]{limit: limit, compare: func(a, b *saga.Due) int { return cmp.Or(a.At.Compare(b.At), a.ID.Compare(b.ID)) }}
	err := s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		for _, shard := range shards {
			if err := dueIn(ctx, c, shard, after, &f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f.found, nil
}

func dueIn(ctx context.Context, c *sqlitefile.Conn, shard saga.Shard, after saga.Due, f *firsts[saga.Due]) error {
	// Within a shard the type is that of all, so it only says where to begin.
	var key any = after.ID.Key
	switch {
	case shard.Type > after.ID.Type:
		key = "" // before all keys
	case shard.Type < after.ID.Type:
		key = []byte{} // after all keys: SQLite has blobs come after text
	}
	begin, end := micro(after.At), int64(math.MaxInt64)
	if len(f.found) == f.limit {
		end = f.found[f.limit-1].At.UnixMicro()
	}
	return c.Query(ctx, selectDue, []any{shard.Type, int64(shard.Number), begin, end, begin, after.ID.Tenant, key, int64(f.limit)},
		func(row []driver.Value) (bool, error) {
			var at int64
			d := saga.Due{ID: saga.ID{Type: shard.Type}}
			if err := sqlitefile.Scan(row, &at, &d.ID.Tenant, &d.ID.Key); err != nil {
				return false, err
			}
			d.At = fromMicro(at)
			return f.add(d), nil
		})
}

// List returns records; see [saga.Heads].
func (s *Store) List(ctx context.Context, q saga.Query) ([]saga.Record, error) {
	if err := cmp.Or(saga.CheckQuery(&q), s.file.Enter(ctx)); err != nil {
		return nil, err
	}
	f := firsts[saga.Record]{limit: q.Limit, compare: func(a, b *saga.Record) int { return a.ID.Compare(b.ID) }}
	err := s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		if !q.Ready || len(q.Shards) == 0 {
			l, err := listing(&q)
			if err != nil {
				return err
			}
			return l.run(ctx, c, &f)
		}
		for _, shard := range q.Shards {
			l := readyIn(&q, shard)
			if err := l.run(ctx, c, &f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f.found, nil
}

// query is a SELECT of headColumns of rondo_sagas h.
type query struct {
	with, from string
	where      []string
	args       []any
	limit      int
}

func (l *query) and(condition string, args ...any) {
	l.where = append(l.where, condition)
	l.args = append(l.args, args...)
}

func (l *query) text() string {
	return l.with + `SELECT ` + headColumnsOfH + ` FROM ` + l.from + ` WHERE ` + strings.Join(l.where, ` AND `) +
		` ORDER BY h.tenant, h.type, h.key LIMIT ?`
}

func (l *query) run(ctx context.Context, c *sqlitefile.Conn, f *firsts[saga.Record]) error {
	return c.Query(ctx, l.text(), append(slices.Clip(l.args), int64(l.limit)), func(row []driver.Value) (bool, error) {
		var r saga.Record
		if err := scanHead(row, &r); err != nil {
			return false, err
		}
		return f.add(r), nil
	})
}

var headColumnsOfH = "h." + strings.ReplaceAll(headColumns, ", ", ", h.")

// readyIn finds what is ready in one shard, along rondo_sagas_ready.
func readyIn(q *saga.Query, shard saga.Shard) query {
	l := query{from: `rondo_sagas h INDEXED BY rondo_sagas_ready`, limit: q.Limit}
	l.and(`h.ready = 1`)
	l.and(`h.type = ? AND h.shard = ?`, shard.Type, int64(shard.Number))
	if q.After != (saga.ID{}) {
		var key any = q.After.Key
		switch {
		case shard.Type > q.After.Type:
			key = ""
		case shard.Type < q.After.Type:
			key = []byte{}
		}
		l.and(`(h.tenant, h.key) > (?, ?)`, q.After.Tenant, key)
	}
	l.filter(q)
	return l
}

// dueEverywhere goes along rondo_sagas_due in every shard of every type, so that
// what is due later is not looked at.
const dueEverywhere = `WITH RECURSIVE types (type) AS (
		SELECT min(type) FROM rondo_sagas INDEXED BY rondo_sagas_due WHERE due IS NOT NULL
		UNION ALL
		SELECT (SELECT min(s.type) FROM rondo_sagas s INDEXED BY rondo_sagas_due WHERE s.due IS NOT NULL AND s.type > types.type) FROM types WHERE types.type IS NOT NULL
	), shards (number) AS (VALUES (0) UNION ALL SELECT number + 1 FROM shards WHERE number < 63) `

// listing finds what is listed, wherever it is.
func listing(q *saga.Query) (query, error) {
	l := query{from: `rondo_sagas h INDEXED BY rondo_sagas_id`, limit: q.Limit}
	halted := func(s saga.Status) bool { return s == saga.Stuck || s == saga.Paused }
	switch {
	case q.Ready:
		l.from = `rondo_sagas h INDEXED BY rondo_sagas_ready`
		l.and(`h.ready = 1`)
	case len(q.Statuses) > 0 && !slices.ContainsFunc(q.Statuses, func(s saga.Status) bool { return !halted(s) }):
		l.from = `rondo_sagas h INDEXED BY rondo_sagas_halted`
		l.and(`h.status IN ('stuck', 'paused')`)
	case !q.DueBefore.IsZero():
		l.with = dueEverywhere
		l.from = `types CROSS JOIN shards CROSS JOIN rondo_sagas h INDEXED BY rondo_sagas_due`
		l.and(`h.type = types.type AND h.shard = shards.number AND h.due IS NOT NULL`)
	}
	if q.After != (saga.ID{}) {
		l.and(`(h.tenant, h.type, h.key) > (?, ?, ?)`, q.After.Tenant, q.After.Type, q.After.Key)
	}
	if len(q.Shards) > 0 {
		wanted := make([]string, len(q.Shards))
		for i, shard := range q.Shards {
			wanted[i] = fmt.Sprintf("%s/%d", shard.Type, shard.Number)
		}
		list, err := encodeList(wanted)
		if err != nil {
			return l, err
		}
		l.and(`h.type || '/' || h.shard IN (SELECT value FROM json_each(?))`, list)
	}
	l.filter(q)
	return l, nil
}

// filter adds what is asked of each record.
func (l *query) filter(q *saga.Query) {
	l.and(`TRUE`)
	if !q.AllTenants {
		l.and(`h.tenant = ?`, q.Tenant)
	}
	if q.Type != "" {
		l.and(`h.type = ?`, q.Type)
	}
	if len(q.Statuses) > 0 {
		marks := strings.Repeat(", ?", len(q.Statuses))[2:]
		args := make([]any, len(q.Statuses))
		for i, s := range q.Statuses {
			args[i] = string(s)
		}
		l.and(`h.status IN (`+marks+`)`, args...)
	}
	if !q.StartedBefore.IsZero() {
		l.and(`h.started < ?`, microAfter(q.StartedBefore))
	}
	if !q.DueBefore.IsZero() {
		l.and(`h.due < ?`, microAfter(q.DueBefore))
	}
	if q.Attempts > 0 {
		l.and(`h.attempts >= ?`, int64(q.Attempts))
	}
	if q.Owner != "" {
		l.and(`EXISTS (SELECT 1 FROM rondo_saga_leases l WHERE l.type = h.type AND l.shard = h.shard AND l.owner = ?)`, q.Owner)
	}
}

// encodeList writes names as a JSON array, for json_each.
func encodeList(names []string) (string, error) {
	if names == nil {
		names = []string{}
	}
	text, err := json.Marshal(names)
	if err != nil {
		return "", fmt.Errorf("encode %q: %w", names, err)
	}
	return string(text), nil
}
