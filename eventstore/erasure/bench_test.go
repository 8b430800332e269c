package erasure_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
)

// payload is as large as events are.
func payload() []byte { return make([]byte, 1024) }

// ofSubjects are n events about so many subjects in turns; 0 is nobody.
func ofSubjects(n, subjects int) eventstore.Write {
	w := eventstore.Write{Stream: "customer-1", Expected: eventstore.Any}
	for i := range n {
		e := eventstore.Event{Type: "moved", Data: payload()}
		if subjects > 0 {
			e.Meta.Subject = fmt.Sprint("customer ", i%subjects)
		}
		w.Events = append(w.Events, e)
	}
	return w
}

// BenchmarkSealAndOpen is what encryption alone costs, an event of 1 kB an
// operation.
func BenchmarkSealAndOpen(b *testing.B) {
	db := newInner(b)
	s := around(b, db, db, erasure.Config{})
	const n = 100
	w := ofSubjects(n, 10)
	recorded := appended(b.Context(), b, s, w)
	recorded = collect(b, db.ReadAll(b.Context(), 0, eventstore.Filter{}))[:len(recorded)]
	each := func(b *testing.B, f func()) {
		b.Helper()
		b.ReportAllocs()
		b.SetBytes(n * 1024)
		for b.Loop() {
			f()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
	}
	b.Run("check only", func(b *testing.B) {
		each(b, func() {
			if _, err := eventstore.Prepare([]eventstore.Write{w}); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("check and seal", func(b *testing.B) {
		each(b, func() {
			if _, err := s.Seal(b.Context(), w); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("open", func(b *testing.B) {
		each(b, func() {
			if _, err := s.Open(b.Context(), recorded...); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkStore is what a store in memory costs with encryption and without. An
// operation is an append of 100 events of 1 kB, or a read of 1,000 of them.
func BenchmarkStore(b *testing.B) {
	for _, subjects := range []int{0, 1, 100} {
		w := ofSubjects(100, subjects)
		b.Run(fmt.Sprintf("append/%d subjects", subjects), func(b *testing.B) {
			db := newInner(b)
			s := around(b, db, db, erasure.Config{})
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				w.Stream = fmt.Sprint("customer-", n)
				if _, err := s.Append(b.Context(), w); err != nil {
					b.Fatal(err)
				}
				if n++; n%100 == 0 { // so that memory does not fill
					db = newInner(b)
					s = around(b, db, db, erasure.Config{})
				}
			}
		})
		b.Run(fmt.Sprintf("read/%d subjects", subjects), func(b *testing.B) {
			db := newInner(b)
			s := around(b, db, db, erasure.Config{})
			for range 10 {
				appended(b.Context(), b, s, ofSubjects(100, subjects))
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range s.ReadAll(b.Context(), 0, eventstore.Filter{}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// To decrypt an event allocates its payload and nothing else.
func TestAllocations(t *testing.T) { //nolint:paralleltest // see below
	// Not parallel: it counts allocations.
	ctx, db := t.Context(), newInner(t)
	s := around(t, db, db, erasure.Config{})
	const n = 200
	appended(ctx, t, s, ofSubjects(n, 5))
	read := func(s eventstore.Store) float64 {
		return testing.AllocsPerRun(20, func() {
			for _, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	require.LessOrEqual(t, read(s)-read(db), float64(n+20))
}
