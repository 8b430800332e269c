package eventstoretest

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

// call is a call of a method that would succeed, and leaves something behind if
// it can.
type call struct {
	name string
	do   func(context.Context) error
	// acrossTenants tells that it works with a context for all tenants,
	// anyTenant that it does not look at the context's tenant at all.
	acrossTenants bool
	anyTenant     bool
}

// calls has every method that the store has. Nothing of it must have been there
// before; untouched fails the test if any of it is there then.
func (s *scene) calls() (calls []call, untouched func(context.Context)) {
	s.Helper()
	store := s.Store
	stream, there, key, name := s.stream(), s.stream(), s.unique(), s.unique()
	old := s.fill(s.ctx(), there, 2)
	head := headOf(s.ctx(), s)
	w := write(stream, eventstore.None, 2)
	also := write(s.stream(), eventstore.Any, 1)
	checks := []func(context.Context){func(ctx context.Context) {
		s.requireVersion(ctx, stream, 0)
		s.requireVersion(ctx, also.Stream, 0)
		require.Empty(s, s.read(store.ReadAll(ctx, head, eventstore.Filter{})))
	}}
	first := func(events func(func(eventstore.Recorded, error) bool)) error {
		_, err := pages(events, 1)()
		return err
	}
	calls = []call{
		{name: "Append", do: func(ctx context.Context) error {
			_, err := store.Append(ctx, w)
			return err
		}},
		{name: "Append to two streams", do: func(ctx context.Context) error {
			_, err := store.Append(ctx, also, write(there, eventstore.Any, 1))
			return err
		}},
		{name: "ReadStream", do: func(ctx context.Context) error { return first(store.ReadStream(ctx, there, 1)) }},
		{name: "ReadStream of nothing", do: func(ctx context.Context) error { return first(store.ReadStream(ctx, "nothing there", 1)) }},
		{name: "ReadAll", acrossTenants: true, do: func(ctx context.Context) error {
			return first(store.ReadAll(ctx, old[0].Position-1, eventstore.Filter{}))
		}},
		{name: "ReadAll from the end", acrossTenants: true, do: func(ctx context.Context) error {
			return first(store.ReadAll(ctx, 1<<60, eventstore.Filter{}))
		}},
		{name: "Head", acrossTenants: true, do: func(ctx context.Context) error {
			_, err := store.Head(ctx)
			return err
		}},
		{name: "Subscribe", acrossTenants: true, do: func(ctx context.Context) error {
			return first(store.Subscribe(ctx, old[0].Position-1, eventstore.Filter{}))
		}},
	}
	if l, ok := store.(eventstore.Lookup); ok {
		calls = append(calls, call{name: "Lookup", do: func(ctx context.Context) error {
			_, err := l.Lookup(ctx, old[0].ID)
			return err
		}}, call{name: "Lookup of nothing", do: func(ctx context.Context) error {
			_, err := l.Lookup(ctx, uuid.New())
			return err
		}})
	}
	if c, ok := store.(eventstore.Claims); ok {
		checks = append(checks, func(ctx context.Context) { require.Nil(s, s.loadClaim(ctx, key)) })
		calls = append(calls, call{name: "Append with a claim", do: func(ctx context.Context) error {
			_, err := store.Append(ctx, eventstore.Write{Claim: claim(key, "")})
			return err
		}}, call{name: "LoadClaim", do: func(ctx context.Context) error {
			_, _, err := c.LoadClaim(ctx, key)
			return err
		}}, call{name: "DeleteExpiredClaims", anyTenant: true, do: func(ctx context.Context) error {
			_, err := c.DeleteExpiredClaims(ctx, 1)
			return err
		}})
	}
	if c, ok := store.(eventstore.Snapshots); ok {
		kept := snapshot(there, 1, "kept")
		kept.Type = "kept"
		s.saveSnapshot(s.ctx(), kept)
		checks = append(checks, func(ctx context.Context) {
			require.Nil(s, s.loadSnapshot(ctx, there, "seats"))
			require.NotNil(s, s.loadSnapshot(ctx, there, "kept"))
		})
		calls = append(calls, call{name: "SaveSnapshot", do: func(ctx context.Context) error {
			return c.SaveSnapshot(ctx, snapshot(there, 1, ""))
		}}, call{name: "LoadSnapshot", do: func(ctx context.Context) error {
			_, _, err := c.LoadSnapshot(ctx, there, "kept")
			return err
		}}, call{name: "DeleteSnapshot", do: func(ctx context.Context) error { return c.DeleteSnapshot(ctx, there, "kept") }})
	}
	if c, ok := store.(eventstore.Checkpoints); ok {
		held := s.acquire(s.ctx(), name, "me", time.Hour)
		other := s.unique()
		checks = append(checks, func(ctx context.Context) {
			l, found, err := c.LoadCheckpoint(ctx, name)
			require.NoError(s, err)
			require.True(s, found)
			require.Equal(s, held, l)
			_, found, err = c.LoadCheckpoint(ctx, other)
			require.NoError(s, err)
			require.False(s, found)
		})
		calls = append(calls, call{name: "AcquireLease", do: func(ctx context.Context) error {
			_, err := c.AcquireLease(ctx, other, "me", time.Minute)
			return err
		}}, call{name: "SaveCheckpoint", do: func(ctx context.Context) error {
			_, err := c.SaveCheckpoint(ctx, held, 1, time.Minute)
			return err
		}}, call{name: "LoadCheckpoint", do: func(ctx context.Context) error {
			_, _, err := c.LoadCheckpoint(ctx, name)
			return err
		}}, call{name: "ReleaseLease", do: func(ctx context.Context) error { return c.ReleaseLease(ctx, held) }}, call{name: "ResetCheckpoint", do: func(ctx context.Context) error { return c.ResetCheckpoint(ctx, name, 3) }})
	}
	if k, ok := store.(eventstore.Keys); ok {
		kept := s.unique()
		want, err := k.Key(s.ctx(), kept)
		require.NoError(s, err)
		checks = append(checks, func(ctx context.Context) {
			_, err := k.LoadKey(ctx, name)
			require.ErrorIs(s, err, eventstore.ErrNoKey)
			got, err := k.LoadKey(ctx, kept)
			require.NoError(s, err)
			require.Equal(s, want, got)
		})
		calls = append(calls, call{name: "Key", do: func(ctx context.Context) error {
			_, err := k.Key(ctx, name)
			return err
		}}, call{name: "LoadKey", do: func(ctx context.Context) error {
			_, err := k.LoadKey(ctx, kept)
			return err
		}}, call{name: "DeleteKey", do: func(ctx context.Context) error { return k.DeleteKey(ctx, kept) }})
	}
	return calls, func(ctx context.Context) {
		s.Helper()
		for _, check := range checks {
			check(ctx)
		}
	}
}
