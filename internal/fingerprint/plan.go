package fingerprint

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// An op is how a plan hashes a value.
type op uint8

const (
	opUnhashable op = iota
	opNothing       // no size, or blank
	opWords         // count 64-bit integers in a row
	opOctets        // count bytes in a row
	opBool
	opInt8
	opInt16
	opInt32
	opUint8
	opUint16
	opUint32
	opFloat32
	opFloat64
	opComplex64
	opComplex128
	opString
	opStruct
	opArray
	opSlice
	opMap
	opPointer
	opInterface
	opMethod   // Hash() uint64
	opRename   // the type that a Renaming renames
	opTime     // time.Time
	opLocation // time.Location
	opZone     // *time.Location, of which nil is UTC
	opType     // *reflect.rtype
	opError    // a pointer with an Error method
)

// A plan says how to hash values of one type. It does not change once its
// planner has published it.
type plan struct {
	op    op
	typ   reflect.Type
	size  uintptr
	name  uint64 // hash of the type's name
	count int    // of words, octets or array elements
	// marks are the offsets of renamed values within words or octets.
	marks []uintptr

	key, elem *plan
	fields    []field

	// tracked plans are pointers, slices and maps that may lead to themselves.
	tracked bool
	// copies says that a Hash method of the value or of a part of it takes a
	// pointer, so what an interface holds must be copied for it.
	copies bool
	// direct says that an interface holds the value in its data word, not
	// behind it.
	direct bool
	// methods says that an interface type has methods.
	methods bool

	rtype    unsafe.Pointer // an interface's type word for typ
	pointer  unsafe.Pointer // the same for *typ, if op is opMethod
	entries  *sync.Pool     // of *entry, if op is opMap
	bad      reflect.Type   // the first type within that cannot be hashed
	badSteps string         // the path to it
}

type field struct {
	offset uintptr
	plan   *plan
	name   string
}

type hasher interface{ Hash() uint64 }

var (
	hasherType      = reflect.TypeFor[hasher]()
	errorType       = reflect.TypeFor[error]()
	timeType        = reflect.TypeFor[time.Time]()
	locationType    = reflect.TypeFor[time.Location]()
	reflectTypeType = reflect.TypeOf(reflect.TypeFor[int]())
)

// A planner makes plans and keeps them.
type planner struct {
	renamed reflect.Type // or nil
	methods bool         // call Hash methods

	plans sync.Map   // reflect.Type to *plan
	mu    sync.Mutex // held while plans are made
}

var (
	plain   = &planner{methods: true}
	content = &planner{}

	renamePlanners sync.Map // reflect.Type to *planner
)

func renamePlanner(t reflect.Type) *planner {
	if ps, ok := renamePlanners.Load(t); ok {
		return ps.(*planner)
	}
	ps, _ := renamePlanners.LoadOrStore(t, &planner{renamed: t})
	return ps.(*planner)
}

