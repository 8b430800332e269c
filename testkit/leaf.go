package testkit

import (
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// walker goes through a value in an order that is the same in every run and
// lets leaf change what it meets: numbers, strings, bools, times, byte arrays
// and slices, big numbers, and slices for their length. leaf reports whether it
// changed something. What is shared between clones is not met.
type walker struct {
	root string // what the value is called
	leaf func(v reflect.Value) bool
	keys bool // the keys of maps are met too
	done bool // set by leaf when it wants no more
	at   []place
	seen map[visit]bool
}

// place is one step on the way to a leaf: to a field, an element or an entry.
type place struct {
	field string
	index int
	key   reflect.Value
}

// path is where the walk is.
func (w *walker) path() string {
	root := w.root
	for _, p := range w.at {
		switch {
		case p.field != "":
			root += "." + p.field
		case p.key.IsValid():
			root += "[" + show(p.key.Interface()) + "]"
		default:
			root += "[" + strconv.Itoa(p.index) + "]"
		}
	}
	return root
}

// to walks on to v, which is at p.
func (w *walker) to(p place, v reflect.Value) (changed bool) {
	w.at = append(w.at, p)
	changed = w.walk(v)
	w.at = w.at[:len(w.at)-1]
	return changed
}

// walk goes through v, which is open, and reports whether anything changed.
func (w *walker) walk(v reflect.Value) (changed bool) {
	if w.done {
		return false
	}
	t := v.Type()
	if isLeaf(t) {
		return w.leaf(v)
	}
	if shared(t) || whole(t) || bad(t) {
		return false
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || !w.first(v.Pointer(), 1, t) {
			return false
		}
		return w.walk(open(v.Elem()))
	case reflect.Interface:
		if v.IsNil() {
			return false
		}
		inner := open(v.Elem())
		if changed = w.walk(inner); changed {
			v.Set(inner)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := t.Field(i).Name; name != "_" {
				changed = w.to(place{field: name}, open(v.Field(i))) || changed
			}
		}
	case reflect.Slice:
		if v.Len() == 0 || !w.first(v.Pointer(), v.Len(), t) {
			return false
		}
		changed = w.elements(v)
		if !w.done {
			changed = w.leaf(v) || changed
		}
	case reflect.Array:
		return w.elements(v)
	case reflect.Map:
		if v.IsNil() || !w.first(v.Pointer(), 1, t) {
			return false
		}
		return w.entries(v)
	default:
	}
	return changed
}

func (w *walker) elements(v reflect.Value) (changed bool) {
	for i := 0; i < v.Len() && !w.done; i++ {
		changed = w.to(place{index: i}, open(v.Index(i))) || changed
	}
	return changed
}

func (w *walker) entries(m reflect.Value) (changed bool) {
	for _, key := range sortedKeys(m) {
		if w.done {
			break
		}
		at := place{key: key}
		value, k, moved := open(m.MapIndex(key)), open(key), false
		if w.keys {
			moved = w.to(at, k)
		}
		if w.to(at, value) || moved {
			changed = true
			if moved {
				m.SetMapIndex(key, reflect.Value{})
			}
			m.SetMapIndex(k, value)
		}
	}
	return changed
}

func (w *walker) first(at uintptr, n int, t reflect.Type) bool {
	if w.seen == nil {
		w.seen = map[visit]bool{}
	}
	v := visit{at, n, t}
	if w.seen[v] {
		return false
	}
	w.seen[v] = true
	return true
}

var bigIntType = reflect.TypeFor[big.Int]()

func isLeaf(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Array, reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8
	case reflect.Struct:
		return t == timeType || t == bigIntType
	default:
		return false
	}
}

