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
	sagamemory "github.com/seed57833328/rondo/saga/memory"
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
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(golden, []byte(have.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err, "go test ./examples/ticketing/sale -update writes it")
	require.Equal(t, string(want), have.String())
}

// Every type of event has its place in the books.
func TestBooksTakeEveryEvent(t *testing.T) {
	t.Parallel()
	registry, err := sale.Registry()
	require.NoError(t, err)
	log, err := memory.New(memory.Config{})
	require.NoError(t, err)
	n := 0
	for name, schema := range registry.Names() {
		category, _, _ := strings.Cut(name, ".")
		_, err := log.Append(t.Context(), eventstore.Write{
			Stream: category + "-" + name, Expected: eventstore.None,
			Events: []eventstore.Event{{Type: name, Schema: schema, Data: []byte("{}")}},
		})
		require.NoError(t, err)
		n++
	}
	books, err := sale.Read(t.Context(), log)
	require.NoError(t, err)
	require.Equal(t, n, books.Count)
	require.True(t, books.Opened)
}

func TestOneProcessBegins(t *testing.T) {
	t.Parallel()
	log, err := memory.New(memory.Config{})
	require.NoError(t, err)
	sagas := sagamemory.New(sagamemory.Config{})
	for i, customers := range []int{3, 4} {
		s, err := sale.New(log, sagas, sale.Config{})
		require.NoError(t, err)
		err = s.Begin(t.Context(), sale.Terms{Customers: customers})
		if i == 0 {
			require.NoError(t, err)
			continue
		}
		require.Error(t, err)
		require.False(t, eventstore.Retryable(err))
	}
	books, err := sale.Read(t.Context(), log)
	require.NoError(t, err)
	require.Equal(t, 3, books.Terms.Customers)
	require.False(t, books.Closed())
}
