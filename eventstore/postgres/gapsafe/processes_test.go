package gapsafe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

const defaultEvents = 2_400

// TestManyProcesses is described in the package's documentation.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	db := server.NewDatabase(t)
	migrate(t, db)
	addDelays(t, db)
	holdForeignTransactions(t, db, server.NewDatabase(t))

	const writers = 3
	events := fromEnvironment(t, "RONDO_GAPSAFE_EVENTS", defaultEvents)
	readers := []*reader{
		startReader(t, db.URL, "subscribe"), startReader(t, db.URL, "poll"), startReader(t, db.URL, "naive"),
	}
	killing, stopKilling := killSessions(t, db)
	acknowledged := make([][]int64, writers)
	rolledBack, outliers := make([]int, writers), make([]int, writers)
	var all sync.WaitGroup
	for i := range writers {
		cmd := process(t, task{
			Kind: "writer", URL: db.URL, Seed: uint64(i), Events: events / writers, //nolint:gosec // small
			Goroutines: 12, Sleep: 0.01, OutlierEvery: 300,
		})
		goOn, err := cmd.StdinPipe()
		require.NoError(t, err)
		output := start(t, cmd)
		all.Go(func() {
			<-killing // and no sooner are they to end
			assertNil(t, goOn.Close(), "the input of a writer")
		})
		all.Go(func() {
			lines := bufio.NewScanner(output)
			for lines.Scan() {
				switch lines.Text() {
				case rolledBackLine:
					rolledBack[i]++
					continue
				case outlierLine:
					outliers[i]++
					continue
				}
				var p int64
				_, err := fmt.Sscan(lines.Text(), &p)
				assertNil(t, err, lines.Text())
				acknowledged[i] = append(acknowledged[i], p)
			}
			assertNil(t, cmd.Wait(), "a writer")
		})
	}
	// Another reader comes when half of it is written, and catches up.
	readers = append(readers, startReader(t, db.URL, "subscribe"))
	overtake(t, db, readers[2])
	all.Wait()
	killed := stopKilling()
	require.Positive(t, killed, "sessions that were killed")
	require.Positive(t, sum(rolledBack), "transactions that were rolled back")
	require.Positive(t, sum(outliers), "transactions that were open for long")

	committed := committedEvents(t, db)
	require.GreaterOrEqual(t, len(committed), events)
	there := make(map[int64]bool, len(committed))
	for _, e := range committed {
		there[int64(e.Position)] = true
	}
	for i, positions := range acknowledged {
		for _, p := range positions {
			require.True(t, there[p], "writer %d was told that %d is committed", i, p)
		}
	}
	last := committed[len(committed)-1].Position
	missed := 0
	for _, r := range readers {
		delivered := r.finish(t, last)
		if r.how == "naive" {
			missed = len(committed) - len(delivered)
			continue
		}
		requireSame(t, r.how, committed, delivered)
	}
	require.Positive(t, missed, "the naive reader has missed nothing, not even what was overtaken")
	t.Logf("%d events by %d processes, positions up to %d; %d sessions killed, %d transactions rolled back, %d slow; a naive reader misses %d",
		len(committed), writers, last, killed, sum(rolledBack), sum(outliers), missed)

	t.Run("dump and restore", func(t *testing.T) { dumpAndRestore(t, server, db, committed) })
}

func sum(all []int) (total int) {
	for _, n := range all {
		total += n
	}
	return total
}

func migrate(t testing.TB, db *postgrestest.Database) {
	t.Helper()
	_, err := postgres.Migrate(t.Context(), db.Pool(t))
	require.NoError(t, err)
}

