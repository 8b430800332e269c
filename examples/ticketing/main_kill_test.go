package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// asProgram makes the test binary the program: what is killed is a real process. It
// says how long its lease of a sale is.
const asProgram = "TICKETING_AS_PROGRAM"

const (
	brief = 400 * time.Millisecond // is waited for after each kill
	// lasting is for who is not to lose it, however seldom the machine lets it run.
	lasting = 15 * time.Second
)

func TestMain(m *testing.M) {
	text, is := os.LookupEnv(asProgram)
	if !is {
		os.Exit(m.Run())
	}
	var err error
	if leaseFor, err = time.ParseDuration(text); err != nil {
		panic(err)
	}
	main()
}

// hung is after how long a program is taken to hang: it writes what its goroutines
// are at, and ends.
const hung = 5 * time.Minute

// program is the program as a process of its own.
type program struct {
	*exec.Cmd
	lines  *bufio.Scanner
	stderr bytes.Buffer
	out    strings.Builder
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	return startFor(t, brief, args...)
}

func startFor(t *testing.T, lease time.Duration, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &program{Cmd: exec.Command(self, args...)}
	p.Env = append(os.Environ(), asProgram+"="+lease.String())
	p.Stderr = &p.stderr
	stdout, err := p.StdoutPipe()
	require.NoError(t, err)
	p.lines = bufio.NewScanner(stdout)
	require.NoError(t, p.Start())
	hangs := time.AfterFunc(hung, func() { dump(p.Process) })
	t.Cleanup(func() {
		hangs.Stop()
		_ = p.Process.Kill() // if it has not ended
	})
	return p
}

// until reads lines of its output until one that contains text.
func (p *program) until(text string) bool {
	for p.lines.Scan() {
		fmt.Fprintln(&p.out, p.lines.Text())
		if strings.Contains(p.lines.Text(), text) {
			return true
		}
	}
	return false
}

// end waits for its end.
func (p *program) end() int {
	p.until("\x00")
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}

var decided = regexp.MustCompile(`reservations:? (\d+) completed,? (\d+) failed,? (\d+) cancelled`)

// told is how many reservations were decided, of each kind, when it was last
// told.
func (p *program) told() (n [3]int) {
	all := decided.FindAllStringSubmatch(p.out.String(), -1)
	if len(all) == 0 {
		return n
	}
	for i := range n {
		n[i], _ = strconv.Atoi(all[len(all)-1][i+1])
	}
	return n
}

// killRounds is how often a test kills the program: RONDO_KILL_ROUNDS times if
// that is set.
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

// kill runs sales, each in a home of its own, and kills each again and again, at
// any moment, until it comes to its end.
func kill(t *testing.T, newHome func(*testing.T) string) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("moments of seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for left := killRounds(t); left > 0; {
		db, told, kills := newHome(t), [3]int{}, 0
		for {
			p := start(t, "--db", db, "--customers", "600", "--seats", "150", "--late", "0.2", "--timeout", "0.2")
			begun := p.until("failures of seed")
			killer := time.NewTimer(time.Hour)
			if left > 0 {
				killer.Reset(time.Duration(rng.Int64N(int64(900 * time.Millisecond))))
			}
			ended := make(chan int)
			go func() { ended <- p.end() }()
			code, killed := 0, false
			select {
			case <-killer.C:
				require.NoError(t, p.Process.Kill())
				code, killed = <-ended, true
			case code = <-ended:
			}
			require.True(t, begun, "%s%s", &p.out, &p.stderr)
			// What was decided is never undecided again.
			for i, n := range p.told() {
				if n > 0 {
					require.GreaterOrEqual(t, n, told[i], "%s", &p.out)
				}
			}
			told = p.told()
			if killed && code != 0 {
				left, kills = left-1, kills+1
				continue
			}
			require.Equal(t, exitOK, code, "killed %d times\n%s%s", kills, &p.out, &p.stderr)
			require.Contains(t, p.out.String(), "the audit passed\n")
			t.Logf("killed %d times: %v completed, failed, cancelled", kills, told)
			break
		}
	}
}

func TestKilledOnSQLite(t *testing.T) {
	t.Parallel()
	n := 0
	kill(t, func(t *testing.T) string {
		t.Helper()
		n++
		return "sqlite:" + filepath.Join(t.TempDir(), fmt.Sprintf("sale%d.db", n))
	})
}

func TestKilledOnPostgres(t *testing.T) {
	t.Parallel()
	kill(t, migrated)
}

// migrated is a database of PostgreSQL, ready for a sale.
func migrated(t *testing.T) string {
	t.Helper()
	db := postgrestest.New(t)
	_, err := postgres.Migrate(t.Context(), db.Pool(t))
	require.NoError(t, err)
	return db.URL
}

// Of two processes one runs the sale. The other says who does, and leaves it
// alone.
func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	db := "sqlite:" + filepath.Join(t.TempDir(), "sale.db")
	first := startFor(t, lasting, "--db", db, "--speed", "1")
	require.True(t, first.until("failures of seed"))

	second := startFor(t, lasting, "--db", db)
	require.Equal(t, exitFailed, second.end())
	require.Regexp(t, `is held by "process \d+ on .*" until `, second.stderr.String())
	require.Contains(t, second.out.String(), fmt.Sprintf("the sale is held by process %d on ", first.Process.Pid))
	require.NotContains(t, second.out.String(), "customers")

	// The first is well, and gives the sale up in order.
	require.NoError(t, first.Process.Signal(os.Interrupt))
	require.Equal(t, exitInterrupted, first.end(), "%s", &first.stderr)
	third := startFor(t, lasting, "--db", db, "--speed", "1")
	require.True(t, third.until("the sale goes on at"), "%s%s", &third.out, &third.stderr)
	require.NotContains(t, third.out.String(), "is held by")
}

// A process that was stopped for long, and whose sale another has gone on with,
// does no harm when it wakes: it finds out that the other has the sale, and ends.
//
// On PostgreSQL, for a stopped process may have a SQLite file locked.
func TestProcessThatWasTakenOver(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	// It is slow, so as not to be done with the sale by the time it is stopped.
	first := start(t, "--db", db, "--customers", "600", "--seats", "150", "--speed", "20")
	require.True(t, first.until("seats 1")) // some are taken
	stop(t, first.Process)
	second := startFor(t, lasting, "--db", db)
	require.True(t, second.until("the sale goes on at"), "%s%s", &second.out, &second.stderr)
	cont(t, first.Process)
	require.Equal(t, exitFailed, first.end(), "%s%s", &first.out, &first.stderr)
	require.Regexp(t, `ticketing: another process has taken the sale over|another worker has this id`, first.stderr.String())
	require.Equal(t, exitOK, second.end(), "%s%s", &second.out, &second.stderr)
	require.Contains(t, second.out.String(), "the audit passed\n")
}

// A server that crashes, and one that is restarted in order, cost time and
// nothing else.
func TestPostgresRestarts(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	db := server.NewDatabase(t)
	_, err := postgres.Migrate(t.Context(), db.Pool(t))
	require.NoError(t, err)
	p := start(t, "--db", db.URL, "--customers", "600", "--seats", "150")
	for _, mode := range []postgrestest.Mode{postgrestest.Immediate, postgrestest.Fast} {
		require.True(t, p.until(" sold "), "%s%s", &p.out, &p.stderr)
		server.Restart(t, mode)
	}
	require.Equal(t, exitOK, p.end(), "%s%s", &p.out, &p.stderr)
	require.Contains(t, p.out.String(), "the audit passed\n")
}
