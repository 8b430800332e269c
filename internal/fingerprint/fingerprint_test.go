package fingerprint_test

import (
	"container/list"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unique"
	"unsafe"

	"github.com/google/uuid"
	"github.com/huandu/go-clone"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/internal/fingerprint"
)

type (
	id    string
	seat  int
	shade uint8
)

type point struct{ x, y int64 }

type flat struct {
	ID      uuid.UUID
	Count   int
	Price   int64
	Open    bool
	Kind    uint8
	Name    string
	Ratio   float64
	At      time.Time
	private point
}

type nested struct {
	flat
	Owner   id
	Seats   []seat
	Row     [3]seat
	Shades  []shade
	Hue     [2]shade
	Mixed   struct{ a, b seat }
	Names   []id
	ByID    map[id]int
	BySeat  map[seat]id
	Points  map[point]point
	Next    *nested
	Any     any
	List    []any
	Text    fmt.Stringer
	Err     error
	small   int16
	data    []byte
	complex complex128
	matrix  [2][2]float32
}

func (i id) String() string { return string(i) }

var day = time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)

func flatValue() flat {
	return flat{
		ID: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), Count: 3, Price: -4, Open: true, Kind: 9,
		Name: "Ada", Ratio: 0.5, At: day, private: point{1, 2},
	}
}

func nestedValue() nested {
	return nested{
		flat: flatValue(), Owner: "bob", Seats: []seat{1, 2, 3}, Row: [3]seat{3, 2, 1},
		Shades: []shade{1, 2}, Hue: [2]shade{2, 1}, Mixed: struct{ a, b seat }{1, 2}, Names: []id{"x", "bob"},
		ByID:   map[id]int{"bob": 1, "eve": 2, "sam": 3},
		BySeat: map[seat]id{1: "bob", 2: "eve"},
		Points: map[point]point{{1, 2}: {3, 4}, {0, 0}: {0, 1}},
		Next:   &nested{Owner: "eve"},
		Any:    map[string]any{"a": 1, "b": []string{"c"}},
		List:   []any{1, "two", 3.0, nil, seat(1), point{1, 2}, &point{1, 2}},
		Text:   id("bob"), Err: errors.New("no seat"), small: -7, data: []byte("data"), complex: 1 + 2i,
		matrix: [2][2]float32{{1, 2}, {3, 4}},
	}
}

func typed[V any](t testing.TB, v V) uint64 {
	t.Helper()
	typ, err := fingerprint.For[V]()
	require.NoError(t, err)
	return typ.Hash(&v)
}

// The constants hold a hash to be the same in every process: a seed would change
// them, and so would an address.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		v    any
		want uint64
	}{
		{"nil", nil, 0xeeffcd9bfaa39843},
		{"int", 42, 0x1143efa4ed61549c},
		{"string", "rondo", 0xb85e8741c227d560},
		{"long string", "the quick brown fox jumps over the lazy dog", 0xbe13a574a2a30a80},
		{"time", day, 0x49a71a4afdb044a7},
		{"uuid", flatValue().ID, 0x3982d6fd7222506c},
		{"map", map[string]int{"a": 1, "b": 2, "c": 3}, 0xb9ef9a43fda648f1},
		{"error", errors.New("boom"), 0x3dca023055ce48ed},
		{"type", reflect.TypeFor[flat](), 0xcc95fd3789aa734c},
		{"flat", flatValue(), 0x7aec082b88d50bbc},
		{"nested", nestedValue(), 0x462fdc2571d44659},
		{"pointer", &point{1, 2}, 0xaa2bd87f960a8d9e},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, row.want, fingerprint.Of(row.v), "%#x", fingerprint.Of(row.v))
		})
	}
	require.Equal(t, uint64(0x1a7b27c5d68fae75), fingerprint.String("rondo"))
	require.Equal(t, uint64(0x49efca6c1e15b3d0), fingerprint.Mix(1, 2))
}

