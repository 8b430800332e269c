package effect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

type ticks struct{ N int }

func (ticks) Returns(int) {}

type look struct{}

func (look) Returns(any) {}

// invoke asks a handler and returns the result that then is given.
func invoke[Q effect.Request[R], R any](t *testing.T, h effect.Handler, q Q) effect.Result[R] {
	t.Helper()
	var got effect.Result[R]
	c := effect.Tree(effect.Do(q, func(r effect.Result[R]) action { got = r; return action{} })).Call
	o := c.Invoke(t.Context(), effect.Inside(h), nil)
	_, ok := c.Then(o)
	require.True(t, ok)
	return got
}

// collect asks a stream's handler; it stops after limit values.
func collect(t *testing.T, h effect.Handler, q ticks, limit int) (values []int, end error) {
	t.Helper()
	c := effect.Tree(effect.Stream(q, loaded)).Call
	o := c.Invoke(t.Context(), effect.Inside(h), func(o tree.Outcome) bool {
		a, ok := c.Then(o)
		require.True(t, ok)
		var n int
		_, err := fmt.Sscanf(a.Name, "loaded %d <nil>", &n)
		require.NoError(t, err)
		values = append(values, n)
		return len(values) < limit
	})
	return values, o.Err()
}

func count(ctx context.Context, q ticks) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range q.N {
			if ctx.Err() != nil || !yield(i, nil) {
				return
			}
		}
	}
}

func TestHandle(t *testing.T) {
	t.Parallel()
	h := effect.Handle(func(_ context.Context, q load) (int, error) {
		if q.ID == "" {
			return 7, errors.New("no id") // the value is dropped: an error or a value, never both
		}
		return len(q.ID), nil
	})
	require.NoError(t, effect.Inside(h).Err)
	require.Equal(t, effect.Result[int]{Value: 3}, invoke(t, h, load{"abc"}))
	require.Equal(t, effect.Result[int]{Err: errors.New("no id")}, invoke(t, h, load{}))
}

func TestNobodyHandles(t *testing.T) {
	t.Parallel()
	do, stream := effect.Tree(effect.Do(load{"1"}, loaded)).Call, effect.Tree(effect.Stream(ticks{1}, loaded)).Call
	once, many := effect.Inside(effect.Handle(func(context.Context, ticks) (int, error) { return 0, nil })),
		effect.Inside(effect.HandleStream(func(context.Context, load) iter.Seq2[int, error] { return nil }))
	for want, o := range map[string]tree.Outcome{
		"no handler: effect_test.load":  do.Invoke(t.Context(), nil, nil),
		"no handler: effect_test.ticks": stream.Invoke(t.Context(), nil, nil),
		"no handler: effect_test.load is handled as a stream, ask for it with effect.Stream":      do.Invoke(t.Context(), many, nil),
		"no handler: effect_test.ticks is handled as a single request, ask for it with effect.Do": stream.Invoke(t.Context(), once, nil),
	} {
		require.ErrorIs(t, o.Err(), effect.ErrNoHandler)
		require.EqualError(t, o.Err(), want)
	}
}

func TestHandlersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	f := func(context.Context, load) (int, error) { return 0, nil }
	nilMiddleware := effect.WithMiddleware(func(next effect.Invoker) effect.Invoker { return next }, nil)
	empty := effect.WithMiddleware(func(effect.Invoker) effect.Invoker { return nil })
	for want, h := range map[string]effect.Handler{
		"handler of effect_test.load: nil function":                  effect.Handle[load](nil),
		"handler of effect_test.ticks: nil function":                 effect.HandleStream[ticks](nil),
		"handler of effect_test.load: option 1 is nil":               effect.Handle(f, effect.WithMiddleware(), nil),
		"handler of effect_test.load: middleware 1 is nil":           effect.Handle(f, nilMiddleware),
		"handler of effect_test.load: middleware 0 returned nil":     effect.Handle(f, empty),
		"handler of effect_test.load: rate is 0, must be positive":   effect.Handle(f, effect.InvalidOption(errors.New("rate is 0, must be positive"))),
		"handler of effect_test.load: nil function\noption 0 is nil": effect.Handle[load](nil, nil),
	} {
		require.EqualError(t, effect.Inside(h).Err, want)
	}
	require.NoError(t, effect.Inside(effect.Handle(f, effect.InvalidOption(nil))).Err)
	require.Nil(t, effect.Inside(effect.Handler{})) // the zero handler handles nothing
}

