package publish_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/publish"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// A sink in the database of the events, that saves the checkpoint with its own
// writes, has each event once, without looking for those that come again.
func TestExactlyOnceInTheSameDatabase(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		db, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "events.db"), sqlite.Config{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		require.NoError(t, db.InTx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE sink (position INTEGER)`)
			return err
		}))
		crashAgainAndAgain(t, db, func(ctx context.Context, b publish.Batch) error {
			return db.InTx(ctx, func(tx *sql.Tx) error {
				for _, e := range b.Events {
					if _, err := tx.ExecContext(ctx, `INSERT INTO sink VALUES (?)`, e.Position); err != nil {
						return err
					}
				}
				_, err := db.SaveCheckpointTx(ctx, tx, b.Lease, b.Position(), b.LeaseTTL)
				return err
			})
		}, func() (got []eventstore.Position) {
			require.NoError(t, db.InTx(ctx, func(tx *sql.Tx) error {
				rows, err := tx.QueryContext(ctx, `SELECT position FROM sink ORDER BY rowid`)
				if err != nil {
					return err
				}
				for rows.Next() {
					var p eventstore.Position
					if err := rows.Scan(&p); err != nil {
						return err
					}
					got = append(got, p)
				}
				return rows.Err()
			}))
			return got
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		ctx, server := t.Context(), postgrestest.New(t)
		db, err := postgres.Open(ctx, server.URL, postgres.Config{AutoMigrate: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		pool := server.Pool(t)
		_, err = pool.Exec(ctx, `CREATE TABLE sink (row bigserial, position bigint)`)
		require.NoError(t, err)
		crashAgainAndAgain(t, db, func(ctx context.Context, b publish.Batch) error {
			return db.InTx(ctx, func(tx pgx.Tx) error {
				for _, e := range b.Events {
					if _, err := tx.Exec(ctx, `INSERT INTO sink (position) VALUES ($1)`, e.Position); err != nil {
						return err
					}
				}
				_, err := db.SaveCheckpointTx(ctx, tx, b.Lease, b.Position(), b.LeaseTTL)
				return err
			})
		}, func() []eventstore.Position {
			rows, err := pool.Query(ctx, `SELECT position FROM sink ORDER BY row`)
			require.NoError(t, err)
			got, err := pgx.CollectRows(rows, pgx.RowTo[eventstore.Position])
			require.NoError(t, err)
			return got
		})
	})
}

// crashAgainAndAgain has publishers die after their handler has committed, and
// before they know, with a heartbeat at all times.
func crashAgainAndAgain(t *testing.T, db home, handler publish.Handler, sunk func() []eventstore.Position) {
	t.Helper()
	ctx := t.Context()
	const events = 60
	add(ctx, t, db, "a-1", events)
	want := wanted(t, db, eventstore.Filter{})
	for {
		alive, kill := context.WithCancel(ctx)
		var dead, handled atomic.Bool
		f := &faulty{home: db, before: func(_ context.Context, call string) error {
			if call == save && handled.Load() {
				dead.Store(true)
				kill()
			}
			if dead.Load() && call != release { // or the next one would have to wait
				return errGone
			}
			return nil
		}}
		cfg := short(publish.Hooks{})
		cfg.LeaseTTL, cfg.Heartbeat = time.Minute, time.Millisecond
		left := len(want) - len(sunk())
		if left == 0 {
			kill()
			break
		}
		r := start(t, alive, f, func(ctx context.Context, b publish.Batch) error {
			if err := handler(ctx, b); err != nil {
				return err
			}
			handled.Store(true)
			return nil
		}, cfg)
		require.ErrorIs(t, r.wait(), context.Canceled)
		kill()
	}
	require.Equal(t, want, sunk())
	require.Equal(t, want[len(want)-1], checkpoint(ctx, t, db))
}
