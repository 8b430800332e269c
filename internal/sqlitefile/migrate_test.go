package sqlitefile_test

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/internal/sqlitefile"
)

// When SQLite has rolled back by itself, as it does on a full disk, there is nothing
// left to roll back: what is told is why it did.
func TestMigrationRolledBackBySQLite(t *testing.T) {
	t.Parallel()
	_, err := sqlitefile.Open(t.Context(), "store", filepath.Join(t.TempDir(), "x.db"), "", sqlitefile.Options{
		Schema: sqlitefile.Schema{
			Migrations: fstest.MapFS{"00001_x.sql": {Data: []byte(`-- +goose Up
CREATE TABLE x (id INTEGER PRIMARY KEY);
INSERT INTO x VALUES (1);
INSERT OR ROLLBACK INTO x VALUES (1);
`)}},
			Version: 1, VersionTable: "versions", Tables: "x", Others: "none",
		},
		Closed: errors.New("closed"), BusyTimeout: time.Second, Readers: 1, MaxBatch: 1, Now: time.Now, Committed: func() {},
	})
	require.ErrorContains(t, err, "UNIQUE constraint failed: x.id")
	require.NotContains(t, err.Error(), "cannot rollback")
}
