package aggregate_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/workflow"
)

func TestFeedbackIsAFoldOfTheStream(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	commands := []any{build{10}, take{"ada", []string{"1", "2"}}, idle{}, take{"bob", []string{"3"}}, leave{"ada"}, ids{}, take{"\xff\xfe", []string{"4\xff"}}, note{"\xff, which is no UTF-8"}}
	for _, c := range commands {
		got, err := h.Execute(t.Context(), "a", c)
		require.NoError(t, err)
		all := log.stream(t, t.Context(), "hall-a")
		last := all[len(all)-1]
		require.Equal(t, "hall-a", got.Stream)
		require.Equal(t, last.Version, got.Version, "%T", c)
		require.Equal(t, last.Position, got.Position, "%T", c)
		require.Equal(t, log.folded(t, t.Context(), "hall-a", got.Version), got.State, "%T", c)
		require.False(t, got.Replayed)
		for i, e := range got.Events {
			require.Equal(t, all[len(all)-len(got.Events)+i], e)
		}
		if c == (idle{}) {
			require.Empty(t, got.Events)
		} else {
			require.NotEmpty(t, got.Events)
		}
	}
	looked, err := h.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, log.folded(t, t.Context(), "hall-a", looked.Version), looked.State)

	none, err := h.Load(t.Context(), "nobody")
	require.NoError(t, err)
	require.Equal(t, aggregate.Feedback[hall]{Stream: "hall-nobody"}, none)
}

func TestFeedbackSharesNothing(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	_, err := h.Execute(t.Context(), "a", build{10})
	require.NoError(t, err)
	seats := []string{"1", "2"}
	got, err := h.Execute(t.Context(), "a", take{"ada", seats})
	require.NoError(t, err)

	seats[0] = "changed by the caller"
	got.State.Seats[1] = "changed by the caller"
	got.State.Taken["9"] = "mallory"
	looked, err := h.Load(t.Context(), "a")
	require.NoError(t, err)
	looked.State.Taken["8"] = "mallory"

	again, err := h.Execute(t.Context(), "a", idle{})
	require.NoError(t, err)
	require.Equal(t, log.folded(t, t.Context(), "hall-a", 2), again.State)
}

// A rejection that is decided on a state that others have changed is not told.
func TestRejectionsAreNotStale(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	one, two := hallsOn(t, log, aggregate.Config[hall]{}), hallsOn(t, log, aggregate.Config[hall]{})
	execute := func(h *hallHost, c any) error {
		_, err := h.Execute(t.Context(), "a", c)
		return err
	}
	require.NoError(t, execute(one, build{1}))
	require.NoError(t, execute(one, take{"ada", []string{"1"}}))
	require.True(t, aggregate.IsRejection(execute(two, take{"bob", []string{"1"}})))
	require.NoError(t, execute(two, leave{"ada"}))
	require.NoError(t, execute(one, take{"bob", []string{"1"}}), "the seat was freed elsewhere")
	require.True(t, aggregate.IsRejection(execute(two, take{"eve", []string{"1"}})), "and is taken again")
	looked, err := two.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "bob", looked.State.Taken["1"])
}

// A command that came after an append was committed, or after a stream was read,
// is not rejected on the state of that moment, though it is told of it later.
func TestRejectionsAreNotOfTheMomentBefore(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"appended", "read"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t)
				one, two := hallsOn(t, log, aggregate.Config[hall]{}), hallsOn(t, log, aggregate.Config[hall]{})
				log.put(t, t.Context(), "hall-a", built{1}, taken{"ada", []string{"1"}})
				_, err := two.Load(t.Context(), "a")
				require.NoError(t, err)
				open := make(chan struct{})
				var wg sync.WaitGroup
				first := any(idle{})
				if when == "appended" {
					first = ids{}
					log.on(nil, func(_ context.Context, err error) error { <-open; return err })
				} else {
					log.afterRead = func() { <-open }
				}
				wg.Go(func() {
					_, err := one.Execute(t.Context(), "a", first)
					require.NoError(t, err)
				})
				synctest.Wait()
				log.on(nil, nil)
				log.afterRead = nil
				_, err = two.Execute(t.Context(), "a", leave{"ada"})
				require.NoError(t, err)
				wg.Go(func() {
					_, err := one.Execute(t.Context(), "a", take{"bob", []string{"1"}})
					require.NoError(t, err, "the seat was free before it was asked for")
				})
				synctest.Wait()
				close(open)
				wg.Wait()
			})
		})
	}
}

// gate holds appends up.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}, 1000), make(chan struct{})} }