// addDelays puts delays into the functions that appends call: between reading the last
// position and taking the lock, between that and drawing a position, and between
// that and writing the event.
func addDelays(t *testing.T, db *postgrestest.Database) {
	t.Helper()
	db.Exec(t, `CREATE SCHEMA gapsafe`)
	db.Exec(t, `GRANT USAGE ON SCHEMA gapsafe TO PUBLIC`)
	db.Exec(t, `CREATE FUNCTION gapsafe.delay() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			IF random() < 0.0005 THEN PERFORM pg_sleep(0.9); ELSIF random() < 0.5 THEN PERFORM pg_sleep(0.004 * random()); END IF;
		END $$`)
	db.Exec(t, `CREATE FUNCTION gapsafe.lock(key bigint) RETURNS text LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM gapsafe.delay();
			PERFORM pg_advisory_xact_lock_shared(key);
			PERFORM gapsafe.delay();
			RETURN 'taken';
		END $$`)
	db.Exec(t, `CREATE FUNCTION gapsafe.draw(sequence regclass) RETURNS bigint LANGUAGE plpgsql AS $$
		DECLARE drawn bigint := nextval(sequence);
		BEGIN
			IF random() < 0.2 THEN PERFORM gapsafe.delay(); END IF;
			RETURN drawn;
		END $$`)
	for function, c := range map[string]struct{ old, slow string }{
		"hold": {"pg_advisory_xact_lock_shared(", "gapsafe.lock("},
		"draw": {"nextval('rondo.position'", "gapsafe.draw('rondo.position'"},
	} {
		var source string
		err := db.Pool(t).QueryRow(t.Context(), `SELECT pg_get_functiondef(to_regproc('rondo.' || $1::text))`, function).Scan(&source)
		require.NoError(t, err)
		require.Contains(t, source, c.old, "rondo.%s has nothing to delay", function)
		db.Exec(t, strings.ReplaceAll(source, c.old, c.slow))
	}
}

// holdForeignTransactions keeps transactions open that have written something
// else: in another database, and in the same one.
func holdForeignTransactions(t *testing.T, here, elsewhere *postgrestest.Database) {
	t.Helper()
	for _, db := range []*postgrestest.Database{here, elsewhere} {
		pool := db.Pool(t)
		_, err := pool.Exec(t.Context(), `CREATE TABLE IF NOT EXISTS foreign_work (n int)`)
		if err != nil {
			db.Exec(t, `CREATE TABLE foreign_work (n int)`)
			db.Exec(t, `GRANT ALL ON foreign_work TO PUBLIC`)
		}
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), `INSERT INTO foreign_work VALUES (1)`)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context()))) })
	}
}

// overtake has an append committed when a reader has what comes after it. One that is
// naive has missed it, whatever the delays of others come to.
func overtake(t *testing.T, db *postgrestest.Database, naive *reader) {
	t.Helper()
	s := sceneOn(t, db)
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	late, err := s.store.AppendTx(t.Context(), tx, event("late"))
	require.NoError(t, err)
	for n := 0; naive.position.Load() <= int64(late[0].Position); n++ {
		s.append(t, fmt.Sprint("early-", n)) // the writers may be done
		require.True(t, pause(t.Context(), pollPause))
	}
	commit(t, tx)
}

// killSessions ends a writer's session now and then. It tells when it has begun to,
// and its stop how many there were.
func killSessions(t *testing.T, db *postgrestest.Database) (begun <-chan struct{}, stop func() (killed int64)) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.AdminURL)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var killer sync.WaitGroup
	var killed int64
	first := make(chan struct{})
	killer.Go(func() {
		for pause(ctx, 150*time.Millisecond) {
			done, err := conn.Exec(t.Context(), `SELECT FROM (SELECT pid FROM pg_stat_activity
				WHERE application_name = 'gapsafe-writer' AND datname = $1 ORDER BY random() LIMIT 1) AS one
				WHERE pg_terminate_backend(pid)`, db.Name)
			assertNil(t, err, "kill a session")
			if killed == 0 && done.RowsAffected() > 0 {
				close(first)
			}
			killed += done.RowsAffected()
		}
	})
	return first, func() int64 {
		cancel()
		killer.Wait()
		assertNil(t, conn.Close(t.Context()), "the connection that kills")
		return killed
	}
}

// pause waits, and tells whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// start starts a process and returns what it writes.
func start(t *testing.T, cmd *exec.Cmd) io.Reader {
	t.Helper()
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return output
}

