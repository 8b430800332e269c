package sagatest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// track is a home with a process that runs relays on it.
type track struct {
	*fleet
	runners *runners
	seen    *seen
}

func newTrack(f *fleet) *track {
	if f.home.Ledger == nil {
		f.Skip("no handler does its work in transactions of the home")
	}
	return &track{fleet: f, runners: &runners{ledger: f.home.Ledger}, seen: &seen{}}
}

// seen is what hooks were told, in order.
type seen struct {
	mu  sync.Mutex
	all []string
}

// lines are those of a saga, in order.
func (t *track) lines(key string) []string { return linesOf(t.home.Ledger.Lines(t.T, t.store), key) }

func (s *seen) add(key, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, key+": "+what)
}

func (s *seen) of(key string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return linesOf(s.all, key)
}

// chainLink is a link to a home that commits chains. It counts the decisions of each,
// and can fail before and after it, as before and after other commits.
type chainLink struct {
	*link
	home saga.Transactional

	mu     sync.Mutex
	chains map[string][]int // by the key of the saga, those that were committed
	commit map[string]int   // others that were
	before func()           // each CommitTx
}

func (l *chainLink) Joins(db any) bool { return l.home.Joins(db) }

func (l *chainLink) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	verdicts, err := l.link.Commit(ctx, changes)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, v := range verdicts {
		if v == saga.Committed {
			l.commit[changes[i].Record.ID.Key]++
		}
	}
	return verdicts, err
}

func (l *chainLink) CommitTx(ctx context.Context, f func(context.Context) ([]saga.Change, error)) (saga.Verdict, error) {
	var verdict saga.Verdict
	if l.before != nil {
		l.before()
	}
	err := l.around(func() (err error) {
		key, n := "", 0
		verdict, err = l.home.CommitTx(ctx, func(ctx context.Context) ([]saga.Change, error) {
			changes, err := f(ctx)
			if err == nil {
				key, n = changes[0].Record.ID.Key, len(changes)
			}
			return changes, err
		})
		l.mu.Lock()
		defer l.mu.Unlock()
		if err == nil && verdict == saga.Committed {
			l.chains[key] = append(l.chains[key], n)
		}
		return err
	})
	return verdict, err
}

func (l *chainLink) committed(key string) (chains []int, others int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.chains[key]), l.commit[key]
}

// entrant is a process that runs relays.
type entrant struct {
	*process
	link *chainLink
}

// enter starts a process. What the hooks are told of is kept.
func (t *track) enter(maxChain int) *entrant {
	t.Helper()
	s, leave := t.share()
	tx, ok := s.(saga.Transactional)
	require.True(t, ok, "a home with a ledger is transactional")
	l := &chainLink{link: &link{Store: s}, home: tx, chains: map[string][]int{}, commit: map[string]int{}}
	p := &process{fleet: t.fleet, link: l.link, leave: leave, ended: make(chan struct{})}
	var err error
	p.runner, err = saga.New(l, saga.Config{
		Worker: "w", Handlers: t.runners.handlers(s), MaxChain: maxChain,
		Heartbeat: 100 * time.Millisecond, Lease: t.lease,
		Poll: 10 * time.Millisecond, Sweep: time.Second, Resident: 200 * time.Millisecond, StuckAfter: 100,
		Hooks: saga.Hooks{
			Decided: func(id saga.ID, kind string, status saga.Status, sequence int64) {
				t.seen.add(id.Key, fmt.Sprint(sequence, " ", kind, " ", status))
			},
			Attempted: func(effect, _ string, n int, _ time.Duration, err error) {
				t.seen.add(relayKeyOf(effect), fmt.Sprint("attempt ", n, ": ", err))
			},
			Stuck: func(id saga.ID, reason, _ string) { t.seen.add(id.Key, "stuck: "+reason) },
		},
	}, relays)
	require.NoError(t, err)
	p.run()
	e := &entrant{process: p, link: l}
	t.eventually("the worker owns what it starts", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := p.runner.Start(ctx, relays.ID("warm-up"), runRelay{})
		return err == nil
	})
	return e
}

// run runs a relay until it stands still, and returns how.
func (e *entrant) run(key string, a runRelay) outcome {
	e.fleet.Helper()
	e.begin(key, a)
	return e.fleet.finish(key)
}

func (e *entrant) begin(key string, a runRelay) {
	e.fleet.Helper()
	e.fleet.eventually("start "+key, func() bool {
		ctx, cancel := context.WithTimeout(e.fleet.Context(), 10*time.Second)
		defer cancel()
		_, err := e.runner.Start(ctx, relays.ID(key), a)
		var stuck *saga.StuckError
		return err == nil || errors.As(err, &stuck)
	})
}

