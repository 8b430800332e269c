package postgres_test

import (
	"context"
	"testing"

	"github.com/seed57833328/rondo/saga/postgres"
	"github.com/seed57833328/rondo/saga/processtest"
)

var processes = processtest.Home{
	New: func(t *testing.T) string {
		t.Helper()
		return newLedger(t).URL
	},
	Open: func(ctx context.Context, url string) (processtest.Store, error) {
		return postgres.Open(ctx, url, postgres.Config{AutoMigrate: true})
	},
	Ledger: ledger(),
}

func TestMain(m *testing.M) { processtest.Main(m, processes) }

func TestProcesses(t *testing.T) {
	t.Parallel()
	processtest.Run(t, processes)
}
