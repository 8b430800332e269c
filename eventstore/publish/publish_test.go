package publish_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/publish"
)

func TestCatchesUpAndGoesLive(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 250)
		var got sink
		r := start(t, ctx, db, got.handle, publish.Config{})
		synctest.Wait()
		require.Equal(t, upTo(250), got.positions())
		require.EqualValues(t, 250, checkpoint(ctx, t, db))

		add(ctx, t, db, "b-1", 30)
		synctest.Wait()
		require.Equal(t, upTo(280), got.positions(), "without time having passed")
		require.EqualValues(t, 280, checkpoint(ctx, t, db))
		for _, b := range got.all() {
			require.Equal(t, "sub", b.Lease.Subscription)
			require.EqualValues(t, 1, b.Lease.Token)
			require.Equal(t, 1, b.Attempt)
			require.Equal(t, 12*time.Second, b.LeaseTTL)
			require.LessOrEqual(t, len(b.Events), 100)
		}

		r.shutdown()
		again := start(t, ctx, db, got.handle, publish.Config{})
		add(ctx, t, db, "a-1", 1)
		synctest.Wait()
		require.Equal(t, upTo(281), got.positions(), "it goes on where it was")
		again.shutdown()
	})
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		for range 20 {
			_, err := db.Append(ctx, eventstore.Write{Stream: "a-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "made", Data: make([]byte, 1000)}}})
			require.NoError(t, err)
		}
		_, err := db.Append(ctx, eventstore.Write{Stream: "a-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "made", Data: make([]byte, 10_000)}}})
		require.NoError(t, err)
		var got sink
		wait := make(chan struct{})
		start(t, ctx, db, func(ctx context.Context, b publish.Batch) error {
			<-wait // so that the reader is ahead
			return got.handle(ctx, b)
		}, publish.Config{BatchBytes: 3500, BatchSize: 10})
		synctest.Wait()
		close(wait)
		synctest.Wait()
		require.Equal(t, upTo(21), got.positions())
		most := 0
		for _, b := range got.all() {
			most = max(most, len(b.Events))
		}
		require.Equal(t, 3, most, "batches are full, and no fuller than they may be")
	})
}

// A checkpoint that stood still while nothing is wanted would have a restart read
// everything again.
func TestCheckpointMovesOverWhatIsNotWanted(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 10)
		var got sink
		start(t, ctx, db, got.handle, publish.Config{Filter: eventstore.Filter{Types: []string{"odd"}, Categories: []string{"a"}}})
		synctest.Wait()
		require.Equal(t, []eventstore.Position{2, 4, 6, 8, 10}, got.positions())

		add(ctx, t, db, "b-1", 7) // while it is live
		synctest.Wait()
		require.EqualValues(t, 10, checkpoint(ctx, t, db))
		elapse(4 * time.Second) // more than a heartbeat
		require.EqualValues(t, 17, checkpoint(ctx, t, db))

		add(ctx, t, db, "a-1", 2)
		synctest.Wait()
		require.Equal(t, []eventstore.Position{2, 4, 6, 8, 10, 19}, got.positions())
		add(ctx, t, db, "a-1", 2)
		synctest.Wait()
		require.Equal(t, []eventstore.Position{2, 4, 6, 8, 10, 19, 21}, got.positions())
		require.EqualValues(t, 21, checkpoint(ctx, t, db))
	})
	t.Run("before it begins", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			add(ctx, t, db, "b-1", 7)
			var got sink
			start(t, ctx, db, got.handle, publish.Config{Filter: eventstore.Filter{Categories: []string{"a"}}})
			synctest.Wait()
			require.EqualValues(t, 7, checkpoint(ctx, t, db))
			require.Empty(t, got.all())
		})
	})
}

// The look at the head that moves an idle checkpoint must not move it over an
// event that the subscription has not brought yet.
func TestCheckpointDoesNotOvertakeTheSubscription(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		slow := make(chan struct{})
		f := &faulty{home: db, before: func(_ context.Context, call string) error {
			if call == follow {
				<-slow
			}
			return nil
		}}
		var got sink
		r := start(t, ctx, f, got.handle, publish.Config{Filter: eventstore.Filter{Categories: []string{"a"}}})
		synctest.Wait()
		add(ctx, t, db, "b-1", 3)
		add(ctx, t, db, "a-1", 1)
		add(ctx, t, db, "b-1", 3)
		elapse(time.Minute)
		require.Zero(t, checkpoint(ctx, t, db))
		close(slow)
		elapse(time.Minute)
		require.Equal(t, []eventstore.Position{4}, got.positions())
		require.EqualValues(t, 7, checkpoint(ctx, t, db))
		r.shutdown()
	})
}

