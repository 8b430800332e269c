package gapsafe

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// The tempting mistakes, each in the one order of events that shows it, and the
// same order without the mistake.

type scene struct {
	pool  *pgxpool.Pool
	store *postgres.Store
	url   string
}

func newScene(t *testing.T) scene {
	t.Helper()
	db := postgrestest.New(t)
	migrate(t, db)
	return sceneOn(t, db)
}

func sceneOn(t *testing.T, db *postgrestest.Database) scene {
	t.Helper()
	pool := db.Pool(t)
	store, err := postgres.New(t.Context(), pool, postgres.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return scene{pool, store, db.URL}
}

func event(stream string) eventstore.Write {
	return eventstore.Write{Stream: stream, Expected: eventstore.None, Events: []eventstore.Event{{Type: "tested"}}}
}

// append commits an event.
func (s scene) append(t *testing.T, stream string) {
	t.Helper()
	_, err := s.store.Append(t.Context(), event(stream))
	require.NoError(t, err)
}

// begin appends in a transaction that is still to be committed.
func (s scene) begin(t *testing.T, stream string) pgx.Tx {
	t.Helper()
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = s.store.AppendTx(t.Context(), tx, event(stream))
	require.NoError(t, err)
	return tx
}

func commit(t *testing.T, tx pgx.Tx) {
	t.Helper()
	require.NoError(t, tx.Commit(t.Context()))
}

// follow reads on with a mutant, and remembers how far it has come.
type follower struct {
	after int64
	seen  []string
}

func (f *follower) take(t *testing.T, rows pgx.Rows, err error) {
	t.Helper()
	require.NoError(t, err)
	for rows.Next() {
		var stream string
		require.NoError(t, rows.Scan(&f.after, &stream))
		f.seen = append(f.seen, stream)
	}
	require.NoError(t, rows.Err())
}

// asAll does something in a transaction that sees all tenants.
func (s scene) asAll(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('rondo.tenant', '.*', true)`); err != nil {
			return err
		}
		return do(tx)
	})
}

// subscribed begins a subscription and returns the streams of its next events,
// when there are that many. It has delivered one already, so it looks while what
// follows is going on and not when all of it is over.
func (s scene) subscribed(t *testing.T, n int) <-chan []string {
	t.Helper()
	s.append(t, "first")
	delivered, got := make(chan string, 1), make(chan []string, 1)
	go func() {
		var streams []string
		for e, err := range s.store.Subscribe(t.Context(), 0, eventstore.Filter{}) {
			if err != nil {
				delivered <- err.Error()
				streams = append(streams, err.Error())
				break
			}
			if e.Stream == "first" {
				delivered <- e.Stream
				continue
			}
			if streams = append(streams, e.Stream); len(streams) == n {
				break
			}
		}
		got <- streams
	}()
	require.Equal(t, "first", <-delivered)
	return got
}

// untilLooked waits until the subscriptions have looked at the log again, after
// what was committed by now.
func (s scene) untilLooked(t *testing.T) {
	t.Helper()
	var since time.Time
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&since))
	for looked := false; !looked; {
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND query_start > $1 AND query = 'COMMIT')`, since).Scan(&looked))
	}
}

const naiveSQL = `SELECT position, stream FROM rondo.events WHERE position > $1 ORDER BY position`

func TestReadingWhatIsThere(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	right := s.subscribed(t, 2)
	mutant := &follower{}
	look := func() {
		require.NoError(t, s.asAll(t.Context(), func(tx pgx.Tx) error {
			rows, err := tx.Query(t.Context(), naiveSQL, mutant.after)
			mutant.take(t, rows, err)
			return nil
		}))
	}
	late := s.begin(t, "late") // draws the first position
	s.append(t, "early")       // and this the second
	look()
	s.untilLooked(t)
	commit(t, late)
	look()
	require.Equal(t, []string{"first", "early"}, mutant.seen, "the mutant has missed the one that was late")
	require.Equal(t, []string{"late", "early"}, <-right)
}

// oneStatementSQL looks at the locks and reads in one statement. It waits for a
// lock first, as a statement may for anything, when its snapshot is taken.
const oneStatementSQL = `
	WITH wait AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(1) IS NULL AS done),
	drawn AS MATERIALIZED (SELECT pg_sequence_last_value('rondo.position'::regclass) AS position FROM wait),
	safe AS MATERIALIZED (
		SELECT least(d.position, (
			SELECT min(((l.classid::bigint & 65535) << 32) | l.objid::bigint) FROM pg_locks l
			WHERE l.locktype = 'advisory' AND l.classid::bigint >> 16 = 29295 AND l.granted AND d.position > 0
				AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		)) AS position FROM drawn d
	)
	SELECT e.position, e.stream FROM rondo.events e, safe WHERE e.position > $1 AND e.position <= safe.position ORDER BY e.position`

