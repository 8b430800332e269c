package testkit

import (
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

type (
	shown struct {
		Name  string
		N     int
		Inner *shown
		Any   any
		By    map[int]string
		List  []float64
		hid   struct{ b bool }
		_     int
	}
	mode  int
	angry struct{ p *int }
)

func (m mode) String() string   { return "mode " + string(rune('0'+m)) }
func (a *angry) String() string { return string(rune(*a.p)) }

func TestShow(t *testing.T) {
	t.Parallel()
	loop := &shown{Name: "l"}
	loop.Inner = loop
	hidden := shown{}
	hidden.hid.b = true
	for _, row := range []struct {
		value any
		want  string
	}{
		{nil, "nil"},
		{"a\"b", `"a\"b"`},
		{5, "5"},
		{2.5, "2.5"},
		{true, "true"},
		{shown{}, "shown{}"},
		{shown{Name: "x", N: 3, By: map[int]string{10: "b", 9: "a"}}, `shown{Name: "x", N: 3, By: {9: "a", 10: "b"}}`},
		{&shown{Any: shown{N: 1}, List: []float64{1, 2}}, "&shown{Any: shown{N: 1}, List: [1, 2]}"},
		{hidden, "shown{hid: struct{b: true}}"},
		{(*shown)(nil), "nil"},
		{[]any{nil, 1}, "[nil, 1]"},
		{[]byte("hi"), `[]byte("hi")`},
		{[2]bool{true, false}, "[true, false]"},
		{mode(2), "mode 2"},
		{errors.New("bad"), `error("bad")`},
		{time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC), "2026-05-01T20:00:00Z"},
		{90 * time.Second, "1m30s"},
		{uuid.Nil, "00000000-0000-0000-0000-000000000000"},
		{big.NewInt(7), "7"},
		{&angry{}, "&angry{}"},
		{func() {}, "func()"},
		{make(chan int), "chan int"},
		{struct{ A int }{1}, "struct{A: 1}"},
	} {
		require.Equal(t, row.want, show(row.value))
	}
	require.Contains(t, show(loop), "…")
	require.Less(t, len(show(strings.Repeat("é", 1000))), 500)
	require.Less(t, len(show(make([]int, 1000))), 500)
}

func TestAlter(t *testing.T) {
	t.Parallel()
	at := time.Unix(100, 0)
	for _, row := range []struct{ value, up, down any }{
		{"a", "a~", ""},
		{"", "~", nil},
		{true, false, nil},
		{5, 6, 4},
		{0, 1, nil},
		{int8(127), nil, int8(126)},
		{uint(3), uint(4), uint(2)},
		{uint(0), uint(1), nil},
		{uint8(255), nil, uint8(254)},
		{2.5, 3.5, 1.5},
		{0.0, 1.0, nil},
		{at, at.Add(time.Hour), at.Add(-time.Hour)},
		{*big.NewInt(3), *big.NewInt(4), *big.NewInt(2)},
		{*big.NewInt(0), *big.NewInt(1), nil},
		{[]byte{1, 2}, []byte{1, 2 ^ 0x5a}, nil},
		{[]byte{}, nil, nil},
		{[2]byte{1, 2}, [2]byte{1, 2 ^ 0x5a}, nil},
		{[]int{1, 2}, []int{1, 2, 2}, []int{1}},
	} {
		for variant, want := range []any{row.up, row.down} {
			v := open(reflect.ValueOf(duplicate(row.value)))
			changed := alter(v, variant)
			require.Equal(t, want != nil, changed, "%T %v, variant %d", row.value, row.value, variant)
			if changed {
				require.Equal(t, want, v.Interface())
			}
		}
	}
}

type (
	cloning struct {
		n *int
		f func()
	}
	sharing struct{ n *int }
)

func (c cloning) Clone() cloning { return c }
func (s sharing) Clone() sharing { return s }

func TestDuplicate(t *testing.T) {
	t.Parallel()
	n := 1
	t.Run("memory that state and action share is shared by their clones", func(t *testing.T) {
		t.Parallel()
		p := duplicatePair(pair[*int, any]{&n, &n})
		require.NotSame(t, &n, p.State)
		require.Same(t, p.State, p.Action)
	})
	t.Run("a method Clone is used where it must be", func(t *testing.T) {
		t.Parallel()
		f := func() {}
		require.Same(t, &n, duplicate(cloning{&n, f}).n)
		p := duplicatePair(pair[cloning, any]{cloning{&n, f}, &n})
		require.Same(t, &n, p.State.n)
		require.NotSame(t, &n, p.Action)
		q := duplicatePair(pair[*int, any]{&n, cloning{&n, f}})
		require.NotSame(t, &n, q.State)
		require.Same(t, &n, q.Action.(cloning).n)
	})
	t.Run("a method Clone is not used where it need not be", func(t *testing.T) {
		t.Parallel()
		require.NotSame(t, &n, duplicate(sharing{&n}).n)
	})
	t.Run("nothing stays nothing", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, pair[*int, any]{}, duplicatePair(pair[*int, any]{}))
	})
}

// grumpy cannot be compared with just anything.
type grumpy struct{ n int }

func (g grumpy) Equal(other grumpy) bool {
	if other.n < 0 {
		panic("negative")
	}
	return g.n == other.n
}

func TestComparisonThatPanics(t *testing.T) {
	t.Parallel()
	require.False(t, equal(grumpy{1}, grumpy{-1}, exact))
	require.Contains(t, diff(grumpy{1}, grumpy{-1}, exact), "comparing them panicked: negative")
}

func TestCompareFuncs(t *testing.T) {
	t.Parallel()
	type callback struct{ F func() }
	f, g := func() {}, func() { panic("g") }
	require.True(t, equal(callback{f}, callback{f}, exact))
	require.False(t, equal(callback{f}, callback{g}, exact))
	require.True(t, equal(callback{}, callback{}, exact))
}
