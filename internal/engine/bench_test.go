package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// num is a request that costs nothing, and a handler of it that does nothing.
type num struct{ N int }

func (num) Returns(int) {}

var numHandler = effect.Inside(effect.Handle(func(_ context.Context, q num) (int, error) { return q.N, nil }))

// bencher drives an engine that does one round of an effect for each action.
type bencher struct {
	engine Engine[int, int]
	now    time.Time
	done   []Command[int]
}

var nfx effect.Of[int]

func newBencher(e func(a int) effect.Effect[int]) *bencher {
	b := &bencher{now: epoch}
	b.engine.Init(&Config[int, int]{
		Now: func() time.Time { return b.now },
		Reducer: reducer.Func[int, int](func(state *int, a int, _ reducer.Env) effect.Effect[int] {
			*state++
			return e(a)
		}),
	}, 0, 0)
	return b
}

// round sends one action and does all it causes.
func (b *bencher) round() {
	b.engine.Receive(1, Cause{})
	for {
		for {
			if _, ok := b.engine.Next(); !ok {
				break
			}
		}
		b.done = append(b.done[:0], b.engine.Commands()...)
		for i := range b.done {
			if c := &b.done[i]; c.Op == Start {
				b.engine.Settle(c.Task, c.Attempt, c.Call.Invoke(context.Background(), numHandler, nil))
			}
		}
		if b.engine.Waiting() > 0 {
			continue
		}
		at, ok := b.engine.Deadline()
		if !ok {
			return
		}
		b.now = at
		b.engine.Tick(at)
	}
}

func onResult(r effect.Result[int]) int { return -r.Value }

// rounds are what is measured. The reducer's own allocations are the request of
// Do, and the memory of groups and options where it has them.
var rounds = []struct {
	name   string
	allocs float64
	effect func(a int) effect.Effect[int]
}{
	{"NoEffect", 0, func(int) effect.Effect[int] { return nfx.None() }},
	{"Send", 0, func(a int) effect.Effect[int] {
		if a > 0 {
			return nfx.Send(-a)
		}
		return nfx.None()
	}},
	{"Do", 1, func(a int) effect.Effect[int] { // the request
		if a > 0 {
			return effect.Do(num{a}, onResult)
		}
		return nfx.None()
	}},
	{"KeyedDo", 1, func(a int) effect.Effect[int] { // the request
		if a > 0 {
			return effect.Do(num{a}, onResult, effect.Key("k", effect.Latest))
		}
		return nfx.None()
	}},
	{"Timer", 0, func(a int) effect.Effect[int] {
		if a > 0 {
			return nfx.After("k", time.Second, -a)
		}
		return nfx.None()
	}},
	{"Cancel", 0, func(int) effect.Effect[int] { return nfx.Cancel("k") }},
	{"Sequence", 4, func(a int) effect.Effect[int] { // two requests, the list of them, the group
		if a > 0 {
			return nfx.Sequence(effect.Do(num{a}, onResult), effect.Do(num{a}, onResult))
		}
		return nfx.None()
	}},
}

func BenchmarkStep(b *testing.B) {
	for _, round := range rounds {
		b.Run(round.name, func(b *testing.B) {
			b.ReportAllocs()
			d := newBencher(round.effect)
			for b.Loop() {
				d.round()
			}
		})
	}
}

func TestAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of the whole process
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop things at random, and allocates itself")
	}
	for _, round := range rounds {
		t.Run(round.name, func(t *testing.T) {
			d := newBencher(round.effect)
			require.LessOrEqual(t, testing.AllocsPerRun(1000, d.round), round.allocs)
			require.NoError(t, leftovers(&d.engine))
		})
	}
}
