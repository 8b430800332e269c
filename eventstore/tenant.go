package eventstore

import "context"

type tenantKey struct{}

// tenancy is what a context says about tenants.
type tenancy struct {
	tenant string
	all    bool
}

// WithTenant returns a context for a tenant: what is done with it touches that
// tenant's events only. An empty tenant is as none.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenancy{tenant: tenant})
}

// AllTenants returns a context with which ReadAll, Subscribe and Head see the
// events of all tenants: for projections and publishers. Everything else refuses
// it with ErrNoTenant.
func AllTenants(ctx context.Context) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenancy{all: true})
}

// TenantFrom returns the tenant of a context, "" if it has none, and whether it
// is one for all tenants.
func TenantFrom(ctx context.Context) (tenant string, all bool) {
	t, _ := ctx.Value(tenantKey{}).(tenancy)
	return t.tenant, t.all
}

// Tenant returns the tenant for what belongs to one. It is ErrNoTenant for a
// context of all tenants, and for one without a tenant if that is required; a
// name that is too long is a *InputError. Homes call it.
func Tenant(ctx context.Context, required bool) (string, error) {
	tenant, all := TenantFrom(ctx)
	if all || tenant == "" && required {
		return "", ErrNoTenant
	}
	if tenant == "" {
		return "", nil
	}
	return tenant, CheckName("tenant", tenant)
}

// ReadTenant is [Tenant] for what may read all tenants' events.
func ReadTenant(ctx context.Context, required bool) (tenant string, all bool, err error) {
	if _, all := TenantFrom(ctx); all {
		return "", true, nil
	}
	tenant, err = Tenant(ctx, required)
	return tenant, false, err
}
