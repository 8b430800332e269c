package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// moody is an event store whose appends end as they are told to: each calls the
// next of its moods.
type moody struct {
	eventstore.Store
	appends int
	moods   []func(ctx context.Context, do func() error) error
}

func (m *moody) Append(ctx context.Context, writes ...eventstore.Write) (done []eventstore.Appended, err error) {
	do := func() error {
		done, err = m.Store.Append(ctx, writes...)
		return err
	}
	m.appends++
	if len(m.moods) == 0 {
		return done, do()
	}
	mood := m.moods[0]
	m.moods = m.moods[1:]
	return done, mood(ctx, do)
}

var (
	// unsaid appends and does not say so.
	unsaid = func(_ context.Context, do func() error) error {
		return &eventstore.UnknownOutcomeError{Err: errors.Join(errors.New("connection lost"), do())}
	}
	// unreachable does not append.
	unreachable = func(context.Context, func() error) error {
		return &eventstore.UnknownOutcomeError{Err: errors.New("connection lost")}
	}
	// broken never will.
	broken = func(context.Context, func() error) error { return errors.New("disk on fire") }
	// slow takes a second.
	slow = func(ctx context.Context, do func() error) error {
		if err := store.Sleep(ctx, time.Second); err != nil {
			return err
		}
		return do()
	}
)

func newLog(t *testing.T, moods ...func(context.Context, func() error) error) (*recorder.Log, *moody) {
	t.Helper()
	home, err := memory.New(memory.Config{})
	require.NoError(t, err)
	registry, err := eventstore.NewRegistry(eventstore.TypeOf[do]("errand.do", 1), eventstore.TypeOf[note]("note", 1))
	require.NoError(t, err)
	m := &moody{Store: home, moods: moods}
	return &recorder.Log{Store: m, Registry: registry}, m
}

type note struct{ Text string }

// newStore is a store of a recorded errand, whose work takes a minute.
func newStore(t *testing.T, rt store.Runtime, log *recorder.Log) *store.Store[state, action] {
	t.Helper()
	s, err := store.New(state{Stream: "errand-1"}, recordedErrand(false), store.Config{
		Runtime: rt, ID: uuid.New(),
		Handlers: append(recorder.Handlers[do](log), effect.Handle(func(ctx context.Context, _ Work) (struct{}, error) {
			return struct{}{}, store.Sleep(ctx, time.Minute)
		})),
	})
	require.NoError(t, err)
	return s
}

func isOver(a do) (do, bool) { return a, a == over }

func simulated(t *testing.T, f func(ctx context.Context, rt *sim.Runtime)) {
	t.Helper()
	require.NoError(t, sim.Run(1, f))
}

// actions are those of the log, in their order.
func actions(t *testing.T, log *recorder.Log) (all []do) {
	t.Helper()
	for e, err := range eventstore.Decode[do](log.Registry, log.Store.ReadAll(t.Context(), 0, eventstore.Filter{}), eventstore.FailUnknown) {
		require.NoError(t, err)
		require.Equal(t, "errand-1", e.Stream)
		require.NotEqual(t, uuid.Nil, e.Meta.CorrelationID)
		all = append(all, e.Event)
	}
	return all
}

func TestWhoAsksIsAnswered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		moods   []func(context.Context, func() error) error
		appends int
	}{
		"well":                         {nil, 2},
		"outcome unknown, it is there": {[]func(context.Context, func() error) error{unsaid}, 3},
		"outcome unknown, it is not":   {[]func(context.Context, func() error) error{unreachable, unreachable, unsaid}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(ctx context.Context, rt *sim.Runtime) {
				log, m := newLog(t, c.moods...)
				s := newStore(t, rt, log)
				_, err := store.Ask(ctx, s, recorder.Give(run), recorder.Match(isOver))
				require.NoError(t, err)
				require.Equal(t, []do{run, worked}, actions(t, log))
				require.Equal(t, c.appends, m.appends)
				require.EqualValues(t, 2, log.Recorded())
				require.NoError(t, s.Shutdown(ctx))
			})
		})
	}
}

// Who comes while an append is on its way shares the next one.
func TestActionsShareAppends(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, rt *sim.Runtime) {
		log, m := newLog(t, slow)
		s := newStore(t, rt, log)
		answered := 0
		for range 50 {
			rt.Go(func() {
				_, err := store.Ask(ctx, s, recorder.Give(run), recorder.Match(isOver))
				require.NoError(t, err)
				answered++
			})
		}
		require.NoError(t, store.Sleep(ctx, 900*time.Millisecond))
		require.Equal(t, 900*time.Millisecond, log.Lag(rt.Now()))
		require.NoError(t, store.Sleep(ctx, time.Second))
		require.Zero(t, log.Lag(rt.Now()))
		require.Zero(t, answered)
		require.Equal(t, 2, m.appends)
		require.NoError(t, store.Sleep(ctx, time.Hour))
		require.Equal(t, 50, answered)
		require.Equal(t, 3, m.appends)
		require.NoError(t, s.Shutdown(ctx))
	})
}

