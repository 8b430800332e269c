package sale_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Names, schemas and fields of events stay, or what was recorded cannot be read.
// Whoever has to change one gives it a new schema, and an upcaster.
func TestEventsAreAsTheyWere(t *testing.T) {
	t.Parallel()
	registry, err := sale.Registry()
	require.NoError(t, err)
	var have strings.Builder
	for name, schema := range registry.Names() {
		zero, err := registry.Decode(eventstore.Recorded{Type: name, Redacted: true})
		require.NoError(t, err)
		event, err := registry.Encode(zero)
		require.NoError(t, err)
		fmt.Fprintf(&have, "%s %d %s\n", name, schema, event.Data)
	}
	const golden = "testdata/events.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(have.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err, "go test ./examples/ticketing/sale -update writes it")
	require.Equal(t, string(want), have.String())
}

func TestOneProcessGoesOn(t *testing.T) {
	t.Parallel()
	home, err := memory.New(memory.Config{})
	require.NoError(t, err)
	past, err := sale.Read(t.Context(), home)
	require.NoError(t, err)
	require.Zero(t, past.Events)
	require.NoError(t, past.Begin(t.Context(), sale.Terms{Customers: 3}))
	other, err := sale.Read(t.Context(), home)
	require.NoError(t, err)
	require.Equal(t, 3, other.Terms.Customers)
	require.NoError(t, other.Begin(t.Context(), sale.Terms{}))
	require.ErrorAs(t, past.Close(t.Context()), new(*eventstore.ConflictError), "another goes on with it")
}
