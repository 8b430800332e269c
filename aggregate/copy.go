package aggregate

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/huandu/go-clone"

	"github.com/seed57833328/rondo/internal/fingerprint"
)

// copierOf returns how states are copied so that the copy shares nothing with
// the original that could be changed: by the method Clone of S, by assignment if
// that does, else deeply by reflection.
func copierOf[S any]() (func(*S) S, error) {
	if _, ok := any(new(S)).(interface{ Clone() S }); ok {
		return func(s *S) S { return any(s).(interface{ Clone() S }).Clone() }, nil //nolint:forcetypeassert // looked at above
	}
	t := reflect.TypeFor[S]()
	if _, err := fingerprint.For[S](); err != nil { // what is no data cannot be copied either
		var bad *fingerprint.UnhashableError
		if errors.As(err, &bad) {
			err = fmt.Errorf("%s is a %v", bad.Path, bad.Type)
		}
		return nil, fmt.Errorf("states of type %v cannot be copied: %w; give the type a method Clone() %v", t, err, t)
	}
	if plain(t) {
		return func(s *S) S { return *s }, nil
	}
	if mayCycle(t, nil) {
		return func(s *S) S { return *clone.Slowly(s).(*S) }, nil //nolint:forcetypeassert // a clone has the type of its original
	}
	return func(s *S) S { return *clone.Clone(s).(*S) }, nil //nolint:forcetypeassert // a clone has the type of its original
}

var timeType = reflect.TypeFor[time.Time]()

// plain tells types whose values share nothing when they are assigned.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return plain(t.Elem())
	case reflect.Struct:
		if t == timeType {
			return true
		}
		for i := range t.NumField() {
			if !plain(t.Field(i).Type) {
				return false
			}
		}
		return true
	case reflect.String:
		return true
	default:
		return t.Kind() > reflect.Invalid && t.Kind() < reflect.Array && t.Kind() != reflect.Uintptr
	}
}

// mayCycle tells types whose values may lead back to themselves. What an
// interface holds is not known.
func mayCycle(t reflect.Type, around []reflect.Type) bool {
	if t == timeType {
		return false
	}
	for _, outer := range around {
		if outer == t {
			return true
		}
	}
	around = append(around[:len(around):len(around)], t)
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return mayCycle(t.Elem(), around)
	case reflect.Map:
		return mayCycle(t.Key(), around) || mayCycle(t.Elem(), around)
	case reflect.Struct:
		for i := range t.NumField() {
			if mayCycle(t.Field(i).Type, around) {
				return true
			}
		}
	default:
	}
	return false
}
