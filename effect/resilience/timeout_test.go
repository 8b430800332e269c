package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
)

func TestTimeout(t *testing.T) {
	t.Parallel()
	detail := errors.New("POST /charges")
	tests := []struct {
		name   string
		answer func(context.Context) (string, error)
		value  string
		text   string // of the error; empty for none
		is     []error
		after  time.Duration
	}{
		{
			name: "a call in time passes", answer: takes(time.Second),
			value: "paid", after: time.Second,
		},
		{
			name: "an error in time passes", answer: fails(errDeclined),
			text: "card declined", is: []error{errDeclined},
		},
		{
			name: "a slow call is ended", answer: takes(time.Minute),
			text: "handler timed out after 2s: context deadline exceeded", is: []error{resilience.ErrTimeout}, after: 2 * time.Second,
		},
		{
			name: "what the handler says of the deadline is kept",
			answer: func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", fmt.Errorf("%w: %w", detail, ctx.Err())
			},
			text: "handler timed out after 2s: POST /charges: context deadline exceeded",
			is:   []error{resilience.ErrTimeout, detail}, after: 2 * time.Second,
		},
		{
			name: "the cause is a timeout already",
			answer: func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", context.Cause(ctx)
			},
			text: "handler timed out after 2s", is: []error{resilience.ErrTimeout}, after: 2 * time.Second,
		},
		{
			name: "a cancellation made of the deadline is a timeout",
			answer: func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", context.Canceled
			},
			text: "handler timed out after 2s", is: []error{resilience.ErrTimeout}, after: 2 * time.Second,
		},
		{
			name: "a value that comes late is dropped", answer: ignores(time.Minute, "paid", nil),
			text: "handler timed out after 2s", is: []error{resilience.ErrTimeout}, after: time.Minute,
		},
		{
			name: "an error that comes late is dropped", answer: ignores(time.Minute, "", effect.Permanent(errDeclined)),
			text: "handler timed out after 2s", is: []error{resilience.ErrTimeout}, after: time.Minute,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := serve(test.answer)
				h := effect.Handle(s.Charge, resilience.Timeout(2*time.Second))
				began := time.Now()
				value, err := ask(t.Context(), h, Charge{})
				require.Equal(t, test.value, value)
				require.Equal(t, test.after, time.Since(began))
				require.EqualValues(t, 1, s.calls.Load())
				if test.text == "" {
					require.NoError(t, err)
					return
				}
				require.EqualError(t, err, test.text)
				for _, is := range test.is {
					require.ErrorIs(t, err, is)
				}
				if errors.Is(err, resilience.ErrTimeout) {
					require.ErrorIs(t, err, effect.ErrTimeout)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorIs(t, err, timeout.ErrExceeded)
					require.NotErrorIs(t, err, context.Canceled)
					require.NotErrorIs(t, err, errDeclined)
					require.True(t, effect.Retryable(err), "a timeout may be tried again")
				}
			})
		})
	}
}

func TestTimeoutGivesTheHandlerADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h := effect.Handle(func(ctx context.Context, _ Charge) (string, error) {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, 2*time.Second, deadline.Sub(began))
			return "paid", nil
		}, resilience.Timeout(2*time.Second))
		_, err := ask(t.Context(), h, Charge{})
		require.NoError(t, err)
	})
}

func TestTimeoutLeavesTheCallersEndToTheCaller(t *testing.T) {
	t.Parallel()
	t.Run("a cancellation stays one", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := ask(ctx, effect.Handle(serve(takes(time.Minute)).Charge, resilience.Timeout(2*time.Second)), Charge{})
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, resilience.ErrTimeout)
		})
	})
	t.Run("an earlier deadline is the caller's", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := ask(ctx, effect.Handle(serve(takes(time.Minute)).Charge, resilience.Timeout(2*time.Second)), Charge{})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, resilience.ErrTimeout)
		})
	})
}

func TestTimeoutBoundsAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := serve(takes(time.Minute))
		got, err := listen(t.Context(), effect.HandleStream(s.Prices, resilience.Timeout(2*time.Second)), Charge{})
		require.Equal(t, []string{"first"}, got)
		require.ErrorIs(t, err, resilience.ErrTimeout)
		require.Equal(t, 2*time.Second, time.Since(began))

		got, err = listen(t.Context(), effect.HandleStream(serve(ok).Prices, resilience.Timeout(2*time.Second)), Charge{})
		require.Equal(t, []string{"first", "paid"}, got)
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestTimeoutRefusesBadInput(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, -time.Second} {
		require.EqualError(t, invalid(resilience.Timeout(d)),
			fmt.Sprintf("handler of resilience_test.Charge: resilience.Timeout: duration is %v, must be positive", d))
	}
	require.NoError(t, invalid(resilience.Timeout(time.Nanosecond)))
}
