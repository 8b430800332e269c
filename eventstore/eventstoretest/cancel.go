package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var cancelTests = []subtest{
	{"before each call", cancelledBefore},
	{"while a read goes on", cancelledRead},
	{"while appends go on", cancelledAppends},
}

func cancelledBefore(s *scene) {
	calls, untouched := s.calls()
	cancelled, cancel := context.WithCancel(s.ctx())
	cancel()
	late, cancel := context.WithDeadline(s.ctx(), time.Now().Add(-time.Second))
	defer cancel()
	for _, c := range calls {
		require.ErrorIs(s, c.do(cancelled), context.Canceled, "%s with a context that was cancelled", c.name)
		require.ErrorIs(s, c.do(late), context.DeadlineExceeded, "%s with a context whose time has run out", c.name)
		require.NotErrorAs(s, c.do(cancelled), new(*eventstore.UnknownOutcomeError), "%s: it is known that nothing was done", c.name)
	}
	untouched(s.ctx())
}

// cancelledRead cancels in the middle. A read may have had the rest already, but
// one that ends early must say so.
func cancelledRead(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	const n = 2_500
	all := s.fill(ctx, stream, n)
	for name, read := range map[string]func(context.Context) func(func(eventstore.Recorded, error) bool){
		"ReadStream": func(ctx context.Context) func(func(eventstore.Recorded, error) bool) {
			return s.Store.ReadStream(ctx, stream, 1)
		},
		"ReadAll": func(ctx context.Context) func(func(eventstore.Recorded, error) bool) {
			return s.Store.ReadAll(ctx, all[0].Position-1, eventstore.Filter{})
		},
	} {
		for _, after := range []int{1, 500, 1_000, n} {
			reading, cancel := context.WithCancel(ctx)
			got := 0
			var ended error
			for _, err := range read(reading) {
				if ended = err; err != nil {
					break
				}
				if got++; got == after {
					cancel()
				}
			}
			cancel()
			if ended == nil {
				require.Equal(s, n, got, "%s, cancelled after %d events, ended as if that was all", name, after)
			} else {
				require.ErrorIs(s, ended, context.Canceled, name)
			}
		}
	}
	s.requireVersion(ctx, stream, n)
}

// cancelledAppends cancels appends at any moment. Each must say what became of
// it: done, not done, or unknown.
func cancelledAppends(s *scene) {
	ctx, a, b := s.ctx(), s.stream(), s.stream()
	const each = 16
	appends := make([][]eventstore.Write, racers*each)
	outcomes := make([]error, racers*each)
	s.race(func(i int) error {
		random := rand.New(rand.NewPCG(3, uint64(i)))
		for k := range each {
			// From at once to about as long as an append takes.
			after, yields := time.Duration(random.IntN(1<<random.IntN(22))), random.IntN(20)
			appending, cancel := context.WithCancel(ctx)
			timer := time.AfterFunc(after, func() {
				for range yields {
					runtime.Gosched()
				}
				cancel()
			})
			n := i*each + k
			appends[n] = []eventstore.Write{write(a, eventstore.Any, 2), write(b, eventstore.Any, 1)}
			_, outcomes[n] = s.Store.Append(appending, appends[n]...)
			timer.Stop()
			cancel()
			var unknown *eventstore.UnknownOutcomeError
			switch err := outcomes[n]; {
			case err == nil:
			case errors.As(err, &unknown):
				if want := eventstore.IDs(appends[n]); fmt.Sprint(unknown.IDs) != fmt.Sprint(want) {
					return fmt.Errorf("unknown outcome of events %v, want %v", unknown.IDs, want)
				}
				if !eventstore.Retryable(err) {
					return fmt.Errorf("an append whose outcome is unknown is retryable: %w", err)
				}
			case !errors.Is(err, context.Canceled):
				return fmt.Errorf("append whose context was cancelled: %w", err)
			}
		}
		return nil
	})
	want := 0
	known := map[string]bool{} // by the id of an append's first event
	for i, writes := range appends {
		id := writes[0].Events[0].ID.String()
		known[id] = outcomes[i] == nil
		if errors.As(outcomes[i], new(*eventstore.UnknownOutcomeError)) {
			// Who does not know appends the same again.
			if _, err := s.Store.Append(ctx, writes...); err != nil {
				require.ErrorAs(s, err, new(*eventstore.DuplicateEventError))
			}
			known[id] = true
		}
		if known[id] {
			want++
		}
	}
	s.requireVersion(ctx, b, want)
	s.requireVersion(ctx, a, 2*want)
	for i, e := range s.readStream(ctx, a) {
		if i%2 == 0 {
			require.True(s, known[e.ID.String()], "an append that said it was not done has happened")
		}
	}
}
