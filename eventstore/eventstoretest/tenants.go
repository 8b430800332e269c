package eventstoretest

import (
	"context"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var tenantTests = []subtest{
	{"streams are apart", tenantStreams},
	{"event ids are apart", tenantIDs},
	{"reads and subscriptions see their own", tenantReads},
	{"claims are apart", tenantClaims},
	{"snapshots are apart", tenantSnapshots},
	{"checkpoints are apart", tenantCheckpoints},
	{"keys are apart", tenantKeys},
	{"a context for all tenants reads all", tenantAllRead},
	{"a context for all tenants does nothing else", tenantAllRefused},
	{"a context without a tenant", tenantMissing},
	{"odd names", tenantNames},
	{"many at once", tenantRace},
}

// tenants returns contexts of tenants that nobody has used. Without one is a
// tenant too, if that is allowed.
func (s *scene) tenants() []context.Context {
	name := s.unique()
	if len(name) > eventstore.MaxName-2 {
		name = name[len(name)-eventstore.MaxName+2:]
	}
	ctx := s.ctx()
	all := []context.Context{eventstore.WithTenant(ctx, name+"a"), eventstore.WithTenant(ctx, name+"A")}
	if !s.TenantRequired {
		all = append(all, ctx)
	}
	return all
}

func tenantOf(ctx context.Context) string {
	tenant, _ := eventstore.TenantFrom(ctx)
	return tenant
}

func tenantStreams(s *scene) {
	stream := s.stream()
	for i, ctx := range s.tenants() {
		require.Empty(s, s.readStream(ctx, stream))
		_, err := s.Store.Append(ctx, write(stream, eventstore.Exists, 1))
		var conflict *eventstore.ConflictError
		require.ErrorAs(s, err, &conflict)
		require.Zero(s, conflict.Actual)
		done := s.append(ctx, write(stream, eventstore.None, i+1))[0]
		require.EqualValues(s, i+1, done.Version)
		for _, e := range done.Events {
			require.Equal(s, tenantOf(ctx), e.Tenant)
		}
		s.same(done.Events, s.readStream(ctx, stream))
		s.append(ctx, write(stream, eventstore.Exactly(done.Version), 1))
		s.requireVersion(ctx, stream, i+2)
	}
	if !s.TenantRequired {
		done := s.append(eventstore.WithTenant(s.ctx(), ""), write(stream, eventstore.Exactly(4), 1))
		require.EqualValues(s, 5, done[0].Version, "an empty tenant is as none")
	}
}

func tenantIDs(s *scene) {
	w := write(s.stream(), eventstore.None, 2)
	for _, ctx := range s.tenants() {
		s.append(ctx, w)
		_, err := s.Store.Append(ctx, w)
		require.ErrorAs(s, err, new(*eventstore.DuplicateEventError))
		if l, ok := s.Store.(eventstore.Lookup); ok {
			got, err := l.Lookup(ctx, w.Events[0].ID, w.Events[1].ID)
			require.NoError(s, err)
			s.same(s.readStream(ctx, w.Stream), got)
		}
	}
}

func tenantReads(s *scene) {
	tenants, stream, mark := s.tenants(), s.stream(), s.unique()
	head := headOf(tenants[0], s)
	waits := make([]func() error, len(tenants))
	live := make([][]eventstore.Recorded, len(tenants))
	for i, ctx := range tenants {
		waits[i] = background(func() (err error) {
			live[i], err = until(s.Store.Subscribe(ctx, head, eventstore.Filter{}), mark)
			return err
		})
	}
	want := make([][]eventstore.Recorded, len(tenants))
	for range 4 {
		for i, ctx := range tenants {
			done := s.append(ctx, write(stream, eventstore.Any, 2))[0]
			want[i] = append(want[i], done.Events...)
			require.GreaterOrEqual(s, headOf(ctx, s), done.Position)
		}
	}
	for i, ctx := range tenants {
		s.same(want[i], s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{})))
		s.same(want[i][3:], s.read(s.Store.ReadAll(ctx, want[i][2].Position, eventstore.Filter{Types: []string{"held"}})))
		s.append(ctx, write(mark, eventstore.Any, 1))
	}
	for i, wait := range waits {
		require.NoError(s, wait())
		s.same(want[i], live[i])
	}
}

