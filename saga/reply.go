package saga

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/seed57833328/rondo/effect"
)

// Reply is what became of a request: a value or an error, never both.
type Reply[R any] struct {
	Value R
	// Err is nil or an *[EffectError].
	Err error
	// EffectID is the key that the request was done with.
	EffectID string
	// Late tells that the request was given up before: see [Late]. It is a
	// success or a rejection then, and comes once at most.
	Late bool
}

// EffectError is an error as a record keeps it, which is how a reducer gets it:
// the same before and after a restart. Errors that were registered
// ([Types].Errors) are found in it with errors.Is, and so is [effect.ErrTimeout].
type EffectError struct {
	// Message is what the error said, at most 8,192 bytes of it.
	Message string `json:"message"`
	// Code is the name of the error it is, if that was registered.
	Code string `json:"code,omitempty"`
	// Rejected tells that nothing was done, and nothing will be. After any
	// other error it is unknown what was.
	Rejected bool `json:"rejected,omitempty"`
	// Final tells that another attempt would not mend it.
	Final bool `json:"final,omitempty"`
	// Trace is the stack of a handler that panicked, for who looks into it. It is
	// no part of what Error says, which may reach a customer.
	Trace string `json:"trace,omitempty"`

	is error // that Code stands for
}

func (e *EffectError) Error() string { return e.Message }

// Unwrap is the error that Code stands for.
func (e *EffectError) Unwrap() error { return e.is }

// Retryable tells whether another attempt may succeed.
func (e *EffectError) Retryable() bool { return !e.Rejected && !e.Final }

// Rejected marks err as a definitive refusal: nothing was done under this key, by
// this attempt or another, and nothing will be, however late. Only such an error
// drops the undo of what it answers. It is nil if err is.
func Rejected(err error) error {
	if err == nil {
		return nil
	}
	return &rejection{err}
}

type rejection struct{ error }

func (r *rejection) Unwrap() error   { return r.error }
func (r *rejection) Rejected() bool  { return true }
func (r *rejection) Retryable() bool { return false }

// IsRejected tells whether err is a definitive refusal: one that [Rejected] has
// marked, has a method Rejected() bool that says so, or is an [EffectError] of such a
// one.
func IsRejected(err error) bool {
	var r interface{ Rejected() bool }
	var e *EffectError
	return errors.As(err, &r) && r.Rejected() || errors.As(err, &e) && e.Rejected
}

// Later is returned by a handler whose result comes by another way: the effect
// stays pending, without further attempts, until [Operator.Resolve] gives it one.
var Later = errors.New("the result comes later") //nolint:errname,revive,staticcheck // an answer, as io.EOF is

// ErrorType is an error with a name, made by [Error].
type ErrorType struct {
	code string
	err  error
}

// Error registers an error under a name, so that a reducer finds it again with
// errors.Is, whenever the decision is made.
func Error(code string, err error) ErrorType { return ErrorType{code, err} }

// What handlers find in their context.
type (
	effectIDKey struct{}
	attemptKey  struct{}
	kindKey     struct{}
)

// EffectID is the idempotency key of the effect that a handler's context belongs
// to: type/key/sequence/index, with a tenant before it where there is one, and
// /undo behind it for an undo. It is the same in all attempts, in whatever
// process, and no other effect has it. "" is no effect's context.
func EffectID(ctx context.Context) string {
	id, _ := ctx.Value(effectIDKey{}).(string)
	return id
}

// Attempt is the number of the attempt that a handler's context belongs to, from
// 1. It is for logs: a key made of it would be another one each time.
func Attempt(ctx context.Context) int {
	n, _ := ctx.Value(attemptKey{}).(int)
	return n
}

// Failure is err as the saga's record keeps it whose effect a handler's context
// belongs to: with the name that it is registered under. A handler that keeps its
// verdicts, to answer a repetition with, keeps this, and returns it. Outside of a
// handler nothing has a name. It is nil if err is.
func Failure(ctx context.Context, err error) *EffectError {
	if err == nil {
		return nil
	}
	k, ok := ctx.Value(kindKey{}).(*kind)
	if !ok {
		k = &kind{}
	}
	return k.failure(err)
}

// maxMessage is how much of an error's text is kept, in bytes.
const maxMessage = 8192

// failure is err as a record keeps it, with a text that JSON does not change and
// that does not fill the record.
func (k *kind) failure(err error) *EffectError {
	e := k.failed(err)
	if len(e.Message) <= maxMessage && utf8.ValidString(e.Message) {
		return e
	}
	kept := *e
	kept.Message = readable(e.Message)
	if len(kept.Message) > maxMessage {
		kept.Message = strings.ToValidUTF8(kept.Message[:maxMessage], "")
	}
	return &kept
}

func (k *kind) failed(err error) *EffectError {
	var kept *EffectError
	if errors.As(err, &kept) {
		return k.restore(kept)
	}
	e := &EffectError{Message: err.Error(), Rejected: IsRejected(err)}
	e.Final = !effect.Retryable(err) && !errors.Is(err, context.Canceled)
	var panicked *effect.PanicError
	if errors.As(err, &panicked) {
		e.Trace = string(panicked.Stack)
	}
	for _, known := range k.errors {
		if errors.Is(err, known.err) {
			e.Code, e.is = known.code, known.err
			break
		}
	}
	return e
}

// restore finds the error that a code stands for again.
func (k *kind) restore(e *EffectError) *EffectError {
	if e == nil || e.is != nil || e.Code == "" {
		return e
	}
	restored := *e
	for _, known := range k.errors {
		if known.code == e.Code {
			restored.is = known.err
		}
	}
	return &restored
}

// noHandler is the name of an error that says that nothing was tried.
const noHandler = "no-handler"

// builtinErrors are registered for every saga.
var builtinErrors = []ErrorType{
	{"timeout", effect.ErrTimeout},
	{noHandler, effect.ErrNoHandler},
	{"deadline", context.DeadlineExceeded},
	{"cancelled", context.Canceled},
	{"compensated", ErrCompensated},
	{"terminated", ErrTerminated},
}
