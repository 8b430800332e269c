package sqlite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// The test binary is also the other processes of these tests: with this variable
// set it does what it is told and reports on its output.
const childVariable = "RONDO_SQLITE_TEST_CHILD"

// task is what another process does.
type task struct {
	Kind    string
	Name    string // of the process
	Path    string
	Writers int
	// Appends is how many each writer does; 0 is until the process is killed.
	Appends int
	// Dies is at which acknowledgement the process kills itself, if it does.
	Dies int
}

func TestMain(m *testing.M) {
	told := os.Getenv(childVariable)
	if told == "" {
		os.Exit(m.Run())
	}
	var t task
	err := json.Unmarshal([]byte(told), &t)
	switch {
	case err != nil:
	case t.Kind == "forbidden":
		err = forbidden(t.Path)
	default:
		err = t.run(context.Background(), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// start starts another process. Its output is a line for each append that was
// acknowledged.
func start(t *testing.T, given task) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	told, err := json.Marshal(given)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), childVariable+"="+string(told))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	return c, bufio.NewScanner(out)
}

// acknowledged is an append of which a process was told that it is durable.
type acknowledged struct {
	position eventstore.Position
	ids      []uuid.UUID
}

func (a acknowledged) String() string {
	words := []string{strconv.FormatInt(int64(a.position), 10)}
	for _, id := range a.ids {
		words = append(words, id.String())
	}
	return strings.Join(words, " ")
}

func parse(line string) (acknowledged, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return acknowledged{}, fmt.Errorf("line %q", line)
	}
	position, err := strconv.ParseInt(words[0], 10, 64)
	a := acknowledged{position: eventstore.Position(position)}
	for _, word := range words[1:] {
		id, parseErr := uuid.Parse(word)
		err = errors.Join(err, parseErr)
		a.ids = append(a.ids, id)
	}
	return a, err
}

func (t task) run(ctx context.Context, out io.Writer) error {
	s, err := sqlite.Open(ctx, t.Path, sqlite.Config{BusyTimeout: time.Minute})
	if err != nil {
		return err
	}
	switch t.Kind {
	case "open":
		_, err = s.Append(ctx, one(t.Name, "made"))
		return errors.Join(err, s.Close())
	case "append":
	default:
		return fmt.Errorf("unknown task %q", t.Kind)
	}
	// A commit that takes its time, so that whatever is acknowledged too early is
	// found out.
	s.Probe().SetFault(func(query string) error {
		if query == "COMMIT" {
			for range rand.IntN(1000) {
				runtime.Gosched()
			}
		}
		return nil
	})
	var mu sync.Mutex
	acks := 0
	var wg sync.WaitGroup
	errs := make([]error, t.Writers)
	for i := range t.Writers {
		wg.Go(func() {
			for n := 0; n < t.Appends || t.Appends == 0; n++ {
				a, err := t.append(ctx, s, i)
				if err != nil {
					errs[i] = err
					return
				}
				mu.Lock()
				fmt.Fprintln(out, a)
				if acks++; acks == t.Dies {
					errs[i] = die()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, s.Close())...)
}

// die ends the process in no orderly way.
func die() error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Kill()
}

// append appends to a stream of the writer's own, one of the process's, and one
// that all share, which it does by the version that it expects.
func (t task) append(ctx context.Context, s *sqlite.Store, writer int) (acknowledged, error) {
	const shared = "shared-1"
	correlation := uuid.New()
	event := func() eventstore.Event {
		return eventstore.Event{
			ID: uuid.New(), Type: "made", Data: make([]byte, rand.IntN(2000)),
			Meta: eventstore.Meta{CorrelationID: correlation},
		}
	}
	writes := []eventstore.Write{
		{Stream: fmt.Sprintf("own-%s-%d", t.Name, writer), Expected: eventstore.Any, Events: []eventstore.Event{event(), event()}},
		{Stream: "process-" + t.Name, Expected: eventstore.Any, Events: []eventstore.Event{event()}},
		{Stream: shared, Expected: eventstore.None, Events: []eventstore.Event{event()}},
	}
	for {
		done, err := s.Append(ctx, writes...)
		var conflict *eventstore.ConflictError
		if errors.As(err, &conflict) && conflict.Stream == shared {
			writes[2].Expected = eventstore.Exactly(conflict.Actual)
			continue
		}
		if err != nil {
			return acknowledged{}, err
		}
		return acknowledged{done[2].Position, eventstore.IDs(writes)}, nil
	}
}

// eventsOfAppend is how many events an append of a process has.
const eventsOfAppend = 4

// audit reads everything, and holds it to what must be: positions ascend, versions
// have no gaps, every append is there whole or not at all, and all that was
// acknowledged is there, where that said. It returns how many appends there are.
func audit(t *testing.T, s eventstore.Store, acks []acknowledged) int {
	t.Helper()
	byID := map[uuid.UUID]eventstore.Recorded{}
	ofAppend := map[uuid.UUID]int{}
	versions := map[string]eventstore.Version{}
	last := eventstore.Position(0)
	for e, err := range s.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		require.Greater(t, e.Position, last)
		require.Equal(t, versions[e.Stream]+1, e.Version, e.Stream)
		_, twice := byID[e.ID]
		require.False(t, twice, "event %s twice", e.ID)
		last, versions[e.Stream] = e.Position, e.Version
		byID[e.ID] = e
		ofAppend[e.Meta.CorrelationID]++
	}
	for id, n := range ofAppend {
		require.Equal(t, eventsOfAppend, n, "events of append %s", id)
	}
	for _, a := range acks {
		for _, id := range a.ids {
			_, found := byID[id]
			require.True(t, found, "event %s of an append that was acknowledged at %d", id, a.position)
		}
		require.Equal(t, a.position, byID[a.ids[len(a.ids)-1]].Position)
	}
	return len(ofAppend)
}

// What was acknowledged survives a process that is killed at any moment: by
// another, or by itself as soon as it has an acknowledgement.
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds := 30
	if testing.Short() {
		rounds = 4
	}
	path := file(t)
	var acks []acknowledged
	unacknowledged := 0
	for round := range rounds {
		last := 1 + rand.IntN(100)
		given := task{Kind: "append", Name: fmt.Sprint("p", round), Path: path, Writers: 1 + 3*(round/2%3)}
		if round%2 == 0 {
			given.Dies = last
		}
		child, lines := start(t, given)
		for n := 1; lines.Scan(); n++ {
			a, err := parse(lines.Text())
			require.NoError(t, err)
			acks = append(acks, a)
			if n == last {
				_ = child.Process.Kill() // if it is still there
			}
		}
		require.NoError(t, lines.Err())
		require.Error(t, child.Wait(), "it was killed")
		s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		require.NoError(t, err)
		unacknowledged = audit(t, s, acks) - len(acks)
		require.NoError(t, s.Close())
	}
	t.Logf("%d appends were acknowledged, %d were there without", len(acks), unacknowledged)
}

