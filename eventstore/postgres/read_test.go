package postgres

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

// A page ends when it has enough data, however many events that are.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := openInternal(t)
	sizes := []int{10, pageBytes - 20, 5, 5, 100, pageBytes + 1, 1, 2 * pageBytes, pageBytes / 2, pageBytes / 2, 1}
	var events []eventstore.Event
	for i, size := range sizes {
		e := eventOf("held")
		e.Data = bytes.Repeat([]byte{byte(i)}, size)
		events = append(events, e)
	}
	_, err := s.Append(t.Context(), writeOf("a", eventstore.None, events...))
	require.NoError(t, err)
	var lengths []int
	next := int64(1)
	for {
		page, more, err := s.readPage(t.Context(), "read", noTenant, readStreamSQL, 100, noTenant, "a", next)
		require.NoError(t, err)
		total := 0
		for _, e := range page[:max(len(page)-1, 0)] {
			total += len(e.Data)
		}
		require.Less(t, total, pageBytes, "only the last may be too much")
		lengths = append(lengths, len(page))
		if !more {
			break
		}
		next = int64(page[len(page)-1].Version) + 1
	}
	// 10, all but 20 of a page, 5 and 5 make a page; 100 goes with one too long; …
	require.Equal(t, []int{4, 2, 2, 2, 1}, lengths)

	// Nothing is left out between pages, nor handed out twice.
	for name, seq := range map[string]func(func(eventstore.Recorded, error) bool){
		"ReadStream": s.ReadStream(t.Context(), "a", 0),
		"ReadAll":    s.ReadAll(t.Context(), 0, eventstore.Filter{}),
	} {
		i := 0
		for e, err := range seq {
			require.NoError(t, err)
			require.Len(t, e.Data, sizes[i], "%s, event %d", name, i)
			require.EqualValues(t, i+1, e.Version)
			i++
		}
		require.Equal(t, len(sizes), i, name)
	}
}

// Reading holds a page, not the log.
func TestReadingIsFlat(t *testing.T) { //nolint:paralleltest // it looks at the memory of the process
	if testing.Short() {
		t.Skip("it writes 64 MB")
	}
	s, _ := openInternal(t)
	const n, size = 16_384, 4 << 10
	for i := range n / 1_024 {
		var events []eventstore.Event
		for range 1_024 {
			e := eventOf("held")
			e.Data = make([]byte, size)
			events = append(events, e)
		}
		_, err := s.Append(t.Context(), writeOf(fmt.Sprint("s-", i%2), eventstore.Any, events...))
		require.NoError(t, err)
	}
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	before, most, read := inUse(), uint64(0), 0
	for _, err := range s.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		if read++; read%1_000 == 0 {
			most = max(most, inUse())
		}
	}
	require.Equal(t, n, read)
	require.Less(t, most-min(most, before), uint64(4*pageBytes), "of %d MB", n*size>>20)
}

func TestReadersOfTheStreamSeeWhatWasAppendedMeanwhile(t *testing.T) {
	t.Parallel()
	s, _ := openInternal(t)
	var events []eventstore.Event
	for range firstPage {
		events = append(events, eventOf("held"))
	}
	_, err := s.Append(t.Context(), writeOf("a", eventstore.None, events...))
	require.NoError(t, err)
	n := 0
	for e, err := range s.ReadStream(t.Context(), "a", 0) {
		require.NoError(t, err)
		if n++; n == 1 {
			_, err := s.Append(t.Context(), writeOf("a", eventstore.Exactly(firstPage)))
			require.NoError(t, err, "reading holds nothing that an append waits for")
		}
		require.EqualValues(t, n, e.Version)
	}
	require.Equal(t, firstPage+1, n, "the second page was read after the append")
}

// A read is over when its reader stops.
func TestReadersStop(t *testing.T) {
	t.Parallel()
	s, _ := openInternal(t)
	_, err := s.Append(t.Context(), writeOf("a", eventstore.None, eventOf("1"), eventOf("2"), eventOf("3")))
	require.NoError(t, err)
	for range 3 * poolSize { // more than there are connections
		for _, err := range s.ReadStream(t.Context(), "a", 0) {
			require.NoError(t, err)
			break
		}
		for _, err := range s.ReadAll(t.Context(), 0, eventstore.Filter{}) {
			require.NoError(t, err)
			break
		}
		for _, err := range s.Subscribe(t.Context(), 0, eventstore.Filter{}) {
			require.NoError(t, err)
			break
		}
	}
	require.Eventually(t, func() bool { return s.pool.Stat().AcquiredConns() == 0 }, time.Minute, time.Millisecond)
	require.Zero(t, s.tail.readers)
}
