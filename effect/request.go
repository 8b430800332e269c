package effect

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"reflect"

	"github.com/seed57833328/rondo/internal/tree"
)

// Request is what a request's type implements to name the type of its result.
// A request is plain data: it can be compared in a test, logged and stored.
//
//	type LoadSection struct{ Event, Section string }
//
//	func (LoadSection) Returns(Inventory) {}
//
// Returns is never called.
type Request[R any] interface{ Returns(R) }

// Result is what a request came to: a value or an error, never both.
type Result[R any] struct {
	Value R
	Err   error
}

// Do asks for q and reduces the action that then makes of the result, error
// included. It is done by the handler declared for Q with [Handle].
//
// then is pure, as a reducer is, and runs in the store's turn. What it captures
// must be in q too, so that q alone says what was asked: testkit checks that. A
// nil then asks for no action, which is [Fire].
func Do[Q Request[R], R, A any](q Q, then func(Result[R]) A, opts ...Option) Effect[A] {
	return request(tree.Request, q, then, opts)
}

// Stream asks for q, whose handler was declared with [HandleStream], and
// reduces an action for each value it gives. A value is asked for when the one
// before has been reduced, so a slow reducer slows the stream and nothing piles
// up. The last result carries the error that ended the stream, io.EOF if none
// did. Timeout bounds the whole stream; a retry starts it anew. A nil then lets
// the stream run and reduces nothing.
func Stream[Q Request[R], R, A any](q Q, then func(Result[R]) A, opts ...Option) Effect[A] {
	return request(tree.Stream, q, then, opts)
}

// Fire asks for q and reduces nothing when it is done. It is tracked as any
// request is, so shutdown waits for it; if it fails it becomes a dead letter.
// A must be given, the rest is inferred:
//
//	effect.Fire[Action](SendReceipt{Customer: "c1"})
func Fire[A any, Q Request[R], R any](q Q, opts ...Option) Effect[A] {
	return request[Q, R, A](tree.Request, q, nil, opts)
}

func request[Q Request[R], R, A any](kind tree.CallKind, q Q, then func(Result[R]) A, opts []Option) Effect[A] {
	c := &call[Q, R, A]{kind: kind, request: q, then: then}
	for i := range opts {
		opts[i].apply(&c.opts)
	}
	return Effect[A]{tree.Node[A]{Kind: tree.Run, Call: c}}
}

// call is a request or a stream of requests.
type call[Q Request[R], R, A any] struct {
	kind    tree.CallKind
	request Q
	then    func(Result[R]) A
	opts    tree.Options
}

func (c *call[Q, R, A]) Kind() tree.CallKind       { return c.kind }
func (c *call[Q, R, A]) Options() *tree.Options    { return &c.opts }
func (c *call[Q, R, A]) Request() any              { return c.request }
func (c *call[Q, R, A]) RequestType() reflect.Type { return reflect.TypeFor[Q]() }
func (c *call[Q, R, A]) Name() string              { return reflect.TypeFor[Q]().String() }

func (c *call[Q, R, A]) Invoke(ctx context.Context, h *tree.Handler, emit func(tree.Outcome) bool) tree.Outcome {
	if h == nil {
		return &slot[R]{err: fmt.Errorf("%w: %s", ErrNoHandler, c.Name())}
	}
	if c.kind == tree.Stream {
		end := &slot[R]{}
		c.stream(ctx, h, emit, end)
		return end
	}
	f, ok := h.Func.(func(context.Context, Q) (R, error))
	if !ok {
		return &slot[R]{err: fmt.Errorf("%w: %s is handled as a stream, ask for it with effect.Stream", ErrNoHandler, c.Name())}
	}
	s := h.Slots.Get().(*slot[R])
	s.pool = h.Slots
	c.do(ctx, h, f, s)
	return s
}

