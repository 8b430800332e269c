package publish_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/publish"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// taskVariable is set for the processes that a test starts of its own binary.
const taskVariable = "RONDO_PUBLISH_TASK"

// task is what such a process does: it publishes the events of a home, until its
// standard input ends.
type task struct {
	SQLite, Postgres string // a file or a URL
	Record           string // the file that it hands events to
}

const killedBatch = 5

// What a process tells, a line each, to the record and to its standard output:
// with the token of its lease and a position.
const (
	taken   = "taken"   // the lease, and its checkpoint
	handing = "handing" // an event is about to be handed over
	handed  = "handed"  // it was
	saved   = "saved"   // the checkpoint
)

func TestMain(m *testing.M) {
	text, is := os.LookupEnv(taskVariable)
	if !is {
		os.Exit(m.Run())
	}
	var job task
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = job.publish(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "publisher:", err)
		os.Exit(1)
	}
}

// closer is a home to open and to close.
type closer interface {
	home
	Close() error
}

func (job task) open(ctx context.Context) (closer, error) {
	if job.SQLite != "" {
		return sqlite.Open(ctx, job.SQLite, sqlite.Config{})
	}
	return postgres.Open(ctx, job.Postgres, postgres.Config{})
}

func (job task) publish(ctx context.Context) (err error) {
	db, err := job.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	record, err := os.OpenFile(job.Record, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	// A line is one call of the system. Waiting for the disk makes handing over take
	// about as long as saving a checkpoint, so that processes are killed in both.
	tell := func(what string, lease eventstore.Lease, p eventstore.Position) {
		line := fmt.Sprintf("%s %d %d\n", what, lease.Token, p)
		_, recorded := record.WriteString(line)
		synced := record.Sync()
		_, told := os.Stdout.WriteString(line)
		if err := errors.Join(recorded, synced, told); err != nil {
			panic(err)
		}
	}
	p, err := publish.New(db, db, "sub", func(ctx context.Context, b publish.Batch) error {
		for i, e := range b.Events {
			if ctx.Err() != nil {
				return &publish.PartialError{Handled: i, Err: context.Cause(ctx)}
			}
			tell(handing, b.Lease, e.Position)
			tell(handed, b.Lease, e.Position)
		}
		return nil
	}, publish.Config{
		BatchSize: killedBatch, LeaseTTL: time.Second, Heartbeat: 50 * time.Millisecond, RetryDelay: 5 * time.Millisecond,
		Hooks: publish.Hooks{
			Started:   func(l eventstore.Lease) { tell(taken, l, l.Checkpoint) },
			Published: func(b publish.Batch) { tell(saved, b.Lease, b.Position()) },
		},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with whoever has started this
		stop()
	}()
	if err := p.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// line is what a process has told.
type line struct {
	what     string
	token    int64
	position eventstore.Position
}

func parse(t *testing.T, text string) (l line) {
	t.Helper()
	_, err := fmt.Sscan(text, &l.what, &l.token, &l.position)
	require.NoError(t, err, "%q", text)
	return l
}

// child is such a process.
type child struct {
	*exec.Cmd
	in    io.Closer
	ended chan struct{} // closed when it has ended and all that it told is known
	err   error         // of its end
}

// said is a line that a child has told.
type said struct {
	by   *child
	text string
}

// children are the processes of a test.
type children struct {
	*testing.T
	job  task
	said chan said
}

func (f *children) spawn() *child {
	f.Helper()
	text, err := json.Marshal(f.job)
	require.NoError(f, err)
	self, err := os.Executable()
	require.NoError(f, err)
	c := &child{Cmd: exec.CommandContext(f.Context(), self), ended: make(chan struct{})}
	c.Env = append(os.Environ(), taskVariable+"="+string(text))
	c.Stderr = os.Stderr
	c.in, err = c.StdinPipe()
	require.NoError(f, err)
	out, err := c.StdoutPipe()
	require.NoError(f, err)
	require.NoError(f, c.Start())
	go func() {
		defer close(c.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case f.said <- said{c, lines.Text()}:
			case <-f.Context().Done():
			}
		}
		c.err = c.Wait()
	}()
	f.Cleanup(func() {
		_ = c.Process.Kill() // if it has not ended
		<-c.ended
	})
	return c
}

// next is what any of them tells next.
func (f *children) next() (by *child, l line) {
	f.Helper()
	select {
	case s := <-f.said:
		return s.by, parse(f.T, s.text)
	case <-time.After(patience):
		require.FailNow(f, "no process does anything")
	}
	return nil, line{}
}

// killRounds is how often a test kills processes: RONDO_KILL_ROUNDS times if that
// is set.
func killRounds(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("RONDO_KILL_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	if testing.Short() {
		return 3
	}
	return 8
}

// killed kills one publisher after the other, at any moment, and holds what they
// have handed over to what is promised. The next one waits for the lease when the
// one before is killed.
func killed(t *testing.T, job task) {
	t.Helper()
	ctx := t.Context()
	db, err := job.open(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	job.Record = filepath.Join(t.TempDir(), "record")
	require.NoError(t, os.WriteFile(job.Record, nil, 0o600))
	seed := rand.Uint64()
	t.Logf("moments of seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	rounds := killRounds(t)
	add(ctx, t, db, "a-1", 3*killedBatch)
	// There is room for all that is told meanwhile.
	f := &children{t, job, make(chan said, 10_000)}
	running := []*child{f.spawn(), f.spawn()}
	for range rounds {
		var victim *child
		// What one has told who was killed meanwhile is told late.
		for n := 1 + rng.IntN(12*killedBatch); n > 0 || !slices.Contains(running, victim); n-- {
			var l line
			victim, l = f.next()
			if l.what == saved {
				// More comes as it is published, so that there always is some, read ahead
				// or live.
				add(ctx, t, db, "a-1", 1+rng.IntN(2*killedBatch))
			}
		}
		require.NoError(t, victim.Process.Kill())
		<-victim.ended
		require.Equal(t, -1, victim.ProcessState.ExitCode(), "it was killed")
		add(ctx, t, db, "a-1", 1) // it may have been ahead of us, and have saved all there was
		running = append(slices.DeleteFunc(running, func(c *child) bool { return c == victim }), f.spawn())
	}
	all := wanted(t, db, eventstore.Filter{})
	last := all[len(all)-1]
	for at := checkpoint(ctx, t, db); at < last; {
		if _, l := f.next(); l.what == saved {
			at = l.position
		}
	}
	for _, c := range running {
		require.NoError(t, c.in.Close())
		<-c.ended
		require.NoError(t, c.err)
	}
	require.Equal(t, last, checkpoint(ctx, t, db))
	repeated, holders := judge(t, job.Record, all)
	// All who were killed had told something under leases of their own, and the last
	// event was appended after that.
	require.Greater(t, holders, rounds, "another took over after each kill")
	t.Logf("%d kills, %d holders of the lease, %d events, %d of them repeated", rounds, holders, len(all), repeated)
}

// judge holds the record against all events that there are.
func judge(t *testing.T, record string, all []eventstore.Position) (repeated, holders int) {
	t.Helper()
	text, err := os.ReadFile(record)
	require.NoError(t, err)
	index := map[eventstore.Position]int{0: -1}
	for i, p := range all {
		index[p] = i
	}
	// One holder's lines are in order. Those of the next may come between the last
	// ones of one who has lost the lease and does not know it yet.
	tokens := map[int64][]line{}
	for l := range strings.Lines(string(text)) {
		l := parse(t, l)
		tokens[l.token] = append(tokens[l.token], l)
	}
	farthest, savedUpTo := -1, -1 // of all holders so far
	for _, token := range slices.Sorted(maps.Keys(tokens)) {
		lines := tokens[token]
		require.Equal(t, taken, lines[0].what)
		start := index[lines[0].position]
		require.GreaterOrEqual(t, start, savedUpTo, "token %d: the checkpoint goes back", token)
		require.LessOrEqual(t, start, farthest, "token %d: events are skipped", token)
		require.LessOrEqual(t, farthest-start, killedBatch, "token %d: more comes again than a batch", token)
		repeated += farthest - start
		at, mark := start, start
		for _, l := range lines[1:] {
			i := index[l.position]
			switch l.what {
			case handing:
				require.Equal(t, at+1, i, "token %d: in order", token)
				require.LessOrEqual(t, i-mark, killedBatch, "token %d: a batch comes before the last was saved", token)
			case handed:
				require.Equal(t, at+1, i, "token %d: in order", token)
				at = i
			case taken: // it took its lease for lost, which was still its own
				require.GreaterOrEqual(t, i, mark, "token %d: the checkpoint goes back", token)
				require.LessOrEqual(t, i, at, "token %d: events are skipped", token)
				repeated, farthest = repeated+at-i, max(farthest, at)
				at, mark = i, i
			case saved:
				require.Greater(t, i, mark, "token %d: checkpoints ascend", token)
				require.Equal(t, at, i, "token %d: what was handed over is saved", token)
				mark = i
			default:
				require.Fail(t, "unknown line", "%v", l)
			}
		}
		farthest, savedUpTo = max(farthest, at), max(savedUpTo, mark)
	}
	require.Equal(t, len(all)-1, farthest, "every event was handed over")
	require.Equal(t, len(all)-1, savedUpTo, "and saved")
	return repeated, len(tokens)
}

func TestKilledOnPostgres(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	_, err := postgres.Migrate(t.Context(), db.Pool(t))
	require.NoError(t, err)
	killed(t, task{Postgres: db.URL})
}

func TestKilledOnSQLite(t *testing.T) {
	t.Parallel()
	killed(t, task{SQLite: filepath.Join(t.TempDir(), "events.db")})
}