// firstLine is text without the stack trace that may be behind it.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// outcome is what became of a relay, as far as it does not depend on when.
type outcome struct {
	Status   saga.Status
	Reason   string
	Attempts int
	Schema   int
	State    string
	Work     string
	History  []string
}

// finish waits until a relay has ended or waits for an operator. A result that comes
// late may be noted even then.
func (f *fleet) finish(key string) (o outcome) {
	f.Helper()
	var r saga.Record
	var entries []saga.Entry
	f.eventually(key+" stands still", func() bool {
		var found bool
		var err error
		r, found, err = f.store.Load(f.Context(), relays.ID(key))
		if err != nil || !found || !r.Status.Ended() && r.Status != saga.Stuck {
			return false
		}
		entries, err = f.store.History(f.Context(), r.ID, 0, 1000)
		return err == nil && int64(len(entries)) == r.Sequence
	})
	for i, e := range entries {
		require.Equal(f, int64(i+1), e.Sequence)
		if i > 0 {
			require.False(f, e.At.Before(entries[i-1].At), "a history goes forward")
		}
		o.History = append(o.History, e.Kind+" "+timeless(f, e.Data))
	}
	replays(f, relays, r.ID, entries)
	o.Status, o.Reason, o.Attempts, o.Schema = r.Status, firstLine(r.Reason), r.Attempts, r.Schema
	o.State, o.Work = string(r.State), timeless(f, r.Work)
	return o
}

// timeless is JSON without what depends on when it was made, or where from, as do
// the stack of a panic and so the hash of what is asked for with its text.
func timeless(f *fleet, data []byte) string {
	var v map[string]any
	require.NoError(f, json.Unmarshal(data, &v))
	drop(v)
	text, err := json.Marshal(v)
	require.NoError(f, err)
	return string(text)
}

func drop(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"at", "next", "token", "meta", "trace", "asked"} {
			delete(v, name)
		}
		for name, of := range v {
			if text, is := of.(string); is {
				v[name] = firstLine(text)
			}
			drop(of)
		}
	case []any:
		for _, of := range v {
			drop(of)
		}
	}
}

// chainTime is after how long a chain may end though more could follow: what took
// longer is no proof of anything.
const chainTime = time.Second

// sameTest runs relays with chains and without: nobody can tell the difference.
func sameTest(f *fleet) {
	t := newTrack(f)
	rows := []struct {
		name   string
		legs   string
		status saga.Status
		lines  []string
		chains []int // decisions of each; nil is not looked at
		others int   // commits of a decision by itself, -1 is not looked at
	}{
		{"three deeds", "a b c", saga.Completed, []string{"a", "b", "c"}, []int{4}, 0},
		{"side by side", "a+b c+d+e", saga.Completed, []string{"a", "b", "c", "d", "e"}, []int{6}, 0},
		{"nothing", "", saga.Completed, []string{}, nil, 1},
		{"outside", "a outside b", saga.Completed, []string{"a", "b"}, []int{2, 2}, 0},
		{"outside at first", "outside a b", saga.Completed, []string{"a", "b"}, []int{3}, 1},
		{"outside at last", "a b outside", saga.Completed, []string{"a", "b"}, []int{3}, 1},
		{"more than go together", "a b c d e f g h i j k", saga.Completed, []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}, []int{9, 3}, 0},
		{"a rejection", "a b fumbles c", saga.Compensated, []string{"a", "b", "undo b", "undo a"}, []int{6}, 0},
		{"a rejection at once", "fumbles", saga.Compensated, []string{}, []int{2}, 0},
		{"a failure that passes", "a fails-once b", saga.Completed, []string{"a", "fails-once", "b"}, nil, -1},
		{"a failure that stays", "a fails b", saga.Compensated, []string{"a", "undo fails", "undo a"}, nil, -1},
		{"a panic of a handler", "a dies", saga.Compensated, []string{"a", "undo dies", "undo a"}, nil, -1},
		{"a panic of the reducer", "a panics b", saga.Stuck, []string{"a", "panics"}, nil, -1},
	}
	want := make([]outcome, len(rows))
	key := func(name, way string, n int) string { return fmt.Sprint(name, " ", way, " ", n) }
	without := t.enter(-1)
	for i, row := range rows {
		k := key(row.name, "without", 0)
		want[i] = without.run(k, runRelay{Legs: legs(row.legs)})
		require.Equal(t, row.status, want[i].Status, row.name)
		require.ElementsMatch(t, row.lines, t.lines(k), row.name)
		t.eventually(row.name+": all is counted", func() bool {
			chains, others := without.link.committed(k)
			return len(chains) == 0 && others == len(want[i].History)
		})
	}
	without.close()
	with := t.enter(0)
	for i, row := range rows {
		for n := 0; ; n++ {
			k, began := key(row.name, "with", n), time.Now()
			got := with.run(k, runRelay{Legs: legs(row.legs)})
			slow := time.Since(began) >= chainTime
			inTurn := !strings.Contains(row.legs, "+") // side by side they come in any order
			if inTurn {
				require.Equal(t, want[i], got, row.name)
			}
			require.Equal(t, row.status, got.Status, row.name)
			require.Equal(t, row.lines, t.lines(k), row.name)
			told := t.seen.of(key(row.name, "without", 0))
			t.eventually(row.name+": hooks are told as much", func() bool { return len(t.seen.of(k)) == len(told) })
			if inTurn {
				require.Equal(t, told, t.seen.of(k), row.name)
			}
			chains, others := with.link.committed(k)
			if slow && !slices.Equal(row.chains, chains) {
				continue
			}
			if row.chains != nil {
				require.Equal(t, row.chains, chains, row.name)
			}
			if row.others >= 0 {
				require.Equal(t, row.others, others, row.name)
			}
			break
		}
	}
}

