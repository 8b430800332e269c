package saga

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/testkit"
)

// chainedModel makes a model of which all handlers work in transactions of the home. A
// chain of that model breaks off before its effect of that number, 0 for none.
func chainedModel(t *testing.T, w exploredWorld, breaks int, opts ...Option) testkit.Model[machine, event, exploredWorld] {
	t.Helper()
	model := explored(t, w, opts...)
	h, is := model.Reducer.(*host)
	require.True(t, is)
	d := h.deciders["booking"]
	d.maxChain, d.within = 3, map[string]bool{"hold": true, "release": true, "charge": true, "refund": true}
	model.Answers = append(model.Answers, testkit.On(func(w *exploredWorld, q chain) (chained, error) {
		next := *w
		next.Decided = slices.Clone(w.Decided)
		l, err := d.chain(q, func() time.Time { return q.Head.Record.Updated }, func(l *links, p perform) (result, error) {
			if breaks > 0 && len(l.changes) == breaks {
				return result{}, errBroken
			}
			r, err := next.perform(p)
			if err != nil {
				r.Failure = d.kind.failure(err)
			}
			return r, nil
		})
		if err != nil {
			return chained{Broken: l.head.Record.Sequence}, nil //nolint:nilerr // it is committed separately
		}
		for i := range l.changes {
			if v, err := next.commit(commit{Change: &l.changes[i]}); err != nil || v != Committed {
				return chained{Verdict: v}, err
			}
		}
		*w = next
		return chained{Verdict: Committed, Head: l.head}, nil
	}))
	return model
}

// Every order of what can happen to a saga whose decisions are committed together
// with their effects: what it promises is the same.
func TestExploreChains(t *testing.T) {
	t.Parallel()
	completed := testkit.Sometimes("completed", func(_ *machine, w *exploredWorld) bool { return w.Record.Status == Completed })
	together := testkit.Sometimes("several decisions are one commit", func(m *machine, w *exploredWorld) bool {
		return m.Next != nil && w.Record.Commit == m.Next.Change.Record.Commit && w.Record.Sequence > m.Next.Change.Record.Sequence
	})
	patient := []Option{Retry(RetryPolicy{Attempts: 2, Delay: time.Second, Jitter: -1})}
	declined := exploredWorld{Card: exploredChild{Declines: true}}
	for _, row := range []struct {
		name   string
		world  exploredWorld
		breaks int
		more   []testkit.Option
	}{
		{name: "failures", more: []testkit.Option{testkit.Failures(2), completed, together}},
		{name: "crashes", more: []testkit.Option{testkit.Crashes(1), completed, together}},
		{name: "lost replies", more: []testkit.Option{testkit.LostReplies(1), completed, together}},
		{name: "duplicates", more: []testkit.Option{testkit.Duplicates(1), completed, together}},
		{name: "a declined card", world: declined, more: []testkit.Option{testkit.Crashes(1), testkit.LostReplies(1), together}},
		{name: "broken at once", breaks: 1, more: []testkit.Option{testkit.Crashes(1), completed}},
		{name: "broken later", breaks: 2, more: []testkit.Option{testkit.Crashes(1), completed}},
	} {
		t.Run(row.name, func(t *testing.T) {
			stats := testkit.Explore(t, chainedModel(t, row.world, row.breaks, patient...), append(append(promises(), testkit.Failures(0)), row.more...)...)
			require.True(t, stats.Complete)
		})
	}
}
