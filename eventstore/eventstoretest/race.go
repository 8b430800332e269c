package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed57833328/rondo/eventstore"
)

var raceTests = []subtest{
	{"one of many wins, the others conflict", oneWins},
	{"unguarded appends all succeed", unguardedRace},
	{"deciding again after conflicts loses nothing", decideAgain},
	{"appends that cross do not block each other", crossingAppends},
	{"appends of many streams are all or nothing", crossingGuarded},
	{"the same event is appended once", sameEventRace},
	{"the same claim is taken once", sameClaimRace},
}

// racers is how many goroutines race.
const racers = 12

// race runs f on many goroutines that begin together, and fails the test with
// the first error of one.
func (s *scene) race(f func(i int) error) {
	s.Helper()
	begin := make(chan struct{})
	var g errgroup.Group
	for i := range racers {
		g.Go(func() error {
			<-begin
			return f(i)
		})
	}
	close(begin)
	require.NoError(s, g.Wait())
}

func oneWins(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	const rounds = 8
	for round := range rounds {
		at := eventstore.Version(round)
		expected := eventstore.Exactly(at)
		if round == 0 {
			expected = eventstore.None
		}
		var mu sync.Mutex
		var won []uuid.UUID
		s.race(func(int) error {
			w := write(stream, expected, 1)
			done, err := s.Store.Append(ctx, w)
			var conflict *eventstore.ConflictError
			switch {
			case err == nil && done[0].Version == at+1:
				mu.Lock()
				defer mu.Unlock()
				won = append(won, w.Events[0].ID)
				return nil
			case err == nil:
				return fmt.Errorf("appended as version %d, expected %d to be there", done[0].Version, at)
			case !errors.As(err, &conflict):
				return fmt.Errorf("want an *eventstore.ConflictError, got a %T: %w", err, err)
			case conflict.Stream != stream || conflict.Expected != expected || conflict.Actual != at+1:
				return fmt.Errorf("want a conflict of %q at version %d, got %w", stream, at+1, err)
			}
			return nil
		})
		require.Len(s, won, 1, "winners of round %d", round)
		all := s.readStream(ctx, stream)
		require.Len(s, all, round+1)
		require.Equal(s, won[0], all[round].ID)
	}
}

func unguardedRace(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	const each = 8
	versions := make([][]eventstore.Version, racers)
	s.race(func(i int) error {
		for range each {
			done, err := s.Store.Append(ctx, write(stream, eventstore.Any, 2))
			if err != nil {
				return err
			}
			versions[i] = append(versions[i], done[0].Version-1, done[0].Version)
		}
		return nil
	})
	all := s.readStream(ctx, stream)
	s.ascending(all)
	s.requireVersion(ctx, stream, racers*each*2)
	got := slices.Sorted(slices.Values(slices.Concat(versions...)))
	require.Len(s, slices.Compact(got), racers*each*2, "versions that were handed out")
	for i := 0; i < len(all); i += 2 {
		require.Equal(s, all[i].At, all[i+1].At, "the events of a write stand together")
	}
}

func decideAgain(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	const each = 4
	s.race(func(int) error {
		version := eventstore.Version(0)
		for done := 0; done < each; {
			a, err := s.Store.Append(ctx, write(stream, eventstore.Exactly(version), 1))
			var conflict *eventstore.ConflictError
			switch {
			case err == nil:
				version, done = a[0].Version, done+1
			case !errors.As(err, &conflict):
				return fmt.Errorf("want an *eventstore.ConflictError, got a %T: %w", err, err)
			case conflict.Actual <= version:
				return fmt.Errorf("expected version %d, and is told that it is at %d", version, conflict.Actual)
			default:
				version = conflict.Actual
			}
		}
		return nil
	})
	s.requireVersion(ctx, stream, racers*each)
}

