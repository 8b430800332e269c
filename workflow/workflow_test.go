package workflow_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/workflow"
)

// order is a command that == cannot compare.
type order struct {
	ID    string   `json:"id"`
	Seats []string `json:"seats,omitempty"`
}

type flow = workflow.Workflow[string, order]

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	every   = workflow.Policy{}
	minute  = workflow.Policy{Freshness: workflow.TTL(time.Minute)}
	forever = workflow.Policy{Freshness: workflow.UntilInvalidated}
)

// cmd makes a command whose key is the first letter of its ID.
func cmd(id string) order { return order{ID: id, Seats: []string{id + "/1"}} }

func cmds(ids ...string) []order {
	var out []order
	for _, id := range ids {
		out = append(out, cmd(id))
	}
	return out
}

func admit(t *testing.T, w *flow, id string, p workflow.Policy) workflow.Step {
	t.Helper()
	return admitAt(t, w, id, noon, p)
}

func admitAt(t *testing.T, w *flow, id string, now time.Time, p workflow.Policy) workflow.Step {
	t.Helper()
	step, err := w.Admit(id[:1], cmd(id), now, p)
	require.NoError(t, err, "admit %s", id)
	return step
}

// loading is a workflow in which the commands wait, the first having started
// the load.
func loading(t *testing.T, p workflow.Policy, ids ...string) flow {
	t.Helper()
	var w flow
	for i, id := range ids {
		want := workflow.Wait
		if i == 0 {
			want = workflow.Load
		}
		require.Equal(t, want, admit(t, &w, id, p), "admit %s", id)
	}
	return w
}

// ready is a workflow with the data of a key, loaded at noon, and no command
// left.
func ready(t *testing.T, key string, p workflow.Policy) flow {
	t.Helper()
	w := loading(t, p, key+"0")
	loaded(t, &w, key, p, key+"0")
	require.Equal(t, workflow.Process, admit(t, &w, key+"0", p))
	return w
}

func loaded(t *testing.T, w *flow, key string, p workflow.Policy, want ...string) {
	t.Helper()
	waiting, ok := w.Loaded(key, noon, p)
	require.True(t, ok, "loaded %s", key)
	require.Equal(t, cmds(want...), waiting)
}

func requirePhase(t *testing.T, want workflow.Phase, w flow) {
	t.Helper()
	require.Equal(t, want, w.Phase(), "phase is %v, want %v", w.Phase(), want)
}

func TestZeroValueIsIdle(t *testing.T) {
	t.Parallel()
	var w flow
	requirePhase(t, workflow.Idle, w)
	_, hasKey := w.Key()
	require.False(t, hasKey)
	_, isLoaded := w.LoadedAt()
	require.False(t, isLoaded)
	require.Zero(t, w.Waiting())
	require.Zero(t, w.Released())
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	w := loading(t, minute, "A1", "B1")
	requirePhase(t, workflow.Loading, w)
	key, ok := w.Key()
	require.True(t, ok)
	require.Equal(t, "A", key)
	require.Equal(t, 2, w.Waiting())
	_, isLoaded := w.LoadedAt()
	require.False(t, isLoaded)

	loaded(t, &w, "A", minute, "A1", "B1")
	requirePhase(t, workflow.Ready, w)
	key, ok = w.Key()
	require.True(t, ok)
	require.Equal(t, "A", key)
	at, isLoaded := w.LoadedAt()
	require.True(t, isLoaded)
	require.Equal(t, noon, at)
	require.Zero(t, w.Waiting())
	require.Equal(t, 2, w.Released())
}

