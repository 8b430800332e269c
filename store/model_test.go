package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// A program is several senders' actions with random effects. Whatever the
// order, each action counts once: that is the model.

// step is an action of a program: it counts n for its program's op.
type step struct {
	op, n int
	fx    []effect.Effect[step]
}

type tally struct {
	byOp  map[int]int
	steps int
}

func count1(s *tally, a step, _ reducer.Env) effect.Effect[step] {
	s.byOp[a.op] += a.n
	s.steps++
	var fx effect.Of[step]
	return fx.All(a.fx...)
}

type (
	tallyStore = store.Store[tally, step]
	// work is a request; it fails as often as Fails says.
	work struct{ ID, Fails int }
	// forward is a request to send an action to another store.
	forward struct {
		To     int
		Action *step
	}
	// feed is a request for a stream.
	feed struct{ Values int }
)

func (work) Returns(int)         {}
func (forward) Returns(struct{}) {}
func (feed) Returns(int)         {}

// plan makes random actions, and knows what they come to.
type plan struct {
	t      *rapid.T
	op     int
	stores int
	sum    int
	steps  int
	ids    int
}

var fxs effect.Of[step]

func (p *plan) number(most int, what string) int { return rapid.IntRange(0, most).Draw(p.t, what) }

func (p *plan) step(depth int) step {
	a := step{op: p.op, n: p.number(9, "n")}
	p.sum += a.n
	p.steps++
	if depth > 0 {
		for range p.number(3, "effects") {
			a.fx = append(a.fx, p.effect(depth-1))
		}
	}
	return a
}

func (p *plan) effect(depth int) effect.Effect[step] {
	p.ids++
	id := fmt.Sprint(p.op, "/", p.ids)
	delay := time.Duration(p.number(50, "µs")) * time.Microsecond
	switch p.number(9, "kind") {
	case 0:
		return fxs.Send(p.step(depth))
	case 1:
		return fxs.After(id, delay, p.step(depth))
	case 2:
		a := p.step(depth)
		return effect.Do(work{ID: p.op*1000 + p.ids}, func(effect.Result[int]) step { return a }, effect.Key(p.op%2, effect.Queue))
	case 3:
		a := p.step(depth)
		retry := effect.RetryPolicy{Attempts: 4, Delay: time.Microsecond}
		return effect.Do(work{ID: p.op*1000 + p.ids, Fails: p.number(3, "fails")}, func(r effect.Result[int]) step {
			if r.Err != nil {
				return step{op: a.op, n: -1000}
			}
			return a
		}, effect.Retry(retry))
	case 4:
		a := p.step(depth)
		return fxs.Run("run", func(context.Context) step { return a }, effect.Key("run", effect.Every))
	case 5:
		a := p.step(depth)
		return effect.Fire[step](forward{To: p.number(p.stores-1, "to"), Action: &a})
	case 6:
		return fxs.Sequence(p.effects(depth)...)
	case 7:
		return fxs.All(p.effects(depth)...)
	case 8:
		values := p.number(4, "values")
		end := p.step(depth)
		p.sum += values * (values + 1) / 2
		p.steps += values
		return effect.Stream(feed{values}, func(r effect.Result[int]) step {
			if r.Err != nil {
				return end
			}
			return step{op: end.op, n: r.Value}
		})
	}
	resumed := p.step(depth)
	p.steps++
	return fxs.All(fxs.Hold(id), fxs.After(nil, delay, step{fx: []effect.Effect[step]{fxs.Resume(id, resumed)}}))
}

func (p *plan) effects(depth int) (list []effect.Effect[step]) {
	for range p.number(3, "group") {
		if depth > 0 {
			list = append(list, p.effect(depth-1))
		}
	}
	return list
}

// program is what each of several senders does.
type program struct {
	stores, mailbox, workers int
	ops                      [][]op // by sender
	steps                    int
}

type op struct {
	id, to, how, sum int
	action           step
}

