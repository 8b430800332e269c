package benchmarks

import (
	"context"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// rondo's defaults: a mailbox of 128 whose senders wait for room, requests on
// a pool. It alone carries metadata with every action and its causes, and can
// cancel, observe and be asked what is under way; none of it is switched off,
// for it cannot be.
type rondo struct{ store *store.Store[state, action] }

type double struct{ N int }

func (double) Returns(int) {}

var fx effect.Of[action]

func reduce(s *state, a action, _ reducer.Env) effect.Effect[action] {
	switch s.step(a) {
	case nothing:
	case feedback:
		return fx.Send(inc{})
	case request:
		return effect.Do(double{s.n}, onDoubled)
	case respond:
		return fx.Send(answer{s.n})
	}
	return fx.None()
}

func onDoubled(r effect.Result[int]) action {
	must(r.Err)
	return got{r.Value}
}

var rondoConfig = store.Config{
	Handlers: []effect.Handler{
		effect.Handle(func(_ context.Context, q double) (int, error) { return work(q.N), nil }),
	},
}

func newRondo(s state) loop {
	st, err := store.New(s, reducer.Func[state, action](reduce), rondoConfig)
	must(err)
	return rondo{st}
}

// The senders of the peers have no context, so these have the empty one.
func (r rondo) repeat(n int, a action) { r.repeatContext(context.Background(), n, a) }

func (r rondo) repeatContext(ctx context.Context, n int, a action) {
	for range n {
		must(r.store.Send(ctx, a))
	}
}

// The answer is an action, as a reducer gives it, and is matched by what caused
// it.
func (r rondo) ask(n int) (last int) {
	for range n {
		v, err := store.Ask(context.Background(), r.store, action(question{}), func(a action) (int, bool) {
			answer, ok := a.(answer)
			return answer.N, ok
		})
		must(err)
		last = v
	}
	return last
}

func (r rondo) stop() int {
	must(r.store.Shutdown(context.Background()))
	return store.View(r.store, func(s *state) int { return s.n })
}

// Stores are made on first use, and could be passivated when idle; the peers'
// are all made beforehand and found in a map that nobody changes.
type rondoKeyed struct {
	stores *store.Keyed[int, state, action]
}

func newRondoKeyed(initial func(key int) state) keyedLoop {
	k, err := store.NewKeyed(initial, reducer.Func[state, action](reduce), store.KeyedConfig[int, state]{Config: rondoConfig})
	must(err)
	return rondoKeyed{k}
}

func (r rondoKeyed) walk(key, n int, a action) {
	ctx := context.Background()
	for range n {
		must(r.stores.Send(ctx, key, a))
		key = following(key)
	}
}

func (r rondoKeyed) stop() (sum int) {
	r.stores.Range(func(_ int, s *state) bool { sum += s.n; return true })
	must(r.stores.Shutdown(context.Background()))
	return sum
}
