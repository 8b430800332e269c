package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
)

// Bus accepts commands and has them carried out. Make it with [New]; it may be
// used by any goroutine.
type Bus struct {
	store       eventstore.Store
	checkpoints eventstore.Checkpoints
	cfg         Config
	byName      map[string]*Route
	byType      map[reflect.Type]*Route
	names       []string // in order
	chain       Handler
}

// New makes a bus over an event store, which has all that the bus knows. The
// homes of package eventstore are both a store and its checkpoints. The error
// names every route whose name is empty, too long or taken, whose Go type comes
// twice, or which has no handler.
func New(store eventstore.Store, checkpoints eventstore.Checkpoints, routes []Route, cfg Config) (*Bus, error) {
	b := &Bus{store: store, checkpoints: checkpoints, cfg: cfg.withDefaults(), byName: map[string]*Route{}, byType: map[reflect.Type]*Route{}}
	var problems []error
	if reducer.IsNil(store) {
		problems = append(problems, &eventstore.InputError{Field: "store", Value: "nil", Want: "an event store"})
	}
	if reducer.IsNil(checkpoints) {
		problems = append(problems, &eventstore.InputError{Field: "checkpoints", Value: "nil", Want: "those of the store"})
	}
	if err := b.cfg.validate(); err != nil {
		problems = append(problems, err)
	}
	for i := range routes {
		problems = append(problems, b.register(i, routes[i])...)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("command bus: %w", errors.Join(problems...))
	}
	b.names = slices.Sorted(maps.Keys(b.byName))
	b.chain = b.handle
	for _, m := range slices.Backward(b.cfg.Middleware) {
		if b.chain = m(b.chain); b.chain == nil {
			return nil, errors.New("command bus: a middleware has returned nil")
		}
	}
	return b, nil
}

func (b *Bus) register(i int, r Route) (problems []error) {
	fail := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("command type %s (%v): "+format, append([]any{quote(r.name), r.goType}, args...)...))
	}
	if r.goType == nil {
		return []error{fmt.Errorf("routes[%d] is empty: make it with Handle", i)}
	}
	if r.problem != nil {
		fail("%w", r.problem)
	}
	if err := eventstore.CheckName("its name", r.name); err != nil {
		fail("%w", err)
	}
	if other := b.byName[r.name]; other != nil {
		fail("it has a handler already, of %v", other.goType)
	}
	if other := b.byType[r.goType]; other != nil {
		fail("its Go type is registered as %s", quote(other.name))
	}
	b.byName[r.name], b.byType[r.goType] = &r, &r
	return problems
}

// Types are the names of the commands that have a handler, in order.
func (b *Bus) Types() []string { return slices.Clone(b.names) }

// accept checks a command that is given, and makes its envelope complete.
// Nothing is recorded yet.
func (b *Bus) accept(ctx context.Context, e *Envelope, canonical bool) (call, context.Context, error) {
	fail := func(err error) (call, context.Context, error) { return call{}, nil, err }
	route := b.byName[e.Type]
	if route == nil {
		return fail(&UnknownTypeError{e.Type, b.names})
	}
	if err := b.complete(ctx, e); err != nil {
		return fail(fmt.Errorf("command %s: %w", quote(e.Type), err))
	}
	command, err := route.decode(e.Payload)
	if err != nil {
		return fail(err)
	}
	c := call{route, command}
	if !canonical {
		if e.Payload, err = c.canonical(); err != nil {
			return fail(err)
		}
	}
	ctx = eventstore.WithTenant(ctx, e.Tenant)
	if err := b.authorize(ctx, *e); err != nil {
		return fail(err)
	}
	return c, ctx, nil
}

// authorize asks whether the command may be given. That the answer cannot be had
// at the moment is no *ForbiddenError.
func (b *Bus) authorize(ctx context.Context, e Envelope) error {
	err := protected(func() error { return b.cfg.Authorize(ctx, e) })
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()), b.cfg.Retryable(err):
		return fmt.Errorf("authorize command %s: %w", quote(e.Type), err)
	}
	return &ForbiddenError{e.Type, e.Actor, err}
}

