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

// Large data is read in groups, when its turn has come.
func TestLargeDataIsReadInGroups(t *testing.T) {
	t.Parallel()
	s, _ := openInternal(t)
	half := groupBytes / 2
	sizes := []int{10, half, half, inlineBytes, inlineBytes + 1, groupBytes + 1, 1, half, half, 1}
	var events []eventstore.Event
	for i, size := range sizes {
		e := eventOf("held")
		e.Data = bytes.Repeat([]byte{byte(i)}, size)
		events = append(events, e)
	}
	_, err := s.Append(t.Context(), writeOf("a", eventstore.None, events...))
	require.NoError(t, err)
	p := page{tenant: noTenant}
	require.NoError(t, s.readPage(t.Context(), "read", &p, readStreamSQL, 100, noTenant, "a", 1))
	filled := func() (which []int) {
		for i := range p.events {
			if p.events[i].Data != nil {
				which = append(which, i)
			}
		}
		return which
	}
	require.Equal(t, []int{0, 3, 6, 9}, filled(), "what is small")
	require.NoError(t, s.fill(t.Context(), &p, 1))
	require.Equal(t, []int{0, 1, 2, 3, 6, 9}, filled(), "as much as a group has")
	require.NoError(t, s.fill(t.Context(), &p, 4))
	require.Equal(t, []int{0, 1, 2, 3, 4, 6, 9}, filled(), "the next does not fit")
	require.NoError(t, s.fill(t.Context(), &p, 5))
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 9}, filled(), "one that is more than a group")

	for name, seq := range map[string]func(func(eventstore.Recorded, error) bool){
		"ReadStream": s.ReadStream(t.Context(), "a", 0),
		"ReadAll":    s.ReadAll(t.Context(), 0, eventstore.Filter{}),
	} {
		i := 0
		for e, err := range seq {
			require.NoError(t, err)
			require.True(t, bytes.Equal(events[i].Data, e.Data), "%s, event %d", name, i)
			i++
		}
		require.Equal(t, len(sizes), i, name)
	}
	found, err := s.Lookup(t.Context(), events[5].ID, events[1].ID)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.True(t, bytes.Equal(events[1].Data, found[0].Data))
	require.True(t, bytes.Equal(events[5].Data, found[1].Data))
}

// Reading holds a page, not the log.
func TestReadingIsFlat(t *testing.T) { //nolint:paralleltest // it looks at the memory of the process
	if testing.Short() {
		t.Skip("it writes 64 MB")
	}
	s, _ := openInternal(t)
	const n, size = 8_192, 8 << 10
	for i := range n / 512 {
		var events []eventstore.Event
		for range 512 {
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
	require.Less(t, most-min(most, before), uint64(16<<20), "of %d MB", n*size>>20)
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
