package testkit_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// A club has guests that differ by their names alone. Each has a locker, which is
// a store of its own.

type guest string

type (
	club struct {
		In      map[guest]bool
		First   guest
		Waiting []guest
		Actions int
	}
	locker    struct{ Owner guest }
	clubhouse struct {
		Club    club
		Lockers [2]locker
	}
	join    struct{ Who guest }
	checked struct {
		Who guest
		Err error
	}
	closing struct{ Who guest }
)

// check asks the world, open the guest's locker.
type (
	check struct{ Who guest }
	open  struct{ Who guest }
)

func (check) Returns(guest)   {}
func (open) Returns(struct{}) {}

// doorman lets in no guest twice in a row.
type doorman struct {
	Seen map[guest]int
	Last guest
}

func (d *doorman) check(q check) (guest, error) {
	if d.Last == q.Who {
		return "", errFuse
	}
	d.Seen = maps.Clone(d.Seen)
	if d.Seen == nil {
		d.Seen = map[guest]int{}
	}
	d.Seen[q.Who]++
	d.Last = q.Who
	return q.Who, nil
}

// clubOf is a reducer that does with each type of actions what a table says.
func clubOf(table []int) reducer.Func[club, any] {
	return func(s *club, action any, _ reducer.Env) effect.Effect[any] {
		var who guest
		var at int
		switch a := action.(type) {
		case join:
			who = a.Who
		case checked:
			at, who = 1, a.Who
			if a.Err != nil {
				at = 2
			}
		case closing:
			at, who = 3, a.Who
		}
		s.Actions++
		asks := func(who guest, opts ...effect.Option) effect.Effect[any] {
			return effect.Do(check{who}, func(r effect.Result[guest]) any { return checked{who, r.Err} }, opts...)
		}
		opens := func(who guest) effect.Effect[any] {
			return effect.Do(open{who}, func(r effect.Result[struct{}]) any { return checked{who, r.Err} })
		}
		switch table[at] {
		case 1:
			if s.First == "" {
				s.First = who
			}
			return asks(who, effect.Key(who))
		case 2:
			s.Waiting = append(s.Waiting, who)
			return asks(who, effect.Key("door", effect.Queue))
		case 3:
			if s.In == nil {
				s.In = map[guest]bool{}
			}
			s.In[who] = !s.In[who]
			return lampFx.After(who, time.Minute, closing{who})
		case 4:
			if len(s.Waiting) > 0 {
				who, s.Waiting = s.Waiting[0], s.Waiting[1:]
			}
			return lampFx.All(lampFx.Cancel(who), opens(who))
		case 5:
			return lampFx.Sequence(asks(who), opens(who))
		}
		return lampFx.None()
	}
}

var lockers = reducer.Func[locker, any](func(s *locker, action any, _ reducer.Env) effect.Effect[any] {
	if a, ok := action.(join); ok {
		if s.Owner == "" {
			s.Owner = a.Who
		}
		return lampFx.Send(checked{Who: s.Owner})
	}
	return lampFx.None()
})

// The verdict, and the length of the trace, are the same with half of the states.
func TestSymmetricIsTheSame(t *testing.T) {
	t.Parallel()
	found, passed := 0, 0
	same := func(t require.TestingT, table []int, limit int) {
		m := testkit.Model[clubhouse, testkit.Sent, doorman]{
			Stores: []testkit.Store[clubhouse]{
				testkit.StoreOf("club", func(s *clubhouse) *club { return &s.Club }, clubOf(table)),
				testkit.StoreOf("locker of a", func(s *clubhouse) *locker { return &s.Lockers[0] }, lockers),
				testkit.StoreOf("locker of b", func(s *clubhouse) *locker { return &s.Lockers[1] }, lockers),
			},
			Inputs: [][]testkit.Sent{{testkit.To("club", join{"a"})}, {testkit.To("club", join{"b"})}},
			Answers: []testkit.Answer{
				testkit.On((*doorman).check),
				testkit.Route(func(q open) (string, any) { return "locker of " + string(q.Who), join(q) },
					func(a any) (struct{}, bool, error) { _, ok := a.(checked); return struct{}{}, ok, nil }),
			},
			Recover: func(s *clubhouse) (clubhouse, []testkit.Sent) { return clubhouse{Lockers: s.Lockers}, nil },
		}
		search := func(opts ...testkit.Option) (testkit.Stats, *testkit.Failure) {
			stats, failure, err := testkit.Search(m, append(opts,
				testkit.Always("few actions", func(s *clubhouse, _ *doorman) bool { return s.Club.Actions < limit }),
				testkit.Always("a full house", func(s *clubhouse, d *doorman) bool {
					return len(s.Club.In) < 2 || s.Lockers[0].Owner == "" || s.Lockers[1].Owner == ""
				}),
				testkit.Finally("the first is in", func(s *clubhouse, d *doorman) bool {
					return s.Club.First == "" || d.Seen[s.Club.First] > 0 || len(d.Seen) == 0
				}),
				testkit.Crashes(1), testkit.Duplicates(1), testkit.MaxStates(300))...)
			require.NoError(t, err)
			return stats, failure
		}
		symmetric := testkit.Symmetric[guest]("a", "b")
		stats, failure := search(symmetric)
		full, inFull := search(symmetric, testkit.NoReduction())
		switch {
		case failure != nil && inFull != nil:
			found++
			require.Equal(t, inFull.Headline, failure.Headline)
			require.Equal(t, inFull.Steps, failure.Steps)
		case stats.Complete && full.Complete:
			passed++
			require.Equal(t, failure == nil, inFull == nil)
			require.LessOrEqual(t, stats.States, full.States)
			require.Less(t, full.States, 2*stats.States, "the situations that are symmetric themselves count once")
		case full.Complete:
			require.True(t, stats.Complete)
		}
	}
	for what := range 6 { // both are among these, whatever is drawn
		for _, limit := range []int{2, 9} {
			same(t, []int{what, what, what, what}, limit)
		}
	}
	require.Positive(t, found)
	require.Positive(t, passed)
	rapid.Check(t, func(rt *rapid.T) {
		same(rt, rapid.SliceOfN(rapid.IntRange(0, 5), 4, 4).Draw(rt, "what the reducer does"), rapid.IntRange(2, 9).Draw(rt, "limit"))
	})
}

func TestSymmetricBadInput(t *testing.T) {
	t.Parallel()
	m := testkit.Model[guest, join, struct{}]{Reducer: idle[guest, join](), Inputs: [][]join{{{"a"}}, {{"b"}}}}
	for want, opts := range map[string][]testkit.Option{
		"Symmetric: the model begins otherwise with x for a, a for x: its State, World, Stores or Inputs treat these values differently": {testkit.Symmetric[guest]("a", "x")},
		"Symmetric has the same value twice":                           {testkit.Symmetric[guest]("a", "a")},
		"Symmetric has 1 values, want 2 to 5":                          {testkit.Symmetric[guest]("a")},
		"Symmetric is given twice: one set of values can be exchanged": {testkit.Symmetric[guest]("a", "b"), testkit.Symmetric(1, 2)},
	} {
		_, _, err := testkit.Search(m, opts...)
		require.EqualError(t, err, want)
	}
}