func TestCommandsAreProcessedInOrderOfArrival(t *testing.T) {
	t.Parallel()
	for _, p := range []workflow.Policy{every, minute, forever} {
		t.Run(p.Freshness.String(), func(t *testing.T) {
			t.Parallel()
			w := loading(t, p, "A1", "A2", "B1", "A3", "B2")
			loaded(t, &w, "A", p, "A1", "A2", "B1", "A3", "B2")
			require.Equal(t, workflow.Process, admit(t, &w, "A1", p))
			require.Equal(t, workflow.Process, admit(t, &w, "A2", p))
			require.Equal(t, workflow.Load, admit(t, &w, "B1", p))
			require.Equal(t, workflow.Wait, admit(t, &w, "A3", p))
			require.Equal(t, workflow.Wait, admit(t, &w, "B2", p))

			loaded(t, &w, "B", p, "B1", "A3", "B2")
			require.Equal(t, workflow.Process, admit(t, &w, "B1", p))
			require.Equal(t, workflow.Load, admit(t, &w, "A3", p))
			require.Equal(t, workflow.Wait, admit(t, &w, "B2", p))

			loaded(t, &w, "A", p, "A3", "B2")
			require.Equal(t, workflow.Process, admit(t, &w, "A3", p))
			require.Equal(t, workflow.Load, admit(t, &w, "B2", p))

			loaded(t, &w, "B", p, "B2")
			require.Equal(t, workflow.Process, admit(t, &w, "B2", p))
			require.Zero(t, w.Waiting())
			require.Zero(t, w.Released())
		})
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	later := noon.Add
	for _, row := range []struct {
		name   string
		policy workflow.Policy
		key    string
		now    time.Time
		want   workflow.Step
	}{
		{"every command, at once", every, "A", noon, workflow.Load},
		{"ttl, at once", minute, "A", noon, workflow.Process},
		{"ttl, just within", minute, "A", later(time.Minute - 1), workflow.Process},
		{"ttl, reached", minute, "A", later(time.Minute), workflow.Load},
		{"ttl, other key", minute, "B", noon, workflow.Load},
		{"ttl, clock set back", minute, "A", later(-time.Nanosecond), workflow.Load},
		{"ttl, zero time", minute, "A", time.Time{}, workflow.Load},
		{"ttl, other zone", minute, "A", noon.In(time.FixedZone("x", 3600)), workflow.Process},
		{"until invalidated, years later", forever, "A", later(math.MaxInt64), workflow.Process},
		{"until invalidated, clock set back", forever, "A", later(-time.Hour), workflow.Process},
		{"until invalidated, other key", forever, "B", noon, workflow.Load},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := ready(t, "A", row.policy)
			require.Equal(t, row.want, admitAt(t, &w, row.key+"9", row.now, row.policy))
		})
	}
}

func TestTimeToLiveCountsFromTheZeroTimeToo(t *testing.T) {
	t.Parallel()
	var zero time.Time
	w := loading(t, minute, "A1")
	_, ok := w.Loaded("A", zero, minute)
	require.True(t, ok)
	require.Equal(t, workflow.Process, admitAt(t, &w, "A1", zero, minute))
	require.Equal(t, workflow.Process, admitAt(t, &w, "A2", zero.Add(time.Second), minute))
	require.Equal(t, workflow.Load, admitAt(t, &w, "A3", noon, minute))
}

// time.Sub saturates: an age beyond 292 years must not look young.
func TestTimeToLiveAtTheEndsOfTime(t *testing.T) {
	t.Parallel()
	p := workflow.Policy{Freshness: workflow.TTL(math.MaxInt64 - 1)}
	w := ready(t, "A", p)
	require.Equal(t, workflow.Process, admitAt(t, &w, "A1", noon.AddDate(290, 0, 0), p))
	require.Equal(t, workflow.Load, admitAt(t, &w, "A2", noon.AddDate(5000, 0, 0), p))
}

func TestLoadedAtIsWallClockInUTC(t *testing.T) {
	t.Parallel()
	w := loading(t, minute, "A1")
	now := time.Now().In(time.FixedZone("x", 3600)) // has a monotonic reading
	_, ok := w.Loaded("A", now, minute)
	require.True(t, ok)
	at, _ := w.LoadedAt()
	require.Equal(t, now.Round(0).UTC(), at)
}

func TestEveryCommandSharesOnlyWithThoseThatWaited(t *testing.T) {
	t.Parallel()
	w := loading(t, every, "A1", "A2")
	loaded(t, &w, "A", every, "A1", "A2")
	requirePhase(t, workflow.Ready, w)
	require.Equal(t, workflow.Process, admit(t, &w, "A1", every))
	requirePhase(t, workflow.Ready, w)
	require.Equal(t, workflow.Process, admit(t, &w, "A2", every))
	requirePhase(t, workflow.Idle, w)
	require.Equal(t, workflow.Load, admit(t, &w, "A3", every))
}

