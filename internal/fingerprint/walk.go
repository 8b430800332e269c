package fingerprint

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unsafe"
)

const (
	// A walk with more pointers than this remembers what it has hashed.
	memoAfter = 256
	// A walk with more ways through cycles than this gives up.
	maxOpen = 1 << 22
	// A path longer than this is searched by map.
	longPath = 32
)

// A walk is the state of one hash.
type walk struct {
	planner *planner
	renamer *renamer

	root   *plan
	rootAt unsafe.Pointer

	// The tracked values that are being hashed, outermost first. The first
	// are kept without allocation.
	depth int
	near  [6]place
	far   []place
	index map[place]int // of all of them, once there are many

	lowest int              // index of the outermost value that a cycle led back to, plus one
	visits int              // tracked values so far
	open   int              // those whose hash depends on the path to them
	memo   map[place]uint64 // hashes that do not

	tracing bool
	trace   []string
}

// A place is a tracked value.
type place struct {
	at   unsafe.Pointer
	n    int // length of a slice
	plan *plan
}

// An eface is how the runtime lays out an any.
type eface struct {
	typ, data unsafe.Pointer
}

// load returns what is in the interface at p.
func (pl *plan) load(p unsafe.Pointer) any {
	if pl.methods {
		// Interfaces with methods have one layout, whatever the methods.
		return *(*interface{ M() })(p)
	}
	return *(*any)(p)
}

// inside returns the address of the value of pl's type that the interface at p
// holds, or that of a copy.
func (pl *plan) inside(p unsafe.Pointer) unsafe.Pointer {
	at := unsafe.Add(p, unsafe.Sizeof(p))
	if !pl.direct {
		at = *(*unsafe.Pointer)(at)
	}
	if pl.copies {
		c := reflect.New(pl.typ)
		c.Elem().Set(reflect.NewAt(pl.typ, at).Elem())
		at = c.UnsafePointer()
	}
	return at
}

// boxed returns an interface with the given type and data words.
func boxed(rtype, data unsafe.Pointer) any {
	e := eface{typ: rtype, data: data}
	return *(*any)(unsafe.Pointer(&e))
}

// hash continues h with the value at p.
func (pl *plan) hash(w *walk, p unsafe.Pointer, h uint64) uint64 {
	switch pl.op {
	case opNothing:
		return h
	case opWords:
		if pl.marks != nil {
			return w.renamedWords(pl, p, 1, h)
		}
		return words(h, p, pl.count)
	case opOctets:
		if pl.marks != nil {
			return w.renamedOctets(pl, p, 1, h)
		}
		return octets(h, unsafe.Slice((*byte)(p), pl.count))
	case opBool, opUint8:
		return step(h, uint64(*(*uint8)(p)))
	case opInt8:
		return step(h, uint64(*(*int8)(p)))
	case opInt16:
		return step(h, uint64(*(*int16)(p)))
	case opInt32:
		return step(h, uint64(*(*int32)(p)))
	case opUint16:
		return step(h, uint64(*(*uint16)(p)))
	case opUint32:
		return step(h, uint64(*(*uint32)(p)))
	case opFloat32:
		return step(h, float(float64(*(*float32)(p))))
	case opFloat64:
		return step(h, float(*(*float64)(p)))
	case opComplex64:
		c := *(*complex64)(p)
		return step(step(h, float(float64(real(c)))), float(float64(imag(c))))
	case opComplex128:
		c := *(*complex128)(p)
		return step(step(h, float(real(c))), float(imag(c)))
	case opString:
		return text(h, *(*string)(p))
	case opStruct:
		return w.fields(pl, p, h)
	case opArray:
		return w.elements(pl.elem, p, pl.count, h)
	case opSlice:
		s := *(*[]struct{})(p) // its length is all that is used, and its address
		at := unsafe.Pointer(unsafe.SliceData(s))
		h = step(h, uint64(len(s)))
		if len(s) == 0 || pl.elem.size == 0 {
			return h
		}
		if pl.tracked {
			return w.track(place{at: at, n: len(s), plan: pl}, h)
		}
		return w.elements(pl.elem, at, len(s), h)
	case opMap:
		at := *(*unsafe.Pointer)(p)
		if at == nil {
			return step(h, 0)
		}
		if pl.tracked {
			return w.track(place{at: at, plan: pl}, h)
		}
		return w.entries(pl, at, h)
	case opPointer:
		at := *(*unsafe.Pointer)(p)
		if at == nil {
			return step(h, nilMark)
		}
		h = step(h, someMark)
		if pl.tracked {
			return w.track(place{at: at, plan: pl}, h)
		}
		return pl.elem.hash(w, at, h)
	case opInterface:
		return w.dynamic(pl, p, h)
	case opMethod:
		return step(h, boxed(pl.pointer, p).(hasher).Hash())
	case opRename:
		if to := w.renamer.lookup(p); to != nil {
			// The new value itself is not renamed once more.
			planner := w.planner
			w.planner = content
			h = w.renamer.content.hash(w, to, h)
			w.planner = planner
			return h
		}
		return pl.elem.hash(w, p, h)
	case opTime:
		t := (*time.Time)(p)
		return step(step(h, uint64(t.Unix())), uint64(t.Nanosecond()))
	case opLocation:
		return text(h, (*time.Location)(p).String())
	case opZone:
		return text(h, (*(**time.Location)(p)).String())
	case opType:
		at := *(*unsafe.Pointer)(p)
		if at == nil {
			return step(h, nilMark)
		}
		return text(h, typeName(boxed(pl.rtype, at).(reflect.Type)))
	case opError:
		at := *(*unsafe.Pointer)(p)
		if at == nil {
			return step(h, nilMark)
		}
		return text(step(h, someMark), boxed(pl.rtype, at).(error).Error())
	default:
		panic(w.unhashable(pl))
	}
}

