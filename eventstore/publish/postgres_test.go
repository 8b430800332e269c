package publish_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/publish"
)

// A publisher outlives its connections: whatever it is doing when they end, it
// goes on, and nothing is skipped.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	ctx, server := t.Context(), postgrestest.New(t)
	db, err := postgres.Open(ctx, server.URL, postgres.Config{AutoMigrate: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	insist := func(stream string) {
		w := eventstore.Write{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{{ID: uuid.New(), Type: "made"}}}
		for {
			_, err := db.Append(ctx, w)
			if err == nil || errors.As(err, new(*eventstore.DuplicateEventError)) {
				return
			}
			require.True(t, eventstore.Retryable(err), "%v", err)
		}
	}
	var got sink
	r := start(t, ctx, db, got.handle, short(publish.Hooks{}))
	const rounds, each = 8, 10
	for round := range rounds {
		for i := range each {
			insist(fmt.Sprintf("a-%d", round))
			if i == round {
				server.EndSessions(t)
			}
		}
		for n := 1; len(first(t, got.positions())) < (round+1)*each; n++ { // what comes again is none of them
			got.waitFor(t, n)
		}
	}
	again, err := postgres.Open(ctx, server.URL, postgres.Config{}) // it has no sessions that were ended
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Close()) })
	require.Equal(t, wanted(t, again, eventstore.Filter{}), first(t, got.positions()))
	r.stop()
	require.ErrorContains(t, r.wait(), "context canceled")
}