func tenantClaims(s *scene) {
	if what := needs[eventstore.Claims]("eventstore.Claims")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	s = s.alone()
	key, tenants := s.unique(), s.tenants()
	for i, ctx := range tenants {
		require.Nil(s, s.loadClaim(ctx, key))
		c := claim(key, fmt.Sprint("result of ", i))
		s.append(ctx, eventstore.Write{Claim: c})
		require.Equal(s, c, s.loadClaim(ctx, key))
		_, err := s.Store.Append(ctx, eventstore.Write{Claim: claim(key, "again")})
		s.claimed(err, c)
		s.append(ctx, eventstore.Write{Claim: expired(claim(s.unique(), ""))})
	}
	// Forgetting serves all, whoever asks.
	left := len(tenants)
	for _, ctx := range []context.Context{eventstore.AllTenants(s.ctx()), s.Context(), tenants[0]} {
		n, err := s.Store.(eventstore.Claims).DeleteExpiredClaims(ctx, 1)
		require.NoError(s, err)
		require.Equal(s, min(left, 1), n)
		left -= n
	}
	require.Zero(s, left)
}

func tenantSnapshots(s *scene) {
	if what := needs[eventstore.Snapshots]("eventstore.Snapshots")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	stream := s.stream()
	tenants := s.tenants()
	for i, ctx := range tenants {
		s.inputError(s.Store.(eventstore.Snapshots).SaveSnapshot(ctx, snapshot(stream, 1, "")), "a snapshot of another tenant's stream")
		s.fill(ctx, stream, 5)
		require.Nil(s, s.loadSnapshot(ctx, stream, "seats"))
		s.saveSnapshot(ctx, snapshot(stream, 5-i, fmt.Sprint(i)))
	}
	for i, ctx := range tenants {
		require.Equal(s, fmt.Sprint(i), string(s.theSnapshot(ctx, stream, "seats").Data))
	}
	require.NoError(s, s.Store.(eventstore.Snapshots).DeleteSnapshot(tenants[0], stream, "seats"))
	require.Nil(s, s.loadSnapshot(tenants[0], stream, "seats"))
	require.NotNil(s, s.loadSnapshot(tenants[1], stream, "seats"))
}

func tenantCheckpoints(s *scene) {
	if what := needs[eventstore.Checkpoints]("eventstore.Checkpoints")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	name, tenants := s.unique(), s.tenants()
	leases := make([]eventstore.Lease, len(tenants))
	for i, ctx := range tenants {
		_, found, err := s.checkpoints().LoadCheckpoint(ctx, name)
		require.NoError(s, err)
		require.False(s, found)
		leases[i] = s.save(ctx, s.acquire(ctx, name, fmt.Sprint("owner ", i), long), eventstore.Position(i+10), long)
	}
	require.NoError(s, s.checkpoints().ResetCheckpoint(tenants[0], name, 3))
	for i, ctx := range tenants[1:] {
		leases[i+1] = s.save(ctx, leases[i+1], eventstore.Position(i+20), long)
	}
	require.NoError(s, s.checkpoints().ReleaseLease(tenants[0], leases[1]))
	s.held(tenants[1], name, "you", leases[1])
}

func tenantKeys(s *scene) {
	if what := needs[eventstore.Keys]("eventstore.Keys")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	keys, subject, tenants := s.Store.(eventstore.Keys), s.unique(), s.tenants()
	seen := map[string]bool{}
	for _, ctx := range tenants {
		_, err := keys.LoadKey(ctx, subject)
		require.ErrorIs(s, err, eventstore.ErrNoKey)
		key, err := keys.Key(ctx, subject)
		require.NoError(s, err)
		require.False(s, seen[string(key)], "two tenants have the same key")
		seen[string(key)] = true
	}
	require.NoError(s, keys.DeleteKey(tenants[0], subject))
	_, err := keys.LoadKey(tenants[1], subject)
	require.NoError(s, err)
}

