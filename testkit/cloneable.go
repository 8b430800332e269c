package testkit

import (
	"fmt"
	"reflect"
	"strconv"
	"sync"
)

// trouble is a place in a value that cannot be cloned.
type trouble struct {
	path string
	typ  reflect.Type
}

// report says what to do about it: what is "state" or "action", owner the type
// that may have a method Clone.
func (t *trouble) report(what, owner string) string {
	article := "a"
	if what == "action" {
		article = "an"
	}
	return fmt.Sprintf("%s: %s cannot be cloned: keep locks, funcs and channels out of %s %s, or give %s a Clone() method",
		t.path, t.typ, article, what, owner)
}

// uncloneable looks for what cannot be cloned in a value and, first, in its
// type: a func in a state is a mistake even while it is nil. What interfaces in
// it hold is judged by what is there. Types it meets that go-clone must not
// copy are made known to it.
func uncloneable(root string, v reflect.Value) *trouble {
	if v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem() // an action
	}
	if !v.IsValid() || plain(v.Type()) {
		return nil
	}
	if _, sound := soundTypes.Load(v.Type()); !sound {
		if t := badType(root, v.Type(), map[reflect.Type]bool{}); t != nil {
			return t
		}
		soundTypes.Store(v.Type(), true)
	}
	s := search{seen: map[visit]bool{}}
	return s.value(root, v)
}

// soundTypes remembers what badType has found nothing in: clones are made for each
// step of an exploration.
var soundTypes sync.Map

// visit is memory that has been looked at: a pointer, a map, or n elements of a
// slice.
type visit struct {
	at  uintptr
	n   int
	typ reflect.Type
}

// badType finds what no value of type t could be cloned for.
func badType(path string, t reflect.Type, seen map[reflect.Type]bool) *trouble {
	if seen[t] {
		return nil
	}
	seen[t] = true
	if bad(t) && !inherits(t) {
		return &trouble{path, t}
	}
	if marked(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return badType(path, t.Elem(), seen)
	case reflect.Slice:
		return badType(path+"[]", t.Elem(), seen)
	case reflect.Array:
		if t.Len() > 0 {
			return badType(path+"[]", t.Elem(), seen)
		}
	case reflect.Map:
		if bad := badType(path+"[key]", t.Key(), seen); bad != nil {
			return bad
		}
		return badType(path+"[]", t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if bad := badType(path+"."+t.Field(i).Name, t.Field(i).Type, seen); bad != nil {
				return bad
			}
		}
	default:
	}
	return nil
}

// bad tells types that hold something other than data.
func bad(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return true
	case reflect.Struct:
		p := t.PkgPath()
		return p == "sync" || p == "sync/atomic" || reflect.PointerTo(t).Implements(lockerType)
	default:
		return false
	}
}

// inherits tells a lock that is one by what is embedded in it.
func inherits(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && bad(f.Type) {
			return true
		}
	}
	return false
}

// marked tells go-clone to leave alone what is shared or whole, and reports
// whether t is.
func marked(t reflect.Type) bool {
	switch {
	case shared(t):
		heap.MarkAsOpaquePointer(t)
	case whole(t):
		heap.MarkAsScalar(t)
	default:
		return false
	}
	return true
}

// plainTypes remembers what plain has found.
var plainTypes sync.Map

// plain tells types that no value can have anything bad in: there is no
// interface in them.
func plain(t reflect.Type) bool {
	if known, ok := plainTypes.Load(t); ok {
		return known.(bool) //nolint:forcetypeassert // stored below
	}
	is := plainType(t, map[reflect.Type]bool{})
	plainTypes.Store(t, is)
	return is
}

func plainType(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || marked(t) {
		return true
	}
	seen[t] = true
	if bad(t) || t.Kind() == reflect.Interface {
		return false
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return plainType(t.Elem(), seen)
	case reflect.Map:
		return plainType(t.Key(), seen) && plainType(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if !plainType(t.Field(i).Type, seen) {
				return false
			}
		}
	default:
	}
	return true
}

// search looks through a value.
type search struct{ seen map[visit]bool }

func (s *search) value(path string, v reflect.Value) *trouble {
	t := v.Type()
	if plain(t) || marked(t) {
		return nil
	}
	if bad(t) {
		if t.Kind() != reflect.Struct && v.IsZero() {
			return nil
		}
		return &trouble{path, t}
	}
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			return s.value(path, v.Elem())
		}
	case reflect.Pointer:
		at := visit{v.Pointer(), 1, t}
		if !v.IsNil() && !s.seen[at] {
			s.seen[at] = true
			return s.value(path, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if bad := s.value(path+"."+t.Field(i).Name, v.Field(i)); bad != nil {
				return bad
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice {
			at := visit{v.Pointer(), v.Len(), t}
			if v.Len() == 0 || s.seen[at] {
				return nil
			}
			s.seen[at] = true
		}
		for i := range v.Len() {
			if bad := s.value(path+"["+strconv.Itoa(i)+"]", v.Index(i)); bad != nil {
				return bad
			}
		}
	case reflect.Map:
		at := visit{v.Pointer(), 1, t}
		if v.IsNil() || s.seen[at] {
			return nil
		}
		s.seen[at] = true
		for iter := v.MapRange(); iter.Next(); {
			if bad := s.value(path+"[key]", iter.Key()); bad != nil {
				return bad
			}
			if bad := s.value(path+"["+fmt.Sprint(iter.Key())+"]", iter.Value()); bad != nil {
				return bad
			}
		}
	default:
	}
	return nil
}
