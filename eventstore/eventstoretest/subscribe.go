package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed57833328/rondo/eventstore"
)

var subscribeTests = []subtest{
	{"catches up, then goes live", subscribeGoesLive},
	{"from a position", subscribeFromPosition},
	{"filters", subscribeFiltered},
	{"many writers, many subscriptions", subscribeManyWriters},
	{"appends from within", subscribeAppends},
	{"all that wait are woken", subscribeAllWoken},
	{"one that is slow holds up nobody", subscribeSlow},
	{"ranged over again", subscribeAgain},
	{"ends with its context", subscribeEnds},
}

// take returns the first n events of a subscription.
func (s *scene) take(events iter.Seq2[eventstore.Recorded, error], n int) []eventstore.Recorded {
	s.Helper()
	got, err := pages(events, n)()
	require.NoError(s, err, "after %d of %d events", len(got), n)
	return got
}

// background runs f on a goroutine of its own; wait returns its error.
func background(f func() error) (wait func() error) {
	var g errgroup.Group
	g.Go(f)
	return g.Wait
}

func subscribeGoesLive(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	head := headOf(ctx, s)
	want := s.fill(ctx, stream, 700)
	seen := make(chan eventstore.Recorded)
	live, cancel := context.WithCancel(ctx)
	wait := background(func() error {
		defer close(seen)
		for e, err := range s.Store.Subscribe(live, head, eventstore.Filter{}) {
			if err != nil {
				return err
			}
			seen <- e
		}
		return nil
	})
	for i := range want {
		require.Equal(s, plain(want[i]), plain(s.receive(seen)))
	}
	for i := range 20 {
		for _, e := range s.append(ctx, write(stream, eventstore.Any, 1+i%3))[0].Events {
			require.Equal(s, plain(e), plain(s.receive(seen)), "appended while the subscription waited")
		}
	}
	cancel()
	require.ErrorIs(s, wait(), context.Canceled)
}

// receive waits for what must come.
func (s *scene) receive(events <-chan eventstore.Recorded) eventstore.Recorded {
	s.Helper()
	select {
	case e, more := <-events:
		require.True(s, more, "the subscription ended")
		return e
	case <-time.After(patience):
		require.FailNow(s, "the subscription did not deliver an event that was appended")
		return eventstore.Recorded{}
	}
}

func subscribeFromPosition(s *scene) {
	ctx := s.ctx()
	a, b := s.stream(), s.stream()
	head := headOf(ctx, s)
	var all []eventstore.Recorded
	for range 5 {
		for _, done := range s.append(ctx, write(a, eventstore.Any, 2), write(b, eventstore.Any, 1)) {
			all = append(all, done.Events...)
		}
	}
	s.same(all, s.take(s.Store.Subscribe(ctx, head, eventstore.Filter{}), len(all)))
	for i := range len(all) - 1 {
		s.same(all[i+1:], s.take(s.Store.Subscribe(ctx, all[i].Position, eventstore.Filter{}), len(all)-i-1))
	}
	// From the end there is only what comes.
	end := all[len(all)-1].Position
	seen := make(chan eventstore.Recorded, 1)
	wait := background(func() error {
		got, err := pages(s.Store.Subscribe(ctx, end, eventstore.Filter{}), 1)()
		if err != nil {
			return err
		}
		seen <- got[0]
		return nil
	})
	next := s.append(ctx, write(a, eventstore.Any, 1))[0].Events[0]
	require.Equal(s, plain(next), plain(s.receive(seen)))
	require.NoError(s, wait())
}

