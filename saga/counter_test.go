package saga_test

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// A counter is a saga that takes signals, and returns odd things.
type count struct {
	N    int
	Text string
}

type countAction interface{ count() }

type (
	add     struct{ N int }
	append_ struct{ Text string } //nolint:revive // append is a builtin
	note    struct{ Text string }
	finish  struct{}
	boom    struct{}
	foreign struct{ What string }
	later   struct{ Minutes int }
	fetched struct {
		N      int
		Late   bool
		Reason string
	}
)

func (add) count()     {}
func (append_) count() {}
func (note) count()    {}
func (finish) count()  {}
func (boom) count()    {}
func (foreign) count() {}
func (later) count()   {}
func (fetched) count() {}

type fetch struct{ N int }

func (fetch) Returns(int) {}

type unfetch struct{ N int }

func (unfetch) Returns(struct{}) {}

var (
	cfx saga.Of[countAction]
	raw effect.Of[countAction]
)

func countReducer(onBoom func(*count)) reducer.Func[count, countAction] {
	return func(s *count, a countAction, _ reducer.Env) effect.Effect[countAction] {
		switch a := a.(type) {
		case add:
			s.N += a.N
		case append_:
			s.Text += a.Text
		case note:
			s.Text += a.Text
		case finish:
			return cfx.Complete()
		case later:
			return cfx.After("later", time.Duration(a.Minutes)*time.Minute, add{1})
		case fetched:
			s.N += a.N
			s.Text += a.Reason
		case boom:
			onBoom(s)
		case foreign:
			return odd(a.What)
		}
		return cfx.None()
	}
}

func odd(what string) effect.Effect[countAction] {
	switch what {
	case "fetch":
		return cfx.Do(fetch{7}, saga.Undo(unfetch{7}))
	case "hold":
		return raw.Hold("x")
	case "run":
		return cfx.All(cfx.Send(add{1}), raw.Run("peek", func(context.Context) countAction { return add{1} }))
	case "sequence":
		return raw.Sequence(cfx.Send(add{1}), cfx.Send(add{2}))
	case "stream":
		return raw.Stream("ticks", func(context.Context) iter.Seq[countAction] { return nil })
	case "foreign request":
		return effect.Fire[countAction](HoldSeats{})
	case "unregistered":
		return cfx.Do(Charge{})
	case "bad undo":
		return cfx.Do(fetch{1}, saga.Undo(Charge{}))
	case "late for one":
		return cfx.Do(fetch{1}, saga.Late())
	case "bad key":
		return raw.After(7, time.Minute, add{1})
	case "bad timer":
		return cfx.After("t", -time.Second, add{1})
	case "bad action":
		return cfx.After("t", time.Second, unregistered{})
	case "endless":
		return cfx.Send(foreign{"endless"})
	case "key of do":
		return cfx.Do(fetch{7}, saga.Key("\xff"))
	case "key of after":
		return cfx.After("\xff", time.Second, add{1})
	case "key of its own":
		return cfx.After("#2/0", time.Second, add{1})
	case "key of cancel":
		return cfx.Cancel("\xff")
	case "cancel old":
		return cfx.Cancel("#old")
	case "cancel nothing":
		return cfx.Cancel("")
	case "unencodable":
		return cfx.Do(unencodable{})
	}
	return cfx.None()
}

type unregistered struct{ Sold }

func (unregistered) count() {}

type unencodable struct{}

func (unencodable) MarshalJSON() ([]byte, error) { return nil, errors.New("there are no words for it") }

func (unencodable) Returns(int) {}

func counterTypes() saga.Types {
	return saga.Types{
		Actions: []saga.ActionType{
			saga.Action[add]("add"), saga.Action[append_]("append"), saga.Action[note]("note"), saga.Action[finish]("finish"),
			saga.Action[boom]("boom"), saga.Action[foreign]("foreign"), saga.Action[later]("later"), saga.Action[fetched]("fetched"),
		},
		Requests: []saga.RequestType{
			saga.On("fetch", func(_ fetch, r saga.Reply[int]) countAction {
				f := fetched{N: r.Value, Late: r.Late}
				if r.Err != nil {
					f.Reason = r.Err.Error()
				}
				return f
			}),
			saga.Request[unfetch]("unfetch"),
			saga.Request[unencodable]("unencodable"),
		},
	}
}

var (
	counter       = saga.Define("counter", countReducer(func(*count) { panic("boom") }), counterTypes())
	mendedCounter = saga.Define("counter", countReducer(func(s *count) { s.N += 100 }), counterTypes())
)

func counterHandlers(f func(ctx context.Context, n int) (int, error)) []effect.Handler {
	if f == nil {
		f = func(_ context.Context, n int) (int, error) { return n, nil }
	}
	return []effect.Handler{
		effect.Handle(func(ctx context.Context, q fetch) (int, error) { return f(ctx, q.N) }),
		effect.Handle(func(context.Context, unfetch) (struct{}, error) { return struct{}{}, nil }),
		effect.Handle(func(context.Context, unencodable) (int, error) { return 0, nil }),
	}
}

func (o *office) count(key string) int {
	o.Helper()
	s, err := o.runner.State(o.Context(), counter.ID(key))
	require.NoError(o, err)
	state, err := counter.State(s)
	require.NoError(o, err)
	return state.N
}

func (o *office) untilCount(key string, n int) {
	o.Helper()
	for o.count(key) != n {
		require.NoError(o, store.Sleep(o.Context(), time.Millisecond))
	}
}

func (o *office) untilID(id saga.ID, want func(saga.Snapshot) bool) saga.Snapshot {
	o.Helper()
	for {
		s, err := o.runner.State(o.Context(), id)
		require.NoError(o, err)
		if want(s) {
			return s
		}
		require.NoError(o, store.Sleep(o.Context(), time.Millisecond))
	}
}