func TestLookingAndReadingInOneStatement(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"one":  {oneStatementSQL},
		"two":  {`SELECT pg_advisory_xact_lock_shared(1) IS NULL`, `SELECT safe FROM rondo.head()`, naiveSQL + ` LIMIT (SELECT 2)`},
		"ours": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			elsewhere := newScene(t).begin(t, "elsewhere") // in flight in another database, as those of other tests
			defer elsewhere.Rollback(t.Context())          //nolint:errcheck // the connection is closed with its pool
			s := newScene(t)
			var right <-chan []string
			if statements == nil {
				right = s.subscribed(t, 2)
			}
			late := s.begin(t, "late")
			s.append(t, "early")
			if right != nil {
				s.untilLooked(t)
				commit(t, late)
				require.Equal(t, []string{"late", "early"}, <-right)
				return
			}
			// The reader waits for this one, after it has begun.
			gate, err := s.pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = gate.Exec(t.Context(), `SELECT pg_advisory_xact_lock(1)`)
			require.NoError(t, err)
			reader := &follower{}
			read := make(chan error, 1)
			go func() {
				read <- s.asAll(t.Context(), func(tx pgx.Tx) error {
					for i, sql := range statements {
						var args []any
						if i == len(statements)-1 {
							args = []any{reader.after}
						}
						rows, err := tx.Query(t.Context(), sql, args...)
						if err != nil {
							return err
						}
						if i < len(statements)-1 {
							rows.Close()
							continue
						}
						for rows.Next() {
							var stream string
							if err := rows.Scan(&reader.after, &stream); err != nil {
								return err
							}
							reader.seen = append(reader.seen, stream)
						}
						return rows.Err()
					}
					return nil
				})
			}()
			s.untilWaiting(t)
			commit(t, late)
			commit(t, gate)
			require.NoError(t, <-read)
			want := []string{"late", "early"}
			if name == "one" {
				want = []string{"early"} // and reader.after is beyond the late one
			}
			require.Equal(t, want, reader.seen)
		})
	}
}

// untilWaiting waits until a session of the database waits for an advisory lock.
func (s scene) untilWaiting(t *testing.T) {
	t.Helper()
	for waiting := 0; waiting == 0; {
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks
			WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waiting))
	}
}

func TestLockingAfterThePositionIsDrawn(t *testing.T) {
	t.Parallel()
	const (
		lockSQL = `SELECT pg_advisory_xact_lock_shared((29295::bigint << 48) | coalesce(pg_sequence_last_value('rondo.position'::regclass), 0))`
		drawSQL = `SELECT nextval('rondo.position'::regclass)`
	)
	for name, test := range map[string]struct {
		first, second string // statements of the slow writer, something else between them
		want          []string
	}{
		"locked after": {drawSQL, lockSQL, []string{"early"}},
		"ours":         {lockSQL, drawSQL, []string{"late", "early"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			right := s.subscribed(t, len(test.want))
			slow, err := s.pool.Begin(t.Context())
			require.NoError(t, err)
			var drawn any
			do := func(sql string) {
				rows, err := slow.Query(t.Context(), sql)
				require.NoError(t, err)
				for rows.Next() && sql == drawSQL {
					require.NoError(t, rows.Scan(&drawn))
				}
				rows.Close()
				require.NoError(t, rows.Err())
			}
			do(test.first)
			if test.first == lockSQL {
				do(drawSQL) // before the other, as in the mutant
			}
			s.append(t, "early")
			if test.first == drawSQL {
				// The store believes the locks, and there is none.
				require.Equal(t, []string{"early"}, <-right)
				do(test.second)
			} else {
				s.untilLooked(t)
			}
			_, err = slow.Exec(t.Context(), `SELECT set_config('rondo.tenant', '.', true)`)
			require.NoError(t, err)
			_, err = slow.Exec(t.Context(), `INSERT INTO rondo.events (position, version, at, id, schema, tenant, stream, type, data)
				VALUES ($1, 1, now(), gen_random_uuid(), 1, '.', 'late', 'tested', '')`, drawn)
			require.NoError(t, err)
			commit(t, slow)
			if test.first == lockSQL {
				require.Equal(t, test.want, <-right)
				return
			}
			var missed []string
			for e, err := range s.store.ReadAll(t.Context(), 0, eventstore.Filter{}) {
				require.NoError(t, err)
				missed = append(missed, e.Stream)
			}
			require.Equal(t, []string{"first", "late", "early"}, missed, "it is there, and whoever had read up to early has missed it")
		})
	}
}
