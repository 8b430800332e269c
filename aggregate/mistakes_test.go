package aggregate_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
)

func TestNew(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	for _, row := range []struct {
		name, want string
		make       func() error
	}{
		{"no category", "category is", func() error {
			_, err := aggregate.New("", halls{}, hallEvents, log, aggregate.Config[hall]{})
			return err
		}},
		{"a hyphen", `category is "a-b", want a name without a hyphen`, func() error {
			_, err := aggregate.New("a-b", halls{}, hallEvents, log, aggregate.Config[hall]{})
			return err
		}},
		{"no decider", "decider is nil", func() error {
			_, err := aggregate.New[hall, any, any]("hall", nil, hallEvents, log, aggregate.Config[hall]{})
			return err
		}},
		{"no registry", "registry is nil", func() error { _, err := aggregate.New("hall", halls{}, nil, log, aggregate.Config[hall]{}); return err }},
		{"no log", "event store is nil", func() error {
			_, err := aggregate.New("hall", halls{}, hallEvents, nil, aggregate.Config[hall]{})
			return err
		}},
		{"a state with a lock", "uncopied.Mu is a sync.Mutex; give the type a method Clone() aggregate_test.uncopied", func() error {
			_, err := aggregate.New("hall", decides[uncopied]{}, hallEvents, log, aggregate.Config[uncopied]{})
			return err
		}},
		{"MaxBatch", "Config.MaxBatch is -1, want 0 (for the default) or more", config(aggregate.Config[hall]{MaxBatch: -1})},
		{"Freshness", "Config.Freshness is Freshness(-2), want", config(aggregate.Config[hall]{Freshness: -2})},
		{"TTL", "want UntilInvalidated, EveryCommand or a TTL above 0", config(aggregate.Config[hall]{Freshness: aggregate.TTL(0)})},
		{"Jitter", "Config.Retry.Jitter is 2, want 0 to 1", config(aggregate.Config[hall]{Retry: effect.RetryPolicy{Jitter: 2}})},
		{"Factor", "Config.Retry.Factor is 0.5, want", config(aggregate.Config[hall]{Retry: effect.RetryPolicy{Factor: .5}})},
		{"OnUnknown", "Config.OnUnknown is 7, want", config(aggregate.Config[hall]{OnUnknown: 7})},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, row.make(), row.want)
		})
	}
	h, err := aggregate.New("hall", decides[cloned]{}, hallEvents, log, aggregate.Config[cloned]{})
	require.NoError(t, err, "it has a method Clone")
	require.NoError(t, h.Shutdown(t.Context()))
}

func config(cfg aggregate.Config[hall]) func() error {
	return func() error {
		_, err := aggregate.New("hall", halls{}, hallEvents, eventstore.Store(&spoiled{}), cfg)
		return err
	}
}

type (
	uncopied struct{ Mu sync.Mutex }
	cloned   struct{ F func() }
)

func (c cloned) Clone() cloned { return c }

type decides[S any] struct{}

func (decides[S]) Decide(*S, any, reducer.Env) ([]any, error) { return nil, nil }
func (decides[S]) Evolve(*S, any)                             {}

func TestBadInput(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	var input *eventstore.InputError
	for _, id := range []string{"", strings.Repeat("x", 508), "\xff", "a\x00"} {
		_, err := h.Execute(t.Context(), id, build{3})
		require.ErrorAs(t, err, &input, "%q", id)
		require.Equal(t, "id", input.Field)
		require.Equal(t, "1 to 507 bytes of UTF-8 without a zero byte", input.Want)
		require.True(t, aggregate.IsPermanent(err))
		require.Less(t, len(err.Error()), 300)
		_, err = h.Load(t.Context(), id)
		require.ErrorAs(t, err, &input)
		require.ErrorAs(t, h.Invalidate(t.Context(), id), &input)
	}
	_, err := h.Execute(t.Context(), "a", nil)
	require.ErrorAs(t, err, &input)
	require.Equal(t, "command", input.Field)
	require.Zero(t, h.Len(), "nothing was begun")

	long := strings.Repeat("é-", 169) // as long as may be
	got, err := h.Execute(t.Context(), long, build{3})
	require.NoError(t, err)
	require.Equal(t, "hall-"+long, got.Stream)

	_, err = h.Execute(t.Context(), "a", 42)
	require.True(t, aggregate.IsRejection(err), "a command the decider does not know")
	require.ErrorContains(t, err, `hall "a": rejected: halls know no int (unknown)`)
}

