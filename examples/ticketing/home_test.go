package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// small are the flags of a sale that takes a moment.
func small(db string) []string {
	return []string{"--db", db, "--customers", "20", "--seats", "20", "--sections", "2", "--speed", "3000", "--late", "0"}
}

func TestSaleThatIsOverIsAuditedAgain(t *testing.T) {
	t.Parallel()
	db := "sqlite:" + filepath.Join(t.TempDir(), "sale.db")
	code, first, stderr := ticketing(t.Context(), "", small(db)...)
	require.Equal(t, exitOK, code, "%s%s", first, stderr)
	require.Contains(t, first, "whenever it is stopped, it goes on with\n  go run ./examples/ticketing --db "+db+"\n")

	code, again, stderr := ticketing(t.Context(), "", "--db", db)
	require.Equal(t, exitOK, code, "%s%s", again, stderr)
	require.Contains(t, again, "the sale is over: ")
	audit := regexp.MustCompile(`(?s)\naudit\n.*`)
	require.Equal(t, audit.FindString(first), audit.FindString(again))
	require.Contains(t, again, " s: ")
	require.Contains(t, again, "; 0 decisions, 0 a second; 0 events, 0 a second\n")
}

func TestTemporaryFile(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := ticketing(t.Context(), "", small("")[2:]...)
	require.Equal(t, exitOK, code, "%s%s", stdout, stderr)
	file := regexp.MustCompile(`it is in sqlite:(\S+);`).FindStringSubmatch(stdout)
	require.NotNil(t, file, "%s", stdout)
	require.NoDirExists(t, filepath.Dir(file[1]), "it is removed with the sale")
}

func TestInterruptedSaleSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	db := "sqlite:" + filepath.Join(t.TempDir(), "sale.db")
	first := start(t, "--db", db, "--speed", "20")
	require.True(t, first.until("it is in"))
	require.NoError(t, first.Process.Signal(os.Interrupt))
	require.Equal(t, exitInterrupted, first.end())
	require.Equal(t, "ticketing: interrupted\nto go on with the sale: go run ./examples/ticketing --db "+db+"\n", first.stderr.String())
}

// What a sale is about stays as it is. Who asks for something else is told.
func TestOtherTerms(t *testing.T) {
	t.Parallel()
	db := "sqlite:" + filepath.Join(t.TempDir(), "sale.db")
	code, _, _ := ticketing(t.Context(), "", small(db)...)
	require.Equal(t, exitOK, code)
	for flag, want := range map[string]string{
		"--customers=21": "--customers 20, not 21",
		"--seats=30":     "--seats 20, not 30",
		"--sections=5":   "--sections 2, not 5",
		"--decline=0.2":  "--decline 0.15, not 0.2",
		"--timeout=0":    "--timeout 0.1, not 0",
		"--late=1":       "--late 0, not 1",
	} {
		code, stdout, stderr := ticketing(t.Context(), "", "--db", db, flag)
		require.Equal(t, exitUsage, code)
		require.Empty(t, stdout)
		require.Equal(t, "ticketing: --db "+db+": there is a sale with "+want+": leave that out to go on with it, or give another --db\n", stderr)
	}
	code, stdout, _ := ticketing(t.Context(), "", append(small(db), "--plain")...) // the same
	require.Equal(t, exitOK, code)
	require.Contains(t, stdout, "the sale is over")
}