// Several processes append to one file, while another subscribes.
func TestProcesses(t *testing.T) {
	t.Parallel()
	const processes, writers = 3, 3
	appends := 40
	if testing.Short() {
		appends = 10
	}
	path := file(t)
	s := open(t, path, sqlite.Config{PollInterval: time.Millisecond})
	heard := subscribe(t, s)
	var wg sync.WaitGroup
	var acks [processes][]acknowledged
	for i := range processes {
		child, lines := start(t, task{Kind: "append", Name: fmt.Sprint("p", i), Path: path, Writers: writers, Appends: appends})
		wg.Go(func() {
			for lines.Scan() {
				a, err := parse(lines.Text())
				if err != nil {
					t.Error(err)
				}
				acks[i] = append(acks[i], a)
			}
			if err := errors.Join(lines.Err(), child.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
	last := eventstore.Position(0)
	delivered := map[uuid.UUID]bool{}
	for range processes * writers * appends * eventsOfAppend {
		e := <-heard
		require.Greater(t, e.Position, last)
		last = e.Position
		delivered[e.ID] = true
	}
	wg.Wait()
	var all []acknowledged
	for _, ofProcess := range acks {
		require.Len(t, ofProcess, writers*appends)
		all = append(all, ofProcess...)
	}
	require.Equal(t, len(all), audit(t, s, all))
	for _, a := range all {
		for _, id := range a.ids {
			require.True(t, delivered[id], "was committed, and the subscription passed it by")
		}
	}
}

func TestProcessesOpenAtOnce(t *testing.T) {
	t.Parallel()
	const processes = 4
	path := file(t)
	var children []*exec.Cmd
	for i := range processes {
		child, _ := start(t, task{Kind: "open", Name: fmt.Sprint("p-", i), Path: path})
		children = append(children, child)
	}
	for _, child := range children {
		require.NoError(t, child.Wait())
	}
	require.Equal(t, processes, count(t, open(t, path, sqlite.Config{})))
}
