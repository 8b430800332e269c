package aggregate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// Host runs the aggregates of one category. Make it with [New]. Its methods may
// be called from any goroutine.
type Host[S, C, E any] struct {
	category string
	machines *store.Keyed[key, machine[S, C], action[S, C]]
	newID    func() (uuid.UUID, error)

	// Functions of generic types are made once.
	answered func(action[S, C]) (*reply[S], bool)
	gone     func(action[S, C]) (verdict, bool)
}

// New makes a host of the aggregates of a category, whose streams are named for
// it: that of the aggregate "A" of category "seats" is "seats-A". The registry
// has the types of the decider's events. The host runs until [Host.Shutdown].
//
// A category is not empty and has no hyphen. The state S is copied for every
// feedback: by its method Clone() S if it has one, by assignment if that copies
// all of it, else by reflection.
func New[S, C, E any](category string, d Decider[S, C, E], registry *eventstore.Registry, log eventstore.Store, cfg Config[S]) (*Host[S, C, E], error) {
	fail := func(err error) (*Host[S, C, E], error) {
		return nil, fmt.Errorf("aggregates of category %q: %w", category, err)
	}
	switch {
	case eventstore.CheckStream("category", category) != nil:
		return fail(eventstore.CheckStream("category", category))
	case strings.Contains(category, "-"):
		return fail(&eventstore.InputError{Field: "category", Value: strconv.Quote(category), Want: "a name without a hyphen, which ends it in the names of streams"})
	case reducer.IsNil(d):
		return fail(errors.New("the decider is nil"))
	case registry == nil:
		return fail(errors.New("the registry is nil"))
	case reducer.IsNil(log):
		return fail(errors.New("the event store is nil"))
	}
	if err := cfg.validate(); err != nil {
		return fail(err)
	}
	cfg = cfg.withDefaults()
	r, err := rulesOf(d, registry, cfg)
	if err != nil {
		return fail(err)
	}
	doer := &home[S, C, E]{decider: d, registry: registry, copy: r.copy, log: log, category: category, unknown: cfg.OnUnknown, read: cfg.Load, tidies: min(cfg.Timeout/4, time.Second)}
	if doer.archive, err = archiveOf(cfg); err != nil {
		return fail(err)
	}
	appends := effect.Handle(doer.append)
	if immediate(log) {
		effect.Inside(appends).Immediate = true
		if cfg.Runtime == nil && cfg.Hooks.EffectContext == nil && cfg.Hooks.EffectEnded == nil {
			r.ofAppend = []effect.Option{effect.Retry(cfg.Retry)} // done at once: there is nothing to time
		}
	}
	handlers := []effect.Handler{effect.Handle(doer.load), appends, effect.Handle(doer.rebuild)}
	if doer.archive != nil {
		handlers = append(handlers, effect.Handle(doer.archive.save))
	}
	machines, err := store.NewKeyed(
		func(k key) machine[S, C] {
			return machine[S, C]{tenant: k.Tenant, stream: category + "-" + k.ID}
		}, r,
		store.KeyedConfig[key, machine[S, C]]{
			Config: store.Config{
				Name:     category,
				Handlers: handlers,
				Workers:  cfg.Workers,
				Mailbox:  math.MaxInt, // MaxWaiting bounds what waits
				Hooks:    cfg.Hooks,
				Runtime:  cfg.Runtime,
			},
			MaxLive:   cfg.MaxLive,
			IdleAfter: cfg.IdleAfter,
		})
	if err != nil {
		return fail(err)
	}
	h := &Host[S, C, E]{category: category, machines: machines, newID: uuid.NewV7}
	if source, ok := cfg.Runtime.(interface{ NewID() uuid.UUID }); ok {
		h.newID = func() (uuid.UUID, error) { return source.NewID(), nil }
	}
	h.answered = func(a action[S, C]) (*reply[S], bool) {
		p, is := a.payload.(*reply[S])
		return p, is
	}
	h.gone = func(a action[S, C]) (verdict, bool) { return a.verdict, a.kind == wasWithdrawn }
	return h, nil
}

// immediate tells event stores whose appends wait for nothing, by a method that
// returns the store of which that is true: one around it may do otherwise.
func immediate(log eventstore.Store) bool {
	s, ok := log.(interface{ Immediate() eventstore.Store })
	return ok && s.Immediate() == log
}

