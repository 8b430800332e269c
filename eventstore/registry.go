package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"

	"github.com/seed57833328/rondo/internal/kept"
)

// encrypted is how the data begin that package eventstore/erasure has encrypted, and
// no JSON does. Its test holds the two to each other.
var encrypted = []byte{0xff, 'c', 's'}

var errEncrypted = errors.New("its data are encrypted: read it by a store of package eventstore/erasure")

// Registry turns values of Go types into events and back. It knows the name and
// the schema version of each type, and how data of older schemas is brought up.
// Data is JSON. A Registry does not change; it may be used by any goroutine.
type Registry struct {
	byName map[string]*Type // former names included
	byType map[reflect.Type]*Type
}

// Type is a registered type, made by [TypeOf].
type Type struct {
	name      string
	schema    int
	goType    reflect.Type
	former    []string
	upcasters map[int]func([]byte) ([]byte, error)
	forms     map[int][]reflect.Type // what an upcaster reads and writes
	decode    func([]byte) (any, error)
	problem   error
}

// TypeOption is an option of [TypeOf]: [Upcast] or [FormerName].
type TypeOption struct{ apply func(*Type) }

// TypeOf registers the Go type E as the event type of that name, whose data is
// now of that schema version, from 1. A type with an older schema than its
// present one has an [Upcast] for each version before:
//
//	eventstore.TypeOf[SeatsHeld]("inventory.seats-held", 2,
//		eventstore.Upcast(1, func(old seatsHeldV1) SeatsHeld { … }))
func TypeOf[E any](name string, schema int, opts ...TypeOption) Type {
	t := Type{
		name: name, schema: schema, goType: reflect.TypeFor[E](),
		upcasters: map[int]func([]byte) ([]byte, error){}, forms: map[int][]reflect.Type{},
		decode: func(data []byte) (any, error) {
			var e E
			err := json.Unmarshal(data, &e)
			return e, err
		},
	}
	for _, o := range opts {
		if o.apply != nil {
			o.apply(&t)
		}
	}
	return t
}

// Upcast brings data of a schema version up to the next: Old is the form it has,
// New the form that it gets. json.RawMessage is for doing it by hand.
func Upcast[Old, New any](from int, up func(Old) New) TypeOption {
	return TypeOption{func(t *Type) {
		if up == nil {
			t.problem = errors.Join(t.problem, fmt.Errorf("upcaster from schema %d is nil", from))
		}
		if t.upcasters[from] != nil {
			t.problem = errors.Join(t.problem, fmt.Errorf("two upcasters from schema %d", from))
		}
		t.forms[from] = []reflect.Type{reflect.TypeFor[Old](), reflect.TypeFor[New]()}
		t.upcasters[from] = func(data []byte) ([]byte, error) {
			var old Old
			if err := json.Unmarshal(data, &old); err != nil {
				return nil, err
			}
			return json.Marshal(up(old))
		}
	}}
}

// upcastersLose is what JSON does not keep of the forms that upcasters read and write,
// each form once, but for the present one.
func (t *Type) upcastersLose() (losses []string) {
	seen := []reflect.Type{t.goType}
	for _, from := range slices.Sorted(maps.Keys(t.forms)) {
		for _, form := range t.forms[from] {
			if slices.Contains(seen, form) {
				continue
			}
			seen = append(seen, form)
			for _, loss := range kept.Losses(form.String(), form, kept.TagMeant) {
				losses = append(losses, fmt.Sprintf("upcaster from schema %d: %s", from, loss))
			}
		}
	}
	return losses
}

// FormerName is a name that events of this type were recorded under.
func FormerName(name string) TypeOption {
	return TypeOption{func(t *Type) { t.former = append(t.former, name) }}
}

// NewRegistry makes a registry of types. The error names every name that is
// empty, too long or taken, every Go type that comes twice or is an interface,
// every upcaster that is missing or leads nowhere, and everything that JSON would
// leave out of an event, or of the forms that upcasters read and write, or could not
// read again: fields that are not exported, channels, functions, complex numbers,
// interfaces with methods. Types that have MarshalJSON or MarshalText are trusted, and
// what is tagged json:"-" is taken as not to be kept.
func NewRegistry(types ...Type) (*Registry, error) {
	r := &Registry{byName: map[string]*Type{}, byType: map[reflect.Type]*Type{}}
	var problems []error
	for i := range types {
		t := types[i]
		fail := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("event type %q (%v): "+format, append([]any{t.name, t.goType}, args...)...))
		}
		if t.goType == nil {
			problems = append(problems, fmt.Errorf("types[%d] is empty: make it with TypeOf", i))
			continue
		}
		if t.problem != nil {
			fail("%w", t.problem)
		}
		switch t.goType.Kind() {
		case reflect.Interface:
			fail("an interface cannot be registered, register the types that implement it")
		case reflect.Pointer:
			fail("a pointer cannot be registered, register %v", t.goType.Elem())
		default:
			for _, loss := range kept.Losses(t.goType.String(), t.goType, kept.TagMeant) {
				fail("%s", loss)
			}
		}
		for _, loss := range t.upcastersLose() {
			fail("%s", loss)
		}
		if t.schema < 1 || t.schema > maxSchema {
			fail("schema is %d, want 1 to %d", t.schema, maxSchema)
			continue // upcasters cannot be counted
		}
		for from := 1; from < t.schema; from++ {
			if t.upcasters[from] == nil {
				fail("no upcaster from schema %d", from)
			}
		}
		for _, from := range slices.Sorted(maps.Keys(t.upcasters)) {
			if from < 1 || from >= t.schema {
				fail("upcaster from schema %d, but the present one is %d", from, t.schema)
			}
		}
		for _, name := range append([]string{t.name}, t.former...) {
			if err := CheckName("its name", name); err != nil {
				fail("%w", err)
			}
			if other := r.byName[name]; other != nil {
				fail("the name %q is that of %v", name, other.goType)
			}
			r.byName[name] = &t
		}
		if other := r.byType[t.goType]; other != nil {
			fail("its Go type is registered as %q", other.name)
		}
		r.byType[t.goType] = &t
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return r, nil
}

