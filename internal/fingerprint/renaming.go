package fingerprint

import (
	"fmt"
	"reflect"
	"unsafe"
)

// A Renaming says which values of one type hash as which others. The zero
// Renaming renames nothing. It is safe for concurrent use.
type Renaming struct {
	r *renamer
}

// NewRenaming makes the renaming of each from[i] to to[i]: wherever a value of
// type T is met that equals from[i], it hashes as to[i]. It is met as field,
// element, map key or value, behind a pointer and as what an interface holds.
// Only values of T itself are renamed, not those of other types with the same
// underlying type. Renaming a value does not rename what is inside of to[i].
//
// It panics if from and to differ in length or a value is twice in from.
func NewRenaming[T comparable](from, to []T) Renaming {
	if len(from) != len(to) {
		panic(fmt.Sprintf("fingerprint: renaming of %d values to %d", len(from), len(to)))
	}
	typ := reflect.TypeFor[T]()
	names := make(map[T]*T, len(from))
	keys, values := make([]T, 0, len(from)), make([]T, len(from))
	copy(values, to)
	for i, f := range from {
		if _, twice := names[f]; twice {
			panic(fmt.Sprintf("fingerprint: %v is renamed twice", f))
		}
		names[f] = &values[i]
		keys = append(keys, f)
	}
	r := &renamer{
		planner: renamePlanner(typ),
		content: content.plan(typ),
		size:    typ.Size(),
	}
	// Only a type with interfaces in it is comparable without being so strictly.
	strict := strictlyComparable(typ)
	r.lookup = func(p unsafe.Pointer) unsafe.Pointer {
		v := (*T)(p)
		if !strict && !reflect.ValueOf(v).Elem().Comparable() {
			return nil
		}
		if len(keys) <= 8 {
			for i := range keys {
				if keys[i] == *v {
					return unsafe.Pointer(&values[i])
				}
			}
			return nil
		}
		return unsafe.Pointer(names[*v])
	}
	return Renaming{r: r}
}

func (r Renaming) planner() *planner {
	if r.r == nil {
		return content
	}
	return r.r.planner
}

type renamer struct {
	planner *planner
	content *plan                               // of the renamed type, renaming nothing
	lookup  func(unsafe.Pointer) unsafe.Pointer // the new value for that at the pointer, or nil
	size    uintptr
}

// rename overwrites in the copy at dst of n elements at src those values that
// begin at the marks of each. Their type has no pointers.
func (r *renamer) rename(dst, src unsafe.Pointer, n int, stride uintptr, marks []uintptr) {
	for i := range n {
		for _, m := range marks {
			at := uintptr(i)*stride + m //nolint:gosec // not negative
			if to := r.lookup(unsafe.Add(src, at)); to != nil {
				copy(unsafe.Slice((*byte)(unsafe.Add(dst, at)), r.size), unsafe.Slice((*byte)(to), r.size))
			}
		}
	}
}

func strictlyComparable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return false
	case reflect.Array:
		return strictlyComparable(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if !strictlyComparable(f.Type) {
				return false
			}
		}
	default:
	}
	return true
}
