package processtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
)

// deal is an errand that is all done in transactions of the home: its decisions and
// its effects are committed together. Its key says which way it goes, as an
// errand's does.
type deal struct{ Done []string }

type (
	dealt   struct{ Name string }
	fellOut struct{ Reason string }
)

var dealFx saga.Of[any]

func reduceDeal(s *deal, a any, _ reducer.Env) effect.Effect[any] {
	next := func(name string) effect.Effect[any] {
		return dealFx.Do(sagatest.Deed{Name: name}, saga.Undo(sagatest.Reversal{Name: name}))
	}
	switch a := a.(type) {
	case begin:
		return next("hold")
	case dealt:
		s.Done = append(s.Done, a.Name)
		switch a.Name {
		case "hold":
			return next("charge")
		case "charge":
			return next("confirm")
		}
		return dealFx.Complete()
	case fellOut:
		return dealFx.Compensate(a.Reason)
	}
	return dealFx.None()
}

var deals = saga.Define("deal", reducer.Func[deal, any](reduceDeal), saga.Types{
	Actions: []saga.ActionType{saga.Action[begin]("begin"), saga.Action[dealt]("dealt"), saga.Action[fellOut]("fell-out")},
	Requests: []saga.RequestType{
		saga.On("deed", func(d sagatest.Deed, r saga.Reply[string]) any {
			if r.Err != nil {
				return fellOut{r.Err.Error()}
			}
			return dealt(d)
		}, quickly(2)),
		saga.Request[sagatest.Reversal]("reversal", quickly(100)),
	},
})

// dealHandlers write a line for everything they do, in its transaction.
func dealHandlers(l *sagatest.Ledger, s saga.Store, tell func(what, key string)) []effect.Handler {
	act := func(ctx context.Context, write sagatest.Write, what string) error {
		id := saga.EffectID(ctx)
		tell(doing, keyOf(id)+" "+what)
		err := write(keyOf(id) + " " + what)
		tell(done, keyOf(id)+" "+what)
		return err
	}
	return []effect.Handler{
		l.Deeds(s, func(ctx context.Context, write sagatest.Write, d sagatest.Deed) (string, error) {
			if err := act(ctx, write, d.Name); err != nil || d.Name != "charge" {
				return d.Name, err
			}
			switch wayOf(keyOf(saga.EffectID(ctx))) {
			case declined:
				return "", saga.Rejected(errors.New("declined"))
			case broken:
				return "", errors.New("no answer")
			case happy, hanging:
			}
			return d.Name, nil
		}),
		l.Reversals(s, func(ctx context.Context, write sagatest.Write, r sagatest.Reversal) (struct{}, error) {
			return struct{}{}, act(ctx, write, "undo "+r.Name)
		}),
	}
}

// expectDeal is how a deal must have ended, and all that is written of it.
func expectDeal(w way) (saga.Status, []string) {
	switch w {
	case declined:
		return saga.Compensated, []string{"hold", "undo hold"}
	case broken: // whatever the charge wrote is rolled back
		return saga.Compensated, []string{"hold", "undo charge", "undo hold"}
	case happy, hanging:
	}
	return saga.Completed, []string{"hold", "charge", "confirm"}
}

// judgeDeals holds every deal to what was promised: it has ended as it should,
// everything was decided once, and done once, in order.
func judgeDeals(t *testing.T, l *sagatest.Ledger, s saga.Store, accepted map[string]bool) (sagas, lines int) {
	t.Helper()
	written := map[string][]string{}
	for _, line := range l.Lines(t, s) {
		key, what, _ := strings.Cut(line, " ")
		written[key] = append(written[key], what)
		lines++
	}
	there := map[string]bool{}
	for q := (saga.Query{Type: deals.Name(), Limit: 500}); ; {
		page, err := s.List(t.Context(), q)
		require.NoError(t, err)
		for i := range page {
			r := &page[i]
			there[r.ID.Key] = true
			status, want := expectDeal(wayOf(r.ID.Key))
			require.Equal(t, status, r.Status, "%s: %s", r.ID, r.Reason)
			require.Equal(t, want, written[r.ID.Key], "what was done for %s", r.ID)
			require.NoError(t, decidedOnce(t.Context(), s, r, deals.Replay), "%s", r.ID)
		}
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].ID
	}
	for key := range accepted {
		require.True(t, there[key], "saga %q was accepted and is lost", key)
	}
	for key := range written {
		require.True(t, there[key], "effects of %q, which is not there", key)
	}
	return len(there), lines
}

// dealsTest is killedTest with deals.
func dealsTest(r *rig) {
	if r.ledger == nil {
		r.Skip("no handler does its work in transactions of the home")
	}
	_, is := r.store.(saga.Transactional)
	require.True(r, is, "a home with a ledger is saga.Transactional, and %T is not", r.store)
	kills, accepted := r.massacre(task{Deals: true})
	sagas, lines := judgeDeals(r.T, r.ledger, r.store, accepted)
	r.Logf("%d processes were killed; %d sagas, of which %d were accepted; %d effects, each done once", kills, sagas, len(accepted), lines)
	require.Positive(r, sagas)
}