func TestWhoWaitedForALoadUsesItWhateverItsAge(t *testing.T) {
	t.Parallel()
	for _, p := range []workflow.Policy{every, minute, forever} {
		w := loading(t, p, "A1", "A2")
		loaded(t, &w, "A", p, "A1", "A2")
		require.Equal(t, workflow.Process, admitAt(t, &w, "A1", noon.Add(time.Hour), p), p.Freshness)
		require.Equal(t, workflow.Process, admitAt(t, &w, "A2", noon.Add(-time.Hour), p), p.Freshness)
	}
}

func TestPolicyMayChangeBetweenSteps(t *testing.T) {
	t.Parallel()
	w := ready(t, "A", forever)
	require.Equal(t, workflow.Process, admit(t, &w, "A1", minute))
	require.Equal(t, workflow.Load, admit(t, &w, "A2", every), "data kept under another policy")

	w = loading(t, every, "A1", "A2", "A3")
	lower := workflow.Policy{MaxWaiting: 1}
	loaded(t, &w, "A", lower, "A1", "A2", "A3")
	for _, id := range []string{"A1", "A2", "A3"} {
		require.Equal(t, workflow.Process, admit(t, &w, id, lower))
	}
}

func TestLoadedIsRefusedUnlessThatKeyIsLoading(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]flow{
		"idle":          {},
		"other key":     loading(t, minute, "B1", "A1"),
		"already ready": ready(t, "A", minute),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := w.Clone()
			waiting, ok := w.Loaded("A", noon.Add(time.Hour), minute)
			require.False(t, ok)
			require.Nil(t, waiting)
			require.Equal(t, before, w)

			failed, rest, ok := w.Failed("A")
			require.False(t, ok)
			require.Nil(t, failed)
			require.Nil(t, rest)
			require.Equal(t, before, w)
		})
	}
}

func TestFailedHandsOutTheFailedAndTheRest(t *testing.T) {
	t.Parallel()
	w := loading(t, minute, "A1", "B1", "A2", "C1", "B2")
	failed, rest, ok := w.Failed("A")
	require.True(t, ok)
	require.Equal(t, cmds("A1", "A2"), failed)
	require.Equal(t, cmds("B1", "C1", "B2"), rest)
	requirePhase(t, workflow.Idle, w)

	require.Equal(t, workflow.Load, admit(t, &w, "B1", minute))
	require.Equal(t, workflow.Wait, admit(t, &w, "C1", minute))
	require.Equal(t, workflow.Wait, admit(t, &w, "B2", minute))
	loaded(t, &w, "B", minute, "B1", "C1", "B2")
}

func TestAfterFailedTheNextCommandLoads(t *testing.T) {
	t.Parallel()
	w := loading(t, forever, "A1")
	failed, rest, ok := w.Failed("A")
	require.True(t, ok)
	require.Equal(t, cmds("A1"), failed)
	require.Empty(t, rest)
	require.Equal(t, flow{}, w)
	require.Equal(t, workflow.Load, admit(t, &w, "A1", forever))
}