// do leaves in s what f answered. A panic is an answer too.
func (c *call[Q, R, A]) do(ctx context.Context, h *tree.Handler, f func(context.Context, Q) (R, error), s *slot[R]) {
	defer s.recover()
	if h.Wrapped == nil {
		s.value, s.err = f(ctx, c.request)
	} else {
		var v any
		if v, s.err = h.Wrapped(ctx, c.request); s.err == nil {
			s.value, s.err = valueOf[R](c.Name(), v)
		}
	}
	s.normalize()
}

// valueOf is what middleware answered, as the result's type.
func valueOf[R any](name string, v any) (R, error) {
	r, ok := v.(R)
	if want := reflect.TypeFor[R](); !ok && (v != nil || want.Kind() != reflect.Interface) {
		return r, fmt.Errorf("%w: middleware of %s returned a value of type %T, want %s", ErrInvalid, name, v, want)
	}
	return r, nil
}

// stream leaves in end what the stream came to, when it has emitted all.
func (c *call[Q, R, A]) stream(ctx context.Context, h *tree.Handler, emit func(tree.Outcome) bool, end *slot[R]) {
	f, ok := h.Func.(func(context.Context, Q) iter.Seq2[R, error])
	if !ok {
		end.err = fmt.Errorf("%w: %s is handled as a single request, ask for it with effect.Do", ErrNoHandler, c.Name())
		return
	}
	defer end.recover()
	if h.Wrapped == nil {
		end.err = pump(ctx, f(ctx, c.request), emit)
	} else {
		_, end.err = h.Wrapped(context.WithValue(ctx, emitKey{}, emit), c.request)
	}
	if end.err == nil {
		end.err = errEnd
	}
	end.normalize()
}

// pump emits what a stream yields, until its first error.
func pump[R any](ctx context.Context, values iter.Seq2[R, error], emit func(tree.Outcome) bool) error {
	for v, err := range values {
		if err != nil {
			return err
		}
		if !emit(&slot[R]{value: v}) {
			return stopped(ctx)
		}
	}
	return nil
}

func (c *call[Q, R, A]) Outcome(value any, err error) (tree.Outcome, error) {
	return outcomeOf[R](c.Name(), value, err)
}

func (c *call[Q, R, A]) Then(o tree.Outcome) (a A, ok bool) {
	if c.then == nil {
		return a, false
	}
	return c.then(take[R](o)), true
}

func (c *call[Q, R, A]) Code() uintptr {
	if c.then == nil {
		return 0
	}
	return reflect.ValueOf(c.then).Pointer()
}

// opaque is a call of Run or Stream of Of: a function that yields actions.
type opaque[A any] struct {
	kind tree.CallKind
	name string
	work func(context.Context) iter.Seq[A]
	opts tree.Options
}

func opaqueCall[A any](name string, kind tree.CallKind, work func(context.Context) iter.Seq[A], opts []Option) Effect[A] {
	c := &opaque[A]{kind: kind, name: name, work: work}
	for i := range opts {
		opts[i].apply(&c.opts)
	}
	return Effect[A]{tree.Node[A]{Kind: tree.Run, Call: c}}
}

func (c *opaque[A]) Kind() tree.CallKind       { return c.kind }
func (c *opaque[A]) Options() *tree.Options    { return &c.opts }
func (c *opaque[A]) Request() any              { return nil }
func (c *opaque[A]) RequestType() reflect.Type { return nil }
func (c *opaque[A]) Name() string              { return c.name }

func (c *opaque[A]) Invoke(ctx context.Context, _ *tree.Handler, emit func(tree.Outcome) bool) tree.Outcome {
	end := &slot[A]{}
	c.run(ctx, emit, end)
	return end
}

// run leaves in end what the function came to, of a stream its end.
func (c *opaque[A]) run(ctx context.Context, emit func(tree.Outcome) bool, end *slot[A]) {
	if c.work == nil {
		end.err = fmt.Errorf("effect %q: %w", c.name, errNilFunc)
		return
	}
	defer end.recover()
	for a := range c.work(ctx) {
		if c.kind == tree.Opaque {
			end.value = a
			return
		}
		if !emit(&slot[A]{value: a}) {
			end.err = stopped(ctx)
			return
		}
	}
	end.err = errEnd
}