// Encode makes an event of a value whose type is registered. Its ID and Meta are
// zero. An unknown type is an *UnknownTypeError, for [errors.As]; so is a pointer.
func (r *Registry) Encode(event any) (Event, error) {
	goType := reflect.TypeOf(event)
	t := r.byType[goType]
	if t == nil {
		var err error = &UnknownTypeError{Type: fmt.Sprintf("%T", event)}
		if goType != nil && goType.Kind() == reflect.Pointer && r.byType[goType.Elem()] != nil {
			err = fmt.Errorf("%w, but %v is: give the value that it points to", err, goType.Elem())
		}
		return Event{}, err
	}
	data, err := json.Marshal(event)
	if err != nil {
		return Event{}, fmt.Errorf("encode event %q: %w", t.name, err)
	}
	return Event{Type: t.name, Schema: t.schema, Data: data}, nil
}

// Decode returns the value that an event was made of: of its Go type, brought up
// to its present schema. One that is redacted is the type's zero value. Errors:
// *UnknownTypeError, *SchemaError, *DataError.
func (r *Registry) Decode(e Recorded) (any, error) {
	t := r.byName[e.Type]
	if t == nil {
		return nil, &UnknownTypeError{Type: e.Type, Stream: e.Stream, Version: e.Version}
	}
	if e.Redacted {
		return reflect.Zero(t.goType).Interface(), nil
	}
	if bytes.HasPrefix(e.Data, encrypted) {
		return nil, &DataError{e.Type, e.Stream, e.Version, e.Position, errEncrypted}
	}
	data, schema := e.Data, max(e.Schema, 1)
	if schema > t.schema {
		return nil, &SchemaError{e.Type, e.Stream, e.Version, e.Schema, t.schema}
	}
	for ; schema < t.schema; schema++ {
		var err error
		if data, err = t.upcasters[schema](data); err != nil {
			return nil, &DataError{e.Type, e.Stream, e.Version, e.Position, fmt.Errorf("bring up from schema %d: %w", schema, err)}
		}
	}
	value, err := t.decode(data)
	if err != nil {
		return nil, &DataError{e.Type, e.Stream, e.Version, e.Position, err}
	}
	return value, nil
}

// Names returns the names of the types, in order, with their schema versions:
// what a golden file is kept of.
func (r *Registry) Names() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, name := range slices.Sorted(maps.Keys(r.byName)) {
			if t := r.byName[name]; t.name == name && !yield(name, t.schema) {
				return
			}
		}
	}
}

// Decoded is an event with its value.
type Decoded[E any] struct {
	Recorded
	Event E
}

// OnUnknown says what [Decode] does with an event of an unknown type.
type OnUnknown uint8

const (
	// FailUnknown ends the sequence with an *UnknownTypeError.
	FailUnknown OnUnknown = iota
	// SkipUnknown leaves it out.
	SkipUnknown
)

// Decode decodes a sequence of events. E is an interface that all of their types
// implement, or any. A type that does not is an *UnknownTypeError.
func Decode[E any](r *Registry, events iter.Seq2[Recorded, error], unknown OnUnknown) iter.Seq2[Decoded[E], error] {
	return func(yield func(Decoded[E], error) bool) {
		for e, err := range events {
			if err != nil {
				yield(Decoded[E]{}, err)
				return
			}
			value, err := r.Decode(e)
			event, ok := value.(E)
			if err == nil && !ok {
				err = &UnknownTypeError{Type: e.Type, Stream: e.Stream, Version: e.Version}
			}
			var no *UnknownTypeError
			if unknown == SkipUnknown && errors.As(err, &no) {
				continue
			}
			if err != nil {
				yield(Decoded[E]{Recorded: e}, err)
				return
			}
			if !yield(Decoded[E]{e, event}, nil) {
				return
			}
		}
	}
}