func TestHandlerThatPanics(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	h := effect.Handle(func(_ context.Context, q load) (int, error) {
		if q.ID == "error" {
			panic(cause)
		}
		panic("no " + q.ID)
	})
	r := invoke(t, h, load{"way"})
	var p *effect.PanicError
	require.ErrorAs(t, r.Err, &p)
	require.Equal(t, "no way", p.Value)
	require.EqualError(t, p, "panic: no way")
	require.Contains(t, string(p.Stack), "TestHandlerThatPanics")
	require.NoError(t, p.Unwrap())
	require.ErrorIs(t, invoke(t, h, load{"error"}).Err, cause)
	require.False(t, effect.Retryable(r.Err))

	s := effect.HandleStream(func(context.Context, ticks) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) { yield(1, nil); panic("midway") }
	})
	values, end := collect(t, s, ticks{}, 9)
	require.Equal(t, []int{1}, values)
	require.EqualError(t, end, "panic: midway")
}

// An error that is a nil pointer would be taken for one and panic in the store's
// turn, when its text is asked for.
func TestErrorThatIsANilPointer(t *testing.T) {
	t.Parallel()
	var none *declinedError
	once := effect.Handle(func(context.Context, load) (int, error) { return 7, none })
	r := invoke(t, once, load{})
	require.ErrorIs(t, r.Err, effect.ErrInvalid)
	require.EqualError(t, r.Err, "invalid effect: handler returned a nil *effect_test.declinedError as its error, want nil")
	require.Zero(t, r.Value)
	require.False(t, effect.Retryable(r.Err))

	many := effect.HandleStream(func(context.Context, ticks) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) { yield(0, none) }
	})
	_, end := collect(t, many, ticks{}, 9)
	require.ErrorIs(t, end, effect.ErrInvalid)

	o, err := effect.Tree(effect.Do(load{}, loaded)).Call.Outcome(nil, severalErrors(nil))
	require.NoError(t, err)
	require.EqualError(t, o.Err(), "invalid effect: handler returned a nil effect_test.severalErrors as its error, want nil")
}

type declinedError struct{ reason string }

func (e *declinedError) Error() string { return e.reason } // panics on nil

type severalErrors []error

func (severalErrors) Error() string { return "several" }

// A Goexit cannot be caught: it ends the goroutine, and whoever owns that must
// settle the effect.
func TestHandlerThatExits(t *testing.T) {
	t.Parallel()
	h := effect.Handle(func(_ context.Context, q load) (int, error) {
		if q.ID == "exit" {
			runtime.Goexit()
		}
		return 1, nil
	})
	c := effect.Tree(effect.Do(load{"exit"}, loaded)).Call
	returned, ended := false, make(chan struct{})
	go func() {
		defer close(ended)
		c.Invoke(t.Context(), effect.Inside(h), nil)
		returned = true
	}()
	<-ended
	require.False(t, returned)
	require.Equal(t, effect.Result[int]{Value: 1}, invoke(t, h, load{"go on"}))
}

func TestStream(t *testing.T) {
	t.Parallel()
	values, end := collect(t, effect.HandleStream(count), ticks{3}, 9)
	require.Equal(t, []int{0, 1, 2}, values)
	require.Equal(t, io.EOF, end)
	values, _ = collect(t, effect.HandleStream(count), ticks{3}, 2) // not wanted any more
	require.Equal(t, []int{0, 1}, values)
	broken := effect.HandleStream(func(context.Context, ticks) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			_ = yield(1, nil) && yield(2, errors.New("broken")) && yield(3, nil)
		}
	})
	values, end = collect(t, broken, ticks{}, 9)
	require.Equal(t, []int{1}, values)
	require.EqualError(t, end, "broken")
	_, end = collect(t, effect.HandleStream(func(context.Context, ticks) iter.Seq2[int, error] { return nil }), ticks{}, 9)
	require.ErrorContains(t, end, "panic: ")
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	var log []string
	trace := func(name string) effect.Middleware {
		return func(next effect.Invoker) effect.Invoker {
			log = append(log, "wrap "+name)
			return func(ctx context.Context, request any) (any, error) {
				log = append(log, fmt.Sprintf("%s %+v", name, request))
				v, err := next(ctx, request)
				log = append(log, fmt.Sprint(name, " ", v, " ", err))
				return v, err
			}
		}
	}
	h := effect.Handle(func(_ context.Context, q load) (int, error) { return len(q.ID), nil },
		effect.WithMiddleware(trace("a"), trace("b")), effect.WithMiddleware(trace("c")))
	require.Equal(t, effect.Result[int]{Value: 2}, invoke(t, h, load{"xy"}))
	invoke(t, h, load{"z"})
	// Wrapped once for all calls, the first outermost.
	require.Equal(t, []string{
		"wrap c", "wrap b", "wrap a", "a {ID:xy}", "b {ID:xy}", "c {ID:xy}", "c 2 <nil>", "b 2 <nil>", "a 2 <nil>",
		"a {ID:z}", "b {ID:z}", "c {ID:z}", "c 1 <nil>", "b 1 <nil>", "a 1 <nil>",
	}, log)

	log = nil
	s := effect.HandleStream(count, effect.WithMiddleware(trace("s")))
	values, end := collect(t, s, ticks{2}, 9)
	require.Equal(t, []int{0, 1}, values)
	require.Equal(t, io.EOF, end)
	require.Equal(t, []string{"wrap s", "s {N:2}", "s <nil> <nil>"}, log)
}

