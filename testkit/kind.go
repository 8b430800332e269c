package testkit

import (
	"reflect"
	"sync"

	"github.com/huandu/go-clone"

	"github.com/seed57833328/rondo/internal/fingerprint"
)

// kind is how values of one type are copied and hashed when that is done very
// often.
type kind[V any] struct {
	kind  *fingerprint.Type[V]
	clone func(*V) V
}

// kindOf prepares V, or names what in it cannot be copied or hashed.
func kindOf[V any](what string) (*kind[V], error) {
	k := &kind[V]{}
	if k.clone = ownCloner[V](); k.clone == nil {
		name := rootName(reflect.New(reflect.TypeFor[V]()).Elem(), what)
		if bad := badType(name, reflect.TypeFor[V](), map[reflect.Type]bool{}); bad != nil {
			return nil, modelError(bad.report(what, name))
		}
		k.clone = cloner[V]()
	}
	var err error
	if k.kind, err = fingerprint.For[V](); err != nil {
		return nil, modelError(err.Error())
	}
	return k, nil
}

// ownCloner calls V's method Clone.
func ownCloner[V any]() func(*V) V {
	switch any((*V)(nil)).(type) {
	case interface{ Clone() V }:
		return func(v *V) V { return any(v).(interface{ Clone() V }).Clone() } //nolint:forcetypeassert // as found
	case interface{ Clone() *V }:
		return func(v *V) V { return *any(v).(interface{ Clone() *V }).Clone() } //nolint:forcetypeassert // as found
	}
	return nil
}

// cloner copies by what V is made of: memory as it is, trees without pointers,
// or all the rest.
func cloner[V any]() func(*V) V {
	switch t := reflect.TypeFor[V](); {
	case flat(t):
		return func(v *V) V { return *v }
	case tidy(t):
		marked(t)
		return func(v *V) V { return clone.MakeCloner(heap).Clone(*v).(V) } //nolint:forcetypeassert // a clone has the type of its original
	}
	return func(v *V) V { return duplicate(*v) }
}

// flat tells types whose values can be copied by assignment: what is in them
// cannot be changed through a copy.
func flat(t reflect.Type) bool { return isMade(&flatTypes, t, false) }

// tidy tells types in which the same memory cannot occur twice, and that hold
// nothing which must not be copied: no pointers, no interfaces.
func tidy(t reflect.Type) bool { return isMade(&tidyTypes, t, true) }

var flatTypes, tidyTypes sync.Map

func isMade(known *sync.Map, t reflect.Type, containers bool) bool {
	if is, ok := known.Load(t); ok {
		return is.(bool) //nolint:forcetypeassert // stored below
	}
	is := madeOf(t, containers)
	known.Store(t, is)
	return is
}

func madeOf(t reflect.Type, containers bool) bool {
	if whole(t) || shared(t) {
		return !containers || !hasPointer(t)
	}
	switch t.Kind() {
	case reflect.Array:
		return t.Len() == 0 || madeOf(t.Elem(), containers)
	case reflect.Struct:
		for i := range t.NumField() {
			if !madeOf(t.Field(i).Type, containers) {
				return false
			}
		}
		return true
	case reflect.Slice:
		return containers && madeOf(t.Elem(), containers)
	case reflect.Map:
		return containers && madeOf(t.Key(), containers) && madeOf(t.Elem(), containers)
	case reflect.Pointer, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	default:
		return true
	}
}

// hasPointer tells whether go-clone would have to be told of t.
func hasPointer(t reflect.Type) bool { return t.Kind() == reflect.Pointer }

// unshared copies what an interface holds, if a copy by assignment would share
// memory that can be changed.
func unshared(v any) any {
	if v == nil || fixed(reflect.ValueOf(v)) {
		return v
	}
	return duplicate(v)
}

// fixed is flat for a value, in whose interfaces it looks: an action that
// carries an error is mostly fixed.
func fixed(v reflect.Value) bool {
	t := v.Type()
	switch {
	case flat(t) || shared(t):
		return true
	case t.Kind() == reflect.Interface:
		return v.IsNil() || fixed(v.Elem())
	case t.Kind() != reflect.Struct:
		return false
	}
	for i := range t.NumField() {
		if !fixed(v.Field(i)) {
			return false
		}
	}
	return true
}
