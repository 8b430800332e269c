//go:build !race

package command_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/command"
)

// Not parallel, since others' allocations would count.
func TestAllocations(t *testing.T) { //nolint:paralleltest // see above
	db := newMemory(t, memoryConfig)
	b, err := command.New(db, db, []command.Route{
		command.Handle("put", func(_ context.Context, c put) (string, error) { return c.Name, nil }),
	}, command.Config{})
	require.NoError(t, err)
	ctx := t.Context()
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		if _, err := command.Dispatch(ctx, b, put{Name: "a"}); err != nil {
			t.Error(err)
		}
	}), 64.0, "23 of them are those of two appends")
}
