package sagatest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/sagatest"
)

// A saga in the hands of a test comes to the very record that a runner leaves.
func TestSameAsARunner(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		charge error // what the handler returns
		test   func(s *sagatest.Saga[Order, Action])
	}{
		"sold": {nil, func(s *sagatest.Saga[Order, Action]) {
			sagatest.Reply(s, Charge{10000}, nothing)
			sagatest.Reply(s, ConfirmSeats{[]string{"A1", "A2"}}, nothing)
			s.Ended(saga.Completed, "")
		}},
		"declined": {saga.Rejected(errDeclined), func(s *sagatest.Saga[Order, Action]) {
			s.Reject(Charge{10000}, errDeclined)
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "payment: card declined")
		}},
		"unknown": {effect.Permanent(errDown), func(s *sagatest.Saga[Order, Action]) {
			s.Fail(Charge{10000}, effect.Permanent(errDown))
			s.Undone(Refund{10000})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "payment: connection refused")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sagatest.Begin(t, Reservation, Reserve{"ann", 2})
			sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
			row.test(s)
			want := s.Snapshot()

			got := run(t, want.ID, row.charge)
			require.Equal(t, want.Sequence, got.Sequence)
			require.Equal(t, want.Status, got.Status)
			require.Equal(t, want.Reason, got.Reason)
			require.JSONEq(t, string(want.Record.State), string(got.Record.State))
			require.JSONEq(t, string(want.Work), string(got.Work))
		})
	}
}

func run(t *testing.T, id saga.ID, charge error) saga.Snapshot {
	t.Helper()
	home := memory.New(memory.Config{})
	runner, err := saga.New(home, saga.Config{Handlers: []effect.Handler{
		effect.Handle(func(context.Context, HoldSeats) ([]string, error) { return []string{"A1", "A2"}, nil }),
		effect.Handle(func(context.Context, ReleaseSeats) (struct{}, error) { return nothing, nil }),
		effect.Handle(func(context.Context, Charge) (struct{}, error) { return nothing, charge }),
		effect.Handle(func(context.Context, Refund) (struct{}, error) { return nothing, nil }),
		effect.Handle(func(context.Context, PayBack) (struct{}, error) { return nothing, nil }),
		effect.Handle(func(context.Context, ConfirmSeats) (struct{}, error) { return nothing, nil }),
	}}, Reservation)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(t.Context()) }()
	handle, err := runner.Start(t.Context(), id, Reserve{"ann", 2})
	require.NoError(t, err)
	snapshot, err := handle.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, runner.Shutdown(t.Context()))
	require.NoError(t, <-ended)
	return snapshot
}
