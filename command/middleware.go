package command

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// Handler carries out a command that comes in an envelope.
type Handler func(ctx context.Context, e Envelope) (answer any, err error)

// Middleware does something around each attempt to carry a command out. It may
// change the context, the answer and the error. It calls next with the envelope
// that it was given, once or not at all.
type Middleware func(next Handler) Handler

// Logging logs each attempt when it is over: what was done at debug level,
// rejections at info, errors at warn, panics at error with their stack. Payloads
// and answers are not logged.
func Logging(log *slog.Logger) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, e Envelope) (answer any, err error) {
			began := time.Now()
			answer, err = contained(ctx, e, next)
			attrs := []any{
				"type", e.Type, "id", e.ID, "tenant", e.Tenant, "actor", e.Actor,
				"correlation", e.Metadata.CorrelationID, "duration", time.Since(began),
			}
			var panicked *effect.PanicError
			switch {
			case err == nil:
				log.DebugContext(ctx, "command carried out", attrs...)
			case aggregate.IsRejection(err):
				log.InfoContext(ctx, "command rejected", append(attrs, "reason", err)...)
			case errors.As(err, &panicked):
				log.ErrorContext(ctx, "command's handler panicked", append(attrs, "error", err, "stack", string(panicked.Stack))...)
			default:
				log.WarnContext(ctx, "command failed", append(attrs, "error", err)...)
			}
			return answer, err
		}
	}
}

// Span is one attempt to carry a command out, as traces tell it.
type Span struct {
	// Command is the envelope. Its metadata has the sender's span.
	Command Envelope
	// TraceParent is the attempt's own W3C trace context: in the trace of the
	// sender, if that was valid, else in a new one.
	TraceParent string
	// Parent is the sender's, empty if there is none.
	Parent string
	Began  time.Time
	Ended  time.Time
	Err    error
}

// Tracing makes a span of each attempt, and hands it on when it is over. The
// handler's context has it as the trace context of reducer.MetaFrom, so that it
// goes into the metadata of all that is recorded. The sender's comes from
// reducer.WithMeta when a command is accepted, or with its envelope.
func Tracing(export func(ctx context.Context, s Span)) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, e Envelope) (answer any, err error) {
			s := Span{Command: e, Began: time.Now()}
			if isTraceParent(e.Metadata.TraceParent) {
				s.Parent = e.Metadata.TraceParent
			}
			s.TraceParent = childOf(s.Parent)
			meta, _ := reducer.MetaFrom(ctx)
			meta.TraceParent = s.TraceParent
			answer, err = contained(reducer.WithMeta(ctx, meta), e, next)
			s.Ended, s.Err = time.Now(), err
			export(ctx, s)
			return answer, err
		}
	}
}

// contained makes a panic an error, so that who is around is told of it.
func contained(ctx context.Context, e Envelope, next Handler) (answer any, err error) {
	err = protected(func() (err error) {
		answer, err = next(ctx, e)
		return err
	})
	return answer, err
}

// What a W3C trace context of version 00 consists of.
const (
	traceFrom, traceTo = 3, 35  // the trace's id, 16 bytes in hexadecimal
	spanFrom, spanTo   = 36, 52 // the span's, 8 bytes
	flagsFrom          = 53
	traceParentLen     = 55
	sampled            = "01"
)

func isTraceParent(s string) bool {
	if len(s) != traceParentLen || s[:2] != "00" || s[2] != '-' || s[traceTo] != '-' || s[spanTo] != '-' {
		return false
	}
	hexadecimal := func(s string) (is, zero bool) {
		zero = true
		for _, c := range s {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false, false
			}
			zero = zero && c == '0'
		}
		return true, zero
	}
	trace, noTrace := hexadecimal(s[traceFrom:traceTo])
	span, noSpan := hexadecimal(s[spanFrom:spanTo])
	flags, _ := hexadecimal(s[flagsFrom:])
	return trace && span && flags && !noTrace && !noSpan
}

// childOf makes a span in the trace of another, or in a new one.
func childOf(parent string) string {
	var random [24]byte
	_, _ = rand.Read(random[:]) // it never fails
	trace, flags := hex.EncodeToString(random[:16]), sampled
	if parent != "" {
		trace, flags = parent[traceFrom:traceTo], parent[flagsFrom:]
	}
	return "00-" + trace + "-" + hex.EncodeToString(random[16:]) + "-" + flags
}
