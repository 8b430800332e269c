package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/testkit"
)

// till is a state whose journal is in testdata, as a store has written it.
type till struct{ Cents, Sales int }

type (
	sell struct{ Cents int }
	sold struct{ Err error }
)

type printReceipt struct{ Cents int }

func (printReceipt) Returns(struct{}) {}

var errPaper = errors.New("out of paper")

// cashier has a field for each way in which a change could break it.
type cashier struct {
	counts, prints int
	ids            bool
	panics         bool
}

func (c cashier) Reduce(s *till, action any, env reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case sell:
		if c.panics {
			panic("the drawer is stuck")
		}
		if c.ids {
			env.NewID()
		}
		s.Cents += a.Cents
		s.Sales += c.counts
		return effect.Do(printReceipt{a.Cents * c.prints}, func(r effect.Result[struct{}]) any { return sold{r.Err} })
	case sold:
		if errors.Is(a.Err, errPaper) {
			s.Sales--
		}
	}
	return effect.Effect[any]{}
}

// journal was written by a store with cashier{counts: 1, prints: 1}.
const journal = "testdata/till.jsonl"

// writeTill writes the journal anew.
func writeTill(t *testing.T) {
	t.Helper()
	file, err := os.Create(journal)
	require.NoError(t, err)
	printed := 0
	s, err := store.New(till{}, cashier{counts: 1, prints: 1}, store.Config{
		Name:    "tills",
		Journal: store.NewJournal(file, store.JournalConfig{States: true}),
		Handlers: []effect.Handler{effect.Handle(func(context.Context, printReceipt) (struct{}, error) {
			if printed++; printed == 2 {
				return struct{}{}, fmt.Errorf("print: %w", errPaper)
			}
			return struct{}{}, nil
		})},
	})
	require.NoError(t, err)
	for _, cents := range []int{250, 400, 120, 90} {
		require.NoError(t, s.SendAndSettle(t.Context(), sell{cents}))
	}
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, file.Close())
}

var replayOptions = []testkit.ReplayOption{testkit.Actions(sell{}, sold{}), testkit.Errors(errPaper)}

func TestReplay(t *testing.T) {
	t.Parallel()
	if *update {
		writeTill(t)
	}
	testkit.Replay(t, journal, cashier{counts: 1, prints: 1}, replayOptions...)
	golden(t, "replay_other_state", fails(t, func(t *fakeT) {
		testkit.Replay(t, journal, reducer.Func[till, any](func(s *till, a any, env reducer.Env) effect.Effect[any] {
			e := cashier{counts: 1, prints: 1}.Reduce(s, a, env)
			if s.Sales == 3 {
				s.Cents-- // a bug
			}
			return e
		}), replayOptions...)
	}))
	for name, row := range map[string]struct {
		cashier cashier
		want    []string
	}{
		"another state": {cashier{counts: 2, prints: 1}, []string{
			"line 2: tills, step 1: sell{Cents: 250}\nthe state is another", "Sales: 1 → 2",
		}},
		"other effects": {cashier{counts: 1, prints: 2}, []string{
			"the effects are others (-journal +now)", "- request testkit_test.printReceipt{Cents:250}", "+ request testkit_test.printReceipt{Cents:500}",
		}},
		"other ids": {cashier{counts: 1, prints: 1, ids: true}, []string{"another number of ids is drawn\n\njournal: 0\nnow:     1"}},
		"a panic":   {cashier{panics: true}, []string{"the reducer panics, and did not\n\npanic: the drawer is stuck"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := fails(t, func(t *fakeT) { testkit.Replay(t, journal, row.cashier, replayOptions...) })
			mentions(t, text, row.want...)
		})
	}
}

func TestReplayShowsTheStepsBefore(t *testing.T) {
	t.Parallel()
	r := reducer.Func[till, any](func(s *till, a any, env reducer.Env) effect.Effect[any] {
		if s.Cents == 650 {
			s.Cents++
		}
		return cashier{counts: 1, prints: 1}.Reduce(s, a, env)
	})
	text := fails(t, func(t *fakeT) { testkit.Replay(t, journal, r, replayOptions...) })
	require.Contains(t, text, "the steps before:\n  1. sell{Cents: 250}\n  2. sold{}\n  3. sell{Cents: 400}")
}

func TestReplayBadInput(t *testing.T) {
	t.Parallel()
	const begin = `{"journal":1,"store":"s","type":"testkit_test.till","state":{"Cents":0,"Sales":0}}` + "\n"
	for name, row := range map[string]struct {
		journal string
		options []testkit.ReplayOption
		want    string
	}{
		"empty":              {"", nil, "no steps are in it"},
		"no header":          {`{"store":"s","seq":1,"type":"x"}` + "\n", nil, "line 1: s begins in the middle: its first line, with the state it began with, is missing"},
		"format":             {`{"journal":2,"store":"s"}` + "\n", nil, "line 1: the journal is of format 2, this is for 1"},
		"another state type": {`{"journal":1,"store":"s","type":"a.B","state":{}}` + "\n", nil, "line 1: s has states of type a.B, the reducer's are testkit_test.till: see testkit.ReplayStore"},
		"not JSON":           {begin + "what?\n" + begin, nil, "line 2: invalid character"},
		"gap":                {begin + `{"store":"s","seq":2,"type":"testkit_test.sell","action":{}}` + "\n", nil, "line 2: s: step 2 follows step 0: lines are missing"},
		"lossy":              {begin + `{"store":"s","seq":1,"type":"testkit_test.sell","lossy":"it has secrets"}` + "\n", nil, "line 2: s, step 1: the action cannot be replayed: it has secrets"},
		"unknown action": {
			begin + `{"store":"s","seq":1,"type":"testkit_test.sell","action":{}}` + "\n", nil,
			"line 2: s, step 1: actions of type testkit_test.sell are not known: name them with testkit.Actions(testkit_test.sell{})",
		},
		"another action": {
			begin + `{"store":"s","seq":1,"type":"testkit_test.sell","action":[]}` + "\n",
			replayOptions, "line 2: s, step 1: the action: json: cannot unmarshal array",
		},
		"unknown field": {begin + `{"store":"s","sequence":1}` + "\n" + begin, nil, `line 2: json: unknown field "sequence"`},
		"bad hash":      {begin + `{"store":"s","seq":1,"stateHash":"zz"}` + "\n" + begin, nil, `line 2: hash "zz": want 16 hexadecimal digits`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := fails(t, func(t *fakeT) {
				testkit.ReplayFrom(t, "journal", strings.NewReader(row.journal), cashier{}, row.options...)
			})
			require.Contains(t, text, row.want)
		})
	}
	text := fails(t, func(t *fakeT) { testkit.Replay(t, "testdata/none.jsonl", cashier{}) })
	require.Contains(t, text, "no such file")
}
