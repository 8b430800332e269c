package saga_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
)

// house does what reservations ask for, once for each key, and undoes it in
// either order: it is what a well-made child is.
type house struct {
	mu    sync.Mutex
	calls []string          // "charge reservation/a/2/0", as they came
	done  map[string]string // request by key
	gone  map[string]bool   // keys that were undone
	// fails, if set, is asked before a request acts, and after: with an error it
	// has not acted, or its answer is lost.
	before, after func(ctx context.Context, request, key string, attempt int) error
}

func newHouse() *house { return &house{done: map[string]string{}, gone: map[string]bool{}} }

func (h *house) act(ctx context.Context, request string) error {
	key, attempt := saga.EffectID(ctx), saga.Attempt(ctx)
	h.mu.Lock()
	h.calls = append(h.calls, request+" "+key)
	before, after := h.before, h.after
	h.mu.Unlock()
	if before != nil {
		if err := before(ctx, request, key, attempt); err != nil {
			return err
		}
	}
	h.mu.Lock()
	of, undo := strings.CutSuffix(key, "/undo")
	refused := false
	switch {
	case undo:
		h.gone[of] = true
	case h.gone[of]:
		refused = true
	default:
		h.done[of] = request
	}
	h.mu.Unlock()
	if refused {
		return saga.Rejected(fmt.Errorf("%s was undone before", of))
	}
	if after != nil {
		return after(ctx, request, key, attempt)
	}
	return nil
}

// begin returns what undoes all that is done from now on.
func (h *house) begin() (rollback func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	done, gone := maps.Clone(h.done), maps.Clone(h.gone)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.done, h.gone = done, gone
	}
}

// holds are the requests that are done and not undone, in order.
func (h *house) holds() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := []string{}
	for key, request := range h.done {
		if !h.gone[key] {
			held = append(held, request)
		}
	}
	slices.Sort(held)
	return held
}

func (h *house) made() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// set changes how the house behaves.
func (h *house) set(before, after func(ctx context.Context, request, key string, attempt int) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.after = before, after
}

func (h *house) handlers() []effect.Handler {
	nothing := func(request string) func(context.Context) (struct{}, error) {
		return func(ctx context.Context) (struct{}, error) { return struct{}{}, h.act(ctx, request) }
	}
	return []effect.Handler{
		effect.Handle(func(ctx context.Context, q HoldSeats) ([]string, error) {
			if err := h.act(ctx, "hold"); err != nil {
				return nil, err
			}
			return []string{"A1", "A2", "A3"}[:q.Quantity], nil
		}),
		effect.Handle(func(ctx context.Context, _ ReleaseSeats) (struct{}, error) { return nothing("release")(ctx) }),
		effect.Handle(func(ctx context.Context, _ Charge) (struct{}, error) { return nothing("charge")(ctx) }),
		effect.Handle(func(ctx context.Context, _ Refund) (struct{}, error) { return nothing("refund")(ctx) }),
		effect.Handle(func(ctx context.Context, _ ConfirmSeats) (struct{}, error) { return nothing("confirm")(ctx) }),
	}
}

// office is a process that runs reservations.
type office struct {
	*testing.T
	home   saga.Store
	house  *house
	runner *saga.Runner
	ended  chan error
	kill   context.CancelFunc
	// redefined is that others have decided with another reducer, so that a replay may
	// drift.
	redefined bool
}

// open runs reservations on a home. It is shut down when the test ends.
func open(t *testing.T, home saga.Store, h *house, cfg saga.Config, sagas ...saga.Saga) *office {
	t.Helper()
	if len(sagas) == 0 {
		sagas = []saga.Saga{Reservation}
	}
	if cfg.Handlers == nil {
		cfg.Handlers = h.handlers()
	}
	runner, err := saga.New(home, cfg, sagas...)
	require.NoError(t, err)
	ctx, kill := context.WithCancel(context.Background()) //nolint:usetesting // it outlives the context of the test, or of its bubble
	o := &office{T: t, home: home, house: h, runner: runner, ended: make(chan error, 1), kill: kill}
	go func() { o.ended <- runner.Run(ctx) }()
	t.Cleanup(func() { o.replay(sagas) })
	t.Cleanup(func() {
		if o.ended != nil {
			o.close()
		}
	})
	return o
}

// close drains the worker.
func (o *office) close() {
	o.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(o, o.runner.Shutdown(ctx))
	if err := <-o.ended; !errors.Is(err, saga.ErrClosed) { // it may not have begun yet
		require.NoError(o, err)
	}
	o.ended = nil
}

// crash ends the process without a drain. What its handlers are at goes on, as in
// a process that stands still.
func (o *office) crash() {
	o.Helper()
	o.kill()
	require.ErrorIs(o, <-o.ended, context.Canceled)
	o.ended = nil
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = o.runner.Shutdown(gone)
}

// replay replays all that was decided. The reducers are as they were, so that it
// must not drift.
func (o *office) replay(sagas []saga.Saga) {
	o.Helper()
	if o.redefined {
		return
	}
	ctx := context.Background() // that of the test has ended
	for _, def := range sagas {
		records, err := o.home.List(ctx, saga.Query{AllTenants: true, Type: saga.TypeOf(def), Limit: 1000})
		require.NoError(o, err)
		for _, r := range records {
			history, err := o.home.History(ctx, r.ID, 0, 10_000)
			require.NoError(o, err)
			drift, err := saga.Replay(def, r.ID, history)
			require.NoError(o, err)
			require.Nil(o, drift, "%s: %+v", r.ID, drift)
		}
	}
}

func (o *office) start(key string) saga.Handle {
	o.Helper()
	h, err := o.runner.Start(o.Context(), Reservation.ID(key), Reserve{Customer: key, Quantity: 2})
	require.NoError(o, err)
	return h
}

func (o *office) wait(key string) saga.Snapshot {
	o.Helper()
	s, err := o.runner.Wait(o.Context(), Reservation.ID(key))
	require.NoError(o, err)
	return s
}

func (o *office) state(key string) saga.Snapshot {
	o.Helper()
	s, err := o.runner.State(o.Context(), Reservation.ID(key))
	require.NoError(o, err)
	return s
}

// kinds are the decisions of a saga, in order.
func (o *office) kinds(key string) []string {
	o.Helper()
	entries, err := o.runner.History(o.Context(), Reservation.ID(key), 0, 1000)
	require.NoError(o, err)
	var kinds []string
	for i, e := range entries {
		require.Equal(o, int64(i+1), e.Sequence)
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// until waits until a saga is as wanted.
func (o *office) until(key string, want func(saga.Snapshot) bool) saga.Snapshot {
	o.Helper()
	for {
		s, err := o.runner.State(o.Context(), Reservation.ID(key))
		if err == nil && want(s) {
			return s
		}
		require.NoError(o, store.Sleep(o.Context(), time.Millisecond))
	}
}

func newHome() *memory.Store { return memory.New(memory.Config{}) }

var by = saga.By{Actor: "ada", Reason: "a test"}
