package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
)

// patient is a service under a breaker: each call is told how to end.
type patient struct {
	t       *testing.T
	handler effect.Handler
	next    func(context.Context) (string, error)
	calls   int
	events  []string
}

func newPatient(t *testing.T, cfg resilience.BreakerConfig) *patient {
	t.Helper()
	p := &patient{t: t}
	cfg.Hooks.StateChanged = func(e resilience.StateEvent) {
		p.events = append(p.events, fmt.Sprintf("%v→%v", e.From, e.To))
	}
	p.handler = effect.Handle(func(ctx context.Context, _ Charge) (string, error) {
		p.calls++
		return p.next(ctx)
	}, resilience.CircuitBreaker(cfg))
	return p
}

func (p *patient) call(ctx context.Context, end func(context.Context) (string, error)) error {
	p.t.Helper()
	p.next = end
	_, err := ask(ctx, p.handler, Charge{})
	return err
}

func (p *patient) times(n int, end func(context.Context) (string, error)) {
	p.t.Helper()
	for range n {
		require.NotErrorIs(p.t, p.call(p.t.Context(), end), resilience.ErrCircuitOpen)
	}
}

func (p *patient) isOpen() {
	p.t.Helper()
	before := p.calls
	require.ErrorIs(p.t, p.call(p.t.Context(), ok), resilience.ErrCircuitOpen)
	require.Equal(p.t, before, p.calls, "a refused call does not reach the handler")
}

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, resilience.BreakerConfig{})
		p.times(4, fails(errReset))
		p.times(1, ok)
		p.times(4, fails(errReset))
		require.Empty(t, p.events)
		p.times(1, fails(errReset))
		p.isOpen()
		pass(10*time.Second - 1)
		p.isOpen()
		pass(1)
		p.times(1, ok)
		p.times(4, fails(errReset))
		require.Equal(t, []string{"closed→open", "open→half-open", "half-open→closed"}, p.events)
	})
}

func TestBreakerOpensByRatio(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, resilience.BreakerConfig{Failures: 3, Of: 10})
		for range 10 { // two in ten, however long
			p.times(1, fails(errReset))
			p.times(4, ok)
		}
		p.times(1, fails(errReset))
		p.times(1, ok)
		p.times(1, fails(errReset))
		p.isOpen()
	})
}

func TestBreakerOpensByTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, resilience.BreakerConfig{Failures: 3, Within: time.Minute})
		for range 10 { // two in a minute, however long
			p.times(1, fails(errReset))
			p.times(100, ok)
			pass(31 * time.Second)
		}
		p.times(1, fails(errReset))
		p.times(100, ok)
		p.times(1, fails(errReset))
		p.isOpen()
	})
}

func TestBreakerProbes(t *testing.T) {
	t.Parallel()
	cfg := resilience.BreakerConfig{Failures: 1, Delay: time.Second, Probes: 2}
	tests := []struct {
		name   string
		probes []func(context.Context) (string, error)
		then   string
	}{
		{"all succeed", []func(context.Context) (string, error){ok, ok}, "half-open→closed"},
		{"the first fails", []func(context.Context) (string, error){fails(errReset)}, "half-open→open"},
		{"the second fails", []func(context.Context) (string, error){ok, fails(errReset)}, "half-open→open"},
		{"one panics", []func(context.Context) (string, error){panics("boom")}, "half-open→open"},
		{"one exits", []func(context.Context) (string, error){func(context.Context) (string, error) { runtime.Goexit(); return "", nil }}, "half-open→open"},
		{"the service declines", []func(context.Context) (string, error){fails(effect.Permanent(errDeclined)), ok}, "half-open→closed"},
		{"one says nothing", []func(context.Context) (string, error){fails(context.Canceled)}, "half-open→open"},
		{"one is refused further in", []func(context.Context) (string, error){fails(resilience.ErrConcurrencyLimit)}, "half-open→open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPatient(t, cfg)
				p.times(1, fails(errReset))
				for range 3 { // a permit that is lost would show in the end
					pass(time.Second)
					p.events = nil
					for _, probe := range test.probes {
						done := make(chan struct{})
						go func() { // for the one that exits
							defer close(done)
							_ = p.call(t.Context(), probe)
						}()
						<-done
					}
					require.Equal(t, []string{"open→half-open", test.then}, p.events)
					if test.then == "half-open→closed" {
						p.times(1, fails(errReset))
					}
					p.isOpen()
				}
			})
		})
	}
}

