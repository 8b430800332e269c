package store_test

import (
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// All of these run in one go, so that their ratios can be read: the limits
// first, then what a store makes of them.

const benchSenders = 8

// parallel runs f on eight goroutines at once.
func parallel(b *testing.B, f func(pb *testing.PB)) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(max(1, benchSenders/runtime.GOMAXPROCS(0)))
	b.RunParallel(f)
}

func BenchmarkLimit(b *testing.B) {
	call := reducer.Func[ticks, tick](reduceTick)
	b.Run("mutex and call", func(b *testing.B) {
		var mu sync.Mutex
		var s ticks
		b.ReportAllocs()
		for b.Loop() {
			mu.Lock()
			call(&s, tick{plain, 1}, reducer.Env{})
			mu.Unlock()
		}
	})
	b.Run("contended mutex and call, 8 senders", func(b *testing.B) {
		var mu sync.Mutex
		var s ticks
		parallel(b, func(pb *testing.PB) {
			for pb.Next() {
				mu.Lock()
				call(&s, tick{plain, 1}, reducer.Env{})
				mu.Unlock()
			}
		})
	})
	for _, size := range []int{0, 1024} {
		name := "unbuffered channel"
		if size > 0 {
			name = "buffered channel"
		}
		b.Run(name, func(b *testing.B) {
			c := make(chan tick, size)
			done := make(chan struct{})
			go func() {
				defer close(done)
				var s ticks
				for a := range c {
					call(&s, a, reducer.Env{})
				}
			}()
			b.ReportAllocs()
			for b.Loop() {
				c <- tick{plain, 1}
			}
			close(c)
			<-done
		})
		b.Run(name+", 8 senders", func(b *testing.B) {
			c := make(chan tick, size)
			done := make(chan struct{})
			go func() {
				defer close(done)
				var s ticks
				for a := range c {
					call(&s, a, reducer.Env{})
				}
			}()
			parallel(b, func(pb *testing.PB) {
				for pb.Next() {
					c <- tick{plain, 1}
				}
			})
			close(c)
			<-done
		})
	}
	b.Run("channel there and back", func(b *testing.B) {
		there, back := make(chan tick), make(chan tick)
		go func() {
			for a := range there {
				back <- a
			}
		}()
		b.ReportAllocs()
		for b.Loop() {
			there <- tick{plain, 1}
			<-back
		}
		close(there)
	})
	b.Run("goroutine and back", func(b *testing.B) {
		back := make(chan tick, 1)
		b.ReportAllocs()
		for b.Loop() {
			go func() { back <- tick{plain, 1} }()
			<-back
		}
	})
}

func BenchmarkSend(b *testing.B) {
	for _, a := range []tick{{plain, 1}, {feedback, 1}} {
		b.Run(map[tickKind]string{plain: "idle", feedback: "feedback effect"}[a.kind], func(b *testing.B) {
			s, _ := openTicks(b)
			b.ReportAllocs()
			for b.Loop() {
				_ = s.Send(background, a)
			}
		})
	}
	b.Run("idle, with a context", func(b *testing.B) {
		s, _ := openTicks(b)
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			_ = s.Send(ctx, tick{plain, 1})
		}
	})
	b.Run("8 senders", func(b *testing.B) {
		s, _ := openTicks(b)
		parallel(b, func(pb *testing.PB) {
			for pb.Next() {
				_ = s.Send(background, tick{plain, 1})
			}
		})
		store.View(s, func(s *ticks) int { return s.sum }) // until all is reduced
	})
	b.Run("observed", func(b *testing.B) {
		s, _ := openTicks(b)
		seen := 0
		defer s.Observe(func(_ context.Context, e store.Event[ticks, tick]) { seen += e.Action.n })()
		b.ReportAllocs()
		for b.Loop() {
			_ = s.Send(background, tick{plain, 1})
		}
	})
	b.Run("observed, 8 senders", func(b *testing.B) {
		s, _ := openTicks(b)
		seen := 0
		defer s.Observe(func(_ context.Context, e store.Event[ticks, tick]) { seen += e.Action.n })()
		parallel(b, func(pb *testing.PB) {
			for pb.Next() {
				_ = s.Send(background, tick{plain, 1})
			}
		})
	})
}

