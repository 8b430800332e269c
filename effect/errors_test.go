package effect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
)

type temporaryError bool

func (temporaryError) Error() string     { return "temporary" }
func (e temporaryError) Retryable() bool { return bool(e) }

func TestRetryable(t *testing.T) {
	t.Parallel()
	wrap := func(err error) error { return fmt.Errorf("load: %w", err) }
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"any error", errors.New("down"), true},
		{"a timeout", effect.ErrTimeout, true},
		{"a deadline", context.DeadlineExceeded, true},
		{"an end of file", io.EOF, true},
		{"cancelled", context.Canceled, false},
		{"no handler", effect.ErrNoHandler, false},
		{"invalid", effect.ErrInvalid, false},
		{"a panic", &effect.PanicError{Value: "x"}, false},
		{"a panic with an error", &effect.PanicError{Value: io.EOF}, false},
		{"permanent", effect.Permanent(io.EOF), false},
		{"one that says so", temporaryError(true), true},
		{"one that says no", temporaryError(false), false},
		{"permanent, though it says yes", effect.Permanent(temporaryError(true)), false},
		{"joined", errors.Join(io.EOF, effect.Permanent(errors.New("x"))), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, row.want, effect.Retryable(row.err))
			if row.err != nil {
				require.Equal(t, row.want, effect.Retryable(wrap(row.err)))
			}
		})
	}
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	require.NoError(t, effect.Permanent(nil))
	err := effect.Permanent(io.ErrUnexpectedEOF)
	require.EqualError(t, err, "unexpected EOF")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestErrTimeoutIsADeadline(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, effect.ErrTimeout, context.DeadlineExceeded)
}