func (w *walk) fields(pl *plan, p unsafe.Pointer, h uint64) uint64 {
	for i := range pl.fields {
		f := &pl.fields[i]
		at := unsafe.Add(p, f.offset)
		switch {
		case f.plan.op == opWords && f.plan.marks == nil:
			h = words(h, at, f.plan.count)
		case f.plan.op == opString:
			h = text(h, *(*string)(at))
		case w.tracing:
			w.trace = append(w.trace, "."+f.name)
			h = f.plan.hash(w, at, h)
			w.trace = w.trace[:len(w.trace)-1]
		default:
			h = f.plan.hash(w, at, h)
		}
	}
	return h
}

// elements continues h with n values in a row.
func (w *walk) elements(elem *plan, p unsafe.Pointer, n int, h uint64) uint64 {
	switch {
	case elem.isWords():
		if elem.marks != nil {
			return w.renamedWords(elem, p, n, h)
		}
		return words(h, p, n*elem.count)
	case elem.isOctet():
		if elem.op == opRename {
			return w.renamedOctets(elem, p, n, h)
		}
		return octets(h, unsafe.Slice((*byte)(p), n))
	case elem.op == opString:
		for _, s := range unsafe.Slice((*string)(p), n) {
			h = text(h, s)
		}
		return h
	}
	for i := range n {
		if w.tracing {
			w.trace = append(w.trace, fmt.Sprintf("[%d]", i))
		}
		h = elem.hash(w, unsafe.Add(p, uintptr(i)*elem.size), h) //nolint:gosec // not negative
		if w.tracing {
			w.trace = w.trace[:len(w.trace)-1]
		}
	}
	return h
}

// renamedWords continues h with n values of pl's type, which is words, some of
// them renamed.
func (w *walk) renamedWords(pl *plan, p unsafe.Pointer, n int, h uint64) uint64 {
	var near [32]uint64
	buf := near[:]
	if n*pl.count > len(near) {
		buf = make([]uint64, n*pl.count)
	}
	copy(buf, unsafe.Slice((*uint64)(p), n*pl.count))
	at := unsafe.Pointer(unsafe.SliceData(buf))
	w.renamer.rename(at, p, n, pl.size, pl.marks)
	return words(h, at, n*pl.count)
}

// renamedOctets is renamedWords for bytes.
func (w *walk) renamedOctets(pl *plan, p unsafe.Pointer, n int, h uint64) uint64 {
	var near [64]byte
	size := n * int(pl.size)
	buf := near[:]
	if size > len(near) {
		buf = make([]byte, size)
	}
	buf = buf[:copy(buf, unsafe.Slice((*byte)(p), size))]
	w.renamer.rename(unsafe.Pointer(unsafe.SliceData(buf)), p, n, pl.size, pl.marks)
	return octets(h, buf)
}

// An entry has room for one entry of a map and an iterator.
type entry struct {
	iter           reflect.MapIter
	key, value     reflect.Value
	keyAt, valueAt unsafe.Pointer
}

func newEntry(t reflect.Type) *entry {
	key, value := reflect.New(t.Key()), reflect.New(t.Elem())
	return &entry{
		key: key.Elem(), keyAt: key.UnsafePointer(),
		value: value.Elem(), valueAt: value.UnsafePointer(),
	}
}

