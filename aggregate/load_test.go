package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

func TestFreshness(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		freshness aggregate.Freshness
		reads     []int64 // after each of: build, take, take, after 10 s take
	}{
		{aggregate.UntilInvalidated, []int64{1, 1, 1, 1}},
		{aggregate.EveryCommand, []int64{1, 2, 3, 4}},
		{aggregate.TTL(5 * time.Second), []int64{1, 1, 1, 2}},
	} {
		t.Run(row.freshness.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t)
				h := hallsOn(t, log, aggregate.Config[hall]{Freshness: row.freshness})
				for i, c := range []any{build{3}, take{"ada", []string{"1"}}, take{"bob", []string{"2"}}, take{"eve", []string{"3"}}} {
					if i == 3 {
						time.Sleep(10 * time.Second) //nolint:forbidigo // the clock is virtual
					}
					_, err := h.Execute(t.Context(), "a", c)
					require.NoError(t, err)
					require.Equal(t, row.reads[i], log.reads.Load(), "%T", c)
				}
			})
		})
	}
}

// What was loaded for a command whose caller has left is not used later.
func TestFreshnessAfterALoadForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{Freshness: aggregate.EveryCommand})
		open := make(chan struct{})
		log.onRead(func(context.Context) error { <-open; return nil })
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := h.Load(ctx, "a")
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		close(open)
		synctest.Wait()
		log.put(t, t.Context(), "hall-a", built{3})
		got, err := h.Load(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, got.Version)
	})
}

func TestInvalidate(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{Freshness: aggregate.TTL(time.Hour)})
	require.NoError(t, h.Invalidate(t.Context(), "a"))
	require.Zero(t, h.Len(), "it is not loaded for that")
	_, err := h.Execute(t.Context(), "a", build{3})
	require.NoError(t, err)
	log.put(t, t.Context(), "hall-a", taken{"ada", []string{"1", "2", "3"}}, left{"ada"})
	got, err := h.Load(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Version, "an old state will do, as was said")
	require.NoError(t, h.Invalidate(t.Context(), "a"))
	got, err = h.Load(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 3, got.Version)
}

// table is a read model of halls, which is updated when a test says so.
type table struct {
	mu    sync.Mutex
	rows  map[string]aggregate.Feedback[hall]
	reads int
	err   error
}

func (m *table) load(_ context.Context, id string) (hall, eventstore.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	row := m.rows[id]
	return row.State, row.Version, m.err
}

// project brings a row up to a version.
func (m *table) project(t testing.TB, log *spoiled, id string, to eventstore.Version) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil {
		m.rows = map[string]aggregate.Feedback[hall]{}
	}
	m.rows[id] = aggregate.Feedback[hall]{State: log.folded(t, t.Context(), "hall-"+id, to), Version: to}
}

// A read model that lags cannot oversell, nor does it reject what there is.
func TestReadModelLags(t *testing.T) {
	t.Parallel()
	for _, freshness := range []aggregate.Freshness{aggregate.UntilInvalidated, aggregate.EveryCommand} {
		t.Run(freshness.String(), func(t *testing.T) {
			t.Parallel()
			log, rows := newLog(t), &table{}
			log.put(t, t.Context(), "hall-a", built{2}, taken{"ada", []string{"1", "2"}}, left{"ada"}, taken{"bob", []string{"1"}})
			h := func() *hallHost {
				return hallsOn(t, log, aggregate.Config[hall]{Load: rows.load, Freshness: freshness})
			}
			rows.project(t, log, "a", 1) // two seats are free, it says
			_, err := h().Execute(t.Context(), "a", take{"eve", []string{"1"}})
			require.True(t, aggregate.IsRejection(err), "seat 1 is taken: %v", err)
			rows.project(t, log, "a", 2) // all are taken, it says
			got, err := h().Execute(t.Context(), "a", take{"eve", []string{"2"}})
			require.NoError(t, err, "seat 2 is free")
			require.EqualValues(t, 5, got.Version)
			require.Equal(t, log.folded(t, t.Context(), "hall-a", 5), got.State)
			require.NotZero(t, got.Position)
			rows.project(t, log, "a", 4) // one is free, it says
			two := h()
			_, err = two.Execute(t.Context(), "a", take{"joe", []string{"2"}})
			require.True(t, aggregate.IsRejection(err))
			got, err = two.Execute(t.Context(), "a", leave{"bob"})
			require.NoError(t, err)
			require.EqualValues(t, 6, got.Version)
			require.Equal(t, log.folded(t, t.Context(), "hall-a", 6), got.State)
		})
	}
}

