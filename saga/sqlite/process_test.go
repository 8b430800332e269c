package sqlite_test

import (
	"context"
	"testing"

	"github.com/seed57833328/rondo/saga/processtest"
	"github.com/seed57833328/rondo/saga/sqlite"
)

var processes = processtest.Home{
	New: func(t *testing.T) string {
		t.Helper()
		return file(t)
	},
	Open: func(ctx context.Context, path string) (processtest.Store, error) {
		return sqlite.Open(ctx, path, patient)
	},
	Ledger: ledger(),
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	processtest.Run(t, processes)
}