func rulesOf[S, C, E any](d Decider[S, C, E], registry *eventstore.Registry, cfg Config[S]) (*rules[S, C, E], error) {
	r := &rules[S, C, E]{
		decider: d, registry: registry,
		freshness: cfg.Freshness, policy: cfg.Freshness.policy(),
		maxWaiting: cfg.MaxWaiting, maxBatch: cfg.MaxBatch, attempts: cfg.Attempts, keepKeys: cfg.KeepKeys,
		ofLoad:   []effect.Option{effect.Timeout(cfg.LoadTimeout), effect.Retry(cfg.Retry)},
		ofAppend: []effect.Option{effect.Timeout(cfg.Timeout), effect.Retry(cfg.Retry)},
		onLoaded: onLoaded[S, C], onAppended: onAppended[S, C],
	}
	if cfg.Load == nil { // else they would be saved for nobody
		r.snapshots = cfg.SnapshotPolicy
	}
	var err error
	if r.copy, err = copierOf[S](); err != nil {
		return nil, err
	}
	if !cfg.TrustDecide {
		if hash, err := fingerprint.For[S](); err == nil { // else it has a Clone, and is trusted
			r.hash = hash
		}
	}
	return r, nil
}

// Execute has the aggregate with that id decide a command, and returns when what
// comes of it is durable. An aggregate that has no events yet is the zero state
// at version 0. Commands of one aggregate are decided in the order in which they
// come. The tenant is that of ctx (eventstore.WithTenant, or that of
// reducer.WithMeta).
//
// When ctx ends first it is an *[InterruptedError], which tells whether the
// command may have been done. Errors besides, all for [errors.As]:
//
//   - *[RejectionError]: the decision is no;
//   - *eventstore.ConflictError: others changed the aggregate Config.Attempts times;
//   - *[KeyReusedError]: the idempotency key is another command's;
//   - *[InterruptedError] too if the outcome of the append could not be known;
//   - *workflow.FullError: as many commands wait as may;
//   - *eventstore.InputError, *[DeciderError], and what loading came to, such as
//     an *eventstore.UnknownTypeError;
//   - store.ErrClosed after Shutdown.
//
// [IsRejection], [IsConflict], [Retryable] and [IsPermanent] tell them apart.
func (h *Host[S, C, E]) Execute(ctx context.Context, id string, c C, opts ...Option) (Feedback[S], error) {
	var none Feedback[S]
	o := &order[C]{command: c}
	if reducer.IsNil(c) {
		return none, h.wrap(id, &eventstore.InputError{Field: "command", Value: "nil", Want: "a command"})
	}
	s := settingsOf(opts)
	o.quiet = s.quiet
	if s.keyed {
		if err := eventstore.CheckName("idempotency key", s.key); err != nil {
			return none, h.wrap(id, err)
		}
		hash, err := hashOf(h.category+"-"+id, c)
		if err != nil {
			return none, h.wrap(id, err)
		}
		o.key, o.hash = s.key, hash
	}
	return h.ask(ctx, id, o)
}

// Load returns the state of an aggregate, as up to date as a command would find
// it, for looking on. It waits its turn as a command does.
func (h *Host[S, C, E]) Load(ctx context.Context, id string) (Feedback[S], error) {
	return h.ask(ctx, id, &order[C]{look: true})
}

// Invalidate says that others have changed an aggregate: its state is brought up
// to date before the next command.
func (h *Host[S, C, E]) Invalidate(ctx context.Context, id string) error {
	k, _, err := h.keyOf(ctx, id)
	if err == nil {
		if _, live := store.ViewKey(h.machines, k, func(*machine[S, C]) bool { return true }); live {
			err = h.machines.Send(ctx, k, action[S, C]{kind: invalidate})
		}
	}
	if err != nil {
		return h.wrap(id, err)
	}
	return nil
}

// Len is the number of aggregates in memory.
func (h *Host[S, C, E]) Len() int { return h.machines.Len() }

// Health tells how the host is, and why.
func (h *Host[S, C, E]) Health() store.Health { return h.machines.Health() }

// Shutdown refuses further commands and waits for those that were accepted. When
// ctx ends first the rest is given up: callers get an *[InterruptedError], and
// Shutdown a *store.AbandonedError.
func (h *Host[S, C, E]) Shutdown(ctx context.Context) error { return h.machines.Shutdown(ctx) }

