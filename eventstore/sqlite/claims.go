package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

const (
	selectClaim = `SELECT hash, result, until FROM rondo_claims WHERE tenant = ? AND key = ? AND until > ?`
	// insertClaim replaces one whose time has run out: others were found before.
	insertClaim  = `INSERT INTO rondo_claims (tenant, key, hash, result, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET hash = excluded.hash, result = excluded.result, until = excluded.until`
	deleteClaims = `DELETE FROM rondo_claims WHERE rowid IN (SELECT rowid FROM rondo_claims WHERE until <= ? ORDER BY until LIMIT ?)`
)

// LoadClaim returns the claim with that key; see [eventstore.Claims].
func (s *Store) LoadClaim(ctx context.Context, key string) (c eventstore.Claim, found bool, err error) {
	if err := eventstore.CheckName("key", key); err != nil {
		return c, false, err
	}
	tenant, err := s.enter(ctx)
	if err != nil {
		return c, false, err
	}
	err = s.file.Read(ctx, func(x *sqlitefile.Conn) (err error) {
		c, found, err = loadClaim(ctx, x, tenant, key, s.now())
		return err
	})
	return c, found, err
}

// DeleteExpiredClaims forgets claims whose time has run out; see
// [eventstore.Claims].
func (s *Store) DeleteExpiredClaims(ctx context.Context, limit int) (int, error) {
	if err := eventstore.CheckLimit(limit); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var deleted int64
	err := s.write(ctx, func(ctx context.Context, w *sqlitefile.Writer, now time.Time) (verdict, err error) {
		result, err := w.Conn().Exec(ctx, deleteClaims, now.UnixMicro(), int64(limit))
		if err != nil {
			return nil, err
		}
		deleted, err = result.RowsAffected()
		return nil, err
	})
	if err != nil {
		return 0, err
	}
	return int(deleted), nil
}

func loadClaim(ctx context.Context, x sqlitefile.Executor, tenant, key string, now time.Time) (c eventstore.Claim, found bool, err error) {
	var until int64
	found, err = sqlitefile.First(ctx, x, func(row []driver.Value) error {
		return sqlitefile.Scan(row, &c.Hash, &c.Result, &until)
	}, selectClaim, tenant, key, recordable(now).UnixMicro())
	if err != nil || !found {
		return eventstore.Claim{}, false, err
	}
	c.Key, c.Until = key, time.UnixMicro(until).UTC()
	return c, true, nil
}

func saveClaim(ctx context.Context, x sqlitefile.Executor, tenant string, c *eventstore.Claim) error {
	_, err := x.Exec(ctx, insertClaim, tenant, c.Key, blob(c.Hash), blob(c.Result), c.Until.UnixMicro())
	return err
}