func TestRejections(t *testing.T) {
	t.Parallel()
	h := hallsOn(t, newLog(t), aggregate.Config[hall]{})
	_, err := h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
	var r *aggregate.RejectionError
	require.ErrorAs(t, err, &r)
	require.Equal(t, aggregate.RejectionError{Code: "full", Reason: "0 of 0 seats are taken"}, *r)
	require.False(t, aggregate.IsConflict(err) || aggregate.Retryable(err) || aggregate.IsPermanent(err))

	got, err := h.Execute(t.Context(), "a", whoop{"own"})
	require.ErrorIs(t, err, errOwn)
	require.ErrorAs(t, err, &r)
	require.Empty(t, r.Code)
	require.Zero(t, got, "events with an error are none")
	looked, err := h.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Zero(t, looked.Version)
}

// What a decider does wrong fails that command, with nothing appended; the others
// in the same batch and the next one work.
func TestMistakesOfDeciders(t *testing.T) {
	t.Parallel()
	for where, want := range map[string]string{
		"decide":       `Decide of aggregate_test.whoop: panic: decide`,
		"evolve":       `Evolve of aggregate_test.broken: panic: evolve`,
		"unregistered": `Decide of aggregate_test.whoop: event 2 of 2: event type aggregate_test.unsaid is not registered`,
		"nil":          `Decide of aggregate_test.whoop: event 1 of 1: event type <nil> is not registered`,
		"json":         `Decide of aggregate_test.whoop: event 1 of 1: encode event "hall.unsayed": json: unsupported value: NaN`,
		"marshal":      `Decide of aggregate_test.whoop: event 1 of 1: panic: it speaks too loud`,
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t)
				h := hallsOn(t, log, aggregate.Config[hall]{})
				_, err := h.Execute(t.Context(), "a", build{3})
				require.NoError(t, err)
				check := func(err error) {
					var mistake *aggregate.DeciderError
					require.ErrorAs(t, err, &mistake)
					require.Equal(t, want, mistake.Error())
					require.True(t, aggregate.IsPermanent(err))
					var panicked *effect.PanicError
					if errors.As(err, &panicked) {
						require.Contains(t, string(panicked.Stack), "hall_test.go", "the stack leads to it")
					}
				}
				_, err = h.Execute(t.Context(), "a", whoop{where}, aggregate.WithKey("k"))
				check(err)
				got, err := h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
				require.NoError(t, err)
				require.EqualValues(t, 2, got.Version)

				g := newGate()
				log.on(g.pass, nil)
				before := log.appends.Load()
				var wg sync.WaitGroup
				run := func(c any, check func(error)) {
					wg.Go(func() {
						_, err := h.Execute(t.Context(), "a", c)
						check(err)
					})
					synctest.Wait()
				}
				fine := func(err error) { require.NoError(t, err) }
				run(leave{"nobody"}, fine)
				run(take{"bob", []string{"2"}}, fine)
				run(whoop{where}, check)
				run(take{"eve", []string{"3"}}, fine)
				run(whoop{where}, check)
				close(g.open)
				wg.Wait()
				require.EqualValues(t, 2, log.appends.Load()-before)
				looked, err := h.Load(t.Context(), "a")
				require.NoError(t, err)
				require.Equal(t, log.folded(t, t.Context(), "hall-a", 5), looked.State)
				require.Equal(t, map[string]string{"1": "ada", "2": "bob", "3": "eve"}, looked.State.Taken)
			})
		})
	}
}

func TestDecideThatChangesTheState(t *testing.T) {
	t.Parallel()
	h := hallsOn(t, newLog(t), aggregate.Config[hall]{})
	_, err := h.Execute(t.Context(), "a", build{3})
	require.NoError(t, err)
	_, err = h.Execute(t.Context(), "a", whoop{"goes on to change"})
	require.ErrorIs(t, err, aggregate.ErrStateChanged)
	require.ErrorContains(t, err, "Decide of aggregate_test.whoop: it changed the state")
	looked, err := h.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 3, looked.State.Size, "the host's state is as it was")

	trusting := hallsOn(t, newLog(t), aggregate.Config[hall]{TrustDecide: true})
	_, err = trusting.Execute(t.Context(), "a", build{3})
	require.NoError(t, err)
	_, err = trusting.Execute(t.Context(), "a", whoop{"goes on to change"})
	require.NotErrorIs(t, err, aggregate.ErrStateChanged)
}

func TestUnknownEvents(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	log.put(t, t.Context(), "hall-a", built{3})
	_, err := log.Store.Append(t.Context(), eventstore.Write{Stream: "hall-a", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "hall.painted", Data: []byte("{}")}}})
	require.NoError(t, err)

	h := hallsOn(t, log, aggregate.Config[hall]{})
	_, err = h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
	var unknown *eventstore.UnknownTypeError
	require.ErrorAs(t, err, &unknown)
	require.ErrorContains(t, err, `hall "a": load: event 2 of "hall-a": type "hall.painted" is not registered`)
	require.True(t, aggregate.IsPermanent(err))
	_, err = h.Execute(t.Context(), "b", build{3})
	require.NoError(t, err, "others work")

	skips := hallsOn(t, log, aggregate.Config[hall]{OnUnknown: eventstore.SkipUnknown})
	got, err := skips.Execute(t.Context(), "a", take{"ada", []string{"1"}})
	require.NoError(t, err)
	require.EqualValues(t, 3, got.Version, "it counts all the same")
}

func TestEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		event eventstore.Event
		as    any
	}{
		"data":         {eventstore.Event{Type: "hall.built", Data: []byte("nothing")}, new(*eventstore.DataError)},
		"newer schema": {eventstore.Event{Type: "hall.built", Schema: 2, Data: []byte("{}")}, new(*eventstore.SchemaError)},
		"panic":        {eventstore.Event{Type: "hall.broken", Data: []byte("{}")}, new(*aggregate.DeciderError)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newLog(t)
			_, err := log.Store.Append(t.Context(), eventstore.Write{Stream: "hall-a", Expected: eventstore.Any, Events: []eventstore.Event{row.event}})
			require.NoError(t, err)
			h := hallsOn(t, log, aggregate.Config[hall]{})
			for range 2 {
				_, err = h.Execute(t.Context(), "a", build{3})
				require.ErrorAs(t, err, row.as)
				require.ErrorContains(t, err, `event 1 of "hall-a"`)
				require.True(t, aggregate.IsPermanent(err))
			}
			require.EqualValues(t, 2, log.reads.Load(), "it is not tried again by itself")
		})
	}
}

// Of several that are committed together one cannot be stored: only it fails.
func TestOneThatCannotBeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{})
		g := newGate()
		log.on(func(ctx context.Context, w []eventstore.Write) error {
			for _, e := range w[0].Events {
				if len(e.Data) > 500 {
					return &eventstore.InputError{Field: "Data", Value: "large", Want: "less"}
				}
			}
			return g.pass(ctx, w)
		}, nil)
		var wg sync.WaitGroup
		run := func(c any, check func(error)) {
			wg.Go(func() {
				_, err := h.Execute(t.Context(), "a", c)
				check(err)
			})
			synctest.Wait()
		}
		fine := func(err error) { require.NoError(t, err) }
		run(build{3}, fine)
		run(take{"ada", []string{"1"}}, fine)
		run(whoop{"large"}, func(err error) {
			var input *eventstore.InputError
			require.ErrorAs(t, err, &input)
			require.True(t, aggregate.IsPermanent(err))
		})
		run(take{"bob", []string{"2"}}, fine)
		close(g.open)
		wg.Wait()
		require.Len(t, log.stream(t, t.Context(), "hall-a"), 3)
		require.EqualValues(t, 5, log.appends.Load(), "the first, three together, three by themselves")
	})
}

type passing struct{ error }

func (passing) Retryable() bool { return true }

func TestWhatPassesIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		down := passing{errors.New("no connection")}
		h := hallsOn(t, log, aggregate.Config[hall]{})
		log.on(func(context.Context, []eventstore.Write) error {
			if log.appends.Load() <= 2 {
				return down
			}
			return nil
		}, nil)
		log.onRead(func(context.Context) error {
			if log.reads.Load() <= 2 {
				return down
			}
			return nil
		})
		_, err := h.Execute(t.Context(), "a", build{3})
		require.NoError(t, err)
		require.EqualValues(t, 3, log.appends.Load())
		require.EqualValues(t, 3, log.reads.Load())

		log.on(func(context.Context, []eventstore.Write) error { return down }, nil)
		_, err = h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
		require.ErrorIs(t, err, down)
		require.True(t, aggregate.Retryable(err))
		require.EqualValues(t, 8, log.appends.Load(), "five times")

		log.on(nil, nil)
		log.onRead(func(context.Context) error { return down })
		_, err = h.Execute(t.Context(), "b", build{3})
		require.ErrorIs(t, err, down)
		require.True(t, aggregate.Retryable(err))
		log.onRead(nil)
		_, err = h.Execute(t.Context(), "b", build{3})
		require.NoError(t, err, "the next command loads again")
	})
}

// An event store that does not answer keeps no aggregate for ever.
func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{Timeout: time.Second, Retry: effect.RetryPolicy{Attempts: 2}})
		log.on(func(ctx context.Context, _ []eventstore.Write) error { <-ctx.Done(); return ctx.Err() }, nil)
		start := time.Now()
		_, err := h.Execute(t.Context(), "a", build{3})
		var cut *aggregate.InterruptedError
		require.ErrorAs(t, err, &cut)
		require.True(t, cut.MaybeDone)
		require.ErrorIs(t, err, effect.ErrTimeout)
		require.InDelta(t, 2, time.Since(start).Seconds(), .1)
		log.on(nil, nil)
		_, err = h.Execute(t.Context(), "a", build{3})
		require.NoError(t, err)
	})
}