func TestBound(t *testing.T) {
	t.Parallel()
	two := workflow.Policy{MaxWaiting: 2, Freshness: workflow.UntilInvalidated}

	t.Run("refuses one too many and changes nothing", func(t *testing.T) {
		t.Parallel()
		w := loading(t, two, "A1", "B1")
		before := w.Clone()
		step, err := w.Admit("A", cmd("A2"), noon, two)
		require.Zero(t, step)
		require.ErrorIs(t, err, workflow.ErrFull)
		var full *workflow.FullError
		require.ErrorAs(t, err, &full)
		require.Equal(t, workflow.FullError{Key: "A", Waiting: 2, Limit: 2}, *full)
		require.EqualError(t, err, `admit command for key "A": 2 waiting, limit 2: too many commands wait`)
		require.Equal(t, before, w)
	})
	t.Run("never refuses a command that was handed out", func(t *testing.T) {
		t.Parallel()
		w := loading(t, two, "A1", "B1")
		loaded(t, &w, "A", two, "A1", "B1")

		_, err := w.Admit("A", cmd("A2"), noon, two)
		var full *workflow.FullError
		require.ErrorAs(t, err, &full, "A1 and B1 have both places")
		require.Equal(t, workflow.FullError{Key: "A", Waiting: 2, Released: 2, Limit: 2}, *full)
		require.EqualError(t, err, `admit command for key "A": 2 waiting (2 handed out and not admitted again), limit 2: too many commands wait`)

		require.Equal(t, workflow.Process, admit(t, &w, "A1", two))
		require.Equal(t, workflow.Load, admit(t, &w, "B1", two))
	})
	t.Run("does not concern a command that need not wait", func(t *testing.T) {
		t.Parallel()
		one := workflow.Policy{MaxWaiting: 1, Freshness: workflow.UntilInvalidated}
		w := ready(t, "A", one)
		require.Equal(t, workflow.Process, admit(t, &w, "A1", one))
		require.Equal(t, workflow.Process, admit(t, &w, "A2", one))
	})
	t.Run("default", func(t *testing.T) {
		t.Parallel()
		var w workflow.Workflow[int, int]
		for i := range workflow.DefaultMaxWaiting {
			_, err := w.Admit(1, i, noon, every)
			require.NoError(t, err)
		}
		_, err := w.Admit(1, -1, noon, every)
		require.EqualError(t, err, "admit command for key 1: 64 waiting, limit 64: too many commands wait")
	})
	t.Run("a lower one drops nothing", func(t *testing.T) {
		t.Parallel()
		w := loading(t, every, "A1", "A2", "A3")
		_, err := w.Admit("A", cmd("A4"), noon, two)
		require.ErrorIs(t, err, workflow.ErrFull)
		require.Equal(t, 3, w.Waiting())
	})
}

func TestANewCommandDoesNotOvertakeOneThatWasHandedOut(t *testing.T) {
	t.Parallel()
	for _, p := range []workflow.Policy{every, minute, forever} {
		t.Run(p.Freshness.String(), func(t *testing.T) {
			t.Parallel()
			w := loading(t, p, "A1", "A2", "B1")
			loaded(t, &w, "A", p, "A1", "A2", "B1")
			require.Equal(t, workflow.Process, admit(t, &w, "A1", p))
			// A9 needs the very data that is here, but A2 came first.
			require.Equal(t, workflow.Load, admit(t, &w, "A9", p))
			require.Equal(t, workflow.Wait, admit(t, &w, "A2", p))
			require.Equal(t, workflow.Wait, admit(t, &w, "B1", p))
			loaded(t, &w, "A", p, "A2", "B1", "A9")
			require.Equal(t, workflow.Process, admit(t, &w, "A2", p))
			require.Equal(t, workflow.Load, admit(t, &w, "B1", p))
			require.Equal(t, workflow.Wait, admit(t, &w, "A9", p))
			loaded(t, &w, "B", p, "B1", "A9")
		})
	}
}

func TestOrderHoldsWhenALoadEndsBeforeAllAreAdmittedAgain(t *testing.T) {
	t.Parallel()
	w := loading(t, every, "A1", "B1", "C1")
	loaded(t, &w, "A", every, "A1", "B1", "C1")
	require.Equal(t, workflow.Process, admit(t, &w, "A1", every))
	require.Equal(t, workflow.Load, admit(t, &w, "B1", every))
	loaded(t, &w, "B", every, "B1") // C1 is still on its way from the first time
	require.Equal(t, 2, w.Released())
	require.Equal(t, workflow.Load, admit(t, &w, "C1", every), "B1 came first")
	require.Equal(t, workflow.Wait, admit(t, &w, "B1", every))
	loaded(t, &w, "C", every, "B1", "C1")
	requirePhase(t, workflow.Idle, w) // nobody at the front can use C
}

