package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/eventstoretest"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]postgres.Config{
		"as it comes":         {},
		"a tenant required":   {RequireTenant: true},
		"committed together":  {DirectAppends: 1},
		"committed by itself": {DirectAppends: 1_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
				db := postgrestest.New(t)
				return eventstoretest.Home{
					Store:          open(t, db, config),
					Reopen:         func(t *testing.T) eventstore.Store { return open(t, db, config) },
					TenantRequired: config.RequireTenant,
				}
			})
		})
	}
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, db *postgrestest.Database, config postgres.Config) *postgres.Store {
	t.Helper()
	config.AutoMigrate = true
	s, err := postgres.Open(t.Context(), db.URL, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