// plan returns the plan for t.
func (ps *planner) plan(t reflect.Type) *plan {
	if pl, ok := ps.plans.Load(t); ok {
		return pl.(*plan)
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	b := builder{planner: ps, made: map[reflect.Type]*plan{}}
	pl := b.plan(t)
	for _, made := range b.made {
		made.bad, made.badSteps = made.findBad(map[*plan]bool{})
		made.setTracked()
		if made.op == opRename {
			made.elem.setTracked()
		}
	}
	// Only now are all of them complete.
	for t, made := range b.made {
		ps.plans.Store(t, made)
	}
	return pl
}

func (pl *plan) setTracked() {
	switch pl.op {
	case opPointer, opSlice, opMap:
		pl.tracked = pl.leadsTo(pl, map[*plan]bool{})
	default:
	}
}

// findBad returns the first unhashable type in pl and the path to it.
func (pl *plan) findBad(seen map[*plan]bool) (reflect.Type, string) {
	if seen[pl] {
		return nil, ""
	}
	seen[pl] = true
	if pl.op == opUnhashable {
		return pl.typ, ""
	}
	var bad reflect.Type
	var steps string
	pl.parts(func(step string, part *plan) bool {
		if bad, steps = part.findBad(seen); bad != nil {
			steps = step + steps
		}
		return bad == nil
	})
	return bad, steps
}

// leadsTo reports whether a value of pl's type can hold one of target's: because
// its type says so, or because it has an interface, which may hold anything.
func (pl *plan) leadsTo(target *plan, seen map[*plan]bool) bool {
	if seen[pl] {
		return false
	}
	seen[pl] = true
	found := false
	pl.parts(func(_ string, part *plan) bool {
		found = part == target || part.op == opInterface || part.leadsTo(target, seen)
		return !found
	})
	return found
}

// parts calls yield with the plans that pl's refers to, until it returns false.
func (pl *plan) parts(yield func(step string, part *plan) bool) {
	switch pl.op {
	case opStruct:
		for _, f := range pl.fields {
			if !yield("."+f.name, f.plan) {
				return
			}
		}
	case opArray, opSlice:
		yield("[]", pl.elem)
	case opMap:
		if yield("[key]", pl.key) {
			yield("[]", pl.elem)
		}
	case opPointer, opRename:
		yield("", pl.elem)
	default:
	}
}

// unhashable returns the error for pl.bad.
func (pl *plan) unhashable() *UnhashableError {
	return &UnhashableError{Path: pl.short() + pl.badSteps, Type: pl.bad}
}

func (pl *plan) short() string {
	if name := pl.typ.Name(); name != "" {
		return name
	}
	return pl.typ.String()
}

// A builder makes the plans for one type and those it refers to.
type builder struct {
	planner *planner
	made    map[reflect.Type]*plan
}

func (b *builder) plan(t reflect.Type) *plan {
	if pl, ok := b.planner.plans.Load(t); ok {
		return pl.(*plan)
	}
	if pl, ok := b.made[t]; ok {
		return pl
	}
	pl := &plan{typ: t, size: t.Size(), name: String(typeName(t))}
	b.made[t] = pl
	if t.Kind() != reflect.Interface {
		// The compiler alone decides which types are kept in the data word.
		// A zero value that is has a nil word; others have an address there.
		zero := reflect.Zero(t).Interface()
		e := (*eface)(unsafe.Pointer(&zero))
		pl.rtype, pl.direct = e.typ, e.data == nil
	}
	if t == b.planner.renamed {
		b.rename(pl)
	} else {
		b.fill(pl, t)
	}
	return pl
}

// rename fills pl for the type that is renamed, around a plan that looks into it.
func (b *builder) rename(pl *plan) {
	inner := *pl
	b.fill(&inner, pl.typ)
	pl.op, pl.elem = opRename, &inner
	if inner.op == opWords || inner.isOctet() {
		pl.count, pl.marks = inner.count, []uintptr{0}
	}
}

func (b *builder) fill(pl *plan, t reflect.Type) {
	kind := t.Kind()
	if b.planner.methods && kind != reflect.Interface && kind != reflect.Pointer {
		if pointer := reflect.PointerTo(t); pointer.Implements(hasherType) {
			zero := reflect.Zero(pointer).Interface()
			pl.op, pl.pointer = opMethod, (*eface)(unsafe.Pointer(&zero)).typ
			pl.copies = !t.Implements(hasherType)
			return
		}
	}
	if whyNot(t) != "" {
		pl.op = opUnhashable
		return
	}
	switch kind {
	case reflect.Bool:
		pl.op = opBool
	case reflect.Int8:
		pl.op = opInt8
	case reflect.Int16:
		pl.op = opInt16
	case reflect.Uint8:
		pl.op = opUint8
	case reflect.Uint16:
		pl.op = opUint16
	case reflect.Int, reflect.Int32, reflect.Int64:
		pl.op, pl.count = opWords, 1
		if pl.size == 4 {
			pl.op = opInt32
		}
	case reflect.Uint, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		pl.op, pl.count = opWords, 1
		if pl.size == 4 {
			pl.op = opUint32
		}
	case reflect.Float32:
		pl.op = opFloat32
	case reflect.Float64:
		pl.op = opFloat64
	case reflect.Complex64:
		pl.op = opComplex64
	case reflect.Complex128:
		pl.op = opComplex128
	case reflect.String:
		pl.op = opString
	case reflect.Struct:
		b.fillStruct(pl, t)
	case reflect.Array:
		b.fillArray(pl, t)
	case reflect.Slice:
		pl.op, pl.elem = opSlice, b.plan(t.Elem())
	case reflect.Map:
		pl.op, pl.key, pl.elem = opMap, b.plan(t.Key()), b.plan(t.Elem())
		pl.entries = &sync.Pool{New: func() any { return newEntry(t) }}
	case reflect.Pointer:
		b.fillPointer(pl, t)
	case reflect.Interface:
		pl.op, pl.methods = opInterface, t.NumMethod() > 0
	default:
		pl.op = opUnhashable
	}
}

func (b *builder) fillPointer(pl *plan, t reflect.Type) {
	pl.elem = b.plan(t.Elem())
	switch {
	case t == reflectTypeType:
		pl.op = opType
	case t.Elem() == locationType:
		pl.op = opZone
	case pl.elem.op != opMethod && t.Implements(errorType):
		pl.op = opError
	default:
		pl.op = opPointer
	}
}

func (b *builder) fillArray(pl *plan, t reflect.Type) {
	n := t.Len()
	if pl.size == 0 {
		pl.op = opNothing
		return
	}
	elem := b.plan(t.Elem())
	pl.op, pl.elem, pl.count, pl.copies = opArray, elem, n, elem.copies
	switch {
	case elem.isWords():
		pl.op, pl.count = opWords, n*elem.count
	case elem.isOctet():
		pl.op = opOctets
	default:
		return
	}
	for i := range n {
		for _, m := range elem.marks {
			pl.marks = append(pl.marks, uintptr(i)*elem.size+m)
		}
	}
}

// fillStruct joins neighbouring words. Where fields are joined must not depend
// on the renamed type, or a renamed value would not hash as the value it becomes.
func (b *builder) fillStruct(pl *plan, t reflect.Type) {
	switch {
	case t.ConvertibleTo(timeType):
		pl.op = opTime
		return
	case t == locationType:
		pl.op = opLocation
		return
	case pl.size == 0:
		pl.op = opNothing
		return
	}
	pl.op = opStruct
	for sf := range t.Fields() {
		if sf.Name == "_" || sf.Type.Size() == 0 {
			continue
		}
		part := b.plan(sf.Type)
		pl.copies = pl.copies || part.copies
		f := field{offset: sf.Offset, plan: part, name: sf.Name}
		if n := len(pl.fields); n == 0 || !join(&pl.fields[n-1], f) {
			pl.fields = append(pl.fields, f)
		}
	}
	// Nothing but words from the first byte to the last?
	if len(pl.fields) == 1 {
		if f := pl.fields[0]; f.offset == 0 && f.plan.isWords() && f.plan.size == pl.size {
			pl.op, pl.count, pl.marks = opWords, f.plan.count, f.plan.marks
		}
	}
}

// join makes one run of words of last and next, if they are neighbours.
func join(last *field, next field) bool {
	if !last.plan.isWords() || !next.plan.isWords() || last.offset+last.plan.size != next.offset {
		return false
	}
	run := &plan{
		op:    opWords,
		typ:   last.plan.typ,
		size:  last.plan.size + next.plan.size,
		count: last.plan.count + next.plan.count,
	}
	run.marks = append(run.marks, last.plan.marks...)
	for _, m := range next.plan.marks {
		run.marks = append(run.marks, last.plan.size+m)
	}
	last.plan = run
	return true
}

// isWords reports whether a value is 64-bit integers and nothing else.
func (pl *plan) isWords() bool {
	return pl.op == opWords || pl.op == opRename && pl.elem.op == opWords
}

// isOctet reports whether a value is one byte.
func (pl *plan) isOctet() bool {
	switch pl.op {
	case opBool, opInt8, opUint8:
		return true
	case opRename:
		return pl.elem.isOctet()
	default:
		return false
	}
}

// typeName is t.String() with package paths in place of package names.
func typeName(t reflect.Type) string {
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name()
		}
		return t.PkgPath() + "." + t.Name()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + typeName(t.Elem())
	case reflect.Slice:
		return "[]" + typeName(t.Elem())
	case reflect.Array:
		return "[" + strconv.Itoa(t.Len()) + "]" + typeName(t.Elem())
	case reflect.Map:
		return "map[" + typeName(t.Key()) + "]" + typeName(t.Elem())
	case reflect.Struct:
		var s strings.Builder
		s.WriteString("struct {")
		for f := range t.Fields() {
			fmt.Fprintf(&s, " %s %s %q;", f.Name, typeName(f.Type), f.Tag)
		}
		return s.String() + " }"
	default:
		return t.String()
	}
}