// depthTest bounds how much goes together.
func depthTest(f *fleet) {
	t := newTrack(f)
	e := t.enter(2)
	for n := 0; ; n++ {
		key, began := fmt.Sprint(n), time.Now()
		require.Equal(t, saga.Completed, e.run(key, runRelay{Legs: legs("a b c d e f")}).Status)
		require.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, t.lines(key))
		var chains []int
		var others int
		t.eventually("all is counted", func() bool {
			all := 0
			chains, others = e.link.committed(key)
			for _, decisions := range chains {
				all += decisions
			}
			return all+others == 7
		})
		for _, decisions := range chains {
			require.LessOrEqual(t, decisions, 3, "two effects, and the decisions around them")
		}
		if time.Since(began) < chainTime {
			require.Equal(t, []int{3, 3}, chains)
			require.Equal(t, 1, others, "the end, after six effects of which two went by themselves")
			return
		}
	}
}

// unseenTest looks for what a chain does before it has committed.
func unseenTest(f *fleet) {
	t := newTrack(f)
	e := t.enter(0)
	for n := 0; ; n++ {
		key, began := fmt.Sprint(n), time.Now()
		var looked atomic.Bool
		t.runners.meet("c", func(ctx context.Context, _ int) error {
			if time.Since(began) >= chainTime || !looked.CompareAndSwap(false, true) {
				return nil // another chain may have committed what came before
			}
			_, err := e.runner.Wait(ctx, relays.ID(key))
			require.ErrorIs(t, err, saga.ErrNotFound, "it is not there to wait for")
			_, found, err := t.store.Load(ctx, relays.ID(key))
			require.NoError(t, err)
			require.False(t, found, "others do not see it")
			entries, err := t.store.History(ctx, relays.ID(key), 0, 10)
			require.NoError(t, err)
			require.Empty(t, entries)
			require.Empty(t, t.seen.of(key), "hooks are told nothing")
			return nil
		})
		require.Equal(t, saga.Completed, e.run(key, runRelay{Legs: legs("a b c")}).Status)
		require.Equal(t, 1, t.runners.called(key, "c"))
		t.eventually("hooks are told", func() bool {
			return slices.Equal([]string{
				"1 start running", "attempt 1: <nil>", "2 reply running", "attempt 1: <nil>", "3 reply running", "attempt 1: <nil>", "4 reply completed",
			}, t.seen.of(key))
		})
		if looked.Load() {
			return
		}
	}
}

// chainFaultsTest has the home fail before or after each commit of a saga, or the
// process end.
func chainFaultsTest(f *fleet) {
	t := newTrack(f)
	for _, way := range []struct {
		legs    string
		commits int
		status  saga.Status
		lines   []string
	}{
		{"a b outside c outside d e", 3, saga.Completed, []string{"a", "b", "c", "d", "e"}},
		{"a b outside fumbles", 2, saga.Compensated, []string{"a", "b", "undo b", "undo a"}},
	} {
		for n := range way.commits {
			for _, after := range []bool{false, true} {
				for _, crash := range []bool{false, true} {
					key := fmt.Sprint("fault ", way.status, n, after, crash)
					e := t.strike(key, runRelay{Legs: legs(way.legs)}, n, after, crash)
					require.Equal(t, way.status, t.finish(key).Status, key)
					require.Equal(t, way.lines, t.lines(key), key)
					e.close()
				}
			}
		}
	}
}

