package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// The due time of a saga that is worked on may stand in its row when it is none any
// more, so that indexes are not touched, but nobody sees it.
func TestDueThatDoesNotCount(t *testing.T) {
	t.Parallel()
	alone := func(ctx context.Context, s *postgres.Store, c saga.Change) error {
		_, err := s.Commit(ctx, []saga.Change{c})
		return err
	}
	together := func(ctx context.Context, s *postgres.Store, c saga.Change) error {
		other := change(Reservation.ID("other"), c.Record.Sequence)
		_, err := s.Commit(ctx, []saga.Change{other, c})
		return err
	}
	chained := func(ctx context.Context, s *postgres.Store, c saga.Change) error {
		_, err := s.CommitTx(ctx, func(context.Context) ([]saga.Change, error) { return []saga.Change{c}, nil })
		return err
	}
	for name, commit := range map[string]func(context.Context, *postgres.Store, saga.Change) error{
		"alone": alone, "together": together, "chained": chained,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.New(t)
			s, pool := open(t, db.URL), db.Pool(t)
			id, sequence := Reservation.ID("a"), int64(0)
			at := change(id, 1).Record.Started.Add(time.Hour)
			put := func(ready bool, due time.Time) {
				t.Helper()
				sequence++
				c := change(id, sequence)
				c.Record.Ready, c.Record.Due = ready, due
				require.NoError(t, commit(t.Context(), s, c))
			}
			is := func(due time.Time) {
				t.Helper()
				var want []saga.Due
				var keys []string
				if !due.IsZero() {
					want, keys = []saga.Due{{ID: id, At: due}}, []string{id.Key}
				}
				found, err := s.Due(t.Context(), allShards(), saga.Due{}, 10)
				require.NoError(t, err)
				require.Equal(t, want, found)
				r, _, err := s.Load(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, sequence, r.Sequence)
				require.Equal(t, due, r.Due)
				for _, shards := range [][]saga.Shard{nil, allShards()} {
					list, err := s.List(t.Context(), saga.Query{DueBefore: at.Add(24 * time.Hour), Shards: shards})
					require.NoError(t, err)
					var listed []string
					for i := range list {
						listed = append(listed, list[i].ID.Key)
					}
					require.Equal(t, keys, listed)
				}
			}
			stands := func(want bool) {
				t.Helper()
				var stands bool
				require.NoError(t, pool.QueryRow(t.Context(), `SELECT due IS NOT NULL FROM rondo.sagas WHERE key = $1`, id.Key).Scan(&stands))
				require.Equal(t, want, stands)
			}
			put(true, at)
			is(at)
			put(true, time.Time{})
			is(time.Time{})
			stands(true)
			put(true, time.Time{})
			is(time.Time{})
			stands(true)
			put(true, at)
			is(at)
			put(true, time.Time{})
			put(false, time.Time{})
			is(time.Time{})
			stands(false)

			put(true, at)
			put(true, time.Time{})
			sequence++ // by a program that does not know of it
			db.Exec(t, `UPDATE rondo.sagas SET sequence = sequence + 1, due = $2 WHERE key = $1`, id.Key, at)
			is(at)
		})
	}
}

// What identifies commits need not tell the changes of one apart.
func TestStartsOfOneCommit(t *testing.T) {
	t.Parallel()
	s := open(t, postgrestest.New(t).URL)
	commit := uuid.New()
	var changes []saga.Change
	for _, key := range []string{"c", "a", "b"} {
		c := change(Reservation.ID(key), 1)
		c.Record.Commit, c.Entry.Kind = commit, key
		changes = append(changes, c)
	}
	verdicts, err := s.Commit(t.Context(), changes[:1])
	require.NoError(t, err)
	require.Equal(t, []saga.Verdict{saga.Committed}, verdicts)
	verdicts, err = s.Commit(t.Context(), changes)
	require.NoError(t, err)
	require.Equal(t, []saga.Verdict{saga.Conflict, saga.Committed, saga.Committed}, verdicts)
	for _, c := range changes {
		history, err := s.History(t.Context(), c.Record.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []saga.Entry{c.Entry}, history)
	}
}
