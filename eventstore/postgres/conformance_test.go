package postgres_test

import (
	"testing"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/eventstoretest"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config  postgres.Config
		setting string // of the database
		mode    string // of execution, as pgx names them
	}{
		"as it comes":         {},
		"committed together":  {config: postgres.Config{DirectAppends: 1}},
		"committed by itself": {config: postgres.Config{DirectAppends: 1_000}},
		"serializable":        {setting: "default_transaction_isolation = serializable"},
		// Statements as text are for poolers that keep no prepared ones.
		"a tenant required, statements as text": {config: postgres.Config{RequireTenant: true}, mode: "simple_protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
				t.Helper()
				db := postgrestest.New(t)
				if c.setting != "" {
					db.Exec(t, "ALTER DATABASE "+db.Name+" SET "+c.setting)
				}
				if c.mode != "" {
					db.URL = withParameter(t, db.URL, "default_query_exec_mode", c.mode)
				}
				return eventstoretest.Home{
					Store: open(t, db, c.config),
					Reopen: func(t *testing.T) eventstore.Store {
						t.Helper()
						return open(t, db, c.config)
					},
					TenantRequired: c.config.RequireTenant,
				}
			})
		})
	}
}
