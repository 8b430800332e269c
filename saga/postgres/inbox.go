package postgres

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/saga"
)

const (
	postSQL = `
WITH welcome AS MATERIALIZED (
	SELECT $7::text = 'start'
		OR EXISTS (SELECT FROM rondo.sagas s WHERE s.tenant = $3 AND s.type = $4 AND s.key = $5)
		OR EXISTS (SELECT FROM rondo.saga_inbox m WHERE m.tenant = $3 AND m.type = $4 AND m.key = $5 AND m.kind = 'start') AS yes
), kept AS (
	INSERT INTO rondo.saga_inbox (at, shard, tenant, type, key, id, kind, body)
	SELECT $1::timestamptz, $2::smallint, $3::text, $4::text, $5::text, $6::text, $7::text, $8::bytea FROM welcome WHERE yes
	ON CONFLICT (tenant, type, key, id) DO NOTHING
	RETURNING 1
)
SELECT yes, EXISTS (SELECT FROM kept) FROM welcome`

	// The status of a saga is looked up for each message: there are few.
	inboxSQL = `
SELECT m.position, m.at, m.tenant, m.type, m.key, m.id, m.kind, m.body
FROM rondo.saga_inbox m
WHERE (m.type, m.shard) IN (SELECT * FROM unnest($1::text[], $2::smallint[]))
	AND (m.kind = 'wake' OR coalesce(
		(SELECT s.status FROM rondo.sagas s WHERE s.tenant = m.tenant AND s.type = m.type AND s.key = m.key), '') NOT IN ('stuck', 'paused'))
ORDER BY m.position LIMIT $3`

	waitingSQL = `
SELECT position, at, tenant, type, key, id, kind, body FROM rondo.saga_inbox
WHERE tenant = $1 AND type = $2 AND key = $3 AND position > $4
ORDER BY position LIMIT $5`

	discardSQL = `DELETE FROM rondo.saga_inbox WHERE position = ANY ($1::bigint[])`
)

// Post keeps a message; see [saga.Inbox].
func (s *Store) Post(ctx context.Context, m saga.Message) error {
	if err := saga.CheckMessage(m); err != nil {
		return err
	}
	var welcome, kept bool
	args := []any{
		encodeTime(m.At), int16(m.To.Shard().Number), m.To.Tenant, m.To.Type, m.To.Key, m.ID, string(m.Kind), encodeBytes(m.Body),
	}
	err := s.query(ctx, "post message", postSQL, args, func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan(&welcome, &kept); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !welcome:
		return saga.ErrNotFound
	case kept:
		s.rouse()
	}
	return nil
}

// Inbox returns messages; see [saga.Inbox].
func (s *Store) Inbox(ctx context.Context, shards []saga.Shard, limit int) ([]saga.Message, error) {
	if err := cmp.Or(saga.CheckShards(shards), saga.CheckLimit(limit)); err != nil {
		return nil, err
	}
	types, numbers := shardColumns(shards)
	return s.messages(ctx, inboxSQL, types, numbers, limit)
}

// Waiting returns the messages of one saga; see [saga.Inbox].
func (s *Store) Waiting(ctx context.Context, id saga.ID, after int64, limit int) ([]saga.Message, error) {
	if err := cmp.Or(saga.CheckID("id", id), saga.CheckLimit(limit)); err != nil {
		return nil, err
	}
	return s.messages(ctx, waitingSQL, id.Tenant, id.Type, id.Key, after, limit)
}

func (s *Store) messages(ctx context.Context, sql string, args ...any) ([]saga.Message, error) {
	var messages []saga.Message
	err := s.query(ctx, "read inbox", sql, args, func(rows pgx.Rows) error {
		messages = nil
		for rows.Next() {
			var m saga.Message
			var kind string
			if err := rows.Scan(&m.Position, &m.At, &m.To.Tenant, &m.To.Type, &m.To.Key, &m.ID, &kind, &m.Body); err != nil {
				return err
			}
			m.At, m.Kind = m.At.UTC(), saga.MessageKind(kind)
			messages = append(messages, m)
		}
		return nil
	})
	return messages, err
}

// Discard forgets messages; see [saga.Inbox].
func (s *Store) Discard(ctx context.Context, positions []int64) error {
	return s.exec(ctx, "discard messages", discardSQL, positions)
}