func TestBreakerLetsNoMoreThanItsProbesThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(fails(errReset), takes(time.Second))
		h := effect.Handle(s.Charge, resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 1, Delay: time.Second, Probes: 3}))
		_, err := ask(t.Context(), h, Charge{})
		require.ErrorIs(t, err, errReset)
		pass(time.Second)

		var wg sync.WaitGroup
		var mu sync.Mutex
		open := 0
		for range 10 {
			wg.Go(func() {
				if _, err := ask(t.Context(), h, Charge{}); errors.Is(err, resilience.ErrCircuitOpen) {
					mu.Lock()
					defer mu.Unlock()
					open++
				}
			})
		}
		wg.Wait()
		require.Equal(t, 7, open)
		require.EqualValues(t, 3, s.most.Load())
		_, err = ask(t.Context(), h, Charge{})
		require.NoError(t, err, "it has closed")
	})
}

// What a call says of the service: whether one of its kind opens a circuit that
// opens at the first failure.
func TestBreakerJudges(t *testing.T) {
	t.Parallel()
	declinedCounts := func(err error) bool { return errors.Is(err, errDeclined) }
	cancelled := func(t *testing.T) context.Context {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		return ctx
	}
	deadline := func(t *testing.T) context.Context {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	tests := []struct {
		name  string
		ctx   func(*testing.T) context.Context
		end   func(context.Context) (string, error)
		If    func(error) bool
		opens bool
	}{
		{name: "success", end: ok},
		{name: "an error", end: fails(errReset), opens: true},
		{name: "a panic", end: panics("boom"), opens: true},
		{name: "a permanent error", end: fails(effect.Permanent(errDeclined))},
		{name: "a permanent error that counts", end: fails(effect.Permanent(errDeclined)), If: declinedCounts, opens: true},
		{name: "an error that does not count", end: fails(errReset), If: declinedCounts},
		{name: "a timeout further in", end: fails(resilience.ErrTimeout), opens: true},
		{name: "a refusal by a bulkhead further in", end: fails(resilience.ErrConcurrencyLimit)},
		{name: "a refusal by a limiter further in", end: fails(resilience.ErrRateLimited)},
		{name: "a refusal by a breaker further in", end: fails(resilience.ErrCircuitOpen)},
		{name: "a cancellation of the handler's own making", end: fails(context.Canceled)},
		{name: "the caller gave up", ctx: cancelled, end: takes(time.Minute)},
		{name: "the caller gave up and then it failed", ctx: cancelled, end: ignores(time.Minute, "", errReset)},
		{name: "the deadline passed", ctx: deadline, end: takes(time.Minute), opens: true},
		{name: "the deadline passed and the handler said it was cancelled", ctx: deadline, opens: true, end: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", context.Canceled
		}},
		{name: "the deadline passed and the card was declined", ctx: deadline, end: ignores(time.Minute, "", effect.Permanent(errDeclined))},
		{name: "the deadline passed and it succeeded", ctx: deadline, end: ignores(time.Minute, "paid", nil)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPatient(t, resilience.BreakerConfig{Failures: 1, Delay: time.Hour, If: test.If})
				ctx := t.Context()
				if test.ctx != nil {
					ctx = test.ctx(t)
				}
				_ = p.call(ctx, test.end)
				if test.opens {
					p.isOpen()
				} else {
					p.times(1, ok)
				}
			})
		})
	}
}

func TestBreakerSeesAnOuterTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(takes(time.Minute))
		h := effect.Handle(s.Charge,
			resilience.Timeout(time.Second),
			resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 1}))
		_, err := ask(t.Context(), h, Charge{})
		require.ErrorIs(t, err, resilience.ErrTimeout)
		_, err = ask(t.Context(), h, Charge{})
		require.ErrorIs(t, err, resilience.ErrCircuitOpen)
	})
}