func TestEqual(t *testing.T) {
	t.Parallel()
	shared := &point{1, 2}
	berlin := time.FixedZone("Berlin", 3600)
	type pair struct{ a, b *point }
	type floats struct {
		a float64
		b float32
		c complex128
	}
	type blank struct {
		a int32
		_ int32
		b int64
		_ [0]func()
	}
	type named struct{ e error }
	b1, b2 := blank{a: 1, b: 2}, blank{a: 1, b: 2}
	*(*int32)(unsafe.Add(unsafe.Pointer(&b1), 4)) = 77
	for _, row := range []struct {
		name string
		a, b any
	}{
		{"nil and empty slice", []int(nil), []int{}},
		{"nil and empty map", map[string]int(nil), map[string]int{}},
		{"capacity", make([]int, 2, 9), []int{0, 0}},
		{"nan", math.NaN(), math.Float64frombits(math.Float64bits(math.NaN()) ^ 1)},
		{"zeros", floats{0, 0, 0}, floats{math.Copysign(0, -1), float32(math.Copysign(0, -1)), complex(math.Copysign(0, -1), 0)}},
		{"instant", day, day.In(berlin)},
		{"shared and copied", pair{shared, shared}, pair{shared, &point{1, 2}}},
		{"errors", named{errors.New("x")}, named{errors.New("x")}},
		{"wrapped", named{fmt.Errorf("a: %w", errors.New("x"))}, named{fmt.Errorf("a: %w", errors.New("x"))}},
		{"blank fields and padding", b1, b2},
		{"types", []any{reflect.TypeFor[flat]()}, []any{reflect.TypeFor[flat]()}},
		{"big", big.NewInt(1 << 40), new(big.Int).Exp(big.NewInt(2), big.NewInt(40), nil)},
		{"location", time.FixedZone("A", 1), time.FixedZone("A", 1)},
		{"no location", []*time.Location{nil}, []*time.Location{time.UTC}},
		{"handles", unique.Make("a"), unique.Make("a")},
		{"nan keys", map[float64]int{math.NaN(): 1, math.NaN(): 2}, map[float64]int{math.NaN(): 2, math.NaN(): 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, fingerprint.Of(row.a), fingerprint.Of(row.b), "%v\n%v", row.a, row.b)
		})
	}
}

func TestDifferent(t *testing.T) {
	t.Parallel()
	type empty1 struct{}
	type empty2 struct{}
	type two struct{ a, b string }
	var nilPoint *point
	values := []any{
		nil, 0, int8(0), uint(0), "", "\x00", "\x00\x00", false, true, 0.0, 1.5, float32(1.5), -1, int16(-1),
		empty1{}, empty2{}, nilPoint, &point{}, point{}, point{1, 2}, point{2, 1}, id(""),
		[]int{}, []int{0}, []int{0, 0}, []int{1, 0}, [1]int{}, [2]int{},
		two{"ab", "c"}, two{"a", "bc"}, two{"", "abc"},
		[]string{"ab", "c"}, []string{"a", "bc"}, [][]int{{1}, {}}, [][]int{{}, {1}}, [][]int{{1}},
		map[int]int{}, map[int]int{1: 4, 2: 3}, map[int]int{1: 3, 2: 4}, map[int]bool{1: true, 4: true}, map[int]bool{2: true, 3: true},
		[]any{nil}, []any{0}, []any{false}, []any{int8(0)}, []any{[]int{}}, []any{empty1{}}, []any{empty2{}}, []any{nilPoint},
		errors.New("x"), errors.New("y"), fmt.Errorf("x: %w", errors.New("x")), time.Time{}, day, day.Add(1), time.Second,
		[]error{errors.New("x")}, []error{nil}, big.NewInt(1), big.NewInt(-1),
		reflect.TypeFor[int](), reflect.TypeFor[id](), time.FixedZone("A", 1), time.FixedZone("B", 1), 1i, complex64(1i),
		struct{ a int }{}, struct{ b int }{}, []struct{}{}, []struct{}{{}},
	}
	seen := map[uint64]int{}
	for i, v := range values {
		h := fingerprint.Of(v)
		if j, twice := seen[h]; twice {
			require.Fail(t, "same hash", "%#x of %T %v and %T %v", h, v, v, values[j], values[j])
		}
		seen[h] = i
	}
}

func TestOfIsHash(t *testing.T) {
	t.Parallel()
	v := nestedValue()
	require.Equal(t, fingerprint.Of(v), typed(t, v))
	require.Equal(t, fingerprint.Of(&v), typed(t, &v))
	require.Equal(t, fingerprint.Of(v), typed[any](t, v))
	require.Equal(t, fingerprint.Of(id("a")), typed[fmt.Stringer](t, id("a")))
	require.Equal(t, fingerprint.Of(nil), typed[error](t, nil))
	require.Equal(t, fingerprint.Of(v), fingerprint.OfWith(v, fingerprint.Renaming{}))
	m := map[string]int{"a": 1}
	require.Equal(t, fingerprint.Of(m), typed(t, m))
	require.Equal(t, fingerprint.Of([1]*point{{1, 2}}), typed(t, [1]*point{{1, 2}}))
}