// strike starts a relay and has its nth commit fail, or its process end there, and
// another take over. It returns the one that is left.
func (t *track) strike(key string, a runRelay, n int, after, crash bool) *entrant {
	t.Helper()
	e := t.enter(0)
	struck := make(chan struct{})
	first := e.link.commits()
	e.link.fail(func(i int, late bool) error {
		if i != first+n || late != after {
			return nil
		}
		if crash {
			e.link.cut()
		}
		close(struck)
		return errLink
	})
	if !crash {
		e.begin(key, a)
		<-struck
		return e
	}
	asked := make(chan struct{})
	go func() { // it may not be told what became of it, and asks again
		defer close(asked)
		for {
			_, err := e.runner.Start(t.Context(), relays.ID(key), a)
			select {
			case <-struck:
				return
			default:
			}
			if err == nil || store.Sleep(t.Context(), 5*time.Millisecond) != nil {
				return
			}
		}
	}()
	<-struck
	e.crash()
	<-asked
	e = t.enter(0)
	e.begin(key, a)
	return e
}

// movedTest has an operator change a saga while a chain is at work on it.
func movedTest(f *fleet) {
	t := newTrack(f)
	e := t.enter(0)
	by := saga.By{Actor: "operator", Reason: "a test"}
	var begun atomic.Bool
	t.runners.meet("outside", func(_ context.Context, call int) error {
		begun.Store(call == 1)
		return nil
	})
	paused := make(chan error, 1)
	e.link.before = func() {
		if begun.CompareAndSwap(true, false) {
			_, err := saga.NewOperator(t.store).Pause(f.Context(), relays.ID("ann"), by)
			paused <- err
		}
	}
	e.begin("ann", runRelay{Legs: legs("outside a b")})
	require.NoError(t, <-paused)
	t.eventually("it stands still", func() bool {
		_, err := saga.NewOperator(t.store).Resume(f.Context(), relays.ID("ann"), by)
		return err == nil
	})
	got := t.finish("ann")
	require.Equal(t, saga.Completed, got.Status)
	require.Equal(t, []string{"a", "b"}, t.lines("ann"))
}

// meanwhileTest has something come while a chain is at work, which does not wait for
// it.
func meanwhileTest(f *fleet) {
	t := newTrack(f)
	e := t.enter(0)
	reached := make(chan string, 1)
	t.runners.meet("stands", func(ctx context.Context, call int) error {
		if call > 1 {
			return nil
		}
		reached <- relayKey(ctx)
		<-ctx.Done()
		return ctx.Err()
	})
	start := func(key string, a runRelay) (started chan error) {
		started = make(chan error, 1)
		go func() {
			_, err := e.runner.Start(f.Context(), relays.ID(key), a)
			started <- err
		}()
		require.Equal(t, key, <-reached)
		return started
	}
	started := start("signalled", runRelay{Legs: legs("a stands b")})
	require.NoError(t, e.runner.Signal(f.Context(), relays.ID("signalled"), "m", shouted{"hey"}))
	require.NoError(t, <-started)
	got := t.finish("signalled")
	require.Equal(t, saga.Completed, got.Status)
	require.Contains(t, got.State, `"Notes":["hey"]`)
	require.Equal(t, []string{"a", "stands", "b"}, t.lines("signalled"))

	started = start("cancelled", runRelay{Legs: legs("a stands b")})
	require.NoError(t, e.runner.Cancel(f.Context(), relays.ID("cancelled"), "enough"))
	require.NoError(t, <-started)
	got = t.finish("cancelled")
	require.Equal(t, saga.Compensated, got.Status)
	require.Equal(t, "enough", got.Reason)
	held := map[string]bool{}
	for _, line := range t.lines("cancelled") {
		if deed, undo := strings.CutPrefix(line, "undo "); undo {
			delete(held, deed)
		} else {
			held[line] = true
		}
	}
	require.Empty(t, held)

	t.runners.meet("hangs", func(ctx context.Context, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	})
	got = e.run("late", runRelay{Legs: legs("a hangs b"), Deadline: 100 * time.Millisecond})
	require.Equal(t, saga.Compensated, got.Status)
	require.Equal(t, "too late", got.Reason)
}
