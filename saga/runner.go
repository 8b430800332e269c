package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// Runner starts sagas, sends them messages and, while [Runner.Run] goes on, runs
// those whose shards this process owns. Make it with [New].
type Runner struct {
	*Operator // what may be done to single sagas, and looking at them

	store Store
	// transactional is the store, if it is one.
	transactional Transactional
	config        Config
	simulated     bool
	runtime       store.Runtime
	types         []string // in order
	kinds         map[string]*kind
	deciders      map[string]*decider // by their types
	handlers      map[reflect.Type]*tree.Handler
	machines      *store.Keyed[ID, machine, event]
	committer     *committer
	busy          atomic.Int64  // effects at work
	tokens        atomic.Uint64 // drawn
	closed        atomic.Bool

	owned    ownership
	waiters  waiters
	retiring retiring

	mu      sync.Mutex
	running *run // nil while nothing is run
}

// New makes a runner of those types of sagas. Without [Runner.Run] it leaves
// running them to other processes.
func New(s Store, cfg Config, sagas ...Saga) (*Runner, error) {
	if p, ok := s.(Parallel); ok && cfg.Commits == 0 {
		cfg.Commits = p.Commits()
	}
	r := &Runner{store: s, simulated: cfg.Runtime != nil, config: cfg.withDefaults(), kinds: map[string]*kind{}, deciders: map[string]*decider{}}
	if s == nil {
		return nil, errors.New("saga runner: store is nil")
	}
	var err error
	if r.handlers, err = r.config.validate(); err != nil {
		return nil, fmt.Errorf("saga runner: %w", err)
	}
	r.runtime = r.config.Runtime
	r.tokens.Store(uint64(r.runtime.Now().UnixNano())) //nolint:gosec // another number than before a restart
	r.transactional, _ = s.(Transactional)
	for i, d := range sagas {
		if reducer.IsNil(d) || d.inside() == nil {
			return nil, fmt.Errorf("saga runner: definition %d is nil, want one made by saga.Define", i)
		}
		k := d.inside()
		switch {
		case k.problem != nil:
			return nil, fmt.Errorf("saga %q: %w", k.name, k.problem)
		case r.kinds[k.name] != nil:
			return nil, fmt.Errorf("saga %q: there are two definitions of that name", k.name)
		}
		if len(r.handlers) > 0 {
			if err := k.handlers(r.handlers); err != nil {
				return nil, fmt.Errorf("saga runner: %w", err)
			}
		}
		r.kinds[k.name] = k
		r.deciders[k.name] = r.decider(k)
	}
	r.types = sortedKeys(r.kinds)
	r.Operator = &Operator{store: s, now: func() time.Time { return r.runtime.Now() }, known: r.known, kinds: r.kinds, most: r.config.MaxRecord}
	r.committer = newCommitter(r)
	r.machines, err = store.NewKeyed(newMachine, reducer.Reducer[machine, event](&host{deciders: r.deciders, resident: r.config.Resident}),
		store.KeyedConfig[ID, machine]{
			Config: store.Config{
				Name:    "saga",
				Workers: 1 << 20, // a handler that waits must not keep a decision from being committed
				Runtime: r.config.Runtime,
				Handlers: []effect.Handler{
					effect.Handle(r.load), effect.Handle(r.commit), effect.Handle(r.chain), effect.Handle(r.perform),
					effect.Handle(r.discard), effect.Handle(r.refuse),
				},
			},
			IdleAfter: r.config.Resident,
		})
	if err != nil {
		return nil, fmt.Errorf("saga runner: %w", err)
	}
	r.retiring.runtime, r.retiring.forget = r.runtime, r.machines.Passivate
	return r, nil
}

// decider makes the decisions of a type. It begins chains with those requests whose
// handlers work in transactions of the store. Those within middleware do not count,
// as it may do anything.
func (r *Runner) decider(k *kind) *decider {
	d := &decider{kind: k, maxSize: r.config.MaxRecord, stuckAfter: r.config.StuckAfter, within: map[string]bool{}}
	if r.transactional == nil || r.config.MaxChain < 1 {
		return d
	}
	for name, t := range k.requests {
		if h := r.handlers[t.goType]; t.child == nil && h != nil && h.Home != nil && h.Wrapped == nil && r.transactional.Joins(h.Home) {
			d.within[name], d.maxChain = true, r.config.MaxChain
		}
	}
	return d
}