func TestAllTenants(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(eventstore.WithTenant(ctx, "red"), t, db, "a-1", 2)
		add(eventstore.WithTenant(ctx, "blue"), t, db, "a-1", 1)
		ours := eventstore.WithTenant(ctx, "operations")
		var tenants []string
		start(t, ours, db, publish.Each(func(ctx context.Context, e eventstore.Recorded) error {
			tenants = append(tenants, e.Tenant)
			_, err := db.Append(ctx, eventstore.Write{Stream: "x-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "t"}}})
			require.ErrorIs(t, err, eventstore.ErrNoTenant, "nothing is done for a tenant by mistake")
			return nil
		}), publish.Config{AllTenants: true})
		synctest.Wait()
		require.Equal(t, []string{"red", "red", "blue"}, tenants)
		require.EqualValues(t, 3, checkpoint(ours, t, db))
		require.Zero(t, checkpoint(ctx, t, db))

		p, err := publish.New(db, db, "sub", (&sink{}).handle, publish.Config{})
		require.NoError(t, err)
		require.ErrorIs(t, p.Run(eventstore.AllTenants(ctx)), eventstore.ErrNoTenant)
	})
	t.Run("or one", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			red := eventstore.WithTenant(ctx, "red")
			add(eventstore.WithTenant(ctx, "blue"), t, db, "a-1", 2)
			add(red, t, db, "a-1", 2)
			var got sink
			start(t, red, db, got.handle, publish.Config{})
			synctest.Wait()
			require.Equal(t, []eventstore.Position{3, 4}, got.positions())
		})
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	t.Run("saves what was handled", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			add(ctx, t, db, "a-1", 3)
			r := start(t, ctx, db, func(ctx context.Context, b publish.Batch) error {
				<-ctx.Done()
				return nil
			}, publish.Config{})
			synctest.Wait()
			r.shutdown()
			require.EqualValues(t, 3, checkpoint(ctx, t, db))
		})
	})
	t.Run("and a part of a batch", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			add(ctx, t, db, "a-1", 5)
			n := 0
			r := start(t, ctx, db, publish.Each(func(ctx context.Context, _ eventstore.Recorded) error {
				if n++; n == 2 {
					<-ctx.Done()
				}
				return nil
			}), publish.Config{BatchSize: 5})
			synctest.Wait()
			r.shutdown()
			require.Equal(t, 2, n)
			require.EqualValues(t, 2, checkpoint(ctx, t, db))
		})
	})
	t.Run("releases the lease", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			first := start(t, ctx, db, (&sink{}).handle, publish.Config{})
			synctest.Wait()
			var got sink
			start(t, ctx, db, got.handle, publish.Config{})
			synctest.Wait()
			add(ctx, t, db, "a-1", 1)
			first.shutdown()
			add(ctx, t, db, "a-1", 1)
			elapse(4500 * time.Millisecond) // one and a half heartbeats
			require.Subset(t, got.positions(), []eventstore.Position{2})
		})
	})
	t.Run("keeps the lease until the handler has returned", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			add(ctx, t, db, "a-1", 1)
			finish := make(chan struct{})
			first := start(t, ctx, db, func(context.Context, publish.Batch) error {
				<-finish
				return nil
			}, publish.Config{})
			synctest.Wait()
			first.stop()
			var got sink
			start(t, ctx, db, got.handle, publish.Config{})
			elapse(time.Minute)
			require.Empty(t, got.all())
			close(finish)
			require.Equal(t, context.Canceled, first.wait())
			require.EqualValues(t, 1, checkpoint(ctx, t, db))
		})
	})
	t.Run("that fails is told", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			gone := errGone
			r := start(t, ctx, &faulty{home: db, before: func(_ context.Context, call string) error {
				if call == release {
					return gone
				}
				return nil
			}}, (&sink{}).handle, publish.Config{})
			synctest.Wait()
			r.stop()
			err := r.wait()
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, gone)
		})
	})
	t.Run("while it waits", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			start(t, ctx, db, (&sink{}).handle, publish.Config{})
			synctest.Wait()
			r := start(t, ctx, db, (&sink{}).handle, publish.Config{})
			synctest.Wait()
			r.shutdown()
		})
	})
	t.Run("with a cause", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			ctx, cancel := context.WithCancelCause(ctx)
			r := start(t, ctx, db, (&sink{}).handle, publish.Config{})
			synctest.Wait()
			cancel(errGone)
			require.Equal(t, context.Canceled, r.wait())
		})
	})
	t.Run("before it begins", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			p, err := publish.New(db, db, "sub", (&sink{}).handle, publish.Config{})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			require.Equal(t, context.Canceled, p.Run(ctx))
			_, found, err := db.LoadCheckpoint(context.WithoutCancel(ctx), "sub")
			require.NoError(t, err)
			require.False(t, found)
		})
	})
}

func TestNewChecks(t *testing.T) {
	t.Parallel()
	bad := map[string]publish.Config{
		"BatchSize":     {BatchSize: -1},
		"BatchBytes":    {BatchBytes: -1},
		"LeaseTTL":      {LeaseTTL: -time.Second},
		"Heartbeat":     {LeaseTTL: time.Second, Heartbeat: 501 * time.Millisecond},
		"RetryDelay":    {RetryDelay: -1},
		"MaxRetryDelay": {RetryDelay: time.Second, MaxRetryDelay: time.Millisecond},
		"Attempts":      {Attempts: -1},
		"Owner":         {Owner: "a\x00b"},
	}
	refused := func(store eventstore.Store, checkpoints eventstore.Checkpoints, name string, h publish.Handler, cfg publish.Config) *eventstore.InputError {
		_, err := publish.New(store, checkpoints, name, h, cfg)
		var input *eventstore.InputError
		require.ErrorAs(t, err, &input)
		return input
	}
	db := &faulty{}
	handler := (&sink{}).handle
	for field, cfg := range bad {
		require.Equal(t, "Config."+field, refused(db, db, "sub", handler, cfg).Field)
	}
	require.Equal(t, "name", refused(db, db, "", handler, publish.Config{}).Field)
	require.Equal(t, "store", refused(nil, db, "sub", handler, publish.Config{}).Field)
	require.Equal(t, "checkpoints", refused(db, nil, "sub", handler, publish.Config{}).Field)
	require.Equal(t, "handler", refused(db, db, "sub", nil, publish.Config{}).Field)
}
