package participant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

// ErrNoEffect is returned in a context that is not that of a saga's handler.
var ErrNoEffect = errors.New("the context is not that of a saga's handler")

// undo is behind the key of an effect in that of its undo.
const undo = "/undo"

// Label is that of a saga's commands on a bus, with the key of the effect.
const Label = "saga"

// Aggregates are those of a host, as participants of sagas. Make it with [Of].
type Aggregates[S, C, E any] struct{ host *aggregate.Host[S, C, E] }

// Of makes participants of the aggregates of a host, which is not nil.
func Of[S, C, E any](h *aggregate.Host[S, C, E]) Aggregates[S, C, E] { return Aggregates[S, C, E]{h} }

// Execute has an aggregate decide a command, once for the effect that the context
// belongs to. The feedback has no state; a handler that needs it calls the host
// itself, with [Key] and [Error]. Errors: [ErrNoEffect], and those of the host's
// Execute as [Error] makes them.
func (a Aggregates[S, C, E]) Execute(ctx context.Context, id string, c C) (aggregate.Feedback[S], error) {
	key, err := keyOf(ctx)
	if err != nil {
		return aggregate.Feedback[S]{}, err
	}
	got, err := a.host.Execute(ctx, id, c, aggregate.WithKey(key), aggregate.WithoutFeedback())
	return got, Error(err)
}

// Send has a command carried out by the [command.Bus.Run] of whatever process has
// it, once for the effect that the context belongs to, and returns what its handler
// has answered. Until then the handler waits, for as long as an attempt may take;
// the next attempt waits for the same command. An effect sends one command at most.
// Errors: [ErrNoEffect], a rejection, a *command.FailedError, and those of
// command.Enqueue, as [Error] makes them.
func Send[C effect.Request[R], R any](ctx context.Context, b *command.Bus, c C, opts ...command.Option) (R, error) {
	var answer R
	key, err := keyOf(ctx)
	if err != nil {
		return answer, err
	}
	id := uuid.NewSHA1(namespace, []byte(saga.EffectID(ctx)))
	opts = append(append(opts[:len(opts):len(opts)], command.WithLabel(Label, key)), command.WithID(id))
	if _, err := command.Enqueue(ctx, b, c, opts...); err != nil {
		return answer, Error(err)
	}
	record, err := b.Wait(ctx, id)
	switch {
	case err != nil:
		return answer, Error(err)
	case record.Status == command.Failed && record.Failure.Rejected:
		return answer, saga.Rejected(&aggregate.RejectionError{Code: record.Failure.Code, Reason: record.Failure.Reason})
	case record.Status == command.Failed:
		err := error(&command.FailedError{ID: id, Type: record.Type, Failure: *record.Failure})
		if !record.Failure.Passing {
			err = effect.Permanent(err)
		}
		return answer, err
	case record.Result == nil:
		return answer, effect.Permanent(fmt.Errorf("command %s: %w", id, command.ErrNoResult))
	}
	if err := json.Unmarshal(record.Result, &answer); err != nil {
		return answer, effect.Permanent(fmt.Errorf("decode the answer of command %s: %w", id, err))
	}
	return answer, nil
}

// namespace is that of the ids of commands.
var namespace = uuid.MustParse("3b0f7a64-4a51-5a0c-9f35-0d6c6f0a2b1d")

// Key gives a command of an aggregate the key of the effect that the context
// belongs to. A handler that gives several says a part for each. In other contexts
// the key is empty, which Execute of a host refuses.
func Key(ctx context.Context, parts ...string) aggregate.Option {
	id := saga.EffectID(ctx)
	if id == "" {
		return aggregate.WithKey("")
	}
	return aggregate.WithKey(short(strings.Join(append([]string{id}, parts...), "/")))
}

// Subject is the key of the effect that the context belongs to, and for an undo
// that of the effect it undoes: what the two have in common.
func Subject(ctx context.Context) string { return strings.TrimSuffix(saga.EffectID(ctx), undo) }

// Error is what a command has failed with, as a saga has to be told: a rejection
// is [saga.Rejected], what stays as it is is [effect.Permanent].
func Error(err error) error {
	var invalid *command.ValidationError
	var forbidden *command.ForbiddenError
	var reused *aggregate.KeyReusedError
	switch {
	case err == nil:
		return nil
	case aggregate.IsRejection(err):
		return saga.Rejected(err)
	case errors.As(err, &invalid), errors.As(err, &forbidden), errors.As(err, &reused), aggregate.IsPermanent(err) && !mayPass(err):
		return effect.Permanent(err)
	}
	return err
}

// mayPass tells what another process, or a later one, may see otherwise.
func mayPass(err error) bool {
	var interrupted *command.InterruptedError
	var unknown *command.UnknownTypeError
	return errors.As(err, &interrupted) || errors.As(err, &unknown) || errors.Is(err, eventstore.ErrClosed)
}

func keyOf(ctx context.Context) (string, error) {
	id := saga.EffectID(ctx)
	if id == "" {
		return "", ErrNoEffect
	}
	return short(id), nil
}

// short is a key that an event store keeps.
func short(key string) string {
	if len(key) <= eventstore.MaxName {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256." + hex.EncodeToString(sum[:])
}