func subscribeFiltered(s *scene) {
	ctx := s.ctx()
	head, categories, all := s.mixed(ctx)
	const markType = "a mark"
	marks := s.unique()
	mark := func(n string) {
		w := write(marks+n, eventstore.None, 1)
		w.Events[0].Type = markType
		s.append(ctx, w)
	}
	mark("-live")
	wanted := filters(categories)
	got := make([][]eventstore.Recorded, len(wanted))
	live := make(chan eventstore.Recorded, len(wanted))
	var g errgroup.Group
	for i, f := range wanted {
		// One event more tells that it has caught up, and another that nothing
		// else will come.
		if len(f.Categories) > 0 {
			f.Categories = append(slices.Clone(f.Categories), marks)
		}
		if len(f.Types) > 0 {
			f.Types = append(slices.Clone(f.Types), markType)
		}
		g.Go(func() (err error) {
			events := s.Store.Subscribe(ctx, head, f)
			got[i], err = until(func(yield func(eventstore.Recorded, error) bool) {
				for e, err := range events {
					if err == nil && e.Stream == marks+"-live" {
						live <- e
					} else if !yield(e, err) {
						return
					}
				}
			}, marks+"-end")
			return err
		})
	}
	for range wanted {
		s.receive(live)
	}
	for _, category := range categories {
		for _, eventType := range []string{"held", "sold", "Held"} {
			w := write(category+"-live", eventstore.Any, 1)
			w.Events[0].Type = eventType
			all = append(all, s.append(ctx, w)[0].Events...)
		}
	}
	mark("-end")
	require.NoError(s, g.Wait())
	for i, f := range wanted {
		s.same(matching(all, f), got[i])
	}
}

// until returns what a subscription delivers before the event of that stream. It
// ends by that event, so that what is missing is known at once.
func until(events iter.Seq2[eventstore.Recorded, error], mark string) ([]eventstore.Recorded, error) {
	var got []eventstore.Recorded
	for e, err := range events {
		if err != nil {
			return got, fmt.Errorf("subscription, after %d events: %w", len(got), err)
		}
		if e.Stream == mark {
			return got, nil
		}
		got = append(got, e)
	}
	return got, fmt.Errorf("the subscription ended without an error, after %d events", len(got))
}

// subscribeManyWriters starts subscriptions before, while and after many write.
// Each must deliver what was committed, and nothing else, in one order.
func subscribeManyWriters(s *scene) {
	ctx := s.ctx()
	head := headOf(ctx, s)
	mark := s.unique()
	const (
		each  = 12
		total = racers * each
	)
	var g errgroup.Group
	delivered := map[string][]eventstore.Recorded{}
	var mu sync.Mutex
	subscribe := func(name string) {
		g.Go(func() error {
			got, err := until(s.Store.Subscribe(ctx, head, eventstore.Filter{}), mark)
			mu.Lock()
			defer mu.Unlock()
			delivered[name] = got
			return err
		})
	}
	subscribe("before")
	subscribe("before, too")

	shared := []string{s.stream(), s.stream(), s.stream()}
	own := make([]string, racers)
	for i := range own {
		own[i] = s.stream()
	}
	var committed []eventstore.Recorded
	commits := make(chan struct{}, total)
	writers := background(func() error {
		var g errgroup.Group
		for i := range racers {
			g.Go(func() error {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for range each {
					writes := []eventstore.Write{write(shared[random.IntN(len(shared))], eventstore.Any, 1+random.IntN(3))}
					if random.IntN(2) == 0 {
						writes = append(writes, write(own[i], eventstore.Any, 1))
					}
					if random.IntN(4) == 0 { // nothing of it may be delivered
						writes = append(writes, write(own[(i+1)%racers], eventstore.Exactly(1_000), 1))
					}
					done, err := s.Store.Append(ctx, writes...)
					if err != nil && !isConflict(err) {
						return err
					}
					mu.Lock()
					for _, d := range done {
						committed = append(committed, d.Events...)
					}
					mu.Unlock()
					commits <- struct{}{}
				}
				return nil
			})
		}
		return g.Wait()
	})
	for n := range total {
		select {
		case <-commits:
		case <-ctx.Done():
			require.NoError(s, ctx.Err(), "after %d of %d appends", n, total)
		}
		if n%(total/4) == total/8 {
			subscribe(fmt.Sprintf("after %d of %d appends", n, total))
		}
	}
	require.NoError(s, writers())
	subscribe("after")
	s.append(ctx, write(mark, eventstore.None, 1))
	require.NoError(s, g.Wait())

	require.Len(s, delivered, 7)
	want := sortedIDs(committed)
	for name, got := range delivered {
		if len(got) != len(want) {
			require.Failf(s, "events were skipped or doubled", "%d were committed, %d delivered to the subscription from %s", len(want), len(got), name)
		}
		require.Equal(s, want, sortedIDs(got), "subscription from %s", name)
		s.ascending(got)
		s.same(delivered["after"], got)
	}
}

