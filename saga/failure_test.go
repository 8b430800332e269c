package saga_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
)

type (
	try   struct{}
	tried struct {
		Declined bool
		Message  string
	}
)

func (try) action()   {}
func (tried) action() {}

// A handler that answers with a verdict it has kept is understood as if it had
// just come to it.
func TestFailureIsWhatARecordKeeps(t *testing.T) {
	t.Parallel()
	tries := saga.Define("tries", reducer.Func[tried, Action](func(s *tried, a Action, _ reducer.Env) effect.Effect[Action] {
		switch a := a.(type) {
		case try:
			return fx.Do(Charge{1})
		case tried:
			*s = a
			return fx.Complete()
		}
		return fx.None()
	}), saga.Types{
		Actions: []saga.ActionType{saga.Action[try]("try"), saga.Action[tried]("tried")},
		Requests: []saga.RequestType{saga.On("charge", func(_ Charge, r saga.Reply[struct{}]) Action {
			return tried{errors.Is(r.Err, errDeclined), fmt.Sprint(r.Err)}
		})},
		Errors: []saga.ErrorType{saga.Error("declined", errDeclined)},
	})
	declined := saga.Rejected(fmt.Errorf("no money: %w", errDeclined))
	handler := effect.Handle(func(ctx context.Context, _ Charge) (struct{}, error) {
		kept := saga.Failure(ctx, declined)
		if kept.Code != "declined" || !kept.Rejected || !errors.Is(kept, errDeclined) {
			return struct{}{}, fmt.Errorf("kept as %+v", *kept)
		}
		return struct{}{}, &saga.EffectError{Message: kept.Message, Code: kept.Code, Rejected: true} // as it was kept
	})
	runner, err := saga.New(memory.New(memory.Config{}), saga.Config{Handlers: []effect.Handler{handler}}, tries)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(context.WithoutCancel(t.Context())) }()
	h, err := runner.Start(t.Context(), tries.ID("a"), try{})
	require.NoError(t, err)
	end, err := h.Wait(t.Context())
	require.NoError(t, err)
	state, err := tries.State(end)
	require.NoError(t, err)
	require.Equal(t, tried{true, "no money: card declined"}, state)
	require.NoError(t, runner.Shutdown(t.Context()))
	require.NoError(t, <-ended)

	outside := saga.Failure(t.Context(), declined)
	require.True(t, outside.Rejected)
	require.Empty(t, outside.Code)
	require.Nil(t, saga.Failure(t.Context(), nil))
}
