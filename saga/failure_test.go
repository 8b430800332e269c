package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
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

// A reducer puts what an error says into its state and its reasons, where customers
// read it; the stack of a handler that panicked is for who looks into it.
func TestAPanicsStackIsNotPartOfWhatItSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = func(_ context.Context, request, key string, _ int) error {
			if request == "charge" || strings.HasSuffix(key, "/1/0/undo") {
				panic("no such currency")
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{})
		o.start("ann")
		require.NoError(t, store.Sleep(t.Context(), time.Hour))
		s := o.state("ann")
		require.Equal(t, saga.Stuck, s.Status)
		require.Regexp(t, `^request "[a-z-]+" \(1/0/undo\) must succeed, and failed at attempt 1: panic: no such currency$`, s.Reason)
		require.Len(t, s.Undo, 1)
		said, stack, _ := strings.Cut(s.Undo[0].Error, "\n")
		require.Equal(t, "panic: no such currency", said)
		require.Contains(t, stack, "failure_test.go")
		history, err := o.runner.History(t.Context(), Reservation.ID("ann"), 0, 100)
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(history, func(e saga.Entry) bool {
			return strings.Contains(string(e.Data), `payment: panic: no such currency"`)
		}))
		require.True(t, slices.ContainsFunc(history, func(e saga.Entry) bool {
			return strings.Contains(string(e.Data), `"trace":"goroutine `)
		}), "it is kept")
	})
}

// A handler that fails with a page of text does not fill the record with it.
func TestOfAFailureThatIsVeryLongTheBeginningIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := errors.New("x" + strings.Repeat("é", 150_000)) // more than a record takes
		h := newHouse()
		h.set(func(_ context.Context, request, _ string, attempt int) error {
			if request == "charge" || request == "release" && attempt == 1 {
				return long
			}
			return nil
		}, nil)
		o := open(t, newHome(), h, saga.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		end, err := o.start("ann").Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, "x"+strings.Repeat("é", 4095), saga.Failure(t.Context(), long).Message)
	})
}
