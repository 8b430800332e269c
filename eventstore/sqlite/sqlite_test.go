package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/eventstoretest"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// open opens a store that is closed with the test.
func open(t testing.TB, path string, c sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func file(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "events.db")
}

func one(stream, eventType string) eventstore.Write {
	return eventstore.Write{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{{Type: eventType, Data: []byte("{}")}}}
}

func conformance(t *testing.T, c sqlite.Config) {
	t.Helper()
	eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
		t.Helper()
		path := file(t)
		return eventstoretest.Home{
			Store: open(t, path, c),
			Reopen: func(t *testing.T) eventstore.Store {
				t.Helper()
				return open(t, path, c)
			},
			TenantRequired: c.RequireTenant,
		}
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance(t, sqlite.Config{})
}

func TestConformanceWithTenants(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("SQLite is slow under the race detector, and there is TestConformance")
	}
	conformance(t, sqlite.Config{RequireTenant: true, Durability: sqlite.Normal})
}
