package resilience_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
)

// What a policy adds to a call that it lets through at once, over a bare handler
// and over a middleware that does nothing.
func BenchmarkOverhead(b *testing.B) {
	nothing := effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) { return next(ctx, request) }
	})
	retry := resilience.Retry(resilience.RetryConfig{})
	breaker := resilience.CircuitBreaker(resilience.BreakerConfig{})
	concurrency := resilience.Concurrency(64)
	rate := func() effect.HandlerOption { return resilience.RateLimit(1e9, time.Second) }

	cases := []struct {
		name    string
		options []effect.HandlerOption
	}{
		{"bare", nil},
		{"nothing", []effect.HandlerOption{nothing}},
		{"Timeout", []effect.HandlerOption{resilience.Timeout(time.Minute)}},
		{"Retry", []effect.HandlerOption{retry}},
		{"CircuitBreaker", []effect.HandlerOption{breaker}},
		{"Concurrency", []effect.HandlerOption{concurrency}},
		{"RateLimit", []effect.HandlerOption{rate()}},
		{"all", []effect.HandlerOption{resilience.Timeout(time.Minute), retry, concurrency, breaker, rate(), resilience.Timeout(time.Second)}},
	}
	for _, c := range cases {
		h := effect.Handle(func(context.Context, Charge) (string, error) { return "paid", nil }, c.options...)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			do := asker(h)
			for b.Loop() {
				_ = do(b.Context())
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				do := asker(h)
				for pb.Next() {
					_ = do(b.Context())
				}
			})
		})
	}
}

// What a refusal costs, when a service is down and every caller gets one.
func BenchmarkRefusal(b *testing.B) {
	down := effect.Handle(serve(fails(errReset)).Charge, resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 1, Delay: time.Hour}))
	full := effect.Handle(serve(takes(time.Hour)).Charge, resilience.Concurrency(1, resilience.MaxWait(0)))
	over := effect.Handle(serve(ok).Charge, resilience.RateLimit(1, time.Hour, resilience.MaxWait(0)))
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() { _, _ = ask(ctx, full, Charge{}) }()

	cases := []struct {
		name    string
		handler effect.Handler
	}{{"CircuitBreaker", down}, {"Concurrency", full}, {"RateLimit", over}}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			do := asker(c.handler)
			for do(b.Context()) == nil { // until it refuses
			}
			for b.Loop() {
				_ = do(b.Context())
			}
		})
	}
}

// asker is ask without its own costs.
func asker(h effect.Handler) func(context.Context) error {
	call := effect.Tree(effect.Do(Charge{Cents: 1}, same)).Call
	inside := effect.Inside(h)
	if inside.Err != nil {
		panic(inside.Err)
	}
	return func(ctx context.Context) error {
		r, _ := call.Then(call.Invoke(ctx, inside, nil))
		return r.Err
	}
}