func (r *Runner) known(name string) error {
	if r.kinds[name] == nil {
		return &TypeError{Type: name, Known: r.types}
	}
	return nil
}

// Start begins the saga of that id with an action, or finds the one that is
// there: then the action is not used. It returns when the decision on the action
// is committed; a *[StuckError] tells that its reducer could not make it. Where
// another worker owns the saga it begins there, and Start waits for it.
func (r *Runner) Start(ctx context.Context, id ID, action any) (Handle, error) {
	in := input{Kind: startInput, Token: r.config.Worker + "/" + strconv.FormatUint(r.tokens.Add(1), 36)}
	id, err := r.incoming(ctx, id, &in, action)
	if err != nil {
		return Handle{}, fmt.Errorf("start saga %q: %w", id, err)
	}
	h := Handle{ID: id, runner: r}
	moved, err := r.submit(ctx, id, in, func() error { return r.startElsewhere(ctx, id, &in) })
	if moved && errors.Is(err, errExists) { // it may be there by this start, which was not told
		err = r.begunBy(ctx, id, &in)
	}
	if errors.Is(err, errExists) {
		h.Existing, err = true, nil
	}
	if err != nil {
		return h, fmt.Errorf("start saga %q: %w", id, err)
	}
	return h, nil
}

// Signal sends a saga an action. messageID tells it from others: one with an id
// that the saga has seen, among its last 128, is not used again. It returns when
// the decision is committed, or, where another worker owns the saga or it is
// stuck or paused, when the message is kept. Errors: ErrNotFound, ErrEnded, a
// *[StuckError] if the reducer could not make a decision on it.
func (r *Runner) Signal(ctx context.Context, id ID, messageID string, action any) error {
	in := input{Kind: signalInput, Message: messageID}
	id, err := r.incoming(ctx, id, &in, action)
	if err == nil {
		err = checkText("messageID", messageID, MaxMessageID)
	}
	if err == nil && strings.HasPrefix(messageID, reserved) {
		err = inputError("messageID", quote(messageID), "one that does not begin with %q", reserved)
	}
	if err == nil {
		err = r.send(ctx, id, SignalMessage, in)
	}
	if err != nil {
		return fmt.Errorf("signal %q to saga %q: %w", messageID, id, err)
	}
	return nil
}

// Cancel has a saga compensate. It is no error if it does so already, or has
// done. Errors: ErrNotFound, ErrPivoted after the point of no return, ErrEnded.
// Where another worker owns the saga the cancellation is kept in its inbox, and
// may then find that it comes too late; see [Hooks].Refused. While the type is
// paused it is kept as well, and nothing is undone until [Operator.ResumeType].
func (r *Runner) Cancel(ctx context.Context, id ID, reason string) error {
	in := input{Kind: cancelInput, Message: cancelID, Reason: reason}
	id, err := r.incoming(ctx, id, &in, nil)
	if err == nil {
		err = r.send(ctx, id, CancelMessage, in)
	}
	if err != nil {
		return fmt.Errorf("cancel saga %q: %w", id, err)
	}
	return nil
}

// incoming checks what comes from outside, and makes an input of it.
func (r *Runner) incoming(ctx context.Context, id ID, in *input, action any) (ID, error) {
	id = withTenant(ctx, id)
	if err := CheckID("id", id); err != nil {
		return id, err
	}
	if err := r.known(id.Type); err != nil {
		return id, err
	}
	if r.closed.Load() {
		return id, ErrClosed
	}
	if m, ok := reducer.MetaFrom(ctx); ok {
		in.Meta = sent(m)
	}
	if in.Kind == cancelInput {
		return id, nil
	}
	n, err := r.kinds[id.Type].encodeAction(action)
	if err != nil {
		return id, err
	}
	if len(n.Data) > r.config.MaxRecord {
		return id, inputError("action", fmt.Sprintf("%d bytes long", len(n.Data)), "at most %d", r.config.MaxRecord)
	}
	in.Action = n
	return id, nil
}

// withTenant is id in the tenant of the context, unless it has one.
func withTenant(ctx context.Context, id ID) ID {
	if id.Tenant == "" {
		id.Tenant, _ = eventstore.TenantFrom(ctx)
	}
	return id
}