func TestBreakerForgetsCallsOfAnEarlierState(t *testing.T) {
	t.Parallel()
	// A call that began while the circuit was closed ends while a probe is out.
	for _, late := range []error{nil, errReset, context.Canceled} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := serve(ignores(3*time.Second, "", late), fails(errReset), ignores(2*time.Second, "paid", nil), ok)
				var mu sync.Mutex
				var events []resilience.StateEvent
				h := effect.Handle(s.Charge, resilience.CircuitBreaker(resilience.BreakerConfig{
					Failures: 1, Delay: 2 * time.Second,
					Hooks: resilience.Hooks{StateChanged: func(e resilience.StateEvent) {
						mu.Lock()
						defer mu.Unlock()
						events = append(events, e)
					}},
				}))
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = ask(t.Context(), h, Charge{}) })
				synctest.Wait()
				_, _ = ask(t.Context(), h, Charge{})
				pass(2 * time.Second)
				wg.Go(func() { _, _ = ask(t.Context(), h, Charge{}) }) // the probe, from 2 s to 4 s
				pass(1500 * time.Millisecond)
				mu.Lock()
				require.Len(t, events, 2, "half open still")
				mu.Unlock()
				_, err := ask(t.Context(), h, Charge{})
				require.ErrorIs(t, err, resilience.ErrCircuitOpen, "and its one probe is out")
				wg.Wait()
				require.Len(t, events, 3)
				require.Equal(t, resilience.Closed, events[2].To)
			})
		})
	}
}

func TestBreakerJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		p := newPatient(t, resilience.BreakerConfig{Failures: 1, Delay: time.Second, Jitter: 0.2})
		p.times(1, fails(errReset))
		for range 20 {
			opened := time.Now()
			for errors.Is(p.call(t.Context(), fails(errReset)), resilience.ErrCircuitOpen) {
				pass(time.Millisecond)
			}
			d := time.Since(opened)
			require.InDelta(t, time.Second, d, float64(201*time.Millisecond))
			seen[d] = true
		}
		require.Greater(t, len(seen), 5)
	})
}

func TestBreakerErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, text := range map[string]string{"": "circuit open", "gateway": "circuit open: gateway"} {
			p := newPatient(t, resilience.BreakerConfig{Name: name, Failures: 1})
			p.times(1, fails(errReset))
			err := p.call(t.Context(), ok)
			require.EqualError(t, err, text)
			require.ErrorIs(t, err, resilience.ErrCircuitOpen)
			require.ErrorIs(t, err, circuitbreaker.ErrOpen)
			require.True(t, effect.Retryable(err))
		}
	})
}

func TestBreakerHooks(t *testing.T) {
	t.Parallel()

	t.Run("may call the handler", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var h effect.Handler
			var states []resilience.State
			hooks := resilience.Hooks{StateChanged: func(e resilience.StateEvent) {
				require.Equal(t, "gateway", e.Breaker)
				states = append(states, e.To)
				_, _ = ask(t.Context(), h, Charge{})
			}}
			h = effect.Handle(serve(fails(errReset)).Charge, resilience.CircuitBreaker(resilience.BreakerConfig{Name: "gateway", Failures: 1, Hooks: hooks}))
			_, _ = ask(t.Context(), h, Charge{})
			require.Equal(t, []resilience.State{resilience.Open}, states)
		})
	})

	t.Run("that panic are the call's panic and break nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var states []resilience.State
			hooks := resilience.Hooks{StateChanged: func(e resilience.StateEvent) {
				states = append(states, e.To)
				panic("hook")
			}}
			s := serve(fails(errReset), ok)
			h := effect.Handle(s.Charge, resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 1, Delay: time.Second, Hooks: hooks}))
			var panicked *effect.PanicError
			_, err := ask(t.Context(), h, Charge{})
			require.ErrorAs(t, err, &panicked)
			_, err = ask(t.Context(), h, Charge{})
			require.ErrorIs(t, err, resilience.ErrCircuitOpen)
			pass(time.Second)
			_, err = ask(t.Context(), h, Charge{})
			require.ErrorAs(t, err, &panicked, "the probe's call is told that it is one, so it panics")
			pass(time.Second)
			require.EqualValues(t, 1, s.calls.Load())
			require.Equal(t, []resilience.State{resilience.Open, resilience.HalfOpen, resilience.Open}, states)
		})
	})

	t.Run("come in order, one at a time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			last, busy, n := resilience.Closed, false, 0
			hooks := resilience.Hooks{StateChanged: func(e resilience.StateEvent) {
				mu.Lock()
				require.False(t, busy)
				busy = true
				require.Equal(t, last, e.From)
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				busy, last = false, e.To
				n++
				mu.Unlock()
			}}
			h := effect.Handle(func(_ context.Context, q Charge) (string, error) {
				if q.Cents%3 == 0 {
					return "", errReset
				}
				return "paid", nil
			}, resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 1, Delay: time.Millisecond, Hooks: hooks}))
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 300 {
						_, _ = ask(t.Context(), h, Charge{Cents: g + i})
						if i%10 == 0 {
							<-time.After(time.Millisecond)
						}
					}
				})
			}
			wg.Wait()
			require.Positive(t, n)
		})
	})
}

