package saga_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, add{5})
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), id, "fetch", foreign{"fetch"}))
		o.untilCount("a", 12)
		require.Error(t, o.runner.Signal(t.Context(), id, "bad", boom{}))
		_, err = o.runner.Resume(t.Context(), id, by)
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), id, "m", add{1}))
		o.untilCount("a", 13)
		history, err := o.runner.History(t.Context(), id, 0, 100)
		require.NoError(t, err)

		drift, err := counter.Replay(id, history)
		require.NoError(t, err)
		require.Nil(t, drift, "%+v", drift)

		other := saga.Define("counter", reducer.Func[count, countAction](func(s *count, a countAction, _ reducer.Env) effect.Effect[countAction] {
			switch a := a.(type) {
			case add:
				s.N += a.N
			case fetched:
				s.N += 2 * a.N
			}
			return cfx.None()
		}), counterTypes())
		drift, err = other.Replay(id, history)
		require.NoError(t, err)
		require.Equal(t, &saga.Drift{Sequence: 3, Kind: "reply", Action: "fetched", State: []byte(`{"N":19,"Text":""}`)}, drift)

		types := counterTypes()
		types.Actions = types.Actions[1:]
		drift, err = saga.Define("counter", countReducer(nil), types).Replay(id, history)
		require.NoError(t, err)
		require.Equal(t, int64(1), drift.Sequence)
		require.ErrorContains(t, drift.Err, `action "add" is not one of`)

		_, err = counter.Replay(id, history[1:])
		require.ErrorContains(t, err, "want the whole history")
		broken := append([]saga.Entry{}, history...)
		broken[0].Data = []byte("{")
		_, err = counter.Replay(id, broken)
		require.Error(t, err)
		require.NotErrorIs(t, err, saga.ErrNotFound)
	})
}