func crossingAppends(s *scene) {
	ctx := s.ctx()
	streams := []string{s.stream(), s.stream(), s.stream()}
	const each = 8
	head := headOf(ctx, s)
	s.race(func(i int) error {
		for k := range each {
			var writes []eventstore.Write
			for j := range streams {
				if i%2 == 0 {
					j = len(streams) - 1 - j
				}
				writes = append(writes, write(streams[(j+k)%len(streams)], eventstore.Any, 1))
			}
			if _, err := s.Store.Append(ctx, writes...); err != nil {
				return fmt.Errorf("append to streams in another order than others: %w", err)
			}
		}
		return nil
	})
	for _, stream := range streams {
		s.requireVersion(ctx, stream, racers*each)
	}
	s.ascending(s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{})))
}

func crossingGuarded(s *scene) {
	ctx := s.ctx()
	a, b := s.stream(), s.stream()
	s.race(func(i int) error {
		first, second := a, b
		if i%2 == 0 {
			first, second = b, a
		}
		for won := 0; won < 2; {
			at := map[string]eventstore.Version{}
			for _, stream := range []string{first, second} {
				version, err := versionOf(ctx, s.Store, stream)
				if err != nil {
					return err
				}
				at[stream] = version
			}
			_, err := s.Store.Append(ctx, write(first, eventstore.Exactly(at[first]), 1), write(second, eventstore.Exactly(at[second]), 1))
			switch {
			case err == nil:
				won++
			case !errors.As(err, new(*eventstore.ConflictError)):
				return fmt.Errorf("want an *eventstore.ConflictError, got a %T: %w", err, err)
			}
		}
		return nil
	})
	// A refused append that had done one of them would have left more.
	s.requireVersion(ctx, a, racers*2)
	s.requireVersion(ctx, b, racers*2)
}

func sameEventRace(s *scene) {
	ctx := s.ctx()
	for range 4 {
		streams := []string{s.stream(), s.stream()}
		same := event("held")
		wins := make([]int, racers)
		s.race(func(i int) error {
			stream := streams[i%2]
			_, err := s.Store.Append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{event("own"), same}})
			var duplicate *eventstore.DuplicateEventError
			switch {
			case err == nil:
				wins[i]++
			case !errors.As(err, &duplicate):
				return fmt.Errorf("want an *eventstore.DuplicateEventError, got a %T: %w", err, err)
			case duplicate.ID != same.ID || duplicate.Stream != stream:
				return fmt.Errorf("want a duplicate %s in %q, got %w", same.ID, stream, err)
			}
			return nil
		})
		require.Equal(s, 1, sum(wins), "appends of one event")
		require.Len(s, slices.Concat(s.readStream(ctx, streams[0]), s.readStream(ctx, streams[1])), 2)
	}
}

func sameClaimRace(s *scene) {
	if what := needs[eventstore.Claims]("eventstore.Claims")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	ctx, stream := s.ctx(), s.stream()
	for range 4 {
		key := s.unique()
		wins := make([]int, racers)
		results := make([]string, racers)
		s.race(func(i int) error {
			w := write(stream, eventstore.Any, 1)
			result := fmt.Sprint("result of ", i)
			w.Claim = &eventstore.Claim{Key: key, Hash: []byte{1}, Result: []byte(result), Until: time.Now().Add(time.Hour)}
			_, err := s.Store.Append(ctx, w)
			var claimed *eventstore.ClaimedError
			switch {
			case err == nil:
				wins[i], results[i] = 1, result
			case !errors.As(err, &claimed):
				return fmt.Errorf("want an *eventstore.ClaimedError, got a %T: %w", err, err)
			default:
				results[i] = string(claimed.Claim.Result)
			}
			return nil
		})
		require.Equal(s, 1, sum(wins), "appends with one claim")
		for i := range results {
			require.Equal(s, results[slices.Index(wins, 1)], results[i], "all are told the first one's result")
		}
	}
	s.requireVersion(ctx, stream, 4)
}

func versionOf(ctx context.Context, store eventstore.Store, stream string) (eventstore.Version, error) {
	all, err := collect(store.ReadStream(ctx, stream, 0))
	return eventstore.Version(len(all)), err
}

func sum(numbers []int) int {
	total := 0
	for _, n := range numbers {
		total += n
	}
	return total
}
