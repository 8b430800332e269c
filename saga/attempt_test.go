package saga_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// A handler's context, and whatever is made of it, ends when the handler returns or
// its time is over, whether somebody has asked for its end by then or not.
func TestHandlerContextEnds(t *testing.T) {
	t.Parallel()
	type key struct{}
	derive := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithCancel(context.WithValue(ctx, key{}, 1))
	}
	// Each is a handler's first attempt, and returns contexts that must have ended
	// when it has returned, and how long it may have taken.
	for name, attempt := range map[string]func(ctx context.Context) (ends []context.Context, took time.Duration){
		"returned, asked after": func(ctx context.Context) ([]context.Context, time.Duration) {
			return []context.Context{ctx}, 0
		},
		"returned, asked before": func(ctx context.Context) ([]context.Context, time.Duration) {
			derived, cancel := derive(ctx)
			_ = cancel // it ends without
			return []context.Context{ctx, derived}, 0
		},
		"too long, asked before": func(ctx context.Context) ([]context.Context, time.Duration) {
			derived, cancel := derive(ctx)
			defer cancel()
			<-derived.Done()
			return []context.Context{ctx}, 30 * time.Second
		},
		"too long, asked after": func(ctx context.Context) ([]context.Context, time.Duration) {
			<-time.After(31 * time.Second)
			derived, cancel := derive(ctx)
			defer cancel()
			<-derived.Done()
			return []context.Context{ctx}, 31 * time.Second
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var ends []context.Context
				attempts := 0
				handlers := quiet(false)
				handlers[0] = effect.Handle(func(ctx context.Context, _ HoldSeats) ([]string, error) {
					if attempts++; attempts == 1 {
						began := time.Now()
						var took time.Duration
						ends, took = attempt(ctx)
						if time.Since(began) != took {
							t.Errorf("it took %v, want %v", time.Since(began), took)
						}
					}
					return []string{"A1"}, nil
				})
				o := open(t, newHome(), nil, saga.Config{Handlers: handlers})
				o.start("ann")
				require.Equal(t, saga.Completed, o.wait("ann").Status)
				require.Equal(t, 1, attempts, "a result that comes too late is one")
				for _, ctx := range ends {
					<-ctx.Done()
					require.ErrorIs(t, ctx.Err(), context.Canceled)
				}
			})
		})
	}
}

// deaf is a machine on which the time of an attempt goes by though it was stopped, as
// one's does that had gone by just then.
type deaf struct{ store.Runtime }

func (d deaf) AfterFunc(wait time.Duration, f func()) store.Timer {
	timer := d.Runtime.AfterFunc(wait, f)
	if wait == 30*time.Second {
		return deafTimer{timer}
	}
	return timer
}

type deafTimer struct{ store.Timer }

func (deafTimer) Stop() bool { return false }

// An attempt that was made in time is not taken to be overdue, nor is another of its
// number that an operator has asked for.
func TestAttemptInTimeIsNotOverdue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		confirmed := 0
		h.set(func(_ context.Context, request, _ string, _ int) error {
			if request != "confirm" { // past the pivot: it must be done
				return nil
			}
			if confirmed++; confirmed == 1 {
				return effect.Permanent(errDeclined)
			}
			<-time.After(25 * time.Second)
			return nil
		}, nil)
		o := open(t, newHome(), h, saga.Config{Runtime: deaf{store.RuntimeOf(t.Context())}})
		o.start("ann")
		o.until("ann", func(s saga.Snapshot) bool { return s.Status == saga.Stuck })
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		_, err := o.runner.Retry(t.Context(), Reservation.ID("ann"), by)
		require.NoError(t, err)
		require.Equal(t, saga.Completed, o.wait("ann").Status)
		require.Equal(t, 2, confirmed)
	})
}
