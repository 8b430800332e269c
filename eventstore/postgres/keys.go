package postgres

import (
	"context"
	"crypto/rand"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

const keySize = 32 // bytes

const (
	// makeKeySQL returns no row if the subject has, or had, a key.
	makeKeySQL = `
INSERT INTO rondo.subject_keys (tenant, subject, key) VALUES ($1, $2, $3)
ON CONFLICT ON CONSTRAINT subject_keys_pkey DO NOTHING`
	loadKeySQL   = `SELECT key FROM rondo.subject_keys WHERE tenant = $1 AND subject = $2`
	deleteKeySQL = `
INSERT INTO rondo.subject_keys (tenant, subject, key) VALUES ($1, $2, NULL)
ON CONFLICT ON CONSTRAINT subject_keys_pkey DO UPDATE SET key = NULL`
)

// Key returns the subject's key, made on the first call; see [eventstore.Keys].
func (s *Store) Key(ctx context.Context, subject string) ([]byte, error) {
	return s.key(ctx, subject, true)
}

// LoadKey returns the subject's key; see [eventstore.Keys].
func (s *Store) LoadKey(ctx context.Context, subject string) ([]byte, error) {
	return s.key(ctx, subject, false)
}

func (s *Store) key(ctx context.Context, subject string, create bool) ([]byte, error) {
	tenant, err := s.checkKey(ctx, subject)
	if err != nil {
		return nil, err
	}
	var key []byte
	found := false
	load := func(b *pgx.Batch) {
		found = false
		b.Queue(loadKeySQL, tenant, subject).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				found = true
				if err := rows.Scan(&key); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
	err = s.as(ctx, "load key", tenant, load)
	if err == nil && !found && create {
		made := make([]byte, keySize)
		_, _ = rand.Read(made) // it never returns an error
		err = s.as(ctx, "make key", tenant, func(b *pgx.Batch) {
			b.Queue(makeKeySQL, tenant, subject, made)
			load(b)
		})
	}
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, eventstore.ErrNoKey
	case key == nil:
		return nil, eventstore.ErrErased
	}
	return key, nil
}

// DeleteKey deletes the subject's key for good; see [eventstore.Keys]. The key is
// in the server's log and in its backups for as long as these are kept.
func (s *Store) DeleteKey(ctx context.Context, subject string) error {
	tenant, err := s.checkKey(ctx, subject)
	if err != nil {
		return err
	}
	return s.as(ctx, "delete key", tenant, func(b *pgx.Batch) { b.Queue(deleteKeySQL, tenant, subject) })
}

func (s *Store) checkKey(ctx context.Context, subject string) (tenant string, err error) {
	if err := eventstore.CheckName("subject", subject); err != nil {
		return "", err
	}
	return s.tenant(ctx)
}
