package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

var tenantTables = []string{"events", "claims", "snapshots", "subscriptions", "subject_keys"}

// fillTenants writes into every table, for tenants whose names could be taken for
// something else.
func fillTenants(t *testing.T, s *postgres.Store, tenants ...string) {
	t.Helper()
	for _, tenant := range tenants {
		ctx := eventstore.WithTenant(t.Context(), tenant)
		w := one("a")
		w.Claim = &eventstore.Claim{Key: "k", Until: time.Now().Add(time.Hour)}
		_, err := s.Append(ctx, w)
		require.NoError(t, err)
		require.NoError(t, s.SaveSnapshot(ctx, eventstore.Snapshot{Stream: "a", Type: "t", Version: 1}))
		_, err = s.AcquireLease(ctx, "sub", "me", time.Hour)
		require.NoError(t, err)
		_, err = s.Key(ctx, "customer")
		require.NoError(t, err)
	}
}

var oddTenants = []string{"", "A", "B", ".", "..", ".*", "*", "%", "'", "a.b", ".A"}

// The role owns the tables, and still sees nothing: row-level security is forced.
func TestRawQueriesSeeNothing(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	cfg := db.Config(t)
	cfg.MaxConns = 1 // so that what the store has used is used again
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer pool.Close()
	s, err := postgres.New(t.Context(), pool, postgres.Config{AutoMigrate: true, PollInterval: time.Hour})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	count := func(table string) (n int) {
		t.Helper()
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM rondo.`+table).Scan(&n))
		return n
	}
	for _, table := range tenantTables {
		require.Zero(t, count(table), "before anything was done")
	}
	fillTenants(t, s, oddTenants...)
	for _, table := range tenantTables {
		var owner bool
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT tableowner = current_user FROM pg_tables WHERE schemaname = 'rondo' AND tablename = $1`, table).Scan(&owner))
		require.True(t, owner)
		require.Zero(t, count(table), "%s, on the connection that tenants have used", table)
	}
	for _, err := range s.ReadAll(eventstore.AllTenants(t.Context()), 0, eventstore.Filter{}) {
		require.NoError(t, err)
	}
	_, err = s.DeleteExpiredClaims(t.Context(), 10)
	require.NoError(t, err)
	for _, table := range tenantTables {
		require.Zero(t, count(table), "%s, after all tenants were read", table)
	}
	// Nothing can be written for a tenant that is not set, or changed.
	for _, tenant := range []string{"A", ".", ""} {
		_, err = pool.Exec(t.Context(), `INSERT INTO rondo.claims VALUES ($1, 'k2', '', '', now())`, tenant)
		require.ErrorContains(t, err, "row-level security", "tenant %q", tenant)
	}
	tag, err := pool.Exec(t.Context(), `DELETE FROM rondo.events`)
	require.NoError(t, err)
	require.Zero(t, tag.RowsAffected())

	// The setting is one tenant's; the marker of all reads events and no more.
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // it only reads
	_, err = tx.Exec(t.Context(), `SELECT set_config('rondo.tenant', 'A', true)`)
	require.NoError(t, err)
	var n int
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM rondo.events`).Scan(&n))
	require.Equal(t, 1, n)
	_, err = tx.Exec(t.Context(), `SELECT set_config('rondo.tenant', '.*', true)`)
	require.NoError(t, err)
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM rondo.events`).Scan(&n))
	require.Equal(t, len(oddTenants), n)
	tag, err = tx.Exec(t.Context(), `DELETE FROM rondo.events`)
	require.NoError(t, err)
	require.Zero(t, tag.RowsAffected())
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM rondo.subject_keys`).Scan(&n))
	require.Zero(t, n)
}

func TestTenantsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	fillTenants(t, s, oddTenants...)
	var got []string
	for e, err := range s.ReadAll(eventstore.AllTenants(t.Context()), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		got = append(got, e.Tenant)
	}
	require.Equal(t, oddTenants, got)
	for _, tenant := range oddTenants {
		ctx := eventstore.WithTenant(t.Context(), tenant)
		n := 0
		for e, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
			require.NoError(t, err)
			require.Equal(t, tenant, e.Tenant)
			n++
		}
		require.Equal(t, 1, n, "tenant %q", tenant)
	}
}

// Appends of several tenants are committed together, each under its own tenant.
func TestTenantsAreCommittedTogether(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{DirectAppends: 1})
	type result struct {
		tenant string
		err    error
	}
	results := make(chan result)
	for _, tenant := range oddTenants {
		for range 8 {
			go func() {
				_, err := s.Append(eventstore.WithTenant(t.Context(), tenant), one("a"))
				results <- result{tenant, err}
			}()
		}
	}
	var tenants []string
	for range 8 * len(oddTenants) {
		r := <-results
		require.NoError(t, r.err)
		tenants = append(tenants, r.tenant)
	}
	slices.Sort(tenants)
	require.Equal(t, slices.Sorted(slices.Values(oddTenants)), slices.Compact(tenants))
	for _, tenant := range oddTenants {
		n := 0
		for e, err := range s.ReadStream(eventstore.WithTenant(t.Context(), tenant), "a", 0) {
			require.NoError(t, err)
			require.Equal(t, tenant, e.Tenant)
			n++
			require.EqualValues(t, n, e.Version)
		}
		require.Equal(t, 8, n, "tenant %q", tenant)
	}
}
