package postgres

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/eventstore"
)

func gateRequest(name string, events int) *request {
	return &request{keys: []gateKey{{"t", name, false}}, events: events, done: make(chan struct{})}
}

// When a batch of many has ended, few are in flight for a moment. They go to the
// committer that has nothing to do, until one has found that they are few.
func TestGateAfterACrowd(t *testing.T) {
	t.Parallel()
	var g gate
	g.init(2)
	enter := func(name string, events int) bool {
		direct, err := g.enter(gateRequest(name, events))
		require.NoError(t, err)
		return direct
	}
	for _, want := range []bool{true, true, false, false} {
		require.Equal(t, want, enter(fmt.Sprint("s-", g.inFlight), 1))
	}
	batch := g.take()
	require.Len(t, batch, 2)
	g.leave(gateRequest("s-0", 1))
	g.leave(gateRequest("s-1", 1))
	g.leave(batch...)
	require.Zero(t, g.inFlight)

	g.idle = 1
	require.True(t, enter("many", maxShared+1), "many events gain nothing")
	g.leave(gateRequest("many", maxShared+1))
	require.False(t, enter("few", 1))
	batch = g.take()
	require.Len(t, batch, 1)
	g.leave(batch...)
	require.True(t, enter("few", 1))
	g.leave(gateRequest("few", 1))

	g.crowd, g.idle = 9, 0
	require.True(t, enter("few", 1), "nobody would take it")
}

// Who was woken together appends together: one batch, though the first of them has
// woken the committer.
func TestGateWaitsForThoseWhoCome(t *testing.T) { //nolint:paralleltest // it has one processor
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const callers = 8
	var g gate
	g.init(0)
	taken := make(chan int)
	go func() { taken <- len(g.take()) }()
	for waits := false; !waits; runtime.Gosched() {
		g.mu.Lock()
		waits = g.idle == 1
		g.mu.Unlock()
	}
	for range 100 { // it is past its first look
		runtime.Gosched()
	}
	for i := range callers {
		go func() { _, _ = g.enter(gateRequest(fmt.Sprint("s-", i), 1)) }()
	}
	require.Equal(t, callers, <-taken)
}

// The gate against a model of it: whatever comes in whatever order, nothing that
// writes to the same place is committed by two at a time, nobody is overtaken by
// one who wants the same place, and everybody comes to an end once.
func TestGateModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var g gate
		g.init(rapid.IntRange(0, 3).Draw(t, "direct"))
		var waiting []*request   // in the order in which they came
		var running [][]*request // taken, or direct
		numbers := map[*request]int{}
		draw := func() *request {
			r := &request{events: 1, bytes: rapid.IntRange(0, maxBatchBytes/2).Draw(t, "bytes"), done: make(chan struct{})}
			for _, k := range rapid.SliceOfNDistinct(rapid.IntRange(0, 5), 1, 3, rapid.ID[int]).Draw(t, "keys") {
				r.keys = append(r.keys, gateKey{"t", fmt.Sprint(k % 4), k >= 4})
			}
			numbers[r] = len(numbers)
			return r
		}
		ended := func(r *request) bool {
			select {
			case <-r.done:
				return true
			default:
				return false
			}
		}
		busy := func() map[gateKey]bool {
			keys := map[gateKey]bool{}
			for _, batch := range running {
				for _, r := range batch {
					for _, k := range r.keys {
						keys[k] = true
					}
				}
			}
			return keys
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				r := draw()
				before := busy()
				direct, err := g.enter(r)
				if g.closed {
					require.ErrorIs(t, err, eventstore.ErrClosed)
					return
				}
				require.NoError(t, err)
				if !direct {
					waiting = append(waiting, r)
					return
				}
				require.Empty(t, waiting, "nobody is overtaken")
				require.False(t, slices.ContainsFunc(r.keys, func(k gateKey) bool { return before[k] }))
				running = append(running, []*request{r})
				require.LessOrEqual(t, len(running), g.direct)
			},
			"take": func(t *rapid.T) {
				before := busy()
				g.mu.Lock()
				batch := g.next()
				g.mu.Unlock()
				held, claims := before, map[gateKey]bool{}
				bytes := 0
				for _, r := range waiting {
					taken := slices.Contains(batch, r)
					blocked := slices.ContainsFunc(r.keys, func(k gateKey) bool { return held[k] || claims[k] })
					if taken {
						require.False(t, blocked, "request %d was to wait", numbers[r])
						bytes += r.bytes
						for _, k := range r.keys {
							claims[k] = claims[k] || k.claim
						}
						continue
					}
					if bytes+r.bytes > maxBatchBytes {
						break // it is full, also for what comes after
					}
					require.True(t, blocked, "request %d was left without a reason", numbers[r])
					for _, k := range r.keys {
						held[k] = true
					}
				}
				require.True(t, len(batch) <= 1 || bytes <= maxBatchBytes)
				waiting = slices.DeleteFunc(waiting, func(r *request) bool { return slices.Contains(batch, r) })
				if len(batch) > 0 {
					running = append(running, batch)
				}
			},
			"leave": func(t *rapid.T) {
				if len(running) == 0 {
					t.Skip("nothing runs")
				}
				i := rapid.IntRange(0, len(running)-1).Draw(t, "which")
				for _, r := range running[i] {
					r.finish(nil, nil)
				}
				g.leave(running[i]...)
				running = slices.Delete(running, i, i+1)
			},
			"give up": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip("nobody waits")
				}
				r := rapid.SampledFrom(waiting).Draw(t, "who")
				require.True(t, g.giveUp(r))
				require.False(t, g.giveUp(r))
				require.False(t, ended(r))
				waiting = slices.DeleteFunc(waiting, func(other *request) bool { return other == r })
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
					t.Skip("not yet")
				}
				g.close()
				for _, r := range waiting {
					require.True(t, ended(r))
					require.ErrorIs(t, r.err, eventstore.ErrClosed)
				}
				waiting = nil
			},
			"": func(t *rapid.T) {
				n := len(waiting)
				for _, batch := range running {
					n += len(batch)
				}
				require.Equal(t, n, g.inFlight)
				require.Len(t, g.queue, len(waiting))
				require.Len(t, g.busy, len(busy()))
				for _, r := range waiting {
					require.False(t, ended(r))
				}
			},
		})
	})
}