func TestFilesThatAreNoSale(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write func(t *testing.T, path string)
		want  string
	}{
		"no database": {func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.WriteFile(path, []byte("Dear diary, today I sold 500 seats, and not one of them twice."), 0o600))
		}, "file is not an SQLite database"},
		"another application's": {func(t *testing.T, path string) {
			t.Helper()
			db, err := sql.Open("sqlite", path)
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), "CREATE TABLE events (what TEXT); PRAGMA application_id = 77")
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}, "file belongs to another application"},
		"other events": {func(t *testing.T, path string) {
			t.Helper()
			record(t, path, eventstore.Event{Type: "diary.written", Data: []byte(`{}`)})
		}, `the events are not those of a ticket sale: event 1 of "sale-1": type "diary.written" is not registered`},
		"served": {func(t *testing.T, path string) {
			t.Helper()
			record(t, path, eventstore.Event{Type: "event.published", Schema: 1, Data: []byte(`{}`)})
		}, "the events are not those of a ticket sale: there are 1, and none opens one; serve goes on with what serve has made"},
		"broken data": {func(t *testing.T, path string) {
			t.Helper()
			record(t, path, eventstore.Event{Type: "sale.opened", Data: []byte(`{`)})
		}, `event 1 of "sale-1" (position 1): decode "sale.opened": `},
		"a newer program's": {func(t *testing.T, path string) {
			t.Helper()
			record(t, path, eventstore.Event{Type: "sale.opened", Schema: 2, Data: []byte(`{}`)})
		}, `schema 2 of type "sale.opened" is newer than this program, which knows 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.db")
			c.write(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			code, stdout, stderr := ticketing(t.Context(), "", "--db", "sqlite:"+path)
			require.Equal(t, exitUsage, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, "ticketing: --db sqlite:"+path+": ")
			require.Contains(t, stderr, c.want)
			if name == "no database" || name == "another application's" {
				after, err := os.ReadFile(path)
				require.NoError(t, err)
				require.Equal(t, before, after)
			}
		})
	}
}

// record writes an event to the stream of a sale.
func record(t *testing.T, path string, e eventstore.Event) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	require.NoError(t, err)
	_, err = store.Append(t.Context(), eventstore.Write{Stream: "sale-1", Expected: eventstore.None, Events: []eventstore.Event{e}})
	require.NoError(t, err)
	require.NoError(t, store.Close())
}

func TestDatabaseThatIsNotMigrated(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	code, stdout, stderr := ticketing(t.Context(), "", "--db", db.URL)
	require.Equal(t, exitUsage, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "the database is not migrated: run `go run github.com/seed57833328/rondo/cmd/rondo migrate --db URL`")
}

// A URL's password is for nobody's eyes.
func TestPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	_, stdout, stderr := ticketing(t.Context(), "", "--db", "postgres://ann:geheim@127.0.0.1:1/sale")
	require.NotContains(t, stdout+stderr, "geheim")
}

// The right to run a sale is certain before anything is written. On virtual time, so
// that the lease is renewed when the test waits, and at no other moment.
func TestLeaseThatHasRunOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home, err := memory.New(memory.Config{})
		require.NoError(t, err)
		lost := make(chan error, 1)
		l, err := takeLease(t.Context(), home, func(*eventstore.LeaseHeldError) { t.Error("nobody holds it") }, func(err error) { lost <- err })
		require.NoError(t, err)
		opens := eventstore.Write{Stream: "x", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "x"}}}
		_, err = l.Append(t.Context(), opens)
		require.NoError(t, err)

		l.mu.Lock()
		l.ends = l.ends.Add(-2 * leaseFor) // as if it had been stopped for long
		l.mu.Unlock()
		_, err = l.Append(t.Context(), opens)
		require.ErrorIs(t, err, uncertainError{})
		require.True(t, eventstore.Retryable(err))

		require.NoError(t, home.ReleaseLease(t.Context(), l.held)) // and another has taken it
		_, err = home.AcquireLease(t.Context(), leaseName, "another", 10*leaseFor)
		require.NoError(t, err)
		require.ErrorAs(t, <-lost, new(takenError))
		_, err = l.Append(t.Context(), opens)
		require.ErrorAs(t, err, new(takenError))
		require.True(t, eventstore.Retryable(err), "it is no verdict")
		require.NoError(t, l.giveUp(t.Context()))

		// Who comes then hears that it is held, once the other has renewed it.
		_, err = takeLease(t.Context(), home, func(held *eventstore.LeaseHeldError) {
			require.Equal(t, "another", held.Owner)
			_, err := home.AcquireLease(t.Context(), leaseName, "another", 20*leaseFor)
			require.NoError(t, err)
		}, func(error) {})
		require.ErrorAs(t, err, new(*eventstore.LeaseHeldError))
	})
}
