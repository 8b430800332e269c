package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"math"
	"time"

	"github.com/seed57833328/rondo/internal/sqlitefile"
	"github.com/seed57833328/rondo/saga"
)

const (
	insertMessage = `INSERT INTO rondo_saga_inbox (tenant, type, key, shard, id, kind, at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	deleteMessage = `DELETE FROM rondo_saga_inbox WHERE position = ?`
	isExpected    = `SELECT 1 WHERE EXISTS (SELECT 1 FROM rondo_sagas WHERE tenant = ? AND type = ? AND key = ?)
		OR EXISTS (SELECT 1 FROM rondo_saga_inbox WHERE tenant = ? AND type = ? AND key = ? AND kind = 'start')`
	selectInbox = `SELECT m.position, m.tenant, m.key, m.id, m.kind, m.at, m.body FROM rondo_saga_inbox m INDEXED BY rondo_saga_inbox_shard
		WHERE m.type = ? AND m.shard = ? AND m.position <= ? AND (m.kind = 'wake' OR NOT EXISTS (
			SELECT 1 FROM rondo_sagas h INDEXED BY rondo_sagas_halted
			WHERE h.tenant = m.tenant AND h.type = m.type AND h.key = m.key AND h.status IN ('stuck', 'paused')))
		ORDER BY m.position LIMIT ?`
	selectWaiting = `SELECT position, tenant, key, id, kind, at, body FROM rondo_saga_inbox INDEXED BY rondo_saga_inbox_id
		WHERE tenant = ? AND type = ? AND key = ? AND position > ? ORDER BY position LIMIT ?`
)

// messageArgs are the arguments of insertMessage.
func messageArgs(m *saga.Message) []any {
	return []any{m.To.Tenant, m.To.Type, m.To.Key, int64(m.To.Shard().Number), m.ID, string(m.Kind), micro(m.At), blob(m.Body)}
}

// keep puts a message into the inbox, unless it waits there.
func (s *Store) keep(c sqlitefile.Executor, args []any) error {
	result, err := c.Exec(context.Background(), insertMessage, args...)
	if err != nil {
		return err
	}
	kept, err := result.RowsAffected()
	if kept > 0 {
		s.file.News()
	}
	return err
}

// Post keeps a message; see [saga.Inbox].
func (s *Store) Post(ctx context.Context, m saga.Message) error {
	if err := cmp.Or(saga.CheckMessage(m), s.file.Enter(ctx)); err != nil {
		return err
	}
	args := messageArgs(&m)
	return s.file.Write(ctx, len(m.Body), func(w *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		if m.Kind != saga.StartMessage {
			expected, err := sqlitefile.First(context.Background(), w.Conn(), nil, isExpected,
				m.To.Tenant, m.To.Type, m.To.Key, m.To.Tenant, m.To.Type, m.To.Key)
			if err != nil {
				return nil, err
			}
			if !expected {
				return saga.ErrNotFound, nil
			}
		}
		return nil, s.keep(w.Conn(), args)
	})
}

// Inbox returns messages; see [saga.Inbox].
func (s *Store) Inbox(ctx context.Context, shards []saga.Shard, limit int) ([]saga.Message, error) {
	if err := cmp.Or(saga.CheckShards(shards), saga.CheckLimit(limit), s.file.Enter(ctx)); err != nil {
		return nil, err
	}
	f := firsts[saga.Message]{limit: limit, compare: func(a, b *saga.Message) int { return cmp.Compare(a.Position, b.Position) }}
	err := s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		for _, shard := range shards {
			last := int64(math.MaxInt64)
			if len(f.found) == limit {
				last = f.found[limit-1].Position
			}
			err := c.Query(ctx, selectInbox, []any{shard.Type, int64(shard.Number), last, int64(limit)}, func(row []driver.Value) (bool, error) {
				m, err := scanMessage(shard.Type, row)
				return err == nil && f.add(m), err
			})
			if err != nil {
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

func scanMessage(to string, row []driver.Value) (saga.Message, error) {
	m := saga.Message{To: saga.ID{Type: to}}
	var kind string
	var at int64
	err := sqlitefile.Scan(row, &m.Position, &m.To.Tenant, &m.To.Key, &m.ID, &kind, &at, &m.Body)
	m.Kind, m.At = saga.MessageKind(kind), fromMicro(at)
	return m, err
}

// Waiting returns the messages of one saga; see [saga.Inbox].
func (s *Store) Waiting(ctx context.Context, id saga.ID, after int64, limit int) ([]saga.Message, error) {
	if err := cmp.Or(saga.CheckID("id", id), saga.CheckLimit(limit), s.file.Enter(ctx)); err != nil {
		return nil, err
	}
	var found []saga.Message
	err := s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		return c.Query(ctx, selectWaiting, []any{id.Tenant, id.Type, id.Key, after, int64(limit)}, func(row []driver.Value) (bool, error) {
			m, err := scanMessage(id.Type, row)
			found = append(found, m)
			return err == nil, err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Discard forgets messages; see [saga.Inbox].
func (s *Store) Discard(ctx context.Context, positions []int64) error {
	if err := s.file.Enter(ctx); err != nil {
		return err
	}
	return s.file.Write(ctx, 0, func(w *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		for _, position := range positions {
			if _, err := w.Conn().Exec(context.Background(), deleteMessage, position); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}