// assertNil is for goroutines of a test.
func assertNil(t *testing.T, err error, what string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// reader is a process that reads.
type reader struct {
	how   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan []eventstore.Recorded
	// position is that of the last event it was given, as far as that is known: a
	// subscription tells late.
	position atomic.Int64
}

func startReader(t *testing.T, url, how string) *reader {
	t.Helper()
	cmd := process(t, task{Kind: "reader", URL: url, How: how})
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	output := start(t, cmd)
	r := &reader{how: how, cmd: cmd, stdin: stdin, ended: make(chan []eventstore.Recorded, 1)}
	go func() {
		var events []eventstore.Recorded
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			var e eventstore.Recorded
			_, err := fmt.Sscan(lines.Text(), (*int64)(&e.Position), &e.Stream, (*int64)(&e.Version))
			assertNil(t, err, lines.Text())
			events = append(events, e)
			r.position.Store(int64(e.Position))
		}
		r.ended <- events
	}()
	return r
}

// finish tells a reader where the end is, and returns what it was given.
func (r *reader) finish(t *testing.T, end eventstore.Position) []eventstore.Recorded {
	t.Helper()
	_, err := fmt.Fprintln(r.stdin, int64(end))
	require.NoError(t, err)
	events := <-r.ended
	require.NoError(t, r.cmd.Wait(), "reader %s", r.how)
	return events
}

// committedEvents is what the table has, in the order of positions.
func committedEvents(t *testing.T, db *postgrestest.Database) []eventstore.Recorded {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	events, err := readNaively(t.Context(), conn, 0)
	require.NoError(t, err)
	require.NotEmpty(t, events)
	return events
}

// requireSame holds what was delivered against what was committed.
func requireSame(t *testing.T, who string, committed, delivered []eventstore.Recorded) {
	t.Helper()
	versions := map[string]eventstore.Version{}
	for i, e := range delivered {
		if i > 0 {
			require.Greater(t, e.Position, delivered[i-1].Position, "%s: positions ascend", who)
		}
		require.Equal(t, versions[e.Stream]+1, e.Version, "%s: versions of %s ascend, at position %d", who, e.Stream, e.Position)
		versions[e.Stream] = e.Version
	}
	require.Len(t, delivered, len(committed), "%s: as many as were committed", who)
	for i := range committed {
		require.Equal(t, committed[i], delivered[i], "%s: event %d", who, i)
	}
}

// dumpAndRestore brings the log to another database. It goes on there: who reads
// from the middle reads the same, and what is appended comes after.
func dumpAndRestore(t *testing.T, server *postgrestest.Server, db *postgrestest.Database, committed []eventstore.Recorded) {
	t.Helper()
	restored := server.NewDatabase(t)
	file := filepath.Join(t.TempDir(), "log.dump")
	for _, command := range [][]string{
		{"pg_dump", "--format=custom", "--schema=rondo", "--schema=gapsafe", "--file=" + file, db.AdminURL},
		{"pg_restore", "--no-owner", "--role=" + restored.Name, "--dbname=" + restored.AdminURL, file},
	} {
		out, err := exec.CommandContext(t.Context(), server.Bin(command[0]), command[1:]...).CombinedOutput() //nolint:gosec // our own arguments
		require.NoError(t, err, "%s\n%s", strings.Join(command, " "), out)
	}
	_, err := os.Stat(file)
	require.NoError(t, err)

	store, err := postgres.Open(t.Context(), restored.URL, postgres.Config{})
	require.NoError(t, err)
	defer store.Close() //nolint:errcheck // the test has seen what it wanted
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, committed[len(committed)-1].Position, head)

	done, err := store.Append(t.Context(), eventstore.Write{Stream: "late", Expected: eventstore.Exists, Events: []eventstore.Event{{Type: "tested"}}})
	require.NoError(t, err)
	require.Greater(t, done[0].Position, head)

	half := committed[len(committed)/2].Position
	want := append(append([]eventstore.Recorded{}, committed[len(committed)/2+1:]...),
		eventstore.Recorded{Stream: "late", Version: done[0].Version, Position: done[0].Position})
	var got []eventstore.Recorded
	for e, err := range store.ReadAll(t.Context(), half, eventstore.Filter{}) {
		require.NoError(t, err)
		got = append(got, eventstore.Recorded{Stream: e.Stream, Version: e.Version, Position: e.Position})
	}
	require.Equal(t, want, got)
}