func TestString(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	text := "the quick brown fox jumps over the lazy dog, and then once more over the fox"
	for n := range len(text) {
		for i := -1; i < n; i++ {
			b := []byte(text[:n])
			if i >= 0 {
				b[i] ^= 1
			}
			h := fingerprint.String(string(b))
			require.NotContains(t, seen, h, "%q", b)
			seen[h] = string(b)
		}
	}
}

func TestMix(t *testing.T) {
	t.Parallel()
	require.NotEqual(t, fingerprint.Mix(1, 2), fingerprint.Mix(2, 1))
	rapid.Check(t, func(t *rapid.T) {
		h, x := rapid.Uint64().Draw(t, "h"), rapid.Uint64().Draw(t, "x")
		bit := uint64(1) << rapid.IntRange(0, 63).Draw(t, "bit")
		for _, other := range []uint64{fingerprint.Mix(h^bit, x), fingerprint.Mix(h, x^bit)} {
			// 64 fair coins show fewer than 8 heads once in 10^9.
			n := 0
			for d := fingerprint.Mix(h, x) ^ other; d != 0; d &= d - 1 {
				n++
			}
			require.Greater(t, n, 7)
			require.Less(t, n, 57)
		}
	})
}

// Sums of entry hashes must not cancel for entries that are near to each other.
func TestSmallSets(t *testing.T) {
	t.Parallel()
	seen := map[uint64]uint{}
	for bits := range uint(1 << 12) {
		set := map[int]struct{}{}
		for i := range 12 {
			if bits&(1<<i) != 0 {
				set[i] = struct{}{}
			}
		}
		h := fingerprint.Of(set)
		require.NotContains(t, seen, h)
		seen[h] = bits
	}
}

// tree draws a random value of random types, and another that differs from it in
// one leaf.
func tree(t *rapid.T, depth int) (v, changed any) {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 0:
		n := rapid.Int().Draw(t, "int")
		return n, n + 1
	case 1:
		s := rapid.String().Draw(t, "string")
		return s, s + "x"
	case 2:
		b := rapid.Bool().Draw(t, "bool")
		return b, !b
	case 3:
		f := rapid.Float32Range(-1e6, 1e6).Draw(t, "float")
		return f, f + 1e6 + 1
	case 4, 5:
		n := rapid.IntRange(1, 4).Draw(t, "len")
		at := rapid.IntRange(0, n-1).Draw(t, "at")
		s, c := make([]any, n), make([]any, n)
		for i := range n {
			v, changed := tree(t, depth-1)
			s[i], c[i] = v, v
			if i == at {
				c[i] = changed
			}
		}
		return s, c
	case 6:
		v, changed := tree(t, depth-1)
		return map[string]any{"a": v, "b": 1}, map[string]any{"a": changed, "b": 1}
	case 7:
		v, changed := tree(t, depth-1)
		return &v, &changed
	default:
		n := rapid.IntRange(1, 5).Draw(t, "fields")
		at := rapid.IntRange(0, n-1).Draw(t, "at")
		var fields []reflect.StructField
		var vs, cs []any
		for i := range n {
			v, changed := tree(t, depth-1)
			if i != at {
				changed = v
			}
			vs, cs = append(vs, v), append(cs, changed)
			fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: reflect.TypeOf(v)})
		}
		typ := reflect.StructOf(fields)
		s, c := reflect.New(typ).Elem(), reflect.New(typ).Elem()
		for i := range n {
			s.Field(i).Set(reflect.ValueOf(vs[i]))
			if cv := reflect.ValueOf(cs[i]); cv.Type() == fields[i].Type {
				c.Field(i).Set(cv)
			} else {
				return s.Interface(), nil // a struct of another type inside
			}
		}
		return s.Interface(), c.Interface()
	}
}

func TestRandom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, changed := tree(t, 4)
		h := fingerprint.Of(v)
		require.Equal(t, h, fingerprint.Of(clone.Clone(v)))
		require.Equal(t, h, fingerprint.Of(clone.Slowly(v)))
		require.NotEqual(t, h, fingerprint.Of(changed), "%v\n%v", v, changed)
	})
}