func (c *opaque[A]) Outcome(value any, err error) (tree.Outcome, error) {
	return outcomeOf[A](c.name, value, err)
}

func (c *opaque[A]) Then(o tree.Outcome) (a A, ok bool) {
	r := take[A](o)
	return r.Value, r.Err == nil
}

func (c *opaque[A]) Code() uintptr {
	if c.work == nil {
		return 0
	}
	return reflect.ValueOf(c.work).Pointer()
}

// stopped is why a stream that is not wanted any more has ended.
func stopped(ctx context.Context) error { return cmp.Or(context.Cause(ctx), context.Canceled) }

// mappedCall is a call whose actions f changes.
type mappedCall[A, B any] struct {
	inner tree.Call[A]
	f     func(A) B
}

func (c *mappedCall[A, B]) Kind() tree.CallKind       { return c.inner.Kind() }
func (c *mappedCall[A, B]) Options() *tree.Options    { return c.inner.Options() }
func (c *mappedCall[A, B]) Request() any              { return c.inner.Request() }
func (c *mappedCall[A, B]) RequestType() reflect.Type { return c.inner.RequestType() }
func (c *mappedCall[A, B]) Name() string              { return c.inner.Name() }
func (c *mappedCall[A, B]) Code() uintptr             { return c.inner.Code() }

func (c *mappedCall[A, B]) Invoke(ctx context.Context, h *tree.Handler, emit func(tree.Outcome) bool) tree.Outcome {
	return c.inner.Invoke(ctx, h, emit)
}

func (c *mappedCall[A, B]) Outcome(value any, err error) (tree.Outcome, error) {
	return c.inner.Outcome(value, err)
}

func (c *mappedCall[A, B]) Then(o tree.Outcome) (b B, ok bool) {
	a, ok := c.inner.Then(o)
	if !ok {
		return b, false
	}
	return c.f(a), true
}

// slot holds one result on its way from a handler to then.
type slot[R any] struct {
	value R
	err   error
	pool  tree.Pool
}

func (s *slot[R]) Err() error { return s.err }

// normalize keeps a result from being both a value and an error, and an error
// from being a nil pointer, whose methods would panic in the store's turn.
func (s *slot[R]) normalize() {
	if s.err == nil {
		return
	}
	var zero R
	s.value = zero
	switch v := reflect.ValueOf(s.err); v.Kind() { //nolint:exhaustive // the kinds that can be nil
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		if v.IsNil() {
			s.err = fmt.Errorf("%w: handler returned a nil %T as its error, want nil", ErrInvalid, s.err)
		}
	}
}

// recover makes the panic of the function that defers it the slot's error.
func (s *slot[R]) recover() {
	if v := recover(); v != nil {
		s.err = newPanicError(v)
		s.normalize()
	}
}

// take empties an outcome into a result and recycles it.
func take[R any](o tree.Outcome) Result[R] {
	s := o.(*slot[R]) //nolint:forcetypeassert // outcomes are made by the call that takes them
	r := Result[R]{Value: s.value, Err: s.err}
	if s.pool != nil {
		pool := s.pool
		*s = slot[R]{}
		pool.Put(s)
	}
	return r
}

func outcomeOf[R any](name string, value any, err error) (tree.Outcome, error) {
	s := &slot[R]{err: err}
	if err != nil {
		s.normalize()
		return s, nil //nolint:nilerr // it is the outcome
	}
	if value != nil {
		v, ok := value.(R)
		if !ok {
			return nil, fmt.Errorf("result of %s: got %T, want %s", name, value, reflect.TypeFor[R]())
		}
		s.value = v
	} else if k := reflect.TypeFor[R]().Kind(); k != reflect.Interface && k != reflect.Pointer &&
		k != reflect.Slice && k != reflect.Map && k != reflect.Struct {
		return nil, fmt.Errorf("result of %s: got nil, want %s", name, reflect.TypeFor[R]())
	}
	return s, nil
}