func TestEqualCommandsOfTwoKeysAreTwoCommands(t *testing.T) {
	t.Parallel()
	var w workflow.Workflow[string, int]
	for _, key := range []string{"A", "B"} {
		_, err := w.Admit(key, 7, noon, every)
		require.NoError(t, err)
	}
	_, ok := w.Loaded("A", noon, every)
	require.True(t, ok)
	step, err := w.Admit("B", 7, noon, every)
	require.NoError(t, err)
	require.Equal(t, workflow.Load, step, "the one of A is first")
	failed, rest, ok := w.Failed("B")
	require.True(t, ok)
	require.Equal(t, []int{7}, failed)
	require.Empty(t, rest)
	require.Equal(t, 1, w.Released(), "the one of A")
}

func TestCommandsThatDoNotEqualThemselvesAreKnownByTheirKey(t *testing.T) {
	t.Parallel()
	type call struct {
		ID    int
		Reply func()
	}
	var w workflow.Workflow[string, call]
	first, plain := call{1, func() {}}, call{ID: 2}
	step, err := w.Admit("A", first, noon, every)
	require.NoError(t, err)
	require.Equal(t, workflow.Load, step)
	_, err = w.Admit("A", plain, noon, every)
	require.NoError(t, err)
	waiting, ok := w.Loaded("A", noon, every)
	require.True(t, ok)
	require.Len(t, waiting, 2)
	for _, c := range waiting {
		step, err := w.Admit("A", c, noon, every)
		require.NoError(t, err)
		require.Equal(t, workflow.Process, step)
	}
	require.Equal(t, workflow.Idle, w.Phase())
}

func TestInvalidate(t *testing.T) {
	t.Parallel()
	t.Run("ready", func(t *testing.T) {
		t.Parallel()
		w := ready(t, "A", forever)
		w.Invalidate("A")
		require.Equal(t, flow{}, w)
		require.Equal(t, workflow.Load, admit(t, &w, "A1", forever))
	})
	t.Run("ready, other key", func(t *testing.T) {
		t.Parallel()
		w := ready(t, "A", forever)
		w.Invalidate("B")
		require.Equal(t, workflow.Process, admit(t, &w, "A1", forever))
	})
	t.Run("idle, the zero key", func(t *testing.T) {
		t.Parallel()
		var w flow
		w.Invalidate("")
		require.Equal(t, flow{}, w)
	})
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		for _, p := range []workflow.Policy{every, minute, forever} {
			w := loading(t, p, "A1", "A2")
			w.Invalidate("A")
			requirePhase(t, workflow.Loading, w)
			loaded(t, &w, "A", p, "A1", "A2")
			requirePhase(t, workflow.Idle, w)
			require.Equal(t, workflow.Load, admit(t, &w, "A1", p))
			require.Equal(t, workflow.Wait, admit(t, &w, "A2", p))
			loaded(t, &w, "A", p, "A1", "A2")
			require.Equal(t, workflow.Process, admit(t, &w, "A1", p))
			require.Equal(t, workflow.Process, admit(t, &w, "A2", p))
		}
	})
	t.Run("loading, other key", func(t *testing.T) {
		t.Parallel()
		w := loading(t, forever, "A1", "B1")
		w.Invalidate("B")
		loaded(t, &w, "A", forever, "A1", "B1")
		require.Equal(t, workflow.Process, admit(t, &w, "A1", forever))
	})
	t.Run("between hand-out and return", func(t *testing.T) {
		t.Parallel()
		w := loading(t, every, "A1", "A2")
		loaded(t, &w, "A", every, "A1", "A2")
		require.Equal(t, workflow.Process, admit(t, &w, "A1", every))
		w.Invalidate("A")
		require.Equal(t, workflow.Load, admit(t, &w, "A2", every))
	})
	t.Run("does not outlive a failed load", func(t *testing.T) {
		t.Parallel()
		w := loading(t, forever, "A1")
		w.Invalidate("A")
		_, _, ok := w.Failed("A")
		require.True(t, ok)
		require.Equal(t, flow{}, w)
	})
}

