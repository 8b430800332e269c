package memory_test

import (
	"testing"

	"github.com/seed57833328/rondo/eventstore/eventstoretest"
	"github.com/seed57833328/rondo/eventstore/memory"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
		t.Helper()
		return eventstoretest.Home{Store: open(t, memory.Config{})}
	})
}

func TestConformanceWithTenants(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstoretest.Home {
		t.Helper()
		return eventstoretest.Home{Store: open(t, memory.Config{RequireTenant: true}), TenantRequired: true}
	})
}