// submit has the machine of a saga decide on an input, if this process owns it;
// elsewhere does what is to be done otherwise. It tells whether the saga has moved
// meanwhile, so that the input may have been decided on before.
func (r *Runner) submit(ctx context.Context, id ID, in input, elsewhere func() error) (moved bool, err error) {
	for {
		epoch, ok := r.owned.epoch(id)
		if !ok {
			return moved, elsewhere()
		}
		err, asked := store.AskKey(ctx, r.machines, id, event(submit{Epoch: epoch, Input: in}), func(e event) (error, bool) {
			a, ok := e.(answered)
			return a.Err, ok
		})
		switch {
		case errors.Is(asked, store.ErrClosed):
			return moved, ErrClosed
		case asked != nil:
			return moved, asked
		case errors.Is(err, errMoved):
			moved = true
			if now, _ := r.owned.epoch(id); now != epoch {
				continue
			}
			return moved, elsewhere() // this process is giving it up
		case errors.Is(err, errWaits):
			return moved, elsewhere()
		}
		return moved, err
	}
}

// send is submit for messages to a saga that exists: where it cannot be decided
// on at once, the message is kept, unless the head refuses it.
func (r *Runner) send(ctx context.Context, id ID, kind MessageKind, in input) error {
	_, err := r.submit(ctx, id, in, func() error {
		record, found, err := r.look(ctx, id)
		if err != nil {
			return err
		}
		if found {
			h, err := loaded(record)
			if err != nil {
				return err
			}
			if refused, err := (&decider{}).refuses(h, &in); refused {
				return err
			}
		}
		return r.post(ctx, id, kind, in.Message, &in)
	})
	return err
}

func (r *Runner) post(ctx context.Context, id ID, kind MessageKind, messageID string, in *input) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := r.bound(ctx)
	defer cancel()
	return r.store.Post(ctx, Message{To: id, ID: messageID, Kind: kind, Body: body, At: Recordable(r.runtime.Now())})
}