// The read model lags all the time, by up to as much as it can, while two hosts sell.
func TestReadModelNeverOversells(t *testing.T) {
	t.Parallel()
	const size = 60
	log, rows := newLog(t), &table{}
	log.put(t, t.Context(), "hall-a", built{size})
	var hosts []*hallHost
	for range 2 {
		hosts = append(hosts, hallsOn(t, log, aggregate.Config[hall]{Load: rows.load, Freshness: aggregate.EveryCommand}))
	}
	var mu sync.Mutex
	sold := 0
	var wg sync.WaitGroup
	for c := range 6 {
		wg.Go(func() {
			for i := range 20 {
				who := fmt.Sprint(c, "/", i)
				got, err := hosts[c%2].Execute(t.Context(), "a", take{who, []string{who}})
				mu.Lock()
				if err == nil {
					sold++
					if sold%7 == 0 {
						rows.project(t, log, "a", got.Version/2)
					}
				} else if !aggregate.IsRejection(err) {
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, size, sold)
	require.Len(t, log.folded(t, t.Context(), "hall-a", 1<<60).Taken, size)
}

func TestReadModelIsAskedFirst(t *testing.T) {
	t.Parallel()
	log, rows := newLog(t), &table{}
	log.put(t, t.Context(), "hall-a", built{2})
	rows.project(t, log, "a", 1)
	h := hallsOn(t, log, aggregate.Config[hall]{Load: rows.load})
	_, err := h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
	require.NoError(t, err)
	require.Equal(t, 1, rows.reads)
	require.Zero(t, log.reads.Load(), "the stream is not read if the rows are right")
}

// Rows that claim a version the stream does not have are not believed twice.
func TestReadModelClaimsTooMuch(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	log.put(t, t.Context(), "hall-a", built{2})
	h := hallsOn(t, log, aggregate.Config[hall]{Load: func(context.Context, string) (hall, eventstore.Version, error) {
		return hall{Size: 99}, 7, nil
	}})
	got, err := h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Version)
	require.Equal(t, 2, got.State.Size)
}

// A log that was restored to an earlier time has less than is known.
func TestLogIsRestored(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	for _, c := range []any{build{9}, take{"ada", []string{"1"}}, take{"bob", []string{"2"}}} {
		_, err := h.Execute(t.Context(), "a", c)
		require.NoError(t, err)
	}
	restored := newLog(t)
	restored.put(t, t.Context(), "hall-a", built{9})
	log.Store = restored.Store
	_, err := h.Execute(t.Context(), "a", take{"eve", []string{"2"}})
	require.True(t, aggregate.IsRejection(err), "nothing has shown it yet: %v", err)
	got, err := h.Execute(t.Context(), "a", take{"eve", []string{"3"}})
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Version)
	require.Equal(t, map[string]string{"3": "eve"}, got.State.Taken)
}

func TestReadModelFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, rows := newLog(t), &table{err: errors.New("no such table")}
		h := hallsOn(t, log, aggregate.Config[hall]{Load: rows.load})
		_, err := h.Execute(t.Context(), "a", build{3})
		require.ErrorIs(t, err, rows.err)
		require.Equal(t, 5, rows.reads, "it might have passed")
		negative := hallsOn(t, log, aggregate.Config[hall]{Load: func(context.Context, string) (hall, eventstore.Version, error) { return hall{}, -1, nil }})
		_, err = negative.Execute(t.Context(), "a", build{3})
		require.ErrorContains(t, err, "it reflects version -1, want 0 or more")
		panics := hallsOn(t, log, aggregate.Config[hall]{Load: func(context.Context, string) (hall, eventstore.Version, error) { panic("at the disco") }})
		_, err = panics.Execute(t.Context(), "a", build{3})
		require.ErrorContains(t, err, "at the disco")
	})
}