func TestEveryField(t *testing.T) {
	t.Parallel()
	base := nestedValue()
	want := typed(t, base)
	seen := map[uint64]string{want: "base"}
	for name, change := range map[string]func(*nested){
		"ID": func(n *nested) { n.ID[15]++ }, "Count": func(n *nested) { n.Count++ }, "Price": func(n *nested) { n.Price++ },
		"Open": func(n *nested) { n.Open = false }, "Kind": func(n *nested) { n.Kind++ }, "Name": func(n *nested) { n.Name += "a" },
		"Ratio": func(n *nested) { n.Ratio++ }, "At": func(n *nested) { n.At = n.At.Add(1) },
		"private": func(n *nested) { n.private.y++ }, "Owner": func(n *nested) { n.Owner = "al" },
		"Seats": func(n *nested) { n.Seats[2]++ }, "Row": func(n *nested) { n.Row[2]++ }, "Shades": func(n *nested) { n.Shades[1]++ },
		"Hue": func(n *nested) { n.Hue[1]++ }, "Mixed": func(n *nested) { n.Mixed.b++ }, "Names": func(n *nested) { n.Names[1] = "" },
		"ByID": func(n *nested) { n.ByID["sam"]++ }, "BySeat": func(n *nested) { delete(n.BySeat, 2) },
		"Points": func(n *nested) { n.Points[point{}] = point{1, 0} }, "Next": func(n *nested) { n.Next.Owner = "" },
		"Any": func(n *nested) { n.Any = nil }, "List": func(n *nested) { n.List[6].(*point).x++ }, "Text": func(n *nested) { n.Text = id("") },
		"Err": func(n *nested) { n.Err = errors.New("") }, "small": func(n *nested) { n.small++ }, "data": func(n *nested) { n.data[3]++ },
		"complex": func(n *nested) { n.complex += 1i }, "matrix": func(n *nested) { n.matrix[1][1]++ },
	} {
		v := nestedValue()
		require.Equal(t, want, typed(t, v), name)
		change(&v)
		h := typed(t, v)
		require.NotContains(t, seen, h, "%s and %s", name, seen[h])
		seen[h] = name
	}
}

func TestMapOrder(t *testing.T) {
	t.Parallel()
	keys := rapid.SliceOfDistinct(rapid.String(), rapid.ID[string])
	rapid.Check(t, func(t *rapid.T) {
		ks := keys.Draw(t, "keys")
		m, back := map[string]int{}, make(map[string]int, 100)
		for i, k := range ks {
			m[k] = i
		}
		for i := len(ks) - 1; i >= 0; i-- {
			back[ks[i]] = i
		}
		require.Equal(t, fingerprint.Of(m), fingerprint.Of(back))
		if len(ks) > 1 {
			back[ks[0]], back[ks[1]] = back[ks[1]], back[ks[0]]
			require.NotEqual(t, fingerprint.Of(m), fingerprint.Of(back))
		}
	})
}

type node struct {
	v     int
	peers []*node
	any   any
}

func ring(n int) *node {
	nodes := make([]node, n)
	for i := range nodes {
		nodes[i] = node{v: i, peers: []*node{&nodes[(i+1)%n], &nodes[(i+n-1)%n]}}
	}
	return &nodes[0]
}

