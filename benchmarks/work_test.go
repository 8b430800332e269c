package benchmarks

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// side is one of those compared.
type side struct {
	name  string
	start func(state) loop
	keyed func(initial func(key int) state) keyedLoop
}

var sides = []side{
	{"rondo", newRondo, newRondoKeyed},
	{"bubbletea", newTea, newTeaKeyed},
	{"protoactor", newProto, newProtoKeyed},
	{"loop", newChannel, newChannelKeyed},
	{"mutex", newMutex, newMutexKeyed},
}

// loop is a state with a step at work on it. The loops over n are inside it, so
// that what is measured has no call of this interface in it.
type loop interface {
	// repeat sends a n times. Several goroutines may call it at once.
	repeat(n int, a action)
	// stop ends the loop and returns how far it has counted.
	stop() int
}

// asker is a loop that can be asked and answers.
type asker interface {
	// ask asks n times, each when the one before is answered, and returns the
	// last answer.
	ask(n int) int
}

// contextLoop is a loop whose senders can be cancelled while they wait.
type contextLoop interface {
	repeatContext(ctx context.Context, n int, a action)
}

// keyedLoop is a loop for each key.
type keyedLoop interface {
	// walk sends a n times, to key and those that follow it.
	walk(key, n int, a action)
	// stop ends all loops and returns what they have counted together.
	stop() int
}

const keys = 1024

// following is the order in which keys are used: every one once, then again. The
// stride keeps neighbours in memory from being neighbours in time.
func following(key int) int { return (key + 421) % keys }

// BenchmarkSend measures messages that count. One sender, then several at once;
// then one whose sends are bound to a context that can be cancelled, such as an
// HTTP request's, on the sides that have this.
func BenchmarkSend(b *testing.B) {
	for _, senders := range []int{1, 8} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			each(b, func(b *testing.B, s side) {
				measure(b, s, state{}, func(l loop) {
					share(b.N, senders, func(_, n int) { l.repeat(n, inc{}) })
				})
			})
		})
	}
	b.Run("ctx=cancel", func(b *testing.B) {
		each(b, func(b *testing.B, s side) {
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			measure(b, s, state{}, func(l loop) {
				c, ok := l.(contextLoop)
				if !ok {
					b.Skip("a send cannot be cancelled")
				}
				c.repeatContext(ctx, b.N, inc{})
			})
		})
	})
}

// BenchmarkRequest measures work that an action asks for, done off the loop, and
// its result that comes back as an action: there and back is one operation. The
// result's action asks for the next, so the number in flight stays what it is to
// the end, and no sender has to be woken in between.
func BenchmarkRequest(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			each(b, func(b *testing.B, s side) {
				measure(b, s, state{left: b.N}, func(l loop) { l.repeat(inFlight, start{}) })
			})
		})
	}
}

// BenchmarkFeedback measures actions that cause another, which counts.
func BenchmarkFeedback(b *testing.B) {
	each(b, func(b *testing.B, s side) {
		measure(b, s, state{}, func(l loop) { l.repeat(b.N, pulse{}) })
	})
}

// BenchmarkKeyed measures 8 senders to 1,024 loops that are all alive.
func BenchmarkKeyed(b *testing.B) {
	const senders = 8
	each(b, func(b *testing.B, s side) {
		// How often each key will be used.
		var uses [keys]int
		for sender := range senders {
			key, n := sender*keys/senders, part(b.N, senders, sender)
			for i := range min(keys, n) {
				uses[key] += (n - i + keys - 1) / keys
				key = following(key)
			}
		}
		var done sync.WaitGroup
		l := s.keyed(func(key int) state {
			if uses[key] > 0 {
				done.Add(1)
			}
			return state{target: uses[key], done: &done}
		})
		l.walk(0, keys, touch{})

		b.ReportAllocs()
		b.ResetTimer()
		share(b.N, senders, func(sender, n int) { l.walk(sender*keys/senders, n, inc{}) })
		done.Wait()
		b.StopTimer()

		if n := l.stop(); n != b.N {
			b.Fatalf("counted %d of %d", n, b.N)
		}
	})
}

// BenchmarkAsk measures questions, each sent when the one before is answered.
func BenchmarkAsk(b *testing.B) {
	each(b, func(b *testing.B, s side) {
		var done sync.WaitGroup
		l := s.start(state{n: 1000, done: &done})
		defer l.stop()
		a, ok := l.(asker)
		if !ok {
			b.Skip("there are no replies")
		}
		b.ReportAllocs()
		b.ResetTimer()
		last := a.ask(b.N)
		b.StopTimer()
		if last != 1000 {
			b.Fatalf("answered %d, want 1000", last)
		}
	})
}

func each(b *testing.B, run func(*testing.B, side)) {
	for _, s := range sides {
		b.Run("peer="+s.name, func(b *testing.B) { run(b, s) })
	}
}

// measure starts a loop, lets send have it, and waits until b.N are counted.
func measure(b *testing.B, s side, initial state, send func(loop)) {
	var done sync.WaitGroup
	done.Add(1)
	initial.target, initial.done = b.N, &done
	l := s.start(initial)
	stopped := false
	defer func() {
		if !stopped { // skipped
			l.stop()
		}
	}()

	b.ReportAllocs()
	b.ResetTimer()
	send(l)
	done.Wait()
	b.StopTimer()

	stopped = true
	if n := l.stop(); n != b.N {
		b.Fatalf("counted %d of %d", n, b.N)
	}
}

// share divides n among goroutines and waits for them.
func share(n, senders int, send func(sender, n int)) {
	if senders == 1 {
		send(0, n)
		return
	}
	var sending sync.WaitGroup
	for sender := range senders {
		sending.Go(func() { send(sender, part(n, senders, sender)) })
	}
	sending.Wait()
}

// part is a sender's share of n.
func part(n, senders, sender int) int {
	if sender < n%senders {
		return n/senders + 1
	}
	return n / senders
}
