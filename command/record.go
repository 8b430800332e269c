package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// What happens to a command. All of it is in its own stream.
type (
	// accepted is the first event. The rest of the envelope is in the event's
	// metadata, its tenant and its stream's name.
	accepted struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
		Due     time.Time       `json:"due,omitzero"`
		Key     string          `json:"key,omitempty"`
		Direct  bool            `json:"direct,omitempty"` // the one who has accepted it carries it out
	}
	// started is recorded before Run begins, so that a cancellation comes before
	// or after, and not in between.
	started progress
	// postponed is recorded when an attempt has failed that another may mend, and
	// again and again for what lies far ahead.
	postponed progress
	consumed  struct {
		Attempts int             `json:"attempts"`
		Result   json.RawMessage `json:"result,omitempty"`
	}
	failed struct {
		Attempts int `json:"attempts"`
		Failure
	}
)

// progress is what Run has to know of a pending command, so that it need not read
// what is before.
type progress struct {
	First    eventstore.Position `json:"first"` // of what was accepted
	Since    time.Time           `json:"since"` // when it was due, or accepted
	Key      string              `json:"key,omitempty"`
	Attempts int                 `json:"attempts,omitempty"`
	Next     time.Time           `json:"next,omitzero"` // before when it is not begun
	Direct   bool                `json:"direct,omitempty"`
	Failure  *Failure            `json:"failure,omitempty"` // of the last attempt
}

// The types' names begin with those of the package, whatever the category.
var registry = func() *eventstore.Registry {
	r, err := eventstore.NewRegistry(
		eventstore.TypeOf[accepted]("command.accepted", 1),
		eventstore.TypeOf[started]("command.started", 1),
		eventstore.TypeOf[postponed]("command.postponed", 1),
		eventstore.TypeOf[consumed](typeConsumed, 1),
		eventstore.TypeOf[failed](typeFailed, 1),
	)
	if err != nil {
		panic(err) // a mistake above
	}
	return r
}()

const (
	typeConsumed = "command.consumed"
	typeFailed   = "command.failed"
)

// state is a command as its stream tells it.
type state struct {
	Record
	version  eventstore.Version
	position eventstore.Position // of its last event
	at       time.Time           // of its last event
	progress progress
	begun    bool      // by Run or a dispatch, and nobody has recorded what came of it
	erased   bool      // the payload is gone
	firstID  uuid.UUID // of its first event
}

func (s *state) receipt() Receipt {
	r := Receipt{Status: s.Status}
	r.ID, r.Due = s.ID, s.Due
	return r
}

// evolve puts one more event, and the value in it, on top of what is known.
func (s *state) evolve(e *eventstore.Recorded, value any) {
	s.version, s.position, s.at = e.Version, e.Position, e.At
	switch value := value.(type) {
	case accepted:
		s.Type, s.Payload, s.Due, s.OrderingKey = value.Type, value.Payload, value.Due, value.Key
		s.Tenant, s.Status, s.Actor, s.AcceptedAt = e.Tenant, Pending, e.Meta.Actor, e.At
		s.Metadata = Metadata{e.Meta.CorrelationID, e.Meta.CausationID, e.Meta.TraceParent, e.Meta.Labels}
		s.firstID, s.erased, s.begun = e.ID, e.Redacted, value.Direct
		s.progress = progressOf(value, *e)
		s.Attempts = s.progress.Attempts
	case started:
		s.begin(progress(value))
		s.begun = true
	case postponed:
		s.begin(progress(value))
		s.begun = false
	case consumed:
		s.Status, s.Attempts, s.Result, s.FinishedAt = Consumed, value.Attempts, value.Result, e.At
		s.Next, s.Failure, s.begun = time.Time{}, nil, false
	case failed:
		s.Status, s.Attempts, s.Failure, s.FinishedAt = Failed, value.Attempts, &value.Failure, e.At
		s.Next, s.begun = time.Time{}, false
	}
}

// begin says that the command is pending, also if it had failed before.
func (s *state) begin(p progress) {
	s.Status, s.Attempts, s.Failure, s.FinishedAt, s.Next = Pending, p.Attempts, p.Failure, time.Time{}, time.Time{}
	if p.Failure != nil {
		s.Next = p.Next
	}
	s.progress = p
}

func progressOf(a accepted, e eventstore.Recorded) progress {
	p := progress{First: e.Position, Since: a.Due, Key: a.Key, Next: a.Due, Direct: a.Direct}
	if p.Since.IsZero() {
		p.Since = e.At
	}
	if a.Direct {
		p.Attempts = 1
	}
	return p
}

// news is what an event tells Run: nil progress is that the command is finished.
func news(e eventstore.Recorded) (*progress, error) {
	value, err := registry.Decode(e)
	if err != nil {
		return nil, err
	}
	var p progress
	switch value := value.(type) {
	case accepted:
		p = progressOf(value, e)
	case started:
		p = progress(value)
	case postponed:
		p = progress(value)
	default:
		return nil, nil //nolint:nilnil // finished
	}
	return &p, nil
}

func (b *Bus) stream(id uuid.UUID) string { return b.cfg.Category + "-" + id.String() }

// idOf is the id of the command whose stream it is.
func (b *Bus) idOf(stream string) (uuid.UUID, error) {
	id, err := uuid.Parse(strings.TrimPrefix(stream, b.cfg.Category+"-"))
	if err == nil && b.stream(id) != stream {
		err = errors.New("not as this package writes it")
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("stream %q is not that of a command: %w", stream, err)
	}
	return id, nil
}