func TestHaltedStoreAnswersNobody(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, rt *sim.Runtime) {
		log, m := newLog(t)
		var halted []recorder.Halt
		log.Halted = func(h recorder.Halt) { halted = append(halted, h) }
		s := newStore(t, rt, log)
		asked := rt.NewSignal()
		rt.Go(func() {
			defer asked.Fire()
			_, err := store.Ask(ctx, s, recorder.Give(run), recorder.Match(isOver))
			require.ErrorIs(t, err, store.ErrNoAnswer) // though its work was under way
		})
		require.NoError(t, store.Sleep(ctx, time.Second))
		m.moods = append(m.moods, broken)
		_, err := store.Ask(ctx, s, recorder.Give(run), recorder.Match(isOver))
		require.ErrorIs(t, err, store.ErrNoAnswer)
		require.NoError(t, asked.Wait(ctx))
		_, err = store.Ask(ctx, s, recorder.Give(callOff), recorder.Match(isOver))
		require.ErrorIs(t, err, store.ErrNoAnswer)
		require.Equal(t, []recorder.Halt{{Stream: "errand-1", Reason: "disk on fire"}}, halted)
		require.Equal(t, []do{run}, actions(t, log))
		require.NoError(t, s.Shutdown(ctx)) // nothing is left of it
	})
}

func TestUnregisteredActionHalts(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, rt *sim.Runtime) {
		log, _ := newLog(t)
		var err error
		log.Registry, err = eventstore.NewRegistry()
		require.NoError(t, err)
		s := newStore(t, rt, log)
		_, err = store.Ask(ctx, s, recorder.Give(run), recorder.Match(isOver))
		require.ErrorIs(t, err, store.ErrNoAnswer)
		require.Contains(t, store.View(s, func(s *state) string { return s.Halted }), "do is not registered")
		require.NoError(t, s.Shutdown(ctx))
	})
}

// seen keeps all that a reducer is told of its steps.
type seen struct{ Steps []string }

// A state that is made again from the log is the same, with every time and id in
// it.
func TestReplayIsExact(t *testing.T) {
	t.Parallel()
	r := recorder.New(reducer.Func[seen, do](func(s *seen, a do, env reducer.Env) effect.Effect[do] {
		s.Steps = append(s.Steps, fmt.Sprint(a, env.Now(), env.NewID(), env.NewID(), env.Meta()))
		if a == run {
			return fx.After(nil, 1234567*time.Nanosecond, worked)
		}
		return fx.None()
	}), recorder.Config[seen, do]{})
	simulated(t, func(ctx context.Context, rt *sim.Runtime) {
		log, _ := newLog(t, slow)
		s, err := store.New(recorder.State[seen, do]{Stream: "errand-1"}, r, store.Config{Runtime: rt, Handlers: recorder.Handlers[do](log)})
		require.NoError(t, err)
		meta := reducer.Meta{CorrelationID: uuid.New(), Actor: "ann", TraceParent: "00-01", Tenant: "is not recorded"}
		require.NoError(t, s.SendAndSettle(reducer.WithMeta(ctx, meta), recorder.Give(run)))
		require.NoError(t, s.SendAndSettle(ctx, recorder.Give(callOff)))
		live := store.View(s, func(s *recorder.State[seen, do]) recorder.State[seen, do] { return *s })
		require.Len(t, live.Inner.Steps, 3)
		require.Contains(t, live.Inner.Steps[1], "ann")

		again := recorder.State[seen, do]{Stream: "errand-1"}
		for e, err := range log.Store.ReadStream(ctx, "errand-1", 1) {
			require.NoError(t, err)
			entry, err := recorder.Decode[do](log.Registry, e)
			require.NoError(t, err)
			r.Replay(&again, entry)
		}
		require.Equal(t, live.Inner, again.Inner)
		require.Equal(t, live.Version, again.Version)
		require.Equal(t, live.Committed, again.Committed)
	})
}

func TestDecodeRefusesWhatIsNoAction(t *testing.T) {
	t.Parallel()
	log, _ := newLog(t)
	require.NoError(t, log.Write(t.Context(), "errand-1", 0, note{"hello"}))
	for e, err := range log.Store.ReadStream(t.Context(), "errand-1", 1) {
		require.NoError(t, err)
		_, err = recorder.Decode[do](log.Registry, e)
		require.EqualError(t, err, `event 1 of "errand-1": "note" is no action of its store`)
	}
}

// A page of notes, kept by two who know nothing of each other.
func TestKeep(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, _ *sim.Runtime) {
		log, m := newLog(t)
		type page struct {
			version eventstore.Version
			texts   []string
		}
		keep := func(p *page, text string) error {
			return log.Keep(ctx, "page-1", &p.version,
				func(event any) { p.texts = append(p.texts, event.(note).Text) }, //nolint:forcetypeassert // there are no others
				func() any {
					if len(p.texts) == 4 {
						return nil // it is full
					}
					return note{fmt.Sprint(len(p.texts)+1, " ", text)}
				})
		}
		var ann, bob page
		require.NoError(t, keep(&ann, "ann"))
		m.moods = append(m.moods, unreachable, unsaid)
		require.NoError(t, keep(&ann, "ann"))
		require.NoError(t, keep(&bob, "bob")) // hears of the others first
		require.Equal(t, []string{"1 ann", "2 ann", "3 bob"}, bob.texts)
		require.NoError(t, keep(&ann, "ann"))
		require.NoError(t, keep(&ann, "ann"))
		require.NoError(t, keep(&bob, "bob"))
		require.Equal(t, []string{"1 ann", "2 ann", "3 bob", "4 ann"}, bob.texts)
		require.Equal(t, ann, bob)

		m.moods = append(m.moods, broken)
		bob.texts = nil
		require.ErrorContains(t, keep(&bob, "bob"), "write recorder_test.note: disk on fire")
		require.EqualValues(t, 4, bob.version)
		bob.version = 7 // more than there are
		require.ErrorAs(t, keep(&bob, "bob"), new(*eventstore.ConflictError))
	})
}

// It is kept though its caller has given up.
func TestKeepGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	log, _ := newLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var version eventstore.Version
	require.NoError(t, log.Keep(ctx, "page-1", &version, func(any) {}, func() any { return note{"late"} }))
	require.EqualValues(t, 1, version)
}
