package eventstore_test

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// Reading takes as much memory for a log of many events as for one of a fifth:
// what has been handed out is not kept. There are 50,000 events, or as many as
// RONDO_READ_EVENTS says.
func TestReadingIsFlat(t *testing.T) { //nolint:paralleltest // it looks at the memory of the process
	if testing.Short() {
		t.Skip("it writes 50,000 events, which takes minutes under the race detector")
	}
	n := 50_000
	if text := os.Getenv("RONDO_READ_EVENTS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, n, 50_000, "a fifth of it has pages of full length")
	for name, open := range map[string]func() (eventstore.Store, func() error){
		"sqlite": func() (eventstore.Store, func() error) {
			s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "events.db"), sqlite.Config{})
			require.NoError(t, err)
			return s, s.Close
		},
		"postgres": func() (eventstore.Store, func() error) {
			s, err := postgres.Open(t.Context(), postgrestest.New(t).URL, postgres.Config{AutoMigrate: true})
			require.NoError(t, err)
			return s, s.Close
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, end := open()
			defer func() { require.NoError(t, end()) }()
			fill(t, s, n/5)
			ofFew := peaks(t, s, n/5)
			fill(t, s, n-n/5)
			ofMany := peaks(t, s, n)
			for read, few := range ofFew {
				many := ofMany[read]
				t.Logf("%s: %.1f MB for %d events, %.1f MB for %d", read, few/1e6, n/5, many/1e6, n)
				require.Less(t, many/few, 1.5, "%s: memory grows with the events", read)
			}
		})
	}
}

// fill appends n events to a stream.
func fill(t *testing.T, s eventstore.Store, n int) {
	t.Helper()
	const together = 1_000
	for at := 0; at < n; at += together {
		events := make([]eventstore.Event, min(together, n-at))
		for i := range events {
			events[i] = eventstore.Event{
				Type: "held", Data: fmt.Appendf(nil, `{"n":%d,"text":"%200d"}`, at+i, 0),
				Meta: eventstore.Meta{Actor: fmt.Sprint("actor-", at+i)},
			}
		}
		_, err := s.Append(t.Context(), eventstore.Write{Stream: "a-1", Expected: eventstore.Any, Events: events})
		require.NoError(t, err)
	}
}

// peaks is the most memory in use, in bytes, while all events were read, in either
// way.
func peaks(t *testing.T, s eventstore.Store, n int) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	for name, seq := range map[string]iter.Seq2[eventstore.Recorded, error]{
		"ReadAll":    s.ReadAll(t.Context(), 0, eventstore.Filter{}),
		"ReadStream": s.ReadStream(t.Context(), "a-1", 0),
	} {
		read := 0
		for _, err := range seq {
			require.NoError(t, err)
			if read++; read%(n/10) == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				found[name] = max(found[name], float64(m.HeapAlloc))
			}
		}
		require.Equal(t, n, read, name)
	}
	return found
}
