package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// action is what most tests reduce. It carries the effect that its reduction
// returns, so that a test reads from top to bottom.
type action struct {
	name string
	n    int
	fx   []effect.Effect[action]
	do   func(*state, reducer.Env) effect.Effect[action]
}

func (a action) String() string { return a.name }

// act is an action with effects.
func act(name string, effects ...effect.Effect[action]) action {
	return action{name: name, fx: effects}
}

// acting is an action that does something in the reducer.
func acting(name string, do func(*state, reducer.Env) effect.Effect[action]) action {
	return action{name: name, do: do}
}

type state struct {
	names []string
	sum   int
}

func (s *state) log() string { return strings.Join(s.names, " ") }

var fx effect.Of[action]

func reduce(s *state, a action, env reducer.Env) effect.Effect[action] {
	s.names = append(s.names, a.name)
	s.sum += a.n
	if a.do != nil {
		return a.do(s, env)
	}
	return fx.All(a.fx...)
}

// call is a request whose answer is a string.
type call struct{ ID string }

func (call) Returns(string) {}

// do is the effect of a call, whose result is an action named for it.
func do(id string, opts ...effect.Option) effect.Effect[action] {
	return effect.Do(call{id}, answered(id), opts...)
}

func answered(id string) func(effect.Result[string]) action {
	return func(r effect.Result[string]) action {
		if r.Err != nil {
			return action{name: id + "!" + r.Err.Error()}
		}
		return action{name: id + "=" + r.Value}
	}
}

// handle answers calls.
func handle(f func(context.Context, string) (string, error)) effect.Handler {
	return effect.Handle(func(ctx context.Context, c call) (string, error) { return f(ctx, c.ID) })
}

// counting is a request for a stream of numbers.
type counting struct{ To int }

func (counting) Returns(int) {}

// count is the effect of counting, with an action for each number.
func count(to int, opts ...effect.Option) effect.Effect[action] {
	return effect.Stream(counting{to}, func(r effect.Result[int]) action {
		if r.Err != nil {
			return action{name: "end:" + r.Err.Error()}
		}
		return action{name: fmt.Sprintf("#%d", r.Value)}
	}, opts...)
}

// counts answers counting. before is called before each number is given.
func counts(before func(ctx context.Context, n int) error) effect.Handler {
	return effect.HandleStream(func(ctx context.Context, c counting) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for n := 1; n <= c.To; n++ {
				if before != nil {
					if err := before(ctx, n); err != nil {
						yield(0, err)
						return
					}
				}
				if !yield(n, nil) {
					return
				}
			}
		}
	})
}

type (
	testStore = store.Store[state, action]
	testKeyed = store.Keyed[string, state, action]
)

// open makes a store that is gone when the test ends.
func open(t testing.TB, cfg store.Config, handlers ...effect.Handler) *testStore {
	t.Helper()
	cfg.Handlers = append(cfg.Handlers, handlers...)
	s, err := store.New(state{}, reducer.Func[state, action](reduce), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Shutdown(ended()) })
	return s
}

// openKeyed is open for a keyed store.
func openKeyed(t testing.TB, cfg store.KeyedConfig[string, state], handlers ...effect.Handler) *testKeyed {
	t.Helper()
	cfg.Handlers = append(cfg.Handlers, handlers...)
	k, err := store.NewKeyed(func(string) state { return state{} }, reducer.Func[state, action](reduce), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = k.Shutdown(ended()) })
	return k
}

// ended is a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancelCause(background)
	cancel(errEnded)
	return ctx
}

var (
	// background is the context for which Send has a path of its own.
	background = context.Background()
	errEnded   = errors.New("the test has ended")
)

func send(t testing.TB, s *testStore, actions ...action) {
	t.Helper()
	for _, a := range actions {
		require.NoError(t, s.Send(background, a))
	}
}

func logOf(s *testStore) string { return store.View(s, (*state).log) }

// named matches the first action with that prefix and gives the rest of it.
func named(prefix string) func(action) (string, bool) {
	return func(a action) (string, bool) { return strings.CutPrefix(a.name, prefix) }
}

// occupied holds a store in the middle of an action until release is called.
// What is sent meanwhile waits in the mailbox.
func occupied(t testing.TB, s *testStore) (release func()) {
	t.Helper()
	began, goOn, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		_ = s.Send(background, acting("busy", func(*state, reducer.Env) effect.Effect[action] {
			close(began)
			<-goOn
			return fx.None()
		}))
	}()
	<-began
	release = sync.OnceFunc(func() {
		close(goOn)
		<-gone
	})
	t.Cleanup(release)
	return release
}

// journal is what several goroutines tell.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) tell(parts ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprint(parts...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func (j *journal) len() int { return len(j.all()) }