func TestPassivation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{IdleAfter: time.Minute, MaxLive: 3})
		for i := range 10 {
			_, err := h.Execute(t.Context(), fmt.Sprint(i), build{3})
			require.NoError(t, err)
			require.LessOrEqual(t, h.Len(), 3)
		}
		got, err := h.Execute(t.Context(), "0", take{"ada", []string{"1"}})
		require.NoError(t, err, "it is loaded again")
		require.EqualValues(t, 2, got.Version)
		time.Sleep(3 * time.Minute) //nolint:forbidigo // the clock is virtual
		require.Zero(t, h.Len())
		got, err = h.Execute(t.Context(), "0", take{"bob", []string{"2"}})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"1": "ada", "2": "bob"}, got.State.Taken)

		g := newGate()
		log.on(g.pass, nil)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() { _, _ = h.Execute(t.Context(), fmt.Sprint("new", i), build{3}) })
		}
		synctest.Wait()
		_, err = h.Execute(t.Context(), "one more", build{3})
		require.ErrorIs(t, err, store.ErrTooManyLive)
		require.True(t, aggregate.Retryable(err))
		close(g.open)
		wg.Wait()
	})
}

func TestIdleNever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hallsOn(t, newLog(t), aggregate.Config[hall]{IdleAfter: -1})
		_, err := h.Execute(t.Context(), "a", build{3})
		require.NoError(t, err)
		time.Sleep(1000 * time.Hour) //nolint:forbidigo // the clock is virtual
		require.Equal(t, 1, h.Len())
	})
}

// A load that fails half-way, and is done again, leaves nothing behind.
type tally struct{ By map[string]int }

type tallies struct{}

func (tallies) Decide(_ *tally, c noted, _ reducer.Env) ([]noted, error) { return []noted{c}, nil }
func (tallies) Evolve(s *tally, e noted) {
	if s.By == nil {
		s.By = map[string]int{}
	}
	s.By[e.Text]++
}

// halfway ends the next reads with an error after their first event.
type halfway struct {
	*spoiled
	times int
}

func (l *halfway) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for e, err := range l.spoiled.ReadStream(ctx, stream, from) {
			if !yield(e, err) {
				return
			}
			if l.times--; l.times >= 0 {
				yield(eventstore.Recorded{}, errLost)
				return
			}
		}
	}
}

func TestLoadFailsHalfway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &halfway{spoiled: newLog(t)}
		h, err := aggregate.New("tally", tallies{}, hallEvents, log, aggregate.Config[tally]{})
		require.NoError(t, err)
		_, err = h.Execute(t.Context(), "a", noted{"x"})
		require.NoError(t, err)
		for _, times := range []int{2, 5} {
			log.put(t, t.Context(), "tally-a", noted{"x"}, noted{"y"})
			log.times = times
			_, err = h.Load(t.Context(), "a")
			require.Equal(t, times == 5, err != nil, "five attempts are all there are")
			got, err := h.Execute(t.Context(), "a", noted{"x"})
			require.NoError(t, err)
			want := map[int]map[string]int{2: {"x": 3, "y": 1}, 5: {"x": 5, "y": 2}}
			require.Equal(t, want[times], got.State.By)
		}
		require.NoError(t, h.Shutdown(t.Context()))
	})
}