// load reads a command of the context's tenant.
func (b *Bus) load(ctx context.Context, id uuid.UUID) (*state, error) {
	s := &state{}
	s.ID = id
	for e, err := range b.store.ReadStream(ctx, b.stream(id), 1) {
		var value any
		if err == nil {
			value, err = registry.Decode(e)
		}
		if err != nil {
			return nil, fmt.Errorf("read command %s: %w", id, err)
		}
		s.evolve(&e, value)
	}
	if s.version == 0 {
		return nil, fmt.Errorf("command %s: %w", id, ErrNotFound)
	}
	return s, nil
}

// append puts one more event into the stream of a command that is in that state,
// and into the state. A store that cannot be reached is tried again. When others
// were faster it is an *eventstore.ConflictError.
func (b *Bus) append(ctx context.Context, s *state, value any, subject string) error {
	event, err := registry.Encode(value)
	if err != nil {
		return err
	}
	if event.ID, err = uuid.NewV7(); err != nil {
		return fmt.Errorf("draw an event id: %w", err)
	}
	event.Meta = eventstore.Meta{
		CorrelationID: s.Metadata.CorrelationID, CausationID: s.ID,
		Actor: s.Actor, TraceParent: s.Metadata.TraceParent, Subject: subject,
	}
	if s.version == 0 {
		event.Meta.CausationID, event.Meta.Labels = s.Metadata.CausationID, s.Metadata.Labels
	}
	write := eventstore.Write{Stream: b.stream(s.ID), Expected: eventstore.Exactly(s.version), Events: []eventstore.Event{event}}
	appended, err := b.store.Append(ctx, write)
	if err != nil && eventstore.Retryable(err) {
		appended, err = b.appendAgain(ctx, write, err)
	}
	if err != nil {
		return err
	}
	if len(appended) != 1 || len(appended[0].Events) != 1 {
		return fmt.Errorf("append to %q: the event store tells of other events than it was given", write.Stream)
	}
	s.evolve(&appended[0].Events[0], value)
	return nil
}

// appendAgain goes on after an append has failed with err. It may have happened.
func (b *Bus) appendAgain(ctx context.Context, write eventstore.Write, err error) (appended []eventstore.Appended, _ error) {
	policy := retrypolicy.NewBuilder[any]().
		WithMaxAttempts(storeAttempts).
		WithBackoff(storeDelay, storeMaxDelay).
		WithJitterFactor(retryJitter).
		HandleIf(func(_ any, err error) bool { return err != nil && eventstore.Retryable(err) }).
		ReturnLastFailure().
		Build()
	first := true
	// What the library returns is not looked at: when the context ends it drops
	// what the last attempt came to.
	_ = failsafe.With[any](policy).WithContext(ctx).Run(func() error {
		if !first {
			appended, err = b.store.Append(ctx, write)
		}
		first = false
		return err
	})
	var duplicate *eventstore.DuplicateEventError
	if !errors.As(err, &duplicate) {
		return appended, err
	}
	expected, _ := write.Expected.Version()
	for e, readErr := range b.store.ReadStream(ctx, write.Stream, expected+1) {
		if readErr != nil {
			return nil, fmt.Errorf("look whether it was appended to %q: %w", write.Stream, readErr)
		}
		if e.ID == write.Events[0].ID {
			return []eventstore.Appended{{Stream: e.Stream, Version: e.Version, Position: e.Position, Events: []eventstore.Recorded{e}}}, nil
		}
		break
	}
	return nil, err
}

// How often the store is asked again before a call fails.
const (
	storeAttempts = 5
	storeDelay    = 20 * time.Millisecond
	storeMaxDelay = 500 * time.Millisecond
	retryJitter   = 0.25
	// markTimeout bounds how long is tried to record what came of a command.
	markTimeout = 10 * time.Second
)

// isConflict tells whether others were faster.
func isConflict(err error) bool {
	var conflict *eventstore.ConflictError
	return errors.As(err, &conflict)
}

// finish records what came of a command that was carried out. It does not end
// with ctx, since the effect may have happened. Others may have begun it in the
// meantime: that it was done holds nevertheless, that it has failed does not.
func (b *Bus) finish(ctx context.Context, s *state, c call, answer any, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	subject := ""
	if c.route != nil {
		subject = c.subject()
	}
	for {
		var value any
		if cause != nil {
			value = failed{max(s.Attempts, s.progress.Attempts), *b.failureOf(cause)}
		} else {
			value = consumed{s.Attempts, b.keep(s, c, answer)}
		}
		err := b.append(ctx, s, value, subject)
		switch {
		case errors.Is(err, eventstore.ErrErased) && subject != "":
			// The subject was erased while it was carried out: so is the answer.
			subject, answer, c.route = "", nil, nil
			continue
		case !isConflict(err):
			return err
		}
		now, err := b.load(ctx, s.ID)
		if err != nil {
			return err
		}
		*s = *now
		if s.Status == Consumed || s.Status == Failed && !s.Failure.Passing || cause != nil {
			return nil
		}
	}
}

// keep encodes an answer to be told again. One that cannot be encoded is not.
func (b *Bus) keep(s *state, c call, answer any) json.RawMessage {
	if c.route == nil || c.route.dropResult {
		return nil
	}
	var result []byte
	err := protected(func() (err error) {
		result, err = json.Marshal(answer)
		return err
	})
	if err != nil {
		b.cfg.Hooks.Trouble("encode the answer of command "+s.Type, err)
		return nil
	}
	return result
}
