package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	lib "modernc.org/sqlite/lib"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// kinds of what is committed together in TestBatches.
const (
	appends = iota
	appendsTwo
	conflicts
	duplicates
	inTx
	inTxFails
	inTxPanics
	inTxRollsBackAll
	numberOfKinds
)

var errSorry = errors.New("sorry")

// batchJob is one of those that are committed together.
type batchJob struct {
	kind int
	name string // of its row and its streams
	err  error
}

// writes are what the job appends if all goes well.
func (j *batchJob) writes(there uuid.UUID) []eventstore.Write {
	first, second := one(j.name+"-1", "made"), one(j.name+"-2", "made")
	switch j.kind {
	case conflicts:
		second.Expected = eventstore.Exists
	case duplicates:
		second.Events[0].ID = there
	case appends, inTx, inTxRollsBackAll:
		return []eventstore.Write{first}
	}
	return []eventstore.Write{first, second}
}

func (j *batchJob) run(t *testing.T, s *sqlite.Store, there uuid.UUID) {
	t.Helper()
	ctx := t.Context()
	switch j.kind {
	case appends, appendsTwo, conflicts, duplicates:
		_, j.err = s.Append(ctx, j.writes(there)...)
		return
	}
	j.err = errSorry // of a panic
	defer func() { _ = recover() }()
	j.err = s.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO rows VALUES (?)`, j.name); err != nil {
			return err
		}
		if _, err := s.AppendTx(ctx, tx, j.writes(there)...); err != nil {
			return err
		}
		switch j.kind {
		case inTxFails:
			return errSorry
		case inTxPanics:
			panic("oh")
		case inTxRollsBackAll:
			_, _ = tx.ExecContext(ctx, `INSERT OR ROLLBACK INTO rows VALUES (?)`, j.name)
		}
		return nil
	})
}

// Whatever is committed together, and whatever of it fails: each is done whole or
// not at all, as its caller is told, and only what had to fail does.
func TestBatches(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{Durability: sqlite.Normal})
	ctx := t.Context()
	require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE rows (name TEXT PRIMARY KEY)`)
		return err
	}))
	first, err := s.Append(ctx, one("first-1", "made"))
	require.NoError(t, err)
	there := first[0].Events[0].ID
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		var jobs []*batchJob
		for i := range rapid.IntRange(1, 6).Draw(rt, "jobs") {
			jobs = append(jobs, &batchJob{
				kind: rapid.IntRange(0, numberOfKinds-1).Draw(rt, "kind"),
				name: fmt.Sprintf("r%d.%d", round, i),
			})
		}
		prefix := rapid.SampledFrom([]string{"INSERT INTO rondo_events", "INSERT INTO rows", "COMMIT", "RELEASE", "SAVEPOINT", "SELECT version"}).Draw(rt, "fault")
		code := rapid.SampledFrom([]int{lib.SQLITE_FULL, lib.SQLITE_IOERR_WRITE, lib.SQLITE_NOMEM}).Draw(rt, "code")
		skip := rapid.IntRange(0, 8).Draw(rt, "at")
		faulty := rapid.Bool().Draw(rt, "faulty")

		release := occupied(t, s)
		var wg sync.WaitGroup
		if faulty {
			queue(s, &wg, func() { _ = s.Probe().QueueFault(ctx, skipping(skip, failing(prefix, code, 1), prefix)) })
		}
		for _, j := range jobs {
			queue(s, &wg, func() { j.run(t, s, there) })
		}
		release()
		wg.Wait()
		s.Probe().SetFault(nil)

		victims := 0
		for _, j := range jobs {
			must := j.kind == conflicts || j.kind == duplicates || j.kind >= inTxFails
			switch {
			case must && j.err == nil:
				rt.Fatalf("%+v succeeded", j)
			case !must && j.err != nil:
				victims++
			}
			want := 0
			if j.err == nil {
				want = len(j.writes(there))
			}
			got := 0
			for _, stream := range []string{j.name + "-1", j.name + "-2"} {
				for _, err := range s.ReadStream(ctx, stream, 1) {
					require.NoError(rt, err)
					got++
				}
			}
			if got != want {
				rt.Fatalf("%+v has %d events, want %d", j, got, want)
			}
			if j.kind < inTx {
				continue
			}
			var rows int
			require.NoError(rt, s.InTx(ctx, func(tx *sql.Tx) error {
				return tx.QueryRowContext(ctx, `SELECT count(*) FROM rows WHERE name = ?`, j.name).Scan(&rows)
			}))
			if rows != min(want, 1) {
				rt.Fatalf("%+v has %d rows, and %d events", j, rows, got)
			}
		}
		switch unsure := prefix == "COMMIT" && code == lib.SQLITE_IOERR_WRITE; {
		case !faulty && victims > 0, victims > 1 && !unsure:
			rt.Fatalf("%d failed that need not have", victims)
		}
	})
}

// skipping is a fault that passes over the first statements of its kind.
func skipping(n int, f func(query string) error, prefix string) func(query string) error {
	return func(query string) error {
		if len(query) >= len(prefix) && query[:len(prefix)] == prefix {
			if n--; n >= 0 {
				return nil
			}
		}
		return f(query)
	}
}
