package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// leaseName is that of the lease which the process that runs a sale has.
const leaseName = "ticketing"

// leaseFor is how long it holds without being renewed: what has to be waited for
// after a process was killed.
var leaseFor = 3 * time.Second

// takenError is why a sale ends that another process has taken over.
type takenError struct{ held *eventstore.LeaseHeldError }

func (e takenError) Error() string {
	return fmt.Sprintf("another process has taken the sale over: %v", e.held)
}

// Retryable says that this is no verdict on what was to be written: the other
// process will do it.
func (takenError) Retryable() bool { return true }

// lease is the right to run the sale that is in a home. It is a home whose
// appends are refused while the right is not certain: a process that was stopped
// for long finds out what has become of it before it writes anything.
type lease struct {
	eventStore
	owner string
	lost  func(error)

	mu    sync.Mutex
	held  eventstore.Lease
	ends  time.Time // by this process's clock, at the earliest
	taken error     // why it is held no more

	quit    chan struct{}
	renewed sync.WaitGroup
}

// takeLease takes the lease, and renews it until it is given up. If the process
// that has it is there no more, it waits until its time is over, and says so to
// waiting. One that is there renews it, and is a *eventstore.LeaseHeldError. When
// the lease is lost later lost is called.
func takeLease(ctx context.Context, home eventStore, waiting func(*eventstore.LeaseHeldError), lost func(error)) (*lease, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	// The last part tells processes apart that have the same number, as those of
	// containers may.
	owner := fmt.Sprintf("process %d on %s (%04x)", os.Getpid(), host, rand.N(1<<16)) //nolint:gosec // a name
	l := &lease{eventStore: home, owner: owner, lost: lost, quit: make(chan struct{})}
	var first, held *eventstore.LeaseHeldError
	for err := l.acquire(ctx); err != nil; err = l.acquire(ctx) {
		switch {
		case !errors.As(err, &held):
			return nil, err
		case first == nil:
			first = held
			waiting(held)
		case !held.Expires.Equal(first.Expires):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(leaseFor / 10):
		}
	}
	l.renewed.Go(func() { l.renew(context.WithoutCancel(ctx)) })
	return l, nil
}

// acquire takes or renews the lease.
func (l *lease) acquire(ctx context.Context) error {
	began := time.Now()
	held, err := l.AcquireLease(ctx, leaseName, l.owner, leaseFor)
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.held, l.ends = held, began.Add(leaseFor)
	}
	return err
}

func (l *lease) renew(ctx context.Context) {
	for {
		select {
		case <-l.quit:
			return
		case <-time.After(leaseFor / 3):
		}
		// What cannot be reached now is asked again.
		var held *eventstore.LeaseHeldError
		if err := l.acquire(ctx); errors.As(err, &held) {
			l.mu.Lock()
			l.taken = takenError{held}
			l.mu.Unlock()
			l.lost(takenError{held})
			return
		}
	}
}

// giveUp lets another process have the lease.
func (l *lease) giveUp(ctx context.Context) error {
	close(l.quit)
	l.renewed.Wait()
	return l.ReleaseLease(context.WithoutCancel(ctx), l.held)
}

// Append appends to the home while the lease is held.
func (l *lease) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	l.mu.Lock()
	certain, taken := time.Now().Before(l.ends), l.taken
	l.mu.Unlock()
	switch {
	case taken != nil:
		return nil, taken
	case !certain:
		return nil, uncertainError{}
	}
	return l.eventStore.Append(ctx, writes...)
}

// uncertainError says that the lease has to be renewed first.
type uncertainError struct{}

func (uncertainError) Error() string { return "the lease of the sale has run out" }

// Retryable says that it will be renewed, or lost.
func (uncertainError) Retryable() bool { return true }
