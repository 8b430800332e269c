package erasure_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
)

type moved struct{ To string }

// Who reads without this package is told that data are encrypted, not that they are
// no JSON, also where they would be brought up first.
func TestReadWithoutErasure(t *testing.T) {
	t.Parallel()
	db := newInner(t)
	s := around(t, db, db, erasure.Config{})
	written := appended(t.Context(), t, s, eventstore.Write{Stream: "customer-7", Expected: eventstore.Any, Events: []eventstore.Event{
		{Type: "moved", Schema: 1, Data: []byte(`{"To":"Paris"}`), Meta: eventstore.Meta{Subject: "ann"}},
	}})
	plain, err := eventstore.NewRegistry(eventstore.TypeOf[moved]("moved", 1))
	require.NoError(t, err)
	newer, err := eventstore.NewRegistry(eventstore.TypeOf[moved]("moved", 2, eventstore.Upcast(1, func(old moved) moved { return old })))
	require.NoError(t, err)
	for _, registry := range []*eventstore.Registry{plain, newer} {
		value, err := registry.Decode(written[0])
		require.NoError(t, err)
		require.Equal(t, moved{"Paris"}, value)

		found, err := db.Lookup(t.Context(), written[0].ID)
		require.NoError(t, err)
		_, err = registry.Decode(found[0])
		require.EqualError(t, err, `event 1 of "customer-7" (position 1): decode "moved": its data are encrypted: read it by a store of package eventstore/erasure`)
		var data *eventstore.DataError
		require.ErrorAs(t, err, &data)
	}
}