func (g *gate) pass(ctx context.Context, _ []eventstore.Write) error {
	g.arrived <- struct{}{}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestCommandsThatWaitAreCommittedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{MaxBatch: 40})
		_, err := h.Execute(t.Context(), "a", build{50})
		require.NoError(t, err)
		g := newGate()
		log.on(g.pass, nil)
		before := log.appends.Load()
		results := make([]aggregate.Feedback[hall], 61)
		errs := make([]error, 61)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				results[i], errs[i] = h.Execute(t.Context(), "a", take{fmt.Sprint(i), []string{fmt.Sprint(i)}})
			})
			synctest.Wait() // so they come in this order
		}
		require.Len(t, g.arrived, 1, "the first is on its way, all others wait for it")
		close(g.open)
		wg.Wait()
		require.EqualValues(t, 3, log.appends.Load()-before, "1, 40, 20")
		for i := range results {
			if i < 50 {
				require.NoError(t, errs[i])
				require.EqualValues(t, i+2, results[i].Version, "in the order in which they came")
				require.Len(t, results[i].State.Taken, i+1, "each has the state that it has led to")
				require.Len(t, results[i].Events, 1)
				require.Equal(t, results[i].Version, results[i].Events[0].Version)
				require.Equal(t, results[i].Position, results[i].Events[0].Position)
			} else {
				require.True(t, aggregate.IsRejection(errs[i]), "%v", errs[i])
				require.Zero(t, results[i])
			}
		}
	})
}

func TestTooManyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{MaxWaiting: 2})
		g := newGate()
		log.on(g.pass, nil)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, _ = h.Execute(t.Context(), "a", build{5}) })
		}
		synctest.Wait()
		_, err := h.Execute(t.Context(), "a", build{5})
		var full *workflow.FullError
		require.ErrorAs(t, err, &full)
		require.Equal(t, 2, full.Limit)
		require.True(t, aggregate.Retryable(err))
		_, err = h.Load(t.Context(), "another")
		require.NoError(t, err, "aggregates do not wait for each other")
		close(g.open)
		wg.Wait()
		_, err = h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
		require.NoError(t, err)
	})
}

func TestTwoHostsHammerOneAggregate(t *testing.T) {
	t.Parallel()
	const size, clients, each = 200, 8, 40
	log := newLog(t)
	hosts := []*hallHost{hallsOn(t, log, aggregate.Config[hall]{}), hallsOn(t, log, aggregate.Config[hall]{})}
	_, err := hosts[0].Execute(t.Context(), "a", build{size})
	require.NoError(t, err)
	var mu sync.Mutex
	accepted, rejected := map[string]bool{}, 0
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				who := fmt.Sprint(c, "/", i)
				got, err := hosts[c%2].Execute(t.Context(), "a", take{who, []string{who}})
				mu.Lock()
				switch {
				case err == nil:
					accepted[who] = true
					if got.State.Taken[who] != who {
						t.Errorf("%s is not in its own feedback", who)
					}
				case aggregate.IsRejection(err):
					rejected++
				default:
					t.Errorf("%s: %v", who, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, accepted, size, "never oversold, and never sold out too early")
	require.Equal(t, clients*each-size, rejected)
	state := log.folded(t, t.Context(), "hall-a", 1<<60)
	require.Len(t, state.Taken, size)
	for who := range accepted {
		require.Equal(t, who, state.Taken[who], "whoever was told so has the seat")
	}
}

func TestConflictsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{Attempts: 6})
		log.on(func(ctx context.Context, w []eventstore.Write) error {
			log.put(t, ctx, w[0].Stream, noted{"another was faster"})
			return nil
		}, nil)
		_, err := h.Execute(t.Context(), "a", build{5})
		var conflict *eventstore.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.EqualValues(t, 6, conflict.Actual)
		require.True(t, aggregate.IsConflict(err))
		require.False(t, aggregate.Retryable(err))
		require.ErrorContains(t, err, `hall "a": decision 6 came too late`)
		require.EqualValues(t, 6, log.appends.Load())

		log.on(nil, nil)
		got, err := h.Execute(t.Context(), "a", build{5})
		require.NoError(t, err)
		require.EqualValues(t, 7, got.Version)
	})
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	correlation, action := uuid.New(), uuid.New()
	ctx := reducer.WithMeta(t.Context(), reducer.Meta{
		ActionID: action, CorrelationID: correlation, Actor: "ada", Tenant: "acme", TraceParent: "00-trace-01",
	})
	got, err := h.Execute(ctx, "a", ids{})
	require.NoError(t, err)
	require.Len(t, got.Events, 3)
	for _, e := range got.Events {
		require.Equal(t, "acme", e.Tenant)
		require.Equal(t, eventstore.Meta{CorrelationID: correlation, CausationID: action, Actor: "ada", TraceParent: "00-trace-01"}, e.Meta)
	}
	require.Equal(t, "ada acme "+action.String(), got.State.Seats[2], "Decide sees it too")
	require.NotEqual(t, got.State.Seats[0], got.State.Seats[1])

	got, err = h.Execute(t.Context(), "a", ids{})
	require.NoError(t, err)
	require.Len(t, got.State.Seats, 3, "of another tenant")
	m := got.Events[0].Meta
	require.NotZero(t, m.CausationID)
	require.Equal(t, m.CausationID, m.CorrelationID)
	require.NotEqual(t, m.CausationID, got.Events[0].ID)
	require.NotEqual(t, got.Events[0].ID, got.Events[1].ID)
}

