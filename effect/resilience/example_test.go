package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
)

// All policies in the order to start with. In these examples ask has a handler
// answer a request, as a store does.
func Example() {
	calls := 0
	charge := func(_ context.Context, c Charge) (string, error) {
		if calls++; calls < 3 {
			return "", errors.New("connection reset")
		}
		return fmt.Sprintf("receipt for %d cents", c.Cents), nil
	}
	handler := effect.Handle(charge,
		resilience.Timeout(10*time.Second), // the whole, waits included
		resilience.Retry(resilience.RetryConfig{Attempts: 4, Delay: time.Microsecond, MaxDelay: time.Second, Jitter: 0.2}),
		resilience.Concurrency(8),
		resilience.CircuitBreaker(resilience.BreakerConfig{Name: "gateway", Failures: 5, Delay: 10 * time.Second}),
		resilience.RateLimit(10_000, time.Second),
		resilience.Timeout(2*time.Second), // each attempt
	)

	receipt, err := ask(context.Background(), handler, Charge{Cents: 250})
	fmt.Println(receipt, err)
	fmt.Println(calls, "calls")
	// Output:
	// receipt for 250 cents <nil>
	// 3 calls
}

// One service behind several handlers has one circuit and one set of slots.
func Example_shared() {
	gateway := []effect.HandlerOption{
		resilience.Concurrency(8),
		resilience.CircuitBreaker(resilience.BreakerConfig{Name: "gateway", Failures: 2}),
	}
	charge := effect.Handle(func(context.Context, Charge) (string, error) {
		return "", errors.New("connection refused")
	}, gateway...)
	refund := effect.Handle(func(context.Context, Charge) (string, error) {
		return "refunded", nil
	}, gateway...)

	for range 2 {
		_, err := ask(context.Background(), charge, Charge{Cents: 250})
		fmt.Println("charge:", err)
	}
	_, err := ask(context.Background(), refund, Charge{Cents: 250})
	fmt.Println("refund:", err)
	// Output:
	// charge: connection refused
	// charge: connection refused
	// refund: circuit open: gateway
}

func ExampleTimeout() {
	charge := effect.Handle(func(ctx context.Context, _ Charge) (string, error) {
		<-ctx.Done() // a gateway that does not answer
		return "", fmt.Errorf("POST /charges: %w", ctx.Err())
	}, resilience.Timeout(time.Millisecond))

	_, err := ask(context.Background(), charge, Charge{Cents: 250})
	fmt.Println(err)
	fmt.Println(errors.Is(err, resilience.ErrTimeout), errors.Is(err, context.DeadlineExceeded))
	// Output:
	// handler timed out after 1ms: POST /charges: context deadline exceeded
	// true true
}

// What is worth another attempt is told by effect.Retryable: a connection that
// was reset is, a card that was declined is not.
func ExampleRetry() {
	answers := []error{
		errors.New("connection reset"),
		effect.Permanent(errors.New("card declined")),
	}
	calls := 0
	charge := effect.Handle(func(context.Context, Charge) (string, error) {
		calls++
		return "", answers[calls-1]
	}, resilience.Retry(resilience.RetryConfig{Attempts: 4, Delay: time.Microsecond}))

	_, err := ask(context.Background(), charge, Charge{Cents: 250})
	fmt.Println(err, "after", calls, "calls")
	// Output:
	// card declined after 2 calls
}

func ExampleCircuitBreaker() {
	calls := 0
	charge := effect.Handle(func(context.Context, Charge) (string, error) {
		calls++
		return "", errors.New("connection refused")
	}, resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 3, Delay: time.Minute}))

	var err error
	for range 1000 {
		_, err = ask(context.Background(), charge, Charge{Cents: 250})
	}
	fmt.Println(err)
	fmt.Println(calls, "calls")
	// Output:
	// circuit open
	// 3 calls
}

func ExampleConcurrency() {
	began, finish := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	charge := effect.Handle(func(context.Context, Charge) (string, error) {
		began <- true
		<-finish
		return "paid", nil
	}, resilience.Concurrency(2, resilience.MaxWait(0))) // without MaxWait the third would wait

	for range 2 {
		wg.Go(func() { _, _ = ask(context.Background(), charge, Charge{Cents: 250}) })
		<-began
	}
	_, err := ask(context.Background(), charge, Charge{Cents: 250})
	close(finish)
	wg.Wait()
	fmt.Println(err)
	fmt.Println(errors.Is(err, resilience.ErrConcurrencyLimit))
	// Output:
	// concurrency limit reached: 2 calls are running
	// true
}

func ExampleRateLimit() {
	charge := effect.Handle(func(context.Context, Charge) (string, error) {
		return "paid", nil
	}, resilience.RateLimit(24, 24*time.Hour, resilience.MaxWait(time.Minute)))

	for range 2 {
		fmt.Println(ask(context.Background(), charge, Charge{Cents: 250}))
	}
	// Output:
	// paid <nil>
	//  rate limit reached: 24 in 24h0m0s
}

func ExampleHooks() {
	hooks := resilience.Hooks{
		Retrying: func(_ context.Context, e resilience.RetryEvent) {
			fmt.Printf("%+v: attempt %d: %v, again in %v\n", e.Request, e.Attempt, e.Err, e.Delay)
		},
		GaveUp: func(_ context.Context, e resilience.RetryEvent) {
			fmt.Printf("%+v: attempt %d: %v, gave up\n", e.Request, e.Attempt, e.Err)
		},
		StateChanged: func(e resilience.StateEvent) {
			fmt.Printf("%s: %v, was %v\n", e.Breaker, e.To, e.From)
		},
	}
	charge := effect.Handle(func(context.Context, Charge) (string, error) {
		return "", errors.New("connection refused")
	},
		resilience.Retry(resilience.RetryConfig{Attempts: 3, Delay: time.Microsecond, Hooks: hooks}),
		resilience.CircuitBreaker(resilience.BreakerConfig{Name: "gateway", Failures: 3, Hooks: hooks}),
	)

	_, _ = ask(context.Background(), charge, Charge{Cents: 250})
	// Output:
	// {Cents:250}: attempt 1: connection refused, again in 1µs
	// {Cents:250}: attempt 2: connection refused, again in 2µs
	// gateway: open, was closed
	// {Cents:250}: attempt 3: connection refused, gave up
}

// A policy that makes no sense is refused with the handler it was given to.
func Example_badInput() {
	charge := effect.Handle(func(context.Context, Charge) (string, error) {
		return "paid", nil
	}, resilience.Retry(resilience.RetryConfig{Attempts: -1}))

	_, err := ask(context.Background(), charge, Charge{}) // store.New returns the same
	fmt.Println(err)
	// Output:
	// handler of resilience_test.Charge: resilience.Retry: RetryConfig.Attempts is -1, must be at least 1 (or 0 for 3)
}