func TestRemove(t *testing.T) {
	t.Parallel()
	is := func(ids ...string) func(order) bool {
		return func(c order) bool {
			for _, id := range ids {
				if c.ID == id {
					return true
				}
			}
			return false
		}
	}
	t.Run("a waiting command", func(t *testing.T) {
		t.Parallel()
		w := loading(t, minute, "A1", "B1", "A2", "C1")
		require.Equal(t, cmds("B1", "C1"), w.Remove(is("C1", "B1")))
		loaded(t, &w, "A", minute, "A1", "A2")
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		w := loading(t, minute, "A1")
		before := w.Clone()
		require.Nil(t, w.Remove(is("A2")))
		require.Equal(t, before, w)
	})
	t.Run("the command that loads", func(t *testing.T) {
		t.Parallel()
		w := loading(t, every, "A1", "B1", "A2")
		require.Equal(t, cmds("A1"), w.Remove(is("A1")))
		requirePhase(t, workflow.Loading, w)
		loaded(t, &w, "A", every, "B1", "A2")
		requirePhase(t, workflow.Idle, w) // B1 comes first and cannot use A
		require.Equal(t, workflow.Load, admit(t, &w, "B1", every))
		require.Equal(t, workflow.Wait, admit(t, &w, "A2", every))
	})
	t.Run("all of them", func(t *testing.T) {
		t.Parallel()
		w := loading(t, minute, "A1")
		w.Remove(is("A1"))
		requirePhase(t, workflow.Loading, w)
		require.Equal(t, workflow.Wait, admit(t, &w, "A2", minute), "the load under way serves A2")
		w.Remove(is("A2"))
		loaded(t, &w, "A", minute)
		requirePhase(t, workflow.Ready, w)
	})
	t.Run("all of them, every command loads", func(t *testing.T) {
		t.Parallel()
		w := loading(t, every, "A1")
		w.Remove(is("A1"))
		loaded(t, &w, "A", every)
		require.Equal(t, flow{}, w)
	})
	t.Run("and the load given up", func(t *testing.T) {
		t.Parallel()
		w := loading(t, every, "A1", "B1")
		w.Remove(is("A1"))
		failed, rest, ok := w.Failed("A")
		require.True(t, ok)
		require.Empty(t, failed)
		require.Equal(t, cmds("B1"), rest)
		require.Equal(t, workflow.Load, admit(t, &w, "B1", every))
	})
	t.Run("a command that was handed out", func(t *testing.T) {
		t.Parallel()
		w := loading(t, every, "A1", "A2")
		loaded(t, &w, "A", every, "A1", "A2")
		require.Equal(t, cmds("A1"), w.Remove(is("A1")))
		require.Equal(t, workflow.Process, admit(t, &w, "A2", every))
		require.Equal(t, flow{}, w)
	})
	t.Run("the last that shared the data", func(t *testing.T) {
		t.Parallel()
		w := loading(t, every, "A1", "A2")
		loaded(t, &w, "A", every, "A1", "A2")
		require.Equal(t, workflow.Process, admit(t, &w, "A1", every))
		w.Remove(is("A2"))
		require.Equal(t, workflow.Load, admit(t, &w, "A3", every))
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	t.Run("nothing waits", func(t *testing.T) {
		t.Parallel()
		for name, w := range map[string]flow{"idle": {}, "ready": ready(t, "A", minute)} {
			before := w.Clone()
			key, ok := w.Restart()
			require.False(t, ok, name)
			require.Empty(t, key)
			require.Equal(t, before, w)
		}
	})
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		w := loading(t, minute, "A1", "B1")
		w.Invalidate("A") // the new load comes after
		key, ok := w.Restart()
		require.True(t, ok)
		require.Equal(t, "A", key)
		loaded(t, &w, "A", minute, "A1", "B1")
		require.Equal(t, workflow.Process, admit(t, &w, "A1", minute))
		require.Equal(t, workflow.Load, admit(t, &w, "B1", minute))
	})
	t.Run("loading for nobody", func(t *testing.T) {
		t.Parallel()
		w := loading(t, minute, "A1")
		w.Remove(func(order) bool { return true })
		_, ok := w.Restart()
		require.False(t, ok)
		require.Equal(t, flow{}, w)
	})
	t.Run("the command that loads was removed", func(t *testing.T) {
		t.Parallel()
		w := loading(t, minute, "A1", "B1", "A2")
		w.Remove(func(c order) bool { return c.ID == "A1" })
		key, ok := w.Restart()
		require.True(t, ok)
		require.Equal(t, "B", key, "the first that waits now")
	})
	t.Run("commands were handed out", func(t *testing.T) {
		t.Parallel()
		w := loading(t, minute, "A1", "A2", "B1")
		loaded(t, &w, "A", minute, "A1", "A2", "B1")
		require.Equal(t, workflow.Process, admit(t, &w, "A1", minute))
		key, ok := w.Restart()
		require.True(t, ok)
		require.Equal(t, "A", key)
		require.Equal(t, 2, w.Waiting())
		loaded(t, &w, "A", minute, "A2", "B1")
	})
	t.Run("the rest of a failed load", func(t *testing.T) {
		t.Parallel()
		w := loading(t, minute, "A1", "B1")
		_, _, ok := w.Failed("A")
		require.True(t, ok)
		key, ok := w.Restart()
		require.True(t, ok)
		require.Equal(t, "B", key)
	})
}