// A batch has its commands' own metadata, whatever step they are decided in.
func TestMetadataInABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{})
		g := newGate()
		log.on(g.pass, nil)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = h.Execute(t.Context(), "a", build{5}) })
		synctest.Wait()
		for i := range 3 {
			wg.Go(func() {
				actor := fmt.Sprint("actor", i)
				got, err := h.Execute(reducer.WithMeta(t.Context(), reducer.Meta{Actor: actor}), "a", ids{})
				require.NoError(t, err)
				last := got.State.Seats[len(got.State.Seats)-1]
				require.True(t, strings.HasPrefix(last, actor), last)
				require.Equal(t, actor, got.Events[0].Meta.Actor)
			})
		}
		synctest.Wait()
		close(g.open)
		wg.Wait()
		require.EqualValues(t, 2, log.appends.Load())
	})
}

func TestTenants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{})
		acme, other := eventstore.WithTenant(t.Context(), "acme"), eventstore.WithTenant(t.Context(), "other")
		g := newGate()
		log.on(g.pass, nil)
		var wg sync.WaitGroup
		for i := range 4 {
			for _, ctx := range []context.Context{acme, other} {
				wg.Go(func() {
					_, err := h.Execute(ctx, "a", leave{strconv.Itoa(i)})
					require.NoError(t, err)
				})
			}
		}
		synctest.Wait()
		require.Equal(t, 2, h.Len(), "they are different aggregates")
		require.Len(t, g.arrived, 2, "and wait for their own")
		close(g.open)
		wg.Wait()
		require.Len(t, log.stream(t, acme, "hall-a"), 4)
		require.Len(t, log.stream(t, other, "hall-a"), 4)
		require.Empty(t, log.stream(t, t.Context(), "hall-a"))

		_, err := h.Execute(eventstore.AllTenants(t.Context()), "a", idle{})
		require.ErrorIs(t, err, eventstore.ErrNoTenant)
		_, err = h.Execute(reducer.WithMeta(acme, reducer.Meta{Tenant: "other"}), "a", idle{})
		var input *eventstore.InputError
		require.ErrorAs(t, err, &input)
		_, err = h.Execute(reducer.WithMeta(t.Context(), reducer.Meta{Tenant: strings.Repeat("x", 300)}), "a", idle{})
		require.ErrorAs(t, err, &input)
	})
}

func TestWithoutFeedback(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	for range 2 {
		got, err := h.Execute(t.Context(), "a", build{5}, aggregate.WithoutFeedback(), aggregate.WithKey("k"))
		require.NoError(t, err)
		require.Zero(t, got.State)
		require.EqualValues(t, 1, got.Version)
		require.EqualValues(t, 1, got.Position)
		require.Len(t, got.Events, 1)
	}
	_, err := h.Execute(t.Context(), "a", build{5}, aggregate.WithoutFeedback())
	require.True(t, aggregate.IsRejection(err))
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h, err := aggregate.New("hall", halls{}, hallEvents, log, aggregate.Config[hall]{})
		require.NoError(t, err)
		g := newGate()
		log.on(g.pass, nil)
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = h.Execute(t.Context(), "a", leave{"ada"}) })
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, h.Shutdown(ctx), context.Canceled)
		wg.Wait()
		var cut *aggregate.InterruptedError
		require.ErrorAs(t, errs[0], &cut)
		require.True(t, cut.MaybeDone, "its append was on its way")
		require.ErrorAs(t, errs[1], &cut)
		require.False(t, cut.MaybeDone, "it waited")
		_, err = h.Execute(t.Context(), "a", leave{"ada"})
		require.Error(t, err)
		require.NotErrorAs(t, err, &cut)
	})
}