func TestCycles(t *testing.T) {
	t.Parallel()
	t.Run("ring", func(t *testing.T) {
		t.Parallel()
		one, other := fingerprint.Of(ring(5)), fingerprint.Of(ring(5))
		require.Equal(t, one, other)
		require.NotEqual(t, fingerprint.Of(ring(5)), fingerprint.Of(ring(6)))
		one, other = fingerprint.Of(ring(5000)), fingerprint.Of(ring(5000))
		require.Equal(t, one, other)
	})
	t.Run("itself", func(t *testing.T) {
		t.Parallel()
		type self []self
		s := self{nil, nil}
		s[1] = s
		m := map[string]any{}
		m["m"] = m
		var p any
		p = &p
		n := &node{}
		n.any = n
		seen := map[uint64]bool{}
		for _, v := range []any{s, m, p, n} {
			seen[fingerprint.Of(v)] = true
		}
		require.Len(t, seen, 4)
	})
	t.Run("in maps", func(t *testing.T) {
		t.Parallel()
		type graph map[string]any
		mk := func() graph {
			g := graph{}
			for i := range 4 {
				g[fmt.Sprint(i)] = graph{"up": g, "n": i}
			}
			return g
		}
		want := fingerprint.Of(mk())
		for range 100 {
			require.Equal(t, want, fingerprint.Of(mk()))
		}
	})
	t.Run("list", func(t *testing.T) {
		t.Parallel()
		mk := func() *list.List {
			l := list.New()
			for i := range 1000 {
				l.PushBack(i)
			}
			return l
		}
		l := mk()
		require.Equal(t, fingerprint.Of(mk()), fingerprint.Of(l))
		l.Back().Value = 0
		require.NotEqual(t, fingerprint.Of(mk()), fingerprint.Of(l))
	})
	t.Run("long chain", func(t *testing.T) {
		t.Parallel()
		mk := func(last int) *node {
			n := &node{v: last}
			for range 20000 {
				n = &node{peers: []*node{n}}
			}
			return n
		}
		one, other := fingerprint.Of(mk(1)), fingerprint.Of(mk(1))
		require.Equal(t, one, other)
		require.NotEqual(t, fingerprint.Of(mk(1)), fingerprint.Of(mk(2)))
	})
	t.Run("many ways to one end", func(t *testing.T) {
		t.Parallel()
		mk := func(last int) *node {
			n := &node{v: last}
			for range 500 {
				n = &node{peers: []*node{n, n}}
			}
			return n
		}
		one, other := fingerprint.Of(mk(1)), fingerprint.Of(mk(1))
		require.Equal(t, one, other)
		require.NotEqual(t, fingerprint.Of(mk(1)), fingerprint.Of(mk(2)))
	})
	t.Run("everyone knows everyone", func(t *testing.T) {
		t.Parallel()
		mk := func(n int) *node {
			nodes := make([]*node, n)
			for i := range nodes {
				nodes[i] = &node{v: i, peers: nodes}
			}
			return nodes[0]
		}
		one, other := fingerprint.Of(mk(5)), fingerprint.Of(mk(5))
		require.Equal(t, one, other)
	})
	t.Run("too many ways", func(t *testing.T) {
		t.Parallel()
		nodes := make([]*node, 30)
		for i := range nodes {
			nodes[i] = &node{v: i}
		}
		for i := range nodes {
			nodes[i].peers = slices.Clone(nodes)
		}
		err := caught(func() { fingerprint.Of(nodes) })
		require.ErrorContains(t, err, "cycles")
	})
}

func caught(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = r.(error)
		}
	}()
	f()
	return nil
}

type guarded struct {
	Name  string
	Cache struct {
		mu sync.Mutex
		m  map[string]int
	}
}

type holder struct {
	Items []any
	ByKey map[string]any
}

func TestUnhashable(t *testing.T) {
	t.Parallel()
	check := func(err error, want string) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			t.Parallel()
			var bad *fingerprint.UnhashableError
			require.ErrorAs(t, err, &bad)
			require.Contains(t, err.Error(), want)
		}
	}
	type deep struct {
		Jobs map[string][]struct{ run func() }
	}
	type keyed struct{ M map[chan int]int }
	type counter struct{ N *atomic.Int64 }
	type recursive struct {
		Next *recursive
		P    unsafe.Pointer
	}
	_, err := fingerprint.For[guarded]()
	t.Run("lock", check(err, "guarded.Cache.mu: sync.Mutex cannot be hashed: "))
	_, err = fingerprint.For[deep]()
	t.Run("func", check(err, "deep.Jobs[][].run: func() cannot be hashed: "))
	_, err = fingerprint.For[keyed]()
	t.Run("chan", check(err, "keyed.M[key]: chan int cannot be hashed: "))
	_, err = fingerprint.For[counter]()
	t.Run("atomic", check(err, "counter.N: atomic.Int64 cannot be hashed: "))
	_, err = fingerprint.For[recursive]()
	t.Run("unsafe", check(err, "recursive.P: unsafe.Pointer cannot be hashed: "))
	_, err = fingerprint.For[func()]()
	t.Run("root", check(err, "func(): func() cannot be hashed: "))

	typ, err := fingerprint.For[holder]()
	require.NoError(t, err)
	v := holder{Items: []any{1, &guarded{}}}
	want := "holder.Items[1].(*fingerprint_test.guarded).Cache.mu: sync.Mutex cannot be hashed: "
	t.Run("in interface", check(caught(func() { typ.Hash(&v) }), want))
	t.Run("with renaming", check(caught(func() { typ.HashWith(&v, fingerprint.NewRenaming([]id{"a"}, []id{"b"})) }), want))
	w := holder{ByKey: map[string]any{"a": []any{func() {}}}}
	t.Run("in map", check(caught(func() { fingerprint.Of(w) }), "holder.ByKey[a].([]interface {})[0].(func()): func() cannot be hashed: "))
	t.Run("of", check(caught(func() { fingerprint.Of(func() {}) }), "func(): func() cannot be hashed"))
	// It works again afterwards.
	require.Equal(t, fingerprint.Of(holder{}), typ.Hash(&holder{}))
}

