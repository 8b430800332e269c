package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed57833328/rondo/effect"
)

// Route leads commands of a type to their handler. Make it with [Handle].
type Route struct {
	name       string
	goType     reflect.Type
	problem    error
	dropResult bool
	decode     func(payload []byte) (any, error)
	decodeBack func(result []byte) (any, error)
	handle     func(ctx context.Context, c any) (any, error)
}

// RouteOption says something about a route.
type RouteOption struct{ apply func(*Route) }

// DropResult has the answers of a handler not kept with its commands. Then who
// gives a command again that was carried out gets [ErrNoResult]. The default is
// that they are kept, as JSON.
func DropResult() RouteOption { return RouteOption{func(r *Route) { r.dropResult = true }} }

// Handle registers the handler of the commands of Go type C under a name, as in
// "reserve-seats". A command says by a method Returns what its handler answers,
// as the requests of package effect do.
//
// The handler is called with the payload decoded and valid. It may be called more
// than once for a command, and must make sure that its effect happens once: the
// command's id ([ID], [Key]) is the same each time. What it returns is an answer or
// an error; an error means that the command has failed, unless Config.Retryable
// says that it may pass.
func Handle[C effect.Request[R], R any](name string, f func(context.Context, C) (R, error), opts ...RouteOption) Route {
	r := Route{
		name: name, goType: reflect.TypeFor[C](),
		decode: func(payload []byte) (any, error) { return decode[C](name, payload) },
		decodeBack: func(result []byte) (any, error) {
			var answer R
			if err := protected(func() error { return json.Unmarshal(result, &answer) }); err != nil {
				return nil, fmt.Errorf("decode the answer of command %s: %w", quote(name), err)
			}
			return answer, nil
		},
		handle: func(ctx context.Context, c any) (any, error) {
			answer, err := f(ctx, c.(C)) // which the same route has decoded
			if err != nil {
				return nil, err
			}
			return answer, nil
		},
	}
	switch {
	case f == nil:
		r.problem = errors.New("its handler is nil")
	case r.goType.Kind() == reflect.Interface:
		r.problem = errors.New("an interface cannot be registered, register the types that implement it")
	case r.goType.Kind() == reflect.Pointer:
		r.problem = fmt.Errorf("a pointer cannot be registered, register %v", r.goType.Elem())
	}
	for _, o := range opts {
		if o.apply != nil {
			o.apply(&r)
		}
	}
	return r
}

// call is a command that is to be carried out.
type call struct {
	route   *Route
	command any
}

// canonical is the payload as the present program writes it, so that two that
// mean the same are the same.
func (c call) canonical() (json.RawMessage, error) {
	var payload []byte
	err := protected(func() (err error) {
		payload, err = json.Marshal(c.command)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("encode command %s: %w", quote(c.route.name), err)
	}
	return payload, nil
}

// subject is whom the command is about.
func (c call) subject() string {
	if s, ok := c.command.(interface{ Subject() string }); ok {
		return s.Subject()
	}
	return ""
}