func TestMiddlewareDecides(t *testing.T) {
	t.Parallel()
	refuse := func(effect.Invoker) effect.Invoker {
		return func(context.Context, any) (any, error) { return nil, errors.New("refused") }
	}
	twice := func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			_, _ = next(ctx, request)
			return next(ctx, load{request.(load).ID + "+"})
		}
	}
	panics := func(effect.Invoker) effect.Invoker {
		return func(context.Context, any) (any, error) { panic("middle") }
	}
	calls := []string{}
	f := func(_ context.Context, q load) (int, error) { calls = append(calls, q.ID); return len(calls), nil }
	require.EqualError(t, invoke(t, effect.Handle(f, effect.WithMiddleware(refuse)), load{"a"}).Err, "refused")
	require.EqualError(t, invoke(t, effect.Handle(f, effect.WithMiddleware(panics)), load{"a"}).Err, "panic: middle")
	require.Empty(t, calls)
	require.Equal(t, 2, invoke(t, effect.Handle(f, effect.WithMiddleware(twice)), load{"a"}).Value)
	require.Equal(t, []string{"a", "a+"}, calls)
}

// Middleware that breaks its contract is told which types it mixed up.
func TestMiddlewareOfWrongTypes(t *testing.T) {
	t.Parallel()
	answer := func(v any) effect.HandlerOption {
		return effect.WithMiddleware(func(effect.Invoker) effect.Invoker {
			return func(context.Context, any) (any, error) { return v, nil }
		})
	}
	pass := func(q any) effect.HandlerOption {
		return effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
			return func(ctx context.Context, _ any) (any, error) { return next(ctx, q) }
		})
	}
	number := func(context.Context, load) (int, error) { return 1, nil }
	pointer := func(context.Context, find) (*int, error) { return nil, nil }
	anything := func(context.Context, look) (any, error) { return nil, nil }
	for want, err := range map[string]error{
		"middleware of effect_test.load returned a value of type string, want int":        invoke(t, effect.Handle(number, answer("1")), load{}).Err,
		"middleware of effect_test.load returned a value of type <nil>, want int":         invoke(t, effect.Handle(number, answer(nil)), load{}).Err,
		"middleware of effect_test.find returned a value of type <nil>, want *int":        invoke(t, effect.Handle(pointer, answer(nil)), find{}).Err,
		"middleware passed on a request of type string, want effect_test.load":            invoke(t, effect.Handle(number, pass("x")), load{}).Err,
		"middleware passed on a request of type <nil>, want effect_test.load":             invoke(t, effect.Handle(number, pass(nil)), load{}).Err,
		"middleware passed on a request of type *effect_test.load, want effect_test.load": invoke(t, effect.Handle(number, pass(&load{})), load{}).Err,
	} {
		require.ErrorIs(t, err, effect.ErrInvalid)
		require.EqualError(t, err, "invalid effect: "+want)
		require.False(t, effect.Retryable(err))
	}
	// What a handler itself may answer passes.
	same := effect.WithMiddleware(func(next effect.Invoker) effect.Invoker { return next })
	require.Equal(t, effect.Result[*int]{}, invoke(t, effect.Handle(pointer, same), find{}))
	require.Equal(t, effect.Result[any]{}, invoke(t, effect.Handle(anything, same), look{}))
	require.Equal(t, effect.Result[any]{}, invoke(t, effect.Handle(anything, answer(nil)), look{}))

	_, end := collect(t, effect.HandleStream(count, pass("x")), ticks{1}, 9)
	require.EqualError(t, end, "invalid effect: middleware passed on a request of type string, want effect_test.ticks")
	lost := effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(_ context.Context, request any) (any, error) { return next(context.Background(), request) } //nolint:usetesting // the mistake
	})
	_, end = collect(t, effect.HandleStream(count, lost), ticks{1}, 9)
	require.EqualError(t, end, "invalid effect: middleware of effect_test.ticks did not pass on the context it was given")
}

