package postgres

import (
	"context"
	"strings"

	"github.com/seed57833328/rondo/eventstore"
)

// A tenant is stored as it is, but for those that begin with a dot: they get
// another. So there is a name for no tenant and one for all of them, and the empty
// string, which is what the setting is outside of the store's transactions, is
// nobody's.
const (
	noTenant   = "."
	allTenants = ".*"
)

func storedTenant(tenant string) string {
	if tenant == "" || strings.HasPrefix(tenant, ".") {
		return "." + tenant
	}
	return tenant
}

func tenantOf(stored string) string { return strings.TrimPrefix(stored, ".") }

// tenant is the stored tenant of what belongs to one.
func (s *Store) tenant(ctx context.Context) (string, error) {
	tenant, err := eventstore.Tenant(ctx, s.config.RequireTenant)
	if err != nil {
		return "", err
	}
	return storedTenant(tenant), s.open(ctx)
}

// readTenant is the stored tenant of what may read those of all.
func (s *Store) readTenant(ctx context.Context) (string, error) {
	tenant, all, err := eventstore.ReadTenant(ctx, s.config.RequireTenant)
	switch {
	case err != nil:
		return "", err
	case all:
		return allTenants, s.open(ctx)
	}
	return storedTenant(tenant), s.open(ctx)
}
