package saga_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// slow is a home that takes its time for what it is asked, before it does it.
type slow struct {
	saga.Store
	mu    sync.Mutex
	takes map[string]time.Duration // by the call, or "" for all others
}

func (s *slow) wait(ctx context.Context, call string) error {
	s.mu.Lock()
	d, ok := s.takes[call]
	if !ok {
		d = s.takes[""]
	}
	s.mu.Unlock()
	return store.Sleep(ctx, d)
}

func (s *slow) set(takes map[string]time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes = takes
}

func (s *slow) Join(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Worker, error) {
	if err := s.wait(ctx, "Join"); err != nil {
		return saga.Worker{}, err
	}
	return s.Store.Join(ctx, w, ttl)
}

func (s *slow) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	if err := s.wait(ctx, "Beat"); err != nil {
		return saga.Fleet{}, err
	}
	return s.Store.Beat(ctx, w, ttl)
}

func (s *slow) Claim(ctx context.Context, w saga.Worker, leases []saga.Lease) ([]saga.Lease, error) {
	if err := s.wait(ctx, "Claim"); err != nil {
		return nil, err
	}
	return s.Store.Claim(ctx, w, leases)
}

func (s *slow) Release(ctx context.Context, w saga.Worker, leases []saga.Lease) error {
	if err := s.wait(ctx, "Release"); err != nil {
		return err
	}
	return s.Store.Release(ctx, w, leases)
}

func (s *slow) Leave(ctx context.Context, w saga.Worker) error {
	if err := s.wait(ctx, "Leave"); err != nil {
		return err
	}
	return s.Store.Leave(ctx, w)
}

func (s *slow) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	if err := s.wait(ctx, "Load"); err != nil {
		return saga.Record{}, false, err
	}
	return s.Store.Load(ctx, id)
}

func (s *slow) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	if err := s.wait(ctx, "Commit"); err != nil {
		return nil, err
	}
	return s.Store.Commit(ctx, changes)
}

func (s *slow) Inbox(ctx context.Context, shards []saga.Shard, limit int) ([]saga.Message, error) {
	if err := s.wait(ctx, "Inbox"); err != nil {
		return nil, err
	}
	return s.Store.Inbox(ctx, shards, limit)
}

// failures are what a hook was told of the store.
type failures struct {
	mu  sync.Mutex
	all []string
}

func (f *failures) add(call string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if line := call + ": " + err.Error(); !slices.Contains(f.all, line) {
		f.all = append(f.all, line)
	}
}

func (f *failures) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

// A worker whose store takes most of a heartbeat for each call goes on all the same,
// and keeps what it owns, with the shortest lease that there can be.
func TestEachCallHasAHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const heartbeat = time.Second
		home := newHome()
		var failed failures
		var mu sync.Mutex
		var owned []int
		cfg := saga.Config{Worker: "a", Heartbeat: heartbeat, Lease: 2 * heartbeat, Hooks: saga.Hooks{
			StoreFailed: failed.add,
			Owned: func(n int) {
				mu.Lock()
				defer mu.Unlock()
				owned = append(owned, n)
			},
		}}
		o := open(t, &slow{Store: home, takes: map[string]time.Duration{"": heartbeat * 7 / 10}}, newHouse(), cfg)
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Empty(t, failed.got())
		o.start("ann")
		require.Equal(t, saga.Completed, o.wait("ann").Status)
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Empty(t, failed.got())
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []int{saga.Shards}, owned, "it takes them once, and loses none")
	})
}

// What is given up because the store has not answered is told as that.
func TestAStoreThatDoesNotAnswerIsSaid(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		cfg  saga.Config
		want string
	}{
		"heartbeat":     {saga.Config{}, "the store has not answered within Config.Heartbeat, which is 3s: context canceled"},
		"store timeout": {saga.Config{StoreTimeout: time.Second}, "the store has not answered within Config.StoreTimeout, which is 1s: context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				home := &slow{Store: newHome(), takes: map[string]time.Duration{"Claim": time.Hour}}
				var failed failures
				cfg := row.cfg
				cfg.Worker, cfg.Hooks = "a", saga.Hooks{StoreFailed: failed.add}
				o := open(t, home, newHouse(), cfg)
				require.NoError(t, store.Sleep(t.Context(), time.Minute))
				require.Equal(t, []string{"Claim: " + row.want}, failed.got())
				home.set(map[string]time.Duration{"Beat": time.Hour})
				require.NoError(t, store.Sleep(t.Context(), time.Minute))
				home.set(nil)
				require.NoError(t, store.Sleep(t.Context(), time.Minute))
				home.set(map[string]time.Duration{"Release": time.Hour})
				other := open(t, home.Store, newHouse(), saga.Config{Worker: "b"}) // with which it shares
				require.NoError(t, store.Sleep(t.Context(), time.Minute))
				home.set(map[string]time.Duration{"Leave": time.Hour})
				o.close()
				other.close()
				require.Equal(t, []string{"Claim: " + row.want, "Beat: " + row.want, "Release: " + row.want, "Leave: " + row.want}, failed.got())
			})
		})
	}
}