// Outcomes are recycled; no call may see another's.
func TestHandlerCalledByManyAtOnce(t *testing.T) {
	t.Parallel()
	h := effect.Inside(effect.Handle(func(_ context.Context, q load) (int, error) {
		if strings.HasPrefix(q.ID, "!") {
			return 0, errors.New(q.ID)
		}
		return len(q.ID), nil
	}))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				q := load{strings.Repeat("x", (g*500+i)%97)}
				want := action{fmt.Sprint("loaded ", len(q.ID), " <nil>")}
				if i%3 == 0 {
					q.ID = fmt.Sprint("!", g, i)
					want = action{fmt.Sprint("loaded 0 ", q.ID)}
				}
				c := effect.Tree(effect.Do(q, loaded)).Call
				if got, _ := c.Then(c.Invoke(t.Context(), h, nil)); got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestInvokeAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of the whole process
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop things at random")
	}
	h := effect.Inside(effect.Handle(func(_ context.Context, q load) (int, error) { return len(q.ID), nil }))
	c := effect.Tree(effect.Do(load{"1"}, func(effect.Result[int]) action { return action{} })).Call
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(1000, func() { c.Then(c.Invoke(ctx, h, nil)) }))
}

func TestDoWithoutThenIsFire(t *testing.T) {
	t.Parallel()
	h := effect.Inside(effect.Handle(func(context.Context, load) (int, error) { return 1, nil }))
	for _, e := range []effect.Effect[action]{effect.Do[load, int, action](load{"1"}, nil), effect.Fire[action](load{"1"})} {
		c := effect.Tree(e).Call
		_, ok := c.Then(c.Invoke(t.Context(), h, nil))
		require.False(t, ok)
		require.Equal(t, "request effect_test.load{ID:1}", effect.Describe(e).String())
	}
}

func TestOpaqueFunctions(t *testing.T) {
	t.Parallel()
	call := func(e effect.Effect[action]) (actions []action, end error) {
		c := effect.Tree(e).Call
		require.Nil(t, c.Request())
		require.Nil(t, c.RequestType())
		o := c.Invoke(t.Context(), nil, func(o tree.Outcome) bool {
			a, _ := c.Then(o)
			actions = append(actions, a)
			return len(actions) < 3
		})
		end = o.Err()
		if a, ok := c.Then(o); ok {
			actions = append(actions, a)
		}
		return actions, end
	}
	actions, end := call(fx.Run("job", func(ctx context.Context) action {
		require.NoError(t, ctx.Err())
		return action{"done"}
	}))
	require.Equal(t, []action{{"done"}}, actions)
	require.NoError(t, end)

	_, end = call(fx.Run("job", nil))
	require.EqualError(t, end, `effect "job": invalid effect: its function is nil`)
	require.ErrorIs(t, end, effect.ErrInvalid)
	actions, end = call(fx.Run("job", func(context.Context) action { panic("no") }))
	require.Empty(t, actions)
	require.EqualError(t, end, "panic: no")

	_, end = call(fx.Stream("feed", nil))
	require.EqualError(t, end, `effect "feed": invalid effect: its function is nil`)
	endless := func(context.Context) iter.Seq[action] {
		return func(yield func(action) bool) {
			for i := 0; yield(action{fmt.Sprint(i)}); i++ {
			}
		}
	}
	actions, _ = call(fx.Stream("feed", endless))
	require.Equal(t, []action{{"0"}, {"1"}, {"2"}}, actions)
	_, end = call(fx.Stream("feed", func(context.Context) iter.Seq[action] { panic("no") }))
	require.EqualError(t, end, "panic: no")
}
