package command_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// put is the command of these tests. Its effect is in a ledger.
type put struct {
	Name string `json:"name"`
	N    int    `json:"n,omitempty"`
}

func (put) Returns(string) {}

// home is what a bus needs.
type home interface {
	eventstore.Store
	eventstore.Checkpoints
}

// ledger is where the effects of commands are: outside of the bus, as a gateway
// is that knows idempotency keys.
type ledger struct {
	mu    sync.Mutex
	calls []effect
	done  map[uuid.UUID]string
}

// effect is a call of a handler.
type effect struct {
	Name   string
	Tenant string
	At     time.Duration // since the ledger was made
}

// put has an effect, once for an id.
func (l *ledger) put(ctx context.Context, began time.Time, name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	tenant, _ := eventstore.TenantFrom(ctx)
	l.calls = append(l.calls, effect{name, tenant, time.Since(began)})
	if l.done == nil {
		l.done = map[uuid.UUID]string{}
	}
	if _, ok := l.done[command.ID(ctx)]; !ok {
		l.done[command.ID(ctx)] = "put " + name
	}
	return l.done[command.ID(ctx)]
}

func (l *ledger) seen() []effect {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]effect(nil), l.calls...)
}

// effects is how many commands there were whose effect it has.
func (l *ledger) effects() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.done)
}

func (l *ledger) names() (names []string) {
	for _, e := range l.seen() {
		names = append(names, e.Name)
	}
	return names
}

// scene is a test with a home.
type scene struct {
	*testing.T
	db     home
	ledger *ledger
	began  time.Time
	// handle is what happens before the effect of a command.
	handle func(ctx context.Context, c put) error
}

func newScene(t *testing.T, db home) *scene {
	t.Helper()
	return &scene{T: t, db: db, ledger: &ledger{}, began: time.Now()}
}

func newMemory(t testing.TB, cfg memory.Config) *memory.Store {
	t.Helper()
	db, err := memory.New(cfg)
	require.NoError(t, err)
	return db
}

// bubble runs a test on virtual time.
func bubble(t *testing.T, test func(t *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newScene(t, newMemory(t, memory.Config{}))) })
}

// elapse lets virtual time pass, and then all that has to happen until then.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

// routes lead put to the ledger.
func (t *scene) routes(opts ...command.RouteOption) []command.Route {
	return []command.Route{command.Handle("put", func(ctx context.Context, c put) (string, error) {
		if t.handle != nil {
			if err := t.handle(ctx, c); err != nil {
				return "", err
			}
		}
		return t.ledger.put(ctx, t.began, c.Name), nil
	}, opts...)}
}

// bus makes a bus as one more process would. It fails the test if the bus has
// trouble, unless cfg has a hook for that.
func (t *scene) bus(db home, cfg command.Config) *command.Bus {
	t.Helper()
	if cfg.Hooks.Trouble == nil {
		cfg.Hooks.Trouble = func(doing string, err error) { t.Errorf("trouble: %s: %v", doing, err) }
	}
	if cfg.Hooks.Retrying == nil {
		cfg.Hooks.Retrying = func(command.Record) {}
	}
	b, err := command.New(db, db, t.routes(), cfg)
	require.NoError(t, err)
	return b
}

// running is a Run that goes on.
type running struct {
	t    testing.TB
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// run runs a bus until the test ends.
func run(ctx context.Context, t testing.TB, b *command.Bus) *running {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	r := &running{t: t, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = b.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-r.done
	})
	return r
}

// end ends it, and wants nothing to have gone wrong.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	<-r.done
	require.ErrorIs(r.t, r.err, context.Canceled)
}

// What a call of a faulty home was, besides the types of events.
const (
	anyRead = "read"
	lease   = "lease"
)

// faulty is a home as one process sees it. before is asked ahead of each call,
// and its error is the call's; after is told when it was done. call is the type of
// the event that is appended, or one of the constants.
type faulty struct {
	home
	before func(call string) error
	after  func(call string) error
}

func (f *faulty) around(call string, do func() error) error {
	if f.before != nil {
		if err := f.before(call); err != nil {
			return err
		}
	}
	err := do()
	if err == nil && f.after != nil {
		err = f.after(call)
	}
	return err
}

func (f *faulty) Append(ctx context.Context, writes ...eventstore.Write) (done []eventstore.Appended, err error) {
	err = f.around(writes[0].Events[0].Type, func() (err error) {
		done, err = f.home.Append(ctx, writes...)
		return err
	})
	return done, err
}

func (f *faulty) reads(seq iter.Seq2[eventstore.Recorded, error]) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		if err := f.around(anyRead, func() error { return nil }); err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		for e, err := range seq {
			if err == nil {
				err = f.around(anyRead, func() error { return nil })
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (f *faulty) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return f.reads(f.home.ReadStream(ctx, stream, from))
}

func (f *faulty) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return f.reads(f.home.ReadAll(ctx, after, filter))
}

func (f *faulty) Subscribe(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return f.reads(f.home.Subscribe(ctx, after, filter))
}

func (f *faulty) AcquireLease(ctx context.Context, subscription, owner string, ttl time.Duration) (l eventstore.Lease, err error) {
	err = f.around(lease, func() (err error) {
		l, err = f.home.AcquireLease(ctx, subscription, owner, ttl)
		return err
	})
	return l, err
}

func (f *faulty) SaveCheckpoint(ctx context.Context, l eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
	err := f.around(lease, func() (err error) {
		l, err = f.home.SaveCheckpoint(ctx, l, checkpoint, ttl)
		return err
	})
	return l, err
}

func (f *faulty) ReleaseLease(ctx context.Context, l eventstore.Lease) error {
	return f.around(lease, func() error { return f.home.ReleaseLease(ctx, l) })
}

// passing is an error that may pass.
type passing struct{ reason string }

func (e *passing) Error() string { return e.reason }
func (*passing) Retryable() bool { return true }

var errBroken = errors.New("broken for good")

// events are the types of what is in the stream of a command.
func events(t testing.TB, ctx context.Context, db eventstore.Store, id uuid.UUID) (types []string) {
	t.Helper()
	for e, err := range db.ReadStream(ctx, "command-"+id.String(), 1) {
		require.NoError(t, err)
		types = append(types, e.Type)
	}
	return types
}
