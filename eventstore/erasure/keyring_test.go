package erasure_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
)

func TestKeysAreAskedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, keys := t.Context(), &service{}
		s := around(t, newInner(t), keys, erasure.Config{KeyTTL: time.Minute})
		appended(ctx, t, s, about("customer-1", "ann", 10))
		collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))
		require.Equal(t, 1, keys.count())
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))
		require.Equal(t, 2, keys.count())
		require.NoError(t, s.Erase(ctx, "ann"))
		time.Sleep(time.Hour) //nolint:forbidigo // virtual time
		collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))
		require.Equal(t, 2, keys.count(), "it stays erased")

		announcing := around(t, newInner(t), keys, erasure.Config{Announce: func(string) (eventstore.Write, error) {
			return eventstore.Write{Stream: "erasures-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "erased"}}}, nil
		}})
		appended(ctx, t, announcing, about("customer-1", "zoe", 1))
		require.NoError(t, announcing.Erase(ctx, "zoe"))
		before := keys.count()
		for range 3 {
			collect(t, announcing.ReadAll(ctx, 0, eventstore.Filter{}))
		}
		require.Equal(t, before, keys.count(), "by an announcement too")
		keys.calls = 2

		none := around(t, newInner(t), keys, erasure.Config{KeyTTL: -1})
		appended(ctx, t, none, about("customer-1", "bob", 10))
		require.Equal(t, 12, keys.count())
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	ctx, keys := t.Context(), &service{}
	s := around(t, newInner(t), keys, erasure.Config{CachedKeys: 3})
	for i := range 10 {
		appended(ctx, t, s, about("customer-1", fmt.Sprint("s", i), 1))
	}
	require.Equal(t, 10, keys.count())
	collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))
	require.GreaterOrEqual(t, keys.count(), 17, "three of ten keys are kept")
	n := keys.count()
	collect(t, s.ReadStream(ctx, "customer-1", 10))
	collect(t, s.ReadStream(ctx, "customer-1", 10))
	require.Equal(t, n, keys.count(), "the last one among them")
	require.NoError(t, s.Erase(ctx, "s0"))
	for i := range 10 {
		require.NoError(t, s.Erase(ctx, fmt.Sprint("s", i)))
	}
	for _, e := range collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})) {
		require.True(t, e.Redacted, "whether it is remembered or not")
	}
}

// A key that was on its way when its subject was erased is not kept.
func TestErasureWhileAKeyIsLoaded(t *testing.T) {
	t.Parallel()
	ctx, keys, db := t.Context(), &service{}, newInner(t)
	appended(ctx, t, around(t, db, keys, erasure.Config{}), about("customer-1", "ann", 1))
	s := around(t, db, keys, erasure.Config{CachedKeys: 1})
	keys.loading = func() {
		keys.mu.Lock()
		keys.loading = nil
		keys.mu.Unlock()
		require.NoError(t, s.Erase(ctx, "ann"))
		require.NoError(t, s.Erase(ctx, "bob")) // takes its place in the cache
	}
	collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})) // began before Erase
	require.True(t, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))[0].Redacted)
}

func TestKeyServiceIsDown(t *testing.T) {
	t.Parallel()
	ctx, keys, db := t.Context(), &service{}, newInner(t)
	s := around(t, db, keys, erasure.Config{KeyTTL: -1})
	ann := appended(ctx, t, s, about("customer-1", "ann", 1))
	require.NoError(t, s.SaveSnapshot(ctx, eventstore.Snapshot{Stream: "customer-1", Type: "s", Version: 1, Subjects: []string{"ann"}}))
	keys.set(true)
	for name, err := range map[string]error{
		"append": func() error { _, err := s.Append(ctx, about("customer-1", "ann", 1)); return err }(),
		"read":   func() error { _, err := lastError(s.ReadAll(ctx, 0, eventstore.Filter{})); return err }(),
		"lookup": func() error { _, err := s.Lookup(ctx, ann[0].ID); return err }(),
		"save":   s.SaveSnapshot(ctx, eventstore.Snapshot{Stream: "customer-1", Type: "s", Version: 1, Subjects: []string{"ann"}}),
		"load":   func() error { _, _, err := s.LoadSnapshot(ctx, "customer-1", "s"); return err }(),
		"erase":  s.Erase(ctx, "ann"),
	} {
		require.ErrorIs(t, err, errDown, name)
		require.NotErrorIs(t, err, eventstore.ErrErased, name)
	}
	require.Len(t, collect(t, db.ReadAll(ctx, 0, eventstore.Filter{})), 1)
	keys.set(false)
	require.Equal(t, ann, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})))
	_, found, err := s.LoadSnapshot(ctx, "customer-1", "s")
	require.NoError(t, err)
	require.True(t, found)
}

// An erasure of which it is not known whether it has happened is asked for again.
func TestErasureWithUnknownOutcome(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	s := around(t, db, &forgetful{db}, erasure.Config{})
	appended(ctx, t, s, about("customer-1", "ann", 1))
	require.ErrorIs(t, s.Erase(ctx, "ann"), errDown)
	require.True(t, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))[0].Redacted)
}

// forgetful loses the answer to a deletion.
type forgetful struct{ eventstore.Keys }

func (f *forgetful) DeleteKey(ctx context.Context, subject string) error {
	if err := f.Keys.DeleteKey(ctx, subject); err != nil {
		return err
	}
	return errDown
}

type weak struct{ eventstore.Keys }

func (weak) Key(context.Context, string) ([]byte, error) { return make([]byte, 16), nil }

func TestWeakKeysAreRefused(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	_, err := around(t, db, weak{db}, erasure.Config{}).Append(ctx, about("customer-1", "ann", 1))
	require.ErrorContains(t, err, "the key service returned 16 bytes, want 32")
	require.Empty(t, collect(t, db.ReadAll(ctx, 0, eventstore.Filter{})))
}

// Readers, writers and erasures at once: no event that is read after an erasure
// has its payload.
func TestRace(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	s := around(t, db, db, erasure.Config{CachedKeys: 4})
	var all sync.WaitGroup
	for w := range 4 {
		subject := fmt.Sprint("s", w)
		appended(ctx, t, s, about(fmt.Sprint("customer-", w), subject, 5))
		all.Go(func() {
			for range 20 {
				if _, err := s.Append(ctx, about(fmt.Sprint("customer-", w), subject, 1)); err != nil {
					return
				}
			}
			if err := s.Erase(ctx, subject); err != nil {
				t.Error(err)
			}
			for e, err := range s.ReadStream(ctx, fmt.Sprint("customer-", w), 1) {
				if err != nil || !e.Redacted || e.Data != nil {
					t.Error("after it was erased:", e, err)
				}
			}
		})
		all.Go(func() {
			for range 10 {
				for _, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
}
