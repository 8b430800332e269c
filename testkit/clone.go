package testkit

import (
	"reflect"
	"sync"
	"time"

	"github.com/huandu/go-clone"
)

// pair is what a reducer is given, kept together so that memory which state and
// action share is shared by their clones.
type pair[S, A any] struct {
	State  S
	Action A
}

// heap copies deeply: unexported fields, cycles and shared pointers too. What
// is compared by its address is not copied: errors, locations, types.
var heap = clone.FromHeap()

// deep tells whether a value can be copied so that the copy shares nothing with
// it that could be changed. What cannot has a method Clone, or is refused.
func deep[V any](v *V) bool { return uncloneable("", reflect.ValueOf(v).Elem()) == nil }

// duplicate clones a value: deeply or, where that cannot be, by its method
// Clone. The method is not taken for its own sake, as it may share what its
// reducer does not change; the kit does change it.
func duplicate[V any](v V) V {
	if !deep(&v) {
		if c, ok := ownClone(&v); ok {
			return c
		}
	}
	return *clone.MakeCloner(heap).CloneSlowly(&v).(*V) //nolint:forcetypeassert // a clone has the type of its original
}

// duplicatePair clones a state and an action, together if they can be.
func duplicatePair[S, A any](p pair[S, A]) pair[S, A] {
	if deep(&p.State) && deep(&p.Action) {
		return *clone.MakeCloner(heap).CloneSlowly(&p).(*pair[S, A]) //nolint:forcetypeassert // as in duplicate
	}
	return pair[S, A]{duplicate(p.State), duplicate(p.Action)}
}

// ownClone calls v's method Clone, if it has one that gives its own type.
func ownClone[V any](v *V) (c V, ok bool) {
	m, ok := ownCloneMethod(reflect.ValueOf(v).Elem())
	if !ok {
		return c, false
	}
	c, ok = m.Call(nil)[0].Interface().(V)
	return c, ok
}

func ownCloneMethod(v reflect.Value) (m reflect.Value, ok bool) {
	if v.Kind() == reflect.Interface {
		v = v.Elem() // of an action: the method is its own
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return m, false
	}
	m = v.MethodByName("Clone")
	if !m.IsValid() && v.CanAddr() {
		m = v.Addr().MethodByName("Clone")
	}
	if !m.IsValid() {
		return m, false
	}
	t := m.Type()
	if t.NumIn() != 0 || t.NumOut() != 1 {
		return m, false
	}
	out := t.Out(0)
	return m, out == v.Type() || out.Kind() == reflect.Interface && v.Type().Implements(out)
}

// shared tells types whose pointers are compared by address, or stand for
// something that does not change: they are not copied, nor looked into.
func shared(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && (t.Implements(errorType) || t.Implements(reflectType) || t == locationType)
}

// whole tells structs that are copied as they are and not looked into.
func whole(t reflect.Type) bool {
	return t == timeType || t.PkgPath() == "unique" || t.PkgPath() == "weak"
}

var (
	errorType    = reflect.TypeFor[error]()
	reflectType  = reflect.TypeFor[reflect.Type]()
	locationType = reflect.TypeFor[*time.Location]()
	timeType     = reflect.TypeFor[time.Time]()
	lockerType   = reflect.TypeFor[sync.Locker]()
)