// entries continues h with the map that is at m, in any order.
func (w *walk) entries(pl *plan, m unsafe.Pointer, h uint64) uint64 {
	v := reflect.ValueOf(boxed(pl.rtype, m))
	n := v.Len()
	h = step(h, uint64(n))
	if n == 0 {
		return h
	}
	e := pl.entries.Get().(*entry)
	e.iter.Reset(v)
	var sum uint64
	for e.iter.Next() {
		e.key.SetIterKey(&e.iter)
		e.value.SetIterValue(&e.iter)
		if w.tracing {
			w.trace = append(w.trace, "[key]")
		}
		one := pl.key.hash(w, e.keyAt, entryMark)
		if w.tracing {
			w.trace[len(w.trace)-1] = fmt.Sprintf("[%v]", e.key)
		}
		sum += finish(pl.elem.hash(w, e.valueAt, one))
		if w.tracing {
			w.trace = w.trace[:len(w.trace)-1]
		}
	}
	e.iter.Reset(reflect.Value{})
	e.key.SetZero()
	e.value.SetZero()
	pl.entries.Put(e)
	return step(h, sum)
}

// dynamic continues h with what the interface at p holds.
func (w *walk) dynamic(pl *plan, p unsafe.Pointer, h uint64) uint64 {
	v := pl.load(p)
	if v == nil {
		return step(h, nilMark)
	}
	in := w.planner.plan(reflect.TypeOf(v))
	if in.bad != nil {
		panic(w.unhashable(in))
	}
	if w.tracing {
		w.trace = append(w.trace, ".("+in.typ.String()+")")
	}
	h = in.hash(w, in.inside(p), step(h, in.name))
	if w.tracing {
		w.trace = w.trace[:len(w.trace)-1]
	}
	return h
}

// track continues h with the tracked value at a place. Its own hash does not
// depend on h, so that it can be remembered.
func (w *walk) track(at place, h uint64) uint64 {
	if i := w.find(at); i >= 0 {
		if w.lowest == 0 || i < w.lowest-1 {
			w.lowest = i + 1
		}
		return step(h, cycleMark+uint64(w.depth-i))
	}
	w.visits++
	if w.visits > memoAfter {
		if known, ok := w.memo[at]; ok {
			return step(h, known)
		}
	}
	outer := w.lowest
	w.lowest = 0
	w.push(at)
	var own uint64
	switch at.plan.op {
	case opSlice:
		own = w.elements(at.plan.elem, at.at, at.n, someMark)
	case opMap:
		own = w.entries(at.plan, at.at, someMark)
	default:
		own = at.plan.elem.hash(w, at.at, someMark)
	}
	w.pop(at)
	if w.lowest == 0 || w.lowest > w.depth {
		// No cycle leads out of it, so its hash is the same wherever it is met.
		w.lowest = outer
		if w.visits > memoAfter {
			if w.memo == nil {
				w.memo = map[place]uint64{}
			}
			w.memo[at] = own
		}
		return step(h, own)
	}
	if w.open++; w.open > maxOpen {
		panic(&UnhashableError{Path: w.root.short() + strings.Join(w.trace, ""), Type: at.plan.typ, tangled: true})
	}
	if outer != 0 {
		w.lowest = min(w.lowest, outer)
	}
	return step(h, own)
}

// find returns the index of a place on the path, or -1.
func (w *walk) find(at place) int {
	if w.index != nil {
		if i, ok := w.index[at]; ok {
			return i
		}
		return -1
	}
	for i := range min(w.depth, len(w.near)) {
		if w.near[i] == at {
			return i
		}
	}
	for i := range w.far {
		if w.far[i] == at {
			return i + len(w.near)
		}
	}
	return -1
}

func (w *walk) push(at place) {
	if w.depth < len(w.near) {
		w.near[w.depth] = at
	} else {
		w.far = append(w.far, at)
	}
	if w.index == nil && w.depth == longPath {
		w.index = make(map[place]int, 2*longPath)
		for i, on := range w.near {
			w.index[on] = i
		}
		for i, on := range w.far {
			w.index[on] = i + len(w.near)
		}
	}
	if w.index != nil {
		w.index[at] = w.depth
	}
	w.depth++
}

func (w *walk) pop(at place) {
	w.depth--
	if w.index != nil {
		delete(w.index, at)
	}
	if w.depth >= len(w.near) {
		w.far = w.far[:w.depth-len(w.near)]
	}
}

// unhashable returns the error for a value of in's type, which an interface
// holds. The path to it is found by walking once more and writing down the way.
func (w *walk) unhashable(in *plan) (err *UnhashableError) {
	if w.tracing {
		return &UnhashableError{
			Path: w.root.short() + strings.Join(w.trace, "") + ".(" + in.typ.String() + ")" + in.badSteps,
			Type: in.bad,
		}
	}
	again := walk{planner: w.planner, renamer: w.renamer, root: w.root, rootAt: w.rootAt, tracing: true}
	if w.planner == content && w.renamer != nil {
		again.planner = w.renamer.planner
	}
	defer func() {
		if found, ok := recover().(*UnhashableError); ok {
			err = found
			return
		}
		err = in.unhashable()
	}()
	again.root.hash(&again, again.rootAt, 0)
	return nil
}

// float returns the bits of f, the same for all NaN and for both zeros.
func float(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case math.IsNaN(f):
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(f)
}