func tenantAllRead(s *scene) {
	stream, mark := s.stream(), s.unique()
	tenants := s.tenants()
	all := eventstore.AllTenants(s.ctx())
	head := headOf(all, s)
	wait := background(func() error {
		got, err := until(s.Store.Subscribe(all, head, eventstore.Filter{}), mark)
		if err == nil && len(got) != 3*len(tenants) {
			err = fmt.Errorf("a subscription for all tenants delivered %d events, want %d", len(got), 3*len(tenants))
		}
		return err
	})
	var want []eventstore.Recorded
	for range 3 {
		for _, ctx := range tenants {
			want = append(want, s.append(ctx, write(stream, eventstore.Any, 1))[0].Events...)
		}
	}
	got := s.read(s.Store.ReadAll(all, head, eventstore.Filter{}))
	s.same(want, got)
	s.ascending(got)
	s.same(want, s.read(s.Store.ReadAll(all, head, eventstore.Filter{Categories: []string{eventstore.Category(stream)}, Types: []string{"held"}})))
	require.GreaterOrEqual(s, headOf(all, s), want[len(want)-1].Position)
	s.append(tenants[0], write(mark, eventstore.Any, 1))
	require.NoError(s, wait())
}

func tenantAllRefused(s *scene) {
	calls, untouched := s.calls()
	all := eventstore.AllTenants(s.ctx())
	for _, c := range calls {
		if err := c.do(all); c.acrossTenants || c.anyTenant {
			require.NoError(s, err, "%s for all tenants", c.name)
		} else {
			require.ErrorIs(s, err, eventstore.ErrNoTenant, "%s for all tenants", c.name)
		}
	}
	untouched(s.ctx())
}

func tenantMissing(s *scene) {
	if !s.TenantRequired {
		s.Skip("the home requires no tenant: that it can is not tested")
	}
	calls, untouched := s.calls()
	for _, c := range calls {
		for _, ctx := range []context.Context{s.Context(), eventstore.WithTenant(s.ctx(), "")} {
			if err := c.do(ctx); c.anyTenant {
				require.NoError(s, err, "%s without a tenant", c.name)
			} else {
				require.ErrorIs(s, err, eventstore.ErrNoTenant, "%s without a tenant", c.name)
				require.False(s, eventstore.Retryable(err))
			}
		}
	}
	untouched(s.ctx())
}

func tenantNames(s *scene) {
	s = s.alone()
	ctx := s.ctx()
	names := append([]string{longName(eventstore.MaxName)}, oddNames...)
	stream := s.stream()
	for i, name := range names {
		s.append(eventstore.WithTenant(ctx, name), write(stream, eventstore.None, 1+i%3))
	}
	for i, name := range names {
		tenant := eventstore.WithTenant(ctx, name)
		s.requireVersion(tenant, stream, 1+i%3)
		got := s.read(s.Store.ReadAll(tenant, 0, eventstore.Filter{}))
		require.Len(s, got, 1+i%3, "events of tenant %q", name)
		require.Equal(s, name, got[0].Tenant)
	}
	calls, untouched := s.calls()
	for _, name := range append([]string{longName(eventstore.MaxName + 1)}, notText...) {
		for _, c := range calls {
			if !c.anyTenant {
				s.inputError(c.do(eventstore.WithTenant(ctx, name)), "%s for tenant %.20q", c.name, name)
			}
		}
	}
	untouched(ctx)
}

// tenantRace has many tenants use the store at once. What a home keeps for a
// while, such as a connection, must not remember whose it was.
func tenantRace(s *scene) {
	ctx, stream, prefix := s.ctx(), s.stream(), s.unique()
	head := headOf(ctx, s)
	s.race(func(i int) error {
		ctx := eventstore.WithTenant(ctx, fmt.Sprint(prefix, i%5))
		for range 6 {
			done, err := s.Store.Append(ctx, write(stream, eventstore.Any, 1))
			if err != nil {
				return err
			}
			for _, events := range []func(func(eventstore.Recorded, error) bool){
				s.Store.ReadStream(ctx, stream, 1), s.Store.ReadAll(ctx, head, eventstore.Filter{}),
			} {
				seen := false
				for e, err := range events {
					if err != nil {
						return err
					}
					if e.Tenant != tenantOf(ctx) {
						return fmt.Errorf("tenant %q reads an event of tenant %q", tenantOf(ctx), e.Tenant)
					}
					seen = seen || e.ID == done[0].Events[0].ID
				}
				if !seen {
					return fmt.Errorf("tenant %q does not see what it has appended", tenantOf(ctx))
				}
			}
		}
		return nil
	})
}
