package fingerprint

import (
	"reflect"
	"unsafe"
)

// Of hashes v. The same value gives the same hash in every process and on every
// run. It panics with an [*UnhashableError] if v holds something that cannot be
// hashed.
func Of(v any) uint64 {
	return of(plain, nil, v)
}

// OfWith hashes v with values renamed by r, and without Hash methods. It panics
// with an [*UnhashableError] if v holds something that cannot be hashed.
func OfWith(v any, r Renaming) uint64 {
	return of(r.planner(), r.r, v)
}

func of(ps *planner, r *renamer, v any) uint64 {
	if v == nil {
		return finish(nilMark)
	}
	pl := ps.plan(reflect.TypeOf(v))
	if pl.direct || pl.copies {
		return ofWord(ps, r, pl, v)
	}
	return hashRoot(ps, r, pl, (*eface)(unsafe.Pointer(&v)).data)
}

// ofWord is of for a value that v holds in its data word, and for one that must
// be copied. It is a function of its own because v moves to the heap here.
//
//go:noinline
func ofWord(ps *planner, r *renamer, pl *plan, v any) uint64 {
	return hashRoot(ps, r, pl, pl.inside(unsafe.Pointer(&v)))
}

func hashRoot(ps *planner, r *renamer, pl *plan, p unsafe.Pointer) uint64 {
	if pl.op == opInterface {
		// What Of does: the static type says nothing.
		v := pl.load(p)
		if v == nil {
			return finish(nilMark)
		}
		dynamic := ps.plan(reflect.TypeOf(v))
		pl, p = dynamic, dynamic.inside(p)
	}
	w := walk{planner: ps, renamer: r, root: pl, rootAt: p}
	if pl.bad != nil {
		panic(pl.unhashable())
	}
	return finish(pl.hash(&w, p, pl.name))
}

// A Type hashes values of type V. Make it with [For]. It is safe for concurrent
// use.
type Type[V any] struct {
	plan *plan
}

// For prepares the hash of values of type V. The error is an
// [*UnhashableError] that names the first field of V that cannot be hashed. What
// a field of interface type holds is judged when a value is hashed.
func For[V any]() (*Type[V], error) {
	pl := plain.plan(reflect.TypeFor[V]())
	if pl.bad != nil {
		return nil, pl.unhashable()
	}
	return &Type[V]{plan: pl}, nil
}

// Hash returns what [Of] returns for *v, without boxing it. It panics with an
// [*UnhashableError] if an interface in *v holds something that cannot be
// hashed.
func (t *Type[V]) Hash(v *V) uint64 {
	return hashRoot(plain, nil, t.plan, unsafe.Pointer(v))
}

// HashWith hashes *v with values renamed by r, and without Hash methods. It
// panics with an [*UnhashableError] if *v holds something that cannot be hashed,
// which may also be what a Hash method would have passed over.
func (t *Type[V]) HashWith(v *V, r Renaming) uint64 {
	ps := r.planner()
	return hashRoot(ps, r.r, ps.plan(t.plan.typ), unsafe.Pointer(v))
}