// alter gives a leaf another value. There are two to choose from, as the first
// may be one that the reducer does not take. Numbers are not made negative nor
// large, so that a loop over one still ends.
func alter(v reflect.Value, variant int) bool {
	down := variant == 1
	switch {
	case v.Type() == timeType:
		d := time.Hour
		if down {
			d = -d
		}
		v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(d))) //nolint:forcetypeassert // its type is time.Time
	case v.Type() == bigIntType:
		n := new(big.Int).Set(v.Addr().Interface().(*big.Int)) //nolint:forcetypeassert // its type is big.Int
		if down && n.Sign() <= 0 {
			return false
		}
		d := big.NewInt(1)
		if down {
			d.Neg(d)
		}
		v.Set(reflect.ValueOf(n.Add(n, d)).Elem())
	case v.Kind() == reflect.String:
		switch s := v.String(); {
		case !down:
			v.SetString(s + "~")
		case s != "":
			v.SetString("")
		default:
			return false
		}
	case v.Kind() == reflect.Bool:
		if down {
			return false
		}
		v.SetBool(!v.Bool())
	case v.CanInt():
		n := v.Int()
		switch {
		case !down && !v.OverflowInt(n+1) && n+1 > n:
			v.SetInt(n + 1)
		case down && n > 0:
			v.SetInt(n - 1)
		default:
			return false
		}
	case v.CanUint():
		n := v.Uint()
		switch {
		case !down && !v.OverflowUint(n+1) && n+1 > n:
			v.SetUint(n + 1)
		case down && n > 0:
			v.SetUint(n - 1)
		default:
			return false
		}
	case v.CanFloat():
		switch f := v.Float(); {
		case !down:
			v.SetFloat(f + 1)
		case f >= 1:
			v.SetFloat(f - 1)
		default:
			return false
		}
		// Too large, or not a number: it is the same again.
	case isLeaf(v.Type()): // bytes
		if down || v.Len() == 0 {
			return false
		}
		last := v.Index(v.Len() - 1)
		last.SetUint(last.Uint() ^ 0x5a)
	case v.Kind() == reflect.Slice: // for its length
		if down {
			v.Set(v.Slice(0, v.Len()-1))
		} else {
			v.Set(reflect.Append(v.Slice3(0, v.Len(), v.Len()), v.Index(v.Len()-1)))
		}
	}
	return true
}

// shake fills the small maps of a clone in the order of their keys or, if
// reverse, against it. Go ranges over few entries in the order in which they
// were put in, seven times out of eight; over many, in any.
func shake(v reflect.Value, reverse bool, seen map[visit]bool) {
	t := v.Type()
	if isLeaf(t) || shared(t) || whole(t) || bad(t) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		at := visit{v.Pointer(), 1, t}
		if v.IsNil() || seen[at] {
			return
		}
		seen[at] = true
		shake(open(v.Elem()), reverse, seen)
	case reflect.Interface:
		if !v.IsNil() {
			shake(open(v.Elem()), reverse, seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			shake(open(v.Field(i)), reverse, seen)
		}
	case reflect.Slice, reflect.Array:
		if isLeaf(t.Elem()) {
			return
		}
		for i := range v.Len() {
			shake(open(v.Index(i)), reverse, seen)
		}
	case reflect.Map:
		at := visit{v.Pointer(), 1, t}
		if v.Len() == 0 || seen[at] {
			return
		}
		seen[at] = true
		if !isLeaf(t.Elem()) {
			for iter := v.MapRange(); iter.Next(); {
				shake(open(iter.Value()), reverse, seen)
			}
		}
		refill(v, reverse)
	default:
	}
}

// smallMap is how many entries the Go runtime keeps without hashing them.
const smallMap = 8

func refill(m reflect.Value, reverse bool) {
	if m.Len() < 2 || m.Len() > smallMap {
		return
	}
	keys := sortedKeys(m)
	if reverse {
		slices.Reverse(keys)
	}
	values := make([]reflect.Value, len(keys))
	for i, k := range keys {
		values[i] = m.MapIndex(k)
		if !values[i].IsValid() { // under a key that is not itself, a NaN
			return
		}
	}
	m.Clear()
	for i, k := range keys {
		m.SetMapIndex(k, values[i])
	}
}
