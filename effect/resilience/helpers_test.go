package resilience_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

// Charge is the request of the tests. Its answer is a receipt.
type Charge struct{ Cents int }

func (Charge) Returns(string) {}

var (
	errReset    = errors.New("connection reset")
	errDeclined = errors.New("card declined")
)

// ask does what a store does with effect.Do: it has the handler answer q.
func ask(ctx context.Context, h effect.Handler, q Charge) (string, error) {
	return answer(ctx, h, effect.Do(q, same), nil)
}

// listen does what a store does with effect.Stream. It returns the values in
// the order in which they came, and the error of the end, io.EOF for none.
func listen(ctx context.Context, h effect.Handler, q Charge, also ...func(string) bool) ([]string, error) {
	var got []string
	_, err := answer(ctx, h, effect.Stream(q, same), func(r effect.Result[string]) bool {
		got = append(got, r.Value)
		for _, f := range also {
			if !f(r.Value) {
				return false
			}
		}
		return true
	})
	return got, err
}

func same(r effect.Result[string]) effect.Result[string] { return r }

func answer(ctx context.Context, h effect.Handler, e effect.Effect[effect.Result[string]], each func(effect.Result[string]) bool) (string, error) {
	inside := effect.Inside(h)
	if inside.Err != nil {
		return "", inside.Err
	}
	call := effect.Tree(e).Call
	last, _ := call.Then(call.Invoke(ctx, inside, func(o tree.Outcome) bool {
		r, _ := call.Then(o)
		return each(r)
	}))
	return last.Value, last.Err
}

// pass lets d pass in a synctest bubble, and what happens at its end happen.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble, where the clock is virtual
	synctest.Wait()
}

// invalid is what is wrong with an option, as store.New would say.
func invalid(o effect.HandlerOption) error {
	return effect.Inside(effect.Handle(func(context.Context, Charge) (string, error) { return "", nil }, o)).Err
}

// service is a scripted one: each call is answered by the next of its answers,
// the last of which stays.
type service struct {
	calls   atomic.Int32
	running atomic.Int32
	most    atomic.Int32 // that ran at once
	answers []func(context.Context) (string, error)
}

func serve(answers ...func(context.Context) (string, error)) *service {
	return &service{answers: answers}
}

func (s *service) Charge(ctx context.Context, _ Charge) (string, error) {
	n := int(s.calls.Add(1))
	now := s.running.Add(1)
	defer s.running.Add(-1)
	for {
		most := s.most.Load()
		if now <= most || s.most.CompareAndSwap(most, now) {
			break
		}
	}
	return s.answers[min(n, len(s.answers))-1](ctx)
}

// Prices is the same as a stream: the answer is a value, then the stream ends.
func (s *service) Prices(ctx context.Context, q Charge) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !yield("first", nil) {
			return
		}
		yield(s.Charge(ctx, q))
	}
}

func ok(context.Context) (string, error) { return "paid", nil }

func fails(err error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return "", err }
}

// takes answers when d has passed, or when its context ends.
func takes(d time.Duration) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		select {
		case <-time.After(d):
			return "paid", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// ignores answers when d has passed, whatever becomes of its context.
func ignores(d time.Duration, value string, err error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		<-time.After(d)
		return value, err
	}
}

func panics(v any) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { panic(v) }
}