// ask has an order answered.
func (h *Host[S, C, E]) ask(ctx context.Context, id string, o *order[C]) (Feedback[S], error) {
	var none Feedback[S]
	k, meta, err := h.keyOf(ctx, id)
	if err != nil {
		return none, h.wrap(id, err)
	}
	if err := ctx.Err(); err != nil {
		return none, h.wrap(id, &InterruptedError{Stream: h.category + "-" + id, Key: o.key, Err: err})
	}
	if o.id, err = h.newID(); err != nil {
		return none, h.wrap(id, fmt.Errorf("draw an id: %w", err))
	}
	o.meta = meta
	if o.meta.ActionID == uuid.Nil {
		o.meta.ActionID = o.id
	}
	if o.meta.CorrelationID == uuid.Nil {
		o.meta.CorrelationID = o.meta.ActionID
	}
	reply, err := store.AskKey(ctx, h.machines, k, action[S, C]{kind: submit, order: o}, h.answered)
	if err != nil {
		return none, h.wrap(id, h.interrupted(ctx, k, o, err))
	}
	if reply.err != nil {
		return none, h.wrap(id, reply.err)
	}
	return reply.Feedback, nil
}

// interrupted tells what becomes of a command that is not waited for any more.
func (h *Host[S, C, E]) interrupted(ctx context.Context, k key, o *order[C], err error) error {
	cut := &InterruptedError{Stream: h.category + "-" + k.ID, Key: o.key, Err: err}
	var abandoned *store.AbandonedError
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		// Nobody cancels this: a machine is never long at it.
		v, err := store.AskKey(context.WithoutCancel(ctx), h.machines, k, action[S, C]{kind: withdraw, order: o}, h.gone)
		cut.MaybeDone = !o.look && (err != nil || v != undone)
	case errors.As(err, &abandoned):
		waiting, _ := store.ViewKey(h.machines, k, func(m *machine[S, C]) bool {
			for i := range m.line {
				if m.line[i].order.id == o.id {
					return true
				}
			}
			return false
		})
		cut.MaybeDone = !o.look && !waiting
	default:
		return err // it was not accepted
	}
	return cut
}

// keyOf checks an id, and takes from ctx what belongs to the command.
func (h *Host[S, C, E]) keyOf(ctx context.Context, id string) (key, reducer.Meta, error) {
	var meta reducer.Meta
	switch m := ctx.Value(reducer.MetaKey()).(type) {
	case *reducer.Meta:
		meta = *m
	case func() reducer.Meta: // a handler's: its action is the cause
		meta = m()
		meta.CausationID, meta.ActionID = meta.ActionID, uuid.Nil
	}
	most := eventstore.MaxStreamName - len(h.category) - 1
	if id == "" || len(id) > most || eventstore.CheckStream("id", id) != nil {
		err := &eventstore.InputError{Field: "id", Value: strconv.Quote(id), Want: fmt.Sprintf("1 to %d bytes of UTF-8 without a zero byte", most)}
		if len(id) > 40 {
			err.Value = fmt.Sprintf("%q… (%d bytes)", strings.ToValidUTF8(id[:40], ""), len(id))
		}
		return key{}, meta, err
	}
	tenant, err := eventstore.Tenant(ctx, false)
	switch {
	case err != nil:
		return key{}, meta, err
	case tenant == "" && meta.Tenant != "":
		if err := eventstore.CheckName("the tenant of reducer.WithMeta", meta.Tenant); err != nil {
			return key{}, meta, err
		}
		tenant = meta.Tenant
	case meta.Tenant == "":
		meta.Tenant = tenant
	case meta.Tenant != tenant:
		return key{}, meta, &eventstore.InputError{
			Field: "the tenant of reducer.WithMeta", Value: strconv.Quote(meta.Tenant),
			Want: "that of eventstore.WithTenant, " + strconv.Quote(tenant),
		}
	}
	return key{tenant, id}, meta, nil
}

func (h *Host[S, C, E]) wrap(id string, err error) error {
	if len(id) > 64 {
		id = strings.ToValidUTF8(id[:64], "") + "…"
	}
	return fmt.Errorf("%s %q: %w", h.category, id, err)
}