type (
	byValue   struct{ n, ignored int }
	byPointer struct{ n, ignored int }
	withFunc  struct {
		n uint64
		f func()
	}
	carrier struct {
		V  byValue
		P  byPointer
		NV *byValue
		S  []byPointer
		M  map[string]byPointer
		A  any
	}
)

func (b byValue) Hash() uint64    { return uint64(b.n) }
func (b *byPointer) Hash() uint64 { return uint64(b.n) }
func (w withFunc) Hash() uint64   { return w.n }

func TestHashMethod(t *testing.T) {
	t.Parallel()
	mk := func(ignored int) carrier {
		return carrier{
			V: byValue{1, ignored}, P: byPointer{2, ignored}, S: []byPointer{{3, ignored}},
			M: map[string]byPointer{"a": {4, ignored}}, A: byPointer{5, ignored},
		}
	}
	require.Equal(t, typed(t, mk(1)), typed(t, mk(2)))
	require.Equal(t, fingerprint.Of(mk(1)), fingerprint.Of(mk(2)))
	other := mk(1)
	other.A = byPointer{6, 1}
	require.NotEqual(t, typed(t, other), typed(t, mk(1)))

	require.Equal(t, fingerprint.Of(byPointer{1, 1}), typed(t, byPointer{1, 2}))
	require.Equal(t, fingerprint.Of(&byPointer{1, 1}), fingerprint.Of(&byPointer{1, 2}))
	require.NotEqual(t, fingerprint.Of(byPointer{1, 1}), fingerprint.Of(byValue{1, 1}))
	require.NotPanics(t, func() { fingerprint.Of((*byPointer)(nil)) })

	// Under a renaming, methods are not called.
	typ, err := fingerprint.For[carrier]()
	require.NoError(t, err)
	a, b := mk(1), mk(2)
	require.NotEqual(t, typ.HashWith(&a, fingerprint.Renaming{}), typ.HashWith(&b, fingerprint.Renaming{}))
	require.NotEqual(t, fingerprint.OfWith(byValue{1, 1}, fingerprint.Renaming{}), fingerprint.OfWith(byValue{1, 2}, fingerprint.Renaming{}))

	// A method may stand for what cannot be hashed.
	f := withFunc{n: 1}
	ft, err := fingerprint.For[withFunc]()
	require.NoError(t, err)
	require.Equal(t, ft.Hash(&f), ft.Hash(&withFunc{n: 1, f: func() {}}))
	require.Error(t, caught(func() { ft.HashWith(&f, fingerprint.Renaming{}) }))
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	type fresh struct {
		nested
		more map[id][]fresh
	}
	v := fresh{nested: nestedValue(), more: map[id][]fresh{"a": {{}}, "b": nil}}
	r := fingerprint.NewRenaming([]id{"bob"}, []id{"rob"})
	hashes := make([][2]uint64, 16)
	var all sync.WaitGroup
	for i := range hashes {
		all.Go(func() {
			for range 20 {
				hashes[i] = [2]uint64{fingerprint.Of(v), fingerprint.OfWith(v, r)}
			}
		})
	}
	all.Wait()
	for _, h := range hashes {
		require.Equal(t, hashes[0], h)
	}
}

// AllocsPerRun counts what all goroutines allocate, so this is not parallel.
//
//nolint:paralleltest // see above
func TestAllocations(t *testing.T) {
	f := flatValue()
	flats, err := fingerprint.For[flat]()
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { flats.Hash(&f) }))

	n := nestedValue()
	n.Err = nil
	nesteds, err := fingerprint.For[nested]()
	require.NoError(t, err)
	r := fingerprint.NewRenaming([]seat{1, 2}, []seat{2, 1})
	// The race detector makes a pool drop what it is given.
	if !raceEnabled {
		require.Zero(t, testing.AllocsPerRun(100, func() { nesteds.Hash(&n) }))
		require.Zero(t, testing.AllocsPerRun(100, func() { nesteds.HashWith(&n, r) }))
	}
}
