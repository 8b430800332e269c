package effect

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"sync"

	"github.com/seed57833328/rondo/internal/tree"
)

// Handler does the work of one type of request. [Handle] and [HandleStream]
// make them; a store is given one for each type of request its reducer uses.
type Handler struct{ h *tree.Handler }

// Invoker is a handler with its types hidden, as middleware sees it. The
// request is the one that was asked for, the value its result. Around a stream
// it stands for the whole stream, and the value is nil.
type Invoker = func(ctx context.Context, request any) (any, error)

// Middleware wraps a handler: it may change the context, call next several
// times or not at all, and change its error. It must pass on a request and a
// value of the types it was given; if it does not, the result is an error that
// names them. It is called once, when the handler is declared, so what it keeps
// is common to all calls; the Invoker it returns is called by many goroutines at
// once.
type Middleware func(next Invoker) Invoker

// HandlerOption says how a handler is run.
type HandlerOption func(*handlerConfig)

type handlerConfig struct {
	middleware []Middleware
	err        error
}

// WithMiddleware wraps a handler; the first stands outermost. Package
// effect/resilience has retry, timeout, rate and concurrency limits, and a
// circuit breaker.
func WithMiddleware(middleware ...Middleware) HandlerOption {
	return func(c *handlerConfig) { c.middleware = append(c.middleware, middleware...) }
}

// InvalidOption is what an option that was given bad input comes to: the
// handler is refused with err where it is used. A nil err does nothing.
func InvalidOption(err error) HandlerOption {
	return func(c *handlerConfig) { c.err = errors.Join(c.err, err) }
}

// Handle declares f as the handler of requests of type Q. Its context carries
// the metadata of the action that asked (reducer.MetaFrom), and is cancelled
// when the effect is. A panic of f is the result's error. f may be called from
// many goroutines at once.
func Handle[Q Request[R], R any](f func(context.Context, Q) (R, error), opts ...HandlerOption) Handler {
	return newHandler[Q, R](tree.Request, f, f == nil, func(ctx context.Context, request any) (any, error) {
		q, err := requestOf[Q](request)
		if err != nil {
			return nil, err
		}
		return f(ctx, q)
	}, opts)
}

// HandleStream declares f as the handler of streams asked for by Q. The sequence
// is stopped, and its context cancelled, when the effect is. It ends at the
// first error it yields.
func HandleStream[Q Request[R], R any](f func(context.Context, Q) iter.Seq2[R, error], opts ...HandlerOption) Handler {
	return newHandler[Q, R](tree.Stream, f, f == nil, func(ctx context.Context, request any) (any, error) {
		q, err := requestOf[Q](request)
		if err != nil {
			return nil, err
		}
		emit, ok := ctx.Value(emitKey{}).(func(tree.Outcome) bool)
		if !ok {
			return nil, fmt.Errorf("%w: middleware of %T did not pass on the context it was given", ErrInvalid, q)
		}
		return nil, pump(ctx, f(ctx, q), emit)
	}, opts)
}

// emitKey is where a stream within middleware finds what to emit to.
type emitKey struct{}

func requestOf[Q any](request any) (Q, error) {
	q, ok := request.(Q)
	if !ok {
		return q, fmt.Errorf("%w: middleware passed on a request of type %T, want %s", ErrInvalid, request, reflect.TypeFor[Q]())
	}
	return q, nil
}

func newHandler[Q Request[R], R any](kind tree.CallKind, f any, isNil bool, inner Invoker, opts []HandlerOption) Handler {
	h := &tree.Handler{
		Request: reflect.TypeFor[Q](),
		Kind:    kind,
		Func:    f,
		Slots:   &sync.Pool{New: func() any { return new(slot[R]) }},
	}
	var c handlerConfig
	if isNil {
		c.err = errors.New("nil function")
	}
	for i, opt := range opts {
		if opt == nil {
			c.err = errors.Join(c.err, fmt.Errorf("option %d is nil", i))
			continue
		}
		opt(&c)
	}
	if len(c.middleware) > 0 {
		h.Wrapped = inner
	}
	for i, m := range slices.Backward(c.middleware) {
		if m == nil {
			c.err = errors.Join(c.err, fmt.Errorf("middleware %d is nil", i))
		} else if h.Wrapped = m(h.Wrapped); h.Wrapped == nil {
			c.err = errors.Join(c.err, fmt.Errorf("middleware %d returned nil", i))
			break
		}
	}
	if c.err != nil {
		h.Err = fmt.Errorf("handler of %s: %w", h.Request, c.err)
	}
	return Handler{h}
}

// Inside gives the handler's inside to packages of this module.
func Inside(h Handler) *tree.Handler { return h.h }