func drawProgram(t *rapid.T) program {
	p := program{
		stores:  rapid.IntRange(1, 3).Draw(t, "stores"),
		mailbox: rapid.IntRange(1, 4).Draw(t, "mailbox"),
		workers: rapid.IntRange(1, 4).Draw(t, "workers"),
	}
	id := 0
	for range rapid.IntRange(1, 4).Draw(t, "senders") {
		var ops []op
		for range rapid.IntRange(1, 5).Draw(t, "ops") {
			id++
			plan := plan{t: t, op: id, stores: p.stores}
			o := op{id: id, to: plan.number(p.stores-1, "store"), how: plan.number(3, "how"), action: plan.step(3)}
			o.sum = plan.sum
			p.steps += plan.steps
			ops = append(ops, o)
		}
		p.ops = append(p.ops, ops)
	}
	return p
}

// run runs the program and returns what is wrong.
func (p program) run(ctx context.Context, rt store.Runtime, spawn func(func()), join func()) error {
	stores := make([]*tallyStore, p.stores)
	var mu sync.Mutex
	failed := map[work]int{}
	handlers := []effect.Handler{
		effect.Handle(func(_ context.Context, w work) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			if failed[w]++; failed[w]%(w.Fails+1) != 0 {
				return 0, errors.New("flaky")
			}
			return w.ID, nil
		}),
		effect.Handle(func(ctx context.Context, f forward) (struct{}, error) {
			return struct{}{}, stores[f.To].Send(ctx, *f.Action)
		}),
		effect.HandleStream(func(_ context.Context, f feed) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := 1; n <= f.Values && yield(n, nil); n++ {
				}
			}
		}),
	}
	for i := range stores {
		s, err := store.New(tally{byOp: map[int]int{}}, reducer.Func[tally, step](count1),
			store.Config{Runtime: rt, Mailbox: p.mailbox, Workers: p.workers, Handlers: handlers})
		if err != nil {
			return err
		}
		stores[i] = s
	}
	total := func(op int) (n int) {
		for _, s := range stores {
			n += store.View(s, func(t *tally) int { return t.byOp[op] })
		}
		return n
	}
	var errs []error
	for _, ops := range p.ops {
		spawn(func() {
			for _, o := range ops {
				var err error
				switch s := stores[o.to]; o.how {
				case 0:
					err = s.Send(ctx, o.action)
				case 1:
					_, err = store.Ask(ctx, s, o.action, func(a step) (int, bool) { return a.n, a.op == o.id })
				default:
					if err = s.SendAndSettle(ctx, o.action); err == nil {
						if got := total(o.id); got != o.sum {
							err = fmt.Errorf("op %d has settled at %d, want %d", o.id, got, o.sum)
						}
					}
				}
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	join()
	// What is forwarded must not find its store shut down, so all is waited for.
	steps := func() (n int) {
		for _, s := range stores {
			n += store.View(s, func(t *tally) int { return t.steps })
		}
		return n
	}
	for tries := 0; steps() < p.steps && tries < 10_000; tries++ {
		if err := store.Sleep(ctx, 10*time.Microsecond); err != nil {
			return err
		}
	}
	for _, ops := range p.ops {
		for _, o := range ops {
			if got := total(o.id); got != o.sum {
				errs = append(errs, fmt.Errorf("op %d came to %d, want %d", o.id, got, o.sum))
			}
		}
	}
	for _, s := range stores {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, err)
		}
		for _, d := range s.DeadLetters() {
			errs = append(errs, fmt.Errorf("dead letter: %w", d.Err))
		}
	}
	if got := steps(); got != p.steps {
		errs = append(errs, fmt.Errorf("%d steps, want %d", got, p.steps))
	}
	return errors.Join(errs...)
}

func TestRandomProgramsCountLikeTheModel(t *testing.T) {
	t.Parallel()
	t.Run("live", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) {
			p := drawProgram(rt)
			var wg sync.WaitGroup
			ctx, cancel := context.WithTimeout(background, 20*time.Second)
			defer cancel()
			require.NoError(rt, p.run(ctx, nil, wg.Go, wg.Wait))
		})
	})
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) {
			p := drawProgram(rt)
			seed := rapid.Uint64().Draw(rt, "seed")
			var wrong error
			err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
				left := len(p.ops)
				all := rt.NewSignal()
				wrong = p.run(ctx, rt, func(f func()) {
					rt.Go(func() {
						f()
						if left--; left == 0 {
							all.Fire()
						}
					})
				}, func() { _ = all.Wait(ctx) })
			})
			require.NoError(rt, err)
			require.NoError(rt, wrong)
		})
	})
}
