package memory_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

func one(stream, eventType string) eventstore.Write {
	return eventstore.Write{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{{Type: eventType}}}
}

func open(t *testing.T, c memory.Config) *memory.Store {
	t.Helper()
	s, err := memory.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestClock(t *testing.T) {
	t.Parallel()
	var offset atomic.Int64
	begin := time.Date(2030, 3, 1, 12, 0, 0, 1_999, time.FixedZone("", 3600))
	s := open(t, memory.Config{Now: func() time.Time { return begin.Add(time.Duration(offset.Load())) }})
	ctx := t.Context()

	done, err := s.Append(ctx, one("a-1", "made"), eventstore.Write{Claim: &eventstore.Claim{Key: "k", Until: begin.Add(time.Hour)}})
	require.NoError(t, err)
	require.Equal(t, time.Date(2030, 3, 1, 11, 0, 0, 1_000, time.UTC), done[0].Events[0].At)
	first, err := s.AcquireLease(ctx, "sub", "me", time.Hour)
	require.NoError(t, err)

	offset.Store(int64(time.Hour) - 1_000)
	_, found, err := s.LoadClaim(ctx, "k")
	require.NoError(t, err)
	require.True(t, found, "an instant before its time has run out")
	_, err = s.AcquireLease(ctx, "sub", "you", time.Hour)
	require.ErrorAs(t, err, new(*eventstore.LeaseHeldError))

	offset.Store(int64(time.Hour))
	_, found, err = s.LoadClaim(ctx, "k")
	require.NoError(t, err)
	require.False(t, found, "when its time has run out")
	second, err := s.AcquireLease(ctx, "sub", "you", time.Hour)
	require.NoError(t, err)
	require.Greater(t, second.Token, first.Token)
}

// A subscription that has read everything waits on nothing but the store: in a
// bubble, time stands still while it does.
func TestSubscriptionsWaitWithoutPolling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memory.Config{})
		begin := time.Now()
		var got atomic.Int64
		ended := make(chan error, 1)
		go func() {
			for _, err := range s.Subscribe(t.Context(), 0, eventstore.Filter{}) {
				if err != nil {
					ended <- err
					return
				}
				got.Add(1)
			}
		}()
		for i := range 10 {
			synctest.Wait()
			require.EqualValues(t, i, got.Load())
			_, err := s.Append(t.Context(), one("a-1", "made"))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.EqualValues(t, 10, got.Load())
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-ended, eventstore.ErrClosed)
		require.Zero(t, time.Since(begin))
	})
}

// A read goes on with what was there when it began, and holds no lock.
func TestReadsBesideAppends(t *testing.T) {
	t.Parallel()
	s := open(t, memory.Config{})
	for range 3 {
		_, err := s.Append(t.Context(), one("a-1", "made"))
		require.NoError(t, err)
	}
	n := 0
	for e, err := range s.ReadStream(t.Context(), "a-1", 1) {
		require.NoError(t, err)
		n++
		require.EqualValues(t, n, e.Version)
		_, err := s.Append(t.Context(), one("a-1", "made"))
		require.NoError(t, err)
	}
	require.Equal(t, 3, n)
}

func TestWhatAppendReturnsIsNotTheLog(t *testing.T) {
	t.Parallel()
	s := open(t, memory.Config{})
	done, err := s.Append(t.Context(), one("a-1", "made"))
	require.NoError(t, err)
	done[0].Events[0].Type = "changed"
	for e, err := range s.ReadStream(t.Context(), "a-1", 1) {
		require.NoError(t, err)
		require.Equal(t, "made", e.Type)
	}
}