// startElsewhere has a saga started by whoever owns it, and waits until it has
// begun.
func (r *Runner) startElsewhere(ctx context.Context, id ID, in *input) error {
	for wait, posted := 5*time.Millisecond, false; ; wait = min(2*wait, r.config.Poll) {
		_, found, err := r.look(ctx, id)
		var down *downError
		switch {
		case posted && errors.As(err, &down): // it is kept, and looked for again
			r.config.Hooks.StoreFailed("Load", down.error)
		case err != nil:
			return err
		case found && !posted:
			return errExists
		case found:
			return r.begunBy(ctx, id, in)
		case posted: // whoever owns it will make it, when its type is not paused any more
		case r.owned.paused(id.Type):
			return ErrPaused
		default:
			if err := r.post(ctx, id, StartMessage, startID, in); err != nil {
				return err
			}
			posted = true
		}
		if err := r.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// begunBy tells whether a saga has begun with this very start. It asks again while the
// store is down.
func (r *Runner) begunBy(ctx context.Context, id ID, in *input) error {
	entries, err := r.beginning(ctx, id)
	for down := new(downError); errors.As(err, &down); entries, err = r.beginning(ctx, id) {
		r.config.Hooks.StoreFailed("History", down.error)
		if err := r.sleep(ctx, r.config.Poll); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	var first told
	if len(entries) == 1 {
		if err := json.Unmarshal(entries[0].Data, &first); err != nil {
			return err
		}
	}
	switch {
	case first.Input == nil || first.Input.Token != in.Token:
		return errExists
	case entries[0].Kind == stuckKind:
		return &StuckError{ID: id, Reason: first.Reason}
	}
	return nil
}

// beginning is the first entry of a saga's history. An error that may pass is a
// *downError.
func (r *Runner) beginning(ctx context.Context, id ID) ([]Entry, error) {
	bounded, cancel := r.bound(ctx)
	defer cancel()
	entries, err := r.store.History(bounded, id, 0, 1)
	if err != nil {
		err = mayPass(ctx, bounded, err)
	}
	return entries, err
}

func (r *Runner) sleep(ctx context.Context, d time.Duration) error {
	return store.Sleep(store.WithRuntime(ctx, r.runtime), d)
}

// Handle is a saga that was started.
type Handle struct {
	ID ID
	// Existing tells that it was there before.
	Existing bool

	runner *Runner
}

// Wait waits until the saga has ended, in whatever process, and returns it as it
// was then. A saga that is stuck or paused is waited for, and so is a store that
// fails for a while, as its error says by [eventstore.Retryable], or that does not
// answer within Config.StoreTimeout: [Hooks].StoreFailed is told, and the store is
// asked again after Config.Poll. Errors: the context's, ErrNotFound, and those of
// the store that do not pass by themselves, as ErrClosed.
func (h Handle) Wait(ctx context.Context) (Snapshot, error) { return h.runner.Wait(ctx, h.ID) }

// Wait waits until a saga has ended: see [Handle.Wait].
func (r *Runner) Wait(ctx context.Context, id ID) (Snapshot, error) {
	id = withTenant(ctx, id)
	for look := r.atHand; ; look = r.look {
		s, err := r.await(ctx, id, look)
		if err != nil || s.Status.Ended() {
			return s, err
		}
	}
}

// atHand is Load for a saga that this process works on at the moment, without the
// store: what is in memory was committed. Where that is another's meanwhile, who
// waits finds out when he looks again.
func (r *Runner) atHand(ctx context.Context, id ID) (record Record, found bool, err error) {
	if _, here := r.owned.epoch(id); here {
		store.ViewKey(r.machines, id, func(m *machine) struct{} {
			record, found = m.settled()
			return struct{}{}
		})
	}
	if found {
		return record, true, nil
	}
	return r.look(ctx, id)
}

// look is Load of the store. An error that may pass is a *downError.
func (r *Runner) look(ctx context.Context, id ID) (Record, bool, error) {
	bounded, cancel := r.bound(ctx)
	defer cancel()
	record, found, err := r.store.Load(bounded, id)
	if err != nil {
		err = mayPass(ctx, bounded, err)
	}
	return record, found, err
}

// mayPass is the error of a call of the store within a bound: a *downError, if it may
// pass.
func mayPass(ctx, bounded context.Context, err error) error {
	switch {
	case ctx.Err() != nil: // whatever it came to
		return ctx.Err()
	case bounded.Err() != nil || eventstore.Retryable(err):
		return &downError{err}
	}
	return err
}

// downError is an error of a store that may pass.
type downError struct{ error }

func (e *downError) Unwrap() error { return e.error }

// await returns a saga when it has ended, or after a while.
func (r *Runner) await(ctx context.Context, id ID, look func(context.Context, ID) (Record, bool, error)) (Snapshot, error) {
	w := &waiter{ended: r.runtime.NewSignal()}
	defer r.waiters.add(id, w)()
	record, found, err := look(ctx, id)
	var down *downError
	switch {
	case errors.As(err, &down):
		r.config.Hooks.StoreFailed("Load", down.error)
	case err == nil && !found:
		err = ErrNotFound
	case err == nil && record.Status.Ended():
		return snapshotOf(record)
	}
	if err != nil && down == nil {
		return Snapshot{}, fmt.Errorf("wait for saga %q: %w", id, err)
	}
	pause := r.config.Poll
	if _, here := r.owned.epoch(id); here && down == nil {
		pause *= 10 // the signal comes when it ends; this is for when it moves
	}
	timer := r.runtime.AfterFunc(pause, w.ended.Fire)
	defer timer.Stop()
	if err := w.ended.Wait(ctx); err != nil {
		if down != nil {
			err = fmt.Errorf("%w; its store is down: %v", err, down) //nolint:errorlint // it is the context's alone
		}
		return Snapshot{Record: record}, fmt.Errorf("wait for saga %q: %w", id, err)
	}
	r.waiters.mu.Lock()
	defer r.waiters.mu.Unlock()
	if w.record != nil {
		return snapshotOf(*w.record)
	}
	return Snapshot{}, nil // look again
}

func snapshotOf(r Record) (Snapshot, error) {
	h, err := loaded(r)
	if err != nil {
		return Snapshot{Record: r}, err
	}
	return snapshot(h), nil
}

// waiters are those who wait for the end of sagas in this process.
type waiters struct {
	mu sync.Mutex
	of map[ID][]*waiter
}

type waiter struct {
	ended  store.Signal
	record *Record // as it ended
}

func (w *waiters) add(id ID, one *waiter) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[ID][]*waiter{}
	}
	w.of[id] = append(w.of[id], one)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if left := slices.DeleteFunc(w.of[id], func(other *waiter) bool { return other == one }); len(left) > 0 {
			w.of[id] = left
		} else {
			delete(w.of, id)
		}
	}
}

func (w *waiters) ended(r *Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.of[r.ID] {
		one.record = r
		one.ended.Fire()
	}
}
