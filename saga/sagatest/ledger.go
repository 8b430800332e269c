package sagatest

import (
	"context"
	"testing"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
)

// Ledger is a table of an application beside the sagas of a home, with a column of
// lines, and handlers that write to it in transactions of the home.
type Ledger struct {
	// Deeds and Reversals are the home's HandleTx, for a function that writes lines.
	Deeds     func(s saga.Store, f func(ctx context.Context, write Write, d Deed) (string, error)) effect.Handler
	Reversals func(s saga.Store, f func(ctx context.Context, write Write, r Reversal) (struct{}, error)) effect.Handler
	// Lines are those that were committed, in the order in which they were written.
	Lines func(t *testing.T, s saga.Store) []string
}

// Write writes a line, in the transaction of a handler.
type Write func(line string) error

// Deed asks for something to be done, and has a result.
type Deed struct{ Name string }

// Reversal asks for a deed to be undone.
type Reversal struct{ Name string }

// Returns says what a deed results in.
func (Deed) Returns(string) {}

// Returns says that there is no result.
func (Reversal) Returns(struct{}) {}