func isConflict(err error) bool { return errors.As(err, new(*eventstore.ConflictError)) }

func subscribeAppends(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	head := headOf(ctx, s)
	s.fill(ctx, stream, 1)
	n := 0
	for e, err := range s.Store.Subscribe(ctx, head, eventstore.Filter{Categories: []string{eventstore.Category(stream)}}) {
		require.NoError(s, err)
		n++
		require.EqualValues(s, n, e.Version)
		if n == 40 {
			break
		}
		// What a process manager does: to go on by what it has seen.
		s.append(ctx, write(stream, eventstore.Exactly(e.Version), 1))
	}
	s.requireVersion(ctx, stream, 40)
}

func subscribeAllWoken(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	head := headOf(ctx, s)
	s.fill(ctx, stream, 1)
	const n = 24
	seen := make(chan eventstore.Recorded)
	live, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	for range n {
		g.Go(func() error {
			for e, err := range s.Store.Subscribe(live, head, eventstore.Filter{}) {
				if err != nil {
					return err
				}
				seen <- e
			}
			return nil
		})
	}
	for version := 1; version <= 3; version++ {
		for range n {
			require.EqualValues(s, version, s.receive(seen).Version)
		}
		s.append(ctx, write(stream, eventstore.Any, 1))
	}
	for range n {
		require.EqualValues(s, 4, s.receive(seen).Version)
	}
	cancel()
	require.ErrorIs(s, g.Wait(), context.Canceled)
}

func subscribeSlow(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	head := headOf(ctx, s)
	s.fill(ctx, stream, 2)
	first, release := make(chan struct{}), make(chan struct{})
	mark := s.unique()
	var got []eventstore.Recorded
	wait := background(func() error {
		for e, err := range s.Store.Subscribe(ctx, head, eventstore.Filter{}) {
			if err != nil {
				return err
			}
			if e.Stream == mark {
				return nil
			}
			if got = append(got, e); len(got) == 1 {
				close(first)
				<-release
			}
		}
		return nil
	})
	<-first
	for range 50 {
		s.append(ctx, write(stream, eventstore.Any, 20))
	}
	require.Len(s, s.take(s.Store.Subscribe(ctx, head, eventstore.Filter{}), 1_002), 1_002)
	s.append(ctx, write(mark, eventstore.Any, 1))
	close(release)
	require.NoError(s, wait())
	s.same(s.readStream(ctx, stream), got)
}

func subscribeAgain(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	head := headOf(ctx, s)
	all := s.fill(ctx, stream, 5)
	subscription := s.Store.Subscribe(ctx, head, eventstore.Filter{})
	s.same(all[:2], s.take(subscription, 2))
	s.same(all, s.take(subscription, 5))
	all = append(all, s.append(ctx, write(stream, eventstore.Any, 1))[0].Events...)
	s.same(all, s.take(subscription, 6))
}

func subscribeEnds(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	head := headOf(ctx, s)
	s.fill(ctx, stream, 3)
	nothing := eventstore.Filter{Types: []string{"none"}}
	for name, f := range map[string]eventstore.Filter{"it waits": {}, "it has delivered nothing": nothing} {
		live, cancel := context.WithCancel(ctx)
		read := make(chan struct{}, 3)
		wait := background(func() error {
			_, err := collect(func(yield func(eventstore.Recorded, error) bool) {
				for e, err := range s.Store.Subscribe(live, head, f) {
					if err == nil {
						read <- struct{}{}
					}
					if !yield(e, err) {
						return
					}
				}
			})
			return err
		})
		if len(f.Types) == 0 {
			for range 3 {
				<-read
			}
		}
		cancel()
		require.ErrorIs(s, wait(), context.Canceled, "cancelled while %s", name)
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err := collect(s.Store.Subscribe(short, head, nothing))
	require.ErrorIs(s, err, context.DeadlineExceeded)

	// Cancelled between two events it ends, though there are more.
	between, cancel := context.WithCancel(ctx)
	defer cancel()
	n := 0
	for _, err := range s.Store.Subscribe(between, head, eventstore.Filter{}) {
		if err != nil {
			require.ErrorIs(s, err, context.Canceled)
			break
		}
		n++
		cancel()
	}
	require.Positive(s, n)
	s.requireVersion(ctx, stream, 3)
}