// complete checks an envelope but for the command in it, and fills in what the
// context knows.
func (b *Bus) complete(ctx context.Context, e *Envelope) error {
	if e.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("draw an id: %w", err)
		}
		e.ID = id
	}
	if err := ctx.Err(); err != nil {
		return &InterruptedError{ID: e.ID, Err: err}
	}
	if e.Status != "" && e.Status != Pending {
		return &eventstore.InputError{Field: "status", Value: quote(string(e.Status)), Want: "none: the bus sets it"}
	}
	e.Status = Pending
	if n := len(e.Payload); n > b.cfg.MaxPayload {
		return &eventstore.InputError{Field: "payload", Value: strconv.Itoa(n) + " bytes long", Want: fmt.Sprintf("at most %d (Config.MaxPayload)", b.cfg.MaxPayload)}
	}
	if year := e.Due.Year(); !e.Due.IsZero() && (year < 1 || year > 9999) {
		return &eventstore.InputError{Field: "due", Value: "in the year " + strconv.Itoa(year), Want: "the years 1 to 9999"}
	}
	e.Due = e.Due.Round(0) // without its monotonic reading, as it will be read
	for _, f := range []struct{ name, value string }{{"orderingKey", e.OrderingKey}, {"actor", e.Actor}} {
		if f.value == "" {
			continue
		}
		if err := eventstore.CheckName(f.name, f.value); err != nil {
			return err
		}
	}
	meta, _ := reducer.MetaFrom(ctx)
	if err := ofContext("actor", &e.Actor, meta.Actor); err != nil {
		return err
	}
	tenant, err := eventstore.Tenant(ctx, false)
	if err != nil {
		return err
	}
	if err := ofContext("the tenant of reducer.WithMeta", &meta.Tenant, tenant); err != nil {
		return err
	}
	if meta.Tenant == "" && e.Tenant != "" {
		return &eventstore.InputError{Field: "tenant", Value: quote(e.Tenant), Want: "none, as the context has none"}
	}
	if err := ofContext("tenant", &e.Tenant, meta.Tenant); err != nil {
		return err
	}
	m := &e.Metadata
	m.CausationID = orDefault(m.CausationID, orDefault(meta.ActionID, meta.CausationID))
	m.CorrelationID = orDefault(m.CorrelationID, orDefault(meta.CorrelationID, e.ID))
	m.TraceParent = orDefault(m.TraceParent, meta.TraceParent)
	return nil
}

// ofContext fills in what the context knows, and refuses what it knows better.
func ofContext(field string, given *string, known string) error {
	switch {
	case known == "":
	case *given == "":
		*given = known
	case *given != known:
		return &eventstore.InputError{Field: field, Value: quote(*given), Want: "that of the context, " + quote(known)}
	}
	return nil
}

// envelopeOf makes the envelope of a command of a registered Go type.
func (b *Bus) envelopeOf(c any, opts []Option) (Envelope, error) {
	route := b.byType[reflect.TypeOf(c)]
	if route == nil {
		return Envelope{}, &UnknownTypeError{fmt.Sprintf("%T", c), b.names}
	}
	payload, err := call{route, c}.canonical()
	if err != nil {
		return Envelope{}, err
	}
	e := Envelope{Type: route.name, Payload: payload}
	for _, o := range opts {
		if o.apply != nil {
			o.apply(&e)
		}
	}
	return e, nil
}

// record records a command that was accepted. If one with its id is there
// already, mine is false, and the state that one's.
func (b *Bus) record(ctx context.Context, e *Envelope, c call, direct bool) (s *state, mine bool, _ error) {
	s = &state{Record: Record{Envelope: *e}}
	value := accepted{Type: e.Type, Payload: e.Payload, Due: e.Due, Key: e.OrderingKey, Direct: direct}
	err := b.append(ctx, s, value, c.subject())
	var unknown *eventstore.UnknownOutcomeError
	switch {
	case err == nil:
		return s, true, nil
	case isConflict(err):
		if s, err = b.load(ctx, e.ID); err == nil {
			return s, false, b.same(s, c)
		}
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, false, &InterruptedError{ID: e.ID, Unknown: errors.As(err, &unknown), Err: err}
	}
	return nil, false, fmt.Errorf("record command %s: %w", quote(e.Type), err)
}

// until is when it is to be done; the zero time is now.
func until(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Until(t))
}