func BenchmarkRequest(b *testing.B) {
	b.Run("one at a time", func(b *testing.B) {
		s, back := openTicks(b)
		b.ReportAllocs()
		for b.Loop() {
			_ = s.Send(background, tick{asks, 1})
			<-back
		}
	})
	b.Run("many in flight", func(b *testing.B) {
		s, back := openTicks(b)
		inFlight := 0
		b.ReportAllocs()
		for b.Loop() {
			if inFlight == cap(back) {
				for range inFlight {
					<-back
				}
				inFlight = 0
			}
			_ = s.Send(background, tick{asks, 1})
			inFlight++
		}
		for range inFlight {
			<-back
		}
	})
}

func BenchmarkAsk(b *testing.B) {
	for _, a := range []tick{{result, 1}, {feedback, 1}, {asks, 1}} {
		b.Run(map[tickKind]string{result: "itself", feedback: "feedback", asks: "request"}[a.kind], func(b *testing.B) {
			s, back := openTicks(b)
			go func() {
				for range back {
				}
			}()
			defer close(back)
			last := map[tickKind]tickKind{result: result, feedback: plain, asks: result}[a.kind]
			b.ReportAllocs()
			for b.Loop() {
				if _, err := store.Ask(background, s, a, func(a tick) (int, bool) { return a.n, a.kind == last }); err != nil {
					b.Fatal(err)
				}
			}
			_ = s.Shutdown(background)
		})
	}
}

func BenchmarkSendAndSettle(b *testing.B) {
	s, _ := openTicks(b)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.SendAndSettle(background, tick{plain, 1})
	}
}

func BenchmarkView(b *testing.B) {
	b.Run("idle", func(b *testing.B) {
		s, _ := openTicks(b)
		b.ReportAllocs()
		for b.Loop() {
			store.View(s, func(s *ticks) int { return s.sum })
		}
	})
	b.Run("against 8 senders", func(b *testing.B) {
		s, _ := openTicks(b)
		var views atomic.Int64
		parallel(b, func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if i%16 == 0 {
					views.Add(1)
					store.View(s, func(s *ticks) int { return s.sum })
				} else {
					_ = s.Send(background, tick{plain, 1})
				}
			}
		})
	})
}

func BenchmarkKeyed(b *testing.B) {
	b.Run("one live key", func(b *testing.B) {
		k := openKeyedTicks(b, store.KeyedConfig[int, ticks]{})
		b.ReportAllocs()
		for b.Loop() {
			_ = k.Send(background, 7, tick{plain, 1})
		}
	})
	b.Run("1024 stores, 8 senders", func(b *testing.B) {
		k := openKeyedTicks(b, store.KeyedConfig[int, ticks]{})
		var sender atomic.Int64
		for key := range 1024 {
			_ = k.Send(background, key, tick{plain, 1})
		}
		b.ResetTimer()
		parallel(b, func(pb *testing.PB) {
			for i := int(sender.Add(1)) * 127; pb.Next(); i++ {
				_ = k.Send(background, i*31%1024, tick{plain, 1})
			}
		})
	})
	b.Run("made and passivated", func(b *testing.B) {
		k := openKeyedTicks(b, store.KeyedConfig[int, ticks]{MaxLive: 1024})
		b.ReportAllocs()
		key := 0
		for b.Loop() {
			_ = k.Send(background, key, tick{plain, 1})
			key++
		}
	})
	b.Run("a million idle", func(b *testing.B) {
		if testing.Short() {
			b.Skip("a million stores take a second to make")
		}
		const stores = 1_000_000
		var before, after runtime.MemStats
		for b.Loop() {
			b.StopTimer()
			k := openKeyedTicks(b, store.KeyedConfig[int, ticks]{IdleAfter: time.Hour})
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.StartTimer()
			for key := range stores {
				_ = k.Send(background, key, tick{plain, 1})
			}
			b.StopTimer()
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/stores, "B/store")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(stores), "ns/store")
			runtime.KeepAlive(k)
			b.StartTimer()
		}
	})
}

// What a journal costs each step.
func BenchmarkJournal(b *testing.B) {
	for name, journal := range map[string]*store.Journal{
		"none":     nil,
		"hashes":   store.NewJournal(io.Discard, store.JournalConfig{}),
		"states":   store.NewJournal(io.Discard, store.JournalConfig{States: true}),
		"redacted": store.NewJournal(io.Discard, store.JournalConfig{Redact: func(v any) any { return v }}),
	} {
		b.Run(name, func(b *testing.B) {
			s, err := store.New(account{}, reducer.Func[account, deposit](func(s *account, d deposit, _ reducer.Env) effect.Effect[deposit] {
				s.Balance += d.Amount
				return effect.Effect[deposit]{}
			}), store.Config{Journal: journal})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_ = s.Send(background, deposit{"c1", 1})
			}
			require.NoError(b, s.Shutdown(background))
		})
	}
}