func TestCopiesAreIndependent(t *testing.T) {
	t.Parallel()
	again := func(w *flow, ids ...string) {
		for _, id := range ids {
			_, _ = w.Admit(id[:1], cmd(id), noon, forever)
		}
	}
	changes := map[string]func(*flow){
		"admit":  func(w *flow) { again(w, "B7") },
		"loaded": func(w *flow) { w.Loaded("A", noon, forever) },
		"failed": func(w *flow) { w.Failed("A") },
		"remove": func(w *flow) { w.Remove(func(c order) bool { return c.ID == "A1" }) },
		"restart": func(w *flow) {
			w.Loaded("A", noon, forever)
			again(w, "A1")
			w.Restart()
		},
		"again": func(w *flow) {
			w.Loaded("A", noon, forever)
			again(w, "A1", "B1", "A2")
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original := loading(t, forever, "A1", "B1", "A2")
			want := original.Clone()
			copied := original
			change(&copied)
			require.Equal(t, want, original, "the original, after its copy changed")
			require.NotEqual(t, want, copied)

			wantCopy := copied.Clone()
			admit(t, &original, "C1", forever)
			require.Equal(t, wantCopy, copied, "the copy, after its original changed")
		})
	}
}

func TestCopiesThatGrowApartShareNothing(t *testing.T) {
	t.Parallel()
	// Many lengths, because the line has room to spare after some only.
	for n := 1; n < 40; n++ {
		var w flow
		for range n {
			admit(t, &w, "A1", forever)
		}
		left, right := w, w
		admit(t, &left, "L1", forever)
		admit(t, &right, "R1", forever)
		l, _ := left.Loaded("A", noon, forever)
		r, _ := right.Loaded("A", noon, forever)
		require.Equal(t, "L1", l[n].ID, "%d before", n)
		require.Equal(t, "R1", r[n].ID, "%d before", n)
	}
}

func TestInvalidPolicyIsRefusedByAdmit(t *testing.T) {
	t.Parallel()
	w := loading(t, minute, "A1")
	before := w.Clone()
	step, err := w.Admit("A", cmd("A2"), noon, workflow.Policy{MaxWaiting: -1})
	require.Zero(t, step)
	require.EqualError(t, err, "workflow: Policy.MaxWaiting is -1, want 0 (for 64) or more")
	require.NotErrorIs(t, err, workflow.ErrFull)
	require.Equal(t, before, w)
}

func TestNames(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]interface{ String() string }{
		"idle": workflow.Idle, "loading": workflow.Loading, "ready": workflow.Ready, "Phase(9)": workflow.Phase(9),
		"process": workflow.Process, "load": workflow.Load, "wait": workflow.Wait, "Step(0)": workflow.Step(0),
		"EveryCommand": workflow.EveryCommand, "UntilInvalidated": workflow.UntilInvalidated, "TTL(1m0s)": workflow.TTL(time.Minute),
	} {
		require.Equal(t, want, got.String())
	}
}
