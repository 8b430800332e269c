package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

const (
	selectKey = `SELECT key FROM rondo_keys WHERE tenant = ? AND subject = ?`
	insertKey = `INSERT INTO rondo_keys (tenant, subject, key) VALUES (?, ?, ?)`
	deleteKey = `INSERT INTO rondo_keys (tenant, subject) VALUES (?, ?) ON CONFLICT DO UPDATE SET key = NULL`
)

const keySize = 32 // bytes

// Key returns the subject's key, made on the first call; see [eventstore.Keys].
func (s *Store) Key(ctx context.Context, subject string) ([]byte, error) {
	key, err := s.LoadKey(ctx, subject)
	if !errors.Is(err, eventstore.ErrNoKey) {
		return key, err
	}
	tenant, err := s.enterKey(ctx, subject)
	if err != nil {
		return nil, err
	}
	err = s.write(ctx, func(ctx context.Context, w *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		if key, verdict, err = loadKey(ctx, w.Conn(), tenant, subject); !errors.Is(verdict, eventstore.ErrNoKey) || err != nil {
			return verdict, err
		}
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // it never returns an error
		_, err = w.Conn().Exec(ctx, insertKey, tenant, subject, key)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}

// LoadKey returns the subject's key; see [eventstore.Keys].
func (s *Store) LoadKey(ctx context.Context, subject string) (key []byte, err error) {
	tenant, err := s.enterKey(ctx, subject)
	if err != nil {
		return nil, err
	}
	var verdict error
	err = s.file.Read(ctx, func(c *sqlitefile.Conn) (err error) {
		key, verdict, err = loadKey(ctx, c, tenant, subject)
		return err
	})
	if err == nil {
		err = verdict
	}
	return key, err
}

// DeleteKey deletes the subject's key for good; see [eventstore.Keys]. In the
// file it is overwritten. SQLite's log, the file with the suffix -wal, may have it
// until the log is written to the file and begun anew, which DeleteKey asks for
// and which happens as soon as no reader is in the way.
func (s *Store) DeleteKey(ctx context.Context, subject string) error {
	tenant, err := s.enterKey(ctx, subject)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, w *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		w.Scrub()
		_, err = w.Conn().Exec(ctx, deleteKey, tenant, subject)
		return nil, err
	})
}

func (s *Store) enterKey(ctx context.Context, subject string) (tenant string, err error) {
	if err := eventstore.CheckName("subject", subject); err != nil {
		return "", err
	}
	return s.enter(ctx)
}

func loadKey(ctx context.Context, x sqlitefile.Executor, tenant, subject string) (key []byte, verdict, err error) {
	found, err := sqlitefile.First(ctx, x, func(row []driver.Value) error { return sqlitefile.Scan(row, &key) }, selectKey, tenant, subject)
	switch {
	case err != nil:
		return nil, nil, err
	case !found:
		return nil, eventstore.ErrNoKey, nil
	case key == nil:
		return nil, eventstore.ErrErased, nil
	}
	return key, nil, nil
}
