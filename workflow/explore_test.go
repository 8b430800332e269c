package workflow_test

import (
	"errors"
	"testing"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
	"github.com/seed57833328/rondo/workflow"
)

// Two processes change one row. Each loads it when a command comes, decides, and
// saves it if nobody else has in the meantime. The workflow is explored in it:
// with every order of commands, loads and saves, and with what can go wrong.

// add is a command: N is added to the row, once.
type add struct{ N int }

type (
	rowLoaded struct {
		Row row
		Err error
	}
	rowSaved struct {
		Command add
		Err     error
	}
	added struct {
		N   int
		Err error
	}
)

// row is what is in the table. Seen are the commands that it counts.
type row struct{ Total, Version, Seen int }

type loadRow struct{}

func (loadRow) Returns(row) {}

type saveRow struct {
	Command  add
	Row      row
	Expected int
}

func (saveRow) Returns(struct{}) {}

var (
	errConflict = errors.New("version conflict")
	errDown     = errors.New("database down")
)

// adding is the state of one process.
type adding struct {
	Load workflow.Workflow[string, add]
	Row  row
	Done int // commands answered, added up
}

type adder struct{ policy workflow.Policy }

var afx effect.Of[any]

func (r adder) Reduce(s *adding, action any, env reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case add:
		switch step, err := s.Load.Admit("row", a, env.Now(), r.policy); {
		case err != nil:
			return afx.Send(added{a.N, err})
		case step == workflow.Load:
			return afx.All(afx.Hold(a), effect.Do(loadRow{}, func(res effect.Result[row]) any { return rowLoaded{res.Value, res.Err} }))
		case step == workflow.Wait:
			return afx.Hold(a)
		}
		return r.process(s, a)
	case rowLoaded:
		if a.Err != nil {
			failed, rest, _ := s.Load.Failed("row")
			var all []effect.Effect[any]
			for _, c := range failed {
				all = append(all, afx.Resume(c, any(added{c.N, a.Err})))
			}
			return afx.All(append(all, again(rest)...)...)
		}
		waiting, ok := s.Load.Loaded("row", env.Now(), r.policy)
		if ok {
			s.Row = a.Row
		}
		return afx.All(again(waiting)...)
	case rowSaved:
		switch {
		case errors.Is(a.Err, errConflict):
			s.Load.Invalidate("row")
			return afx.Send(a.Command) // decide again, on the row as it is then
		case a.Err != nil:
			return r.process(s, a.Command) // it may be saved: that is found out by saving it
		}
		return afx.Send(added{N: a.Command.N})
	case added:
		s.Done += a.N
	}
	return afx.None()
}

// process saves what the command makes of the row.
func (r adder) process(s *adding, c add) effect.Effect[any] {
	next := row{Total: s.Row.Total + c.N, Version: s.Row.Version + 1, Seen: s.Row.Seen | c.N}
	return effect.Do(saveRow{c, next, s.Row.Version}, func(res effect.Result[struct{}]) any { return rowSaved{c, res.Err} })
}

func again(commands []add) []effect.Effect[any] {
	all := make([]effect.Effect[any], len(commands))
	for i, c := range commands {
		all[i] = afx.Resume(c, any(c))
	}
	return all
}

func (t *row) load(loadRow) (row, error) { return *t, nil }

func (t *row) save(q saveRow) (struct{}, error) {
	switch {
	case t.Seen&q.Command.N != 0: // it is in already
	case t.Version != q.Expected:
		return struct{}{}, errConflict
	default:
		*t = q.Row
	}
	return struct{}{}, nil
}

type processes struct{ One, Two adding }

func TestExplored(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]workflow.Policy{
		"every command":     {MaxWaiting: 10},
		"until invalidated": {MaxWaiting: 10, Freshness: workflow.UntilInvalidated},
		"one may wait":      {MaxWaiting: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := adder{policy}
			m := testkit.Model[processes, testkit.Sent, row]{
				Stores: []testkit.Store[processes]{
					testkit.StoreOf("one", func(p *processes) *adding { return &p.One }, r),
					testkit.StoreOf("two", func(p *processes) *adding { return &p.Two }, r),
				},
				Inputs: [][]testkit.Sent{
					{testkit.To("one", add{1}), testkit.To("one", add{2})},
					{testkit.To("one", add{4})},
					{testkit.To("two", add{8})},
				},
				Answers: []testkit.Answer{
					testkit.On((*row).load, testkit.ReadOnly(), testkit.Fails(errDown)),
					testkit.On((*row).save),
				},
				// Nothing is kept but the row: a workflow begins empty after a crash.
				Recover: func(*processes) (processes, []testkit.Sent) { return processes{}, nil },
			}
			total := 1 + 2 + 4 + 8
			testkit.Explore(t, m,
				testkit.Always("each command counts once at most", func(_ *processes, w *row) bool { return w.Total == w.Seen }),
				testkit.Finally("each command is answered once", func(p *processes, _ *row) bool { return p.One.Done == 7 && p.Two.Done == 8 }),
				testkit.Sometimes("every command counts", func(_ *processes, w *row) bool { return w.Total == total }),
				testkit.Sometimes("commands wait", func(p *processes, _ *row) bool { return p.One.Load.Waiting() > 0 }),
				testkit.LostReplies(1), testkit.Failures(1))
			testkit.Explore(t, m,
				testkit.Always("each command counts once at most", func(_ *processes, w *row) bool { return w.Total == w.Seen }),
				testkit.Finally("nobody waits", func(p *processes, _ *row) bool {
					return p.One.Load.Waiting() == 0 && p.Two.Load.Waiting() == 0 && p.One.Load.Phase() != workflow.Loading
				}),
				testkit.Crashes(1), testkit.Failures(1))
		})
	}
}
