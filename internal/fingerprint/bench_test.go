package fingerprint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/internal/fingerprint"
)

func benchmark[V any](b *testing.B, v V) {
	b.Helper()
	typ, err := fingerprint.For[V]()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		typ.Hash(&v)
	}
}

func BenchmarkFlat(b *testing.B) { benchmark(b, flatValue()) }

func BenchmarkWords(b *testing.B) { benchmark(b, [8]int{1, 2, 3}) }

type order struct {
	ID     id
	Seats  []seat
	Names  []string
	Stock  map[id]int
	Closed bool
}

func orderValue() order {
	return order{
		ID: "order-1", Seats: []seat{1, 2, 3, 4}, Names: []string{"Ada", "Bob", "Eve"},
		Stock: map[id]int{"a": 1, "b": 2, "c": 3, "d": 4},
	}
}

func BenchmarkMapAndSlices(b *testing.B) { benchmark(b, orderValue()) }

func BenchmarkEveryKind(b *testing.B) { benchmark(b, nestedValue()) }

func BenchmarkOf(b *testing.B) {
	v := any(orderValue())
	b.ReportAllocs()
	for b.Loop() {
		fingerprint.Of(v)
	}
}

func BenchmarkRenaming(b *testing.B) {
	v := orderValue()
	typ, err := fingerprint.For[order]()
	require.NoError(b, err)
	r := fingerprint.NewRenaming([]id{"a", "b", "c"}, []id{"b", "c", "a"})
	b.ReportAllocs()
	for b.Loop() {
		typ.HashWith(&v, r)
	}
}

func BenchmarkString(b *testing.B) {
	s := "the quick brown fox jumps over the lazy dog"
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		fingerprint.String(s)
	}
}