func TestBreakerUnderLoad(t *testing.T) {
	t.Parallel() // for the race detector; nothing but the outcome's sanity is asserted
	s := serve(ok)
	h := effect.Handle(func(ctx context.Context, q Charge) (string, error) {
		switch q.Cents % 7 {
		case 0:
			return "", errReset
		case 1:
			panic("boom")
		case 2:
			return "", context.Canceled
		}
		return s.Charge(ctx, q)
	}, resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 1, Delay: time.Nanosecond}))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				_, _ = ask(t.Context(), h, Charge{Cents: g * i})
			}
		})
	}
	wg.Wait()
	for range 3 { // whatever state it was left in, it comes back
		_, _ = ask(t.Context(), h, Charge{Cents: 3})
	}
	_, err := ask(t.Context(), h, Charge{Cents: 3})
	require.NoError(t, err)
}

func TestBreakerOfAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := resilience.BreakerConfig{Failures: 1}
		h := effect.HandleStream(serve(fails(errReset)).Prices, resilience.CircuitBreaker(cfg))
		got, err := listen(t.Context(), h, Charge{})
		require.Equal(t, []string{"first"}, got)
		require.ErrorIs(t, err, errReset)
		got, err = listen(t.Context(), h, Charge{})
		require.Empty(t, got)
		require.ErrorIs(t, err, resilience.ErrCircuitOpen)

		h = effect.HandleStream(serve(ok).Prices, resilience.CircuitBreaker(cfg))
		for range 2 {
			ctx, cancel := context.WithCancelCause(t.Context())
			got, err = listen(ctx, h, Charge{}, func(string) bool {
				cancel(errors.New("enough"))
				return false
			})
			require.Equal(t, []string{"first"}, got, "stopping early is no failure")
			require.Error(t, err)
		}
	})
}

func TestBreakerRefusesBadInput(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cfg  resilience.BreakerConfig
		want string // empty is good
	}{
		{resilience.BreakerConfig{}, ""},
		{resilience.BreakerConfig{Failures: 1, Of: 1, Delay: 1, Jitter: 1, Probes: 1}, ""},
		{resilience.BreakerConfig{Within: time.Millisecond}, ""},
		{resilience.BreakerConfig{Failures: -1}, "BreakerConfig.Failures is -1, must be at least 1 (or 0 for 5)"},
		{resilience.BreakerConfig{Of: -1}, "BreakerConfig.Of is -1, must be at least Failures, which is 5 (or 0 for failures in a row)"},
		{resilience.BreakerConfig{Of: 4}, "BreakerConfig.Of is 4, must be at least Failures, which is 5 (or 0 for failures in a row)"},
		{resilience.BreakerConfig{Within: -1}, "BreakerConfig.Within is -1ns, must be at least 1ms (or 0 for failures in a row)"},
		{resilience.BreakerConfig{Within: 5}, "BreakerConfig.Within is 5ns, must be at least 1ms (or 0 for failures in a row)"},
		{resilience.BreakerConfig{Of: 9, Within: time.Second}, "BreakerConfig.Of is 9 and Within 1s, must not be given together"},
		{resilience.BreakerConfig{Delay: -1}, "BreakerConfig.Delay is -1ns, must be positive (or 0 for 10s)"},
		{resilience.BreakerConfig{Jitter: -1}, "BreakerConfig.Jitter is -1, must be from 0 to 1"},
		{resilience.BreakerConfig{Jitter: 2}, "BreakerConfig.Jitter is 2, must be from 0 to 1"},
		{resilience.BreakerConfig{Jitter: math.NaN()}, "BreakerConfig.Jitter is NaN, must be from 0 to 1"},
		{resilience.BreakerConfig{Probes: -1}, "BreakerConfig.Probes is -1, must be at least 1 (or 0 for 1)"},
	}
	for _, test := range tests {
		err := invalid(resilience.CircuitBreaker(test.cfg))
		if test.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, "handler of resilience_test.Charge: resilience.CircuitBreaker: "+test.want)
	}
}

func TestStateString(t *testing.T) {
	t.Parallel()
	require.Equal(t, "closed open half-open unknown", fmt.Sprint(resilience.Closed, resilience.Open, resilience.HalfOpen, resilience.State(9)))
}
