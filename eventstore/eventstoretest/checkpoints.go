package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var checkpointTests = []subtest{
	{"acquired and renewed", leaseAcquired},
	{"held by another", leaseHeld},
	{"taken when it has run out", leaseExpired},
	{"a holder of an older token is fenced", leaseFenced},
	{"a checkpoint never goes back", checkpointAscends},
	{"released", leaseReleased},
	{"reset", checkpointReset},
	{"looking on", checkpointLoaded},
	{"input that is refused", leaseInput},
	{"acquired by many", leaseRace},
	{"odd names", leaseNames},
}

const (
	long = time.Hour
	// brief is over before the next call: homes count in microseconds.
	brief = time.Nanosecond
)

func (s *scene) checkpoints() eventstore.Checkpoints { return s.Store.(eventstore.Checkpoints) }

func (s *scene) acquire(ctx context.Context, subscription, owner string, ttl time.Duration) eventstore.Lease {
	s.Helper()
	lease, err := s.checkpoints().AcquireLease(ctx, subscription, owner, ttl)
	require.NoError(s, err)
	require.Equal(s, subscription, lease.Subscription)
	require.Equal(s, owner, lease.Owner)
	require.Positive(s, lease.Token)
	require.Equal(s, lease.Expires.UTC().Truncate(time.Microsecond), lease.Expires)
	return lease
}

func (s *scene) save(ctx context.Context, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) eventstore.Lease {
	s.Helper()
	saved, err := s.checkpoints().SaveCheckpoint(ctx, lease, checkpoint, ttl)
	require.NoError(s, err)
	require.Equal(s, checkpoint, saved.Checkpoint)
	require.Equal(s, lease.Token, saved.Token)
	require.Equal(s, lease.Owner, saved.Owner)
	require.Equal(s, lease.Subscription, saved.Subscription)
	return saved
}

func (s *scene) held(ctx context.Context, subscription, owner string, by eventstore.Lease) {
	s.Helper()
	_, err := s.checkpoints().AcquireLease(ctx, subscription, owner, long)
	var held *eventstore.LeaseHeldError
	require.ErrorAs(s, err, &held)
	require.Equal(s, eventstore.LeaseHeldError{Subscription: subscription, Owner: by.Owner, Expires: by.Expires}, *held)
	require.True(s, eventstore.Retryable(err), "a lease runs out")
}

func leaseAcquired(s *scene) {
	ctx, name := s.ctx(), s.unique()
	first := s.acquire(ctx, name, "me", long)
	require.Zero(s, first.Checkpoint)
	again := s.acquire(ctx, name, "me", 2*long)
	require.Equal(s, first.Token, again.Token, "renewed before it has run out")
	require.True(s, again.Expires.After(first.Expires.Add(long/2)), "renewed for twice as long: %v, then %v", first.Expires, again.Expires)
	saved := s.save(ctx, again, 7, 3*long)
	require.True(s, saved.Expires.After(again.Expires.Add(long/2)), "saving renews: %v, then %v", again.Expires, saved.Expires)
	require.EqualValues(s, 7, s.acquire(ctx, name, "me", long).Checkpoint)
	// Both forms of the lease are that of its holder: they have its token.
	s.save(ctx, first, 8, long)
	require.Zero(s, s.acquire(ctx, s.unique(), "me", long).Checkpoint, "another subscription")
}

func leaseHeld(s *scene) {
	ctx, name := s.ctx(), s.unique()
	mine := s.acquire(ctx, name, "me", long)
	s.held(ctx, name, "you", mine)
	s.held(ctx, name, "Me", mine)
	mine = s.save(ctx, mine, 3, 2*long)
	s.held(ctx, name, "you", mine)
	mine = s.acquire(ctx, name, "me", long)
	s.held(ctx, name, "you", mine)
	s.save(ctx, mine, 4, long)
}

func leaseExpired(s *scene) {
	ctx, name := s.ctx(), s.unique()
	mine := s.acquire(ctx, name, "me", brief)
	yours := s.acquire(ctx, name, "you", long)
	require.Greater(s, yours.Token, mine.Token)
	s.held(ctx, name, "me", yours)

	// One's own, too, is another lease when it has run out.
	name = s.unique()
	first := s.acquire(ctx, name, "me", brief)
	second := s.acquire(ctx, name, "me", brief)
	require.Greater(s, second.Token, first.Token)
	third := s.acquire(ctx, name, "me", long)
	require.Greater(s, third.Token, second.Token)
	fourth := s.save(ctx, third, 5, brief)
	fifth := s.acquire(ctx, name, "you", long)
	require.Greater(s, fifth.Token, fourth.Token)
	require.EqualValues(s, 5, fifth.Checkpoint, "goes on where the other was")
}

func leaseFenced(s *scene) {
	ctx, name := s.ctx(), s.unique()
	fenced := func(what string, lease eventstore.Lease, checkpoint eventstore.Position) {
		s.Helper()
		_, err := s.checkpoints().SaveCheckpoint(ctx, lease, checkpoint, long)
		require.ErrorIs(s, err, eventstore.ErrFenced, what)
		require.False(s, eventstore.Retryable(err))
	}
	mine := s.acquire(ctx, name, "me", long)
	mine = s.save(ctx, mine, 5, brief)
	yours := s.acquire(ctx, name, "you", long)
	fenced("taken by another", mine, 6)
	yours = s.save(ctx, yours, 9, brief)
	fenced("taken by another, who has come further", mine, 6)
	again := s.acquire(ctx, name, "me", long)
	fenced("an older one of the same owner", mine, 10)
	fenced("the one between", yours, 10)
	forged := again
	forged.Token++
	fenced("a token that nobody has", forged, 10)
	fenced("a subscription that is not there", eventstore.Lease{Subscription: s.unique(), Owner: "me", Token: 1}, 10)
	require.EqualValues(s, 9, s.acquire(ctx, name, "me", long).Checkpoint)
	s.save(ctx, again, 10, long)
}

func checkpointAscends(s *scene) {
	ctx, name := s.ctx(), s.unique()
	lease := s.acquire(ctx, name, "me", long)
	lease = s.save(ctx, lease, 10, long)
	for _, lower := range []eventstore.Position{9, 0, -1} {
		_, err := s.checkpoints().SaveCheckpoint(ctx, lease, lower, long)
		s.inputError(err, "checkpoint %d after 10", lower)
	}
	lease = s.save(ctx, lease, 10, long) // the same: a heartbeat
	lease = s.save(ctx, lease, 11, long)
	require.EqualValues(s, 11, s.acquire(ctx, name, "me", long).Checkpoint)
	s.save(ctx, lease, 1<<62, long)
	require.EqualValues(s, 1<<62, s.acquire(ctx, name, "me", long).Checkpoint)
}

func leaseReleased(s *scene) {
	ctx, name := s.ctx(), s.unique()
	mine := s.save(ctx, s.acquire(ctx, name, "me", long), 4, long)
	require.NoError(s, s.checkpoints().ReleaseLease(ctx, mine))
	_, err := s.checkpoints().SaveCheckpoint(ctx, mine, 5, long)
	require.ErrorIs(s, err, eventstore.ErrFenced, "given up, though nobody has taken it")
	yours := s.acquire(ctx, name, "you", long)
	require.Greater(s, yours.Token, mine.Token)
	require.EqualValues(s, 4, yours.Checkpoint)

	// What is not held any more cannot be given up.
	require.NoError(s, s.checkpoints().ReleaseLease(ctx, mine))
	require.NoError(s, s.checkpoints().ReleaseLease(ctx, eventstore.Lease{Subscription: s.unique(), Owner: "me", Token: 1}))
	s.held(ctx, name, "me", yours)
	require.NoError(s, s.checkpoints().ReleaseLease(ctx, yours))
	require.NoError(s, s.checkpoints().ReleaseLease(ctx, yours), "twice")
	again := s.acquire(ctx, name, "you", long)
	require.Greater(s, again.Token, yours.Token)
	require.NoError(s, s.checkpoints().ReleaseLease(ctx, yours), "an older one of the same owner")
	s.held(ctx, name, "me", again)
}

func checkpointReset(s *scene) {
	ctx, name := s.ctx(), s.unique()
	mine := s.save(ctx, s.acquire(ctx, name, "me", long), 50, long)
	for _, to := range []eventstore.Position{10, 0, 90} {
		require.NoError(s, s.checkpoints().ResetCheckpoint(ctx, name, to))
		_, err := s.checkpoints().SaveCheckpoint(ctx, mine, 100, long)
		require.ErrorIs(s, err, eventstore.ErrFenced)
		before := mine
		mine = s.acquire(ctx, name, "you", long)
		require.Greater(s, mine.Token, before.Token)
		require.Equal(s, to, mine.Checkpoint)
	}
	name = s.unique()
	require.NoError(s, s.checkpoints().ResetCheckpoint(ctx, name, 20), "of a subscription that never ran")
	require.EqualValues(s, 20, s.acquire(ctx, name, "me", long).Checkpoint)
}

func checkpointLoaded(s *scene) {
	ctx, name := s.ctx(), s.unique()
	load := func() (eventstore.Lease, bool) {
		l, found, err := s.checkpoints().LoadCheckpoint(ctx, name)
		require.NoError(s, err)
		return l, found
	}
	l, found := load()
	require.False(s, found)
	require.Equal(s, eventstore.Lease{}, l)
	mine := s.acquire(ctx, name, "me", long)
	l, found = load()
	require.True(s, found)
	require.Equal(s, mine, l)
	mine = s.save(ctx, mine, 12, 2*long)
	l, _ = load()
	require.Equal(s, mine, l)
	s.save(ctx, mine, 13, long) // looking on takes nothing
	require.NoError(s, s.checkpoints().ReleaseLease(ctx, mine))
	l, found = load()
	require.True(s, found)
	require.Equal(s, name, l.Subscription)
	require.EqualValues(s, 13, l.Checkpoint, "when nobody has it")
	require.NoError(s, s.checkpoints().ResetCheckpoint(ctx, name, 2))
	l, found = load()
	require.True(s, found)
	require.EqualValues(s, 2, l.Checkpoint)
}

func leaseInput(s *scene) {
	ctx, name, checkpoints := s.ctx(), s.unique(), s.checkpoints()
	lease := s.acquire(ctx, s.unique(), "me", long)
	for _, ttl := range []time.Duration{0, -1, -long} {
		_, err := checkpoints.AcquireLease(ctx, name, "me", ttl)
		s.inputError(err, "acquire for %v", ttl)
		_, err = checkpoints.SaveCheckpoint(ctx, lease, 1, ttl)
		s.inputError(err, "save for %v", ttl)
	}
	s.inputError(checkpoints.ResetCheckpoint(ctx, name, -1), "reset to -1")
	_, found, err := checkpoints.LoadCheckpoint(ctx, name)
	require.NoError(s, err)
	require.False(s, found)
	s.save(ctx, lease, 1, long)
}

func leaseRace(s *scene) {
	ctx, name := s.ctx(), s.unique()
	// First nobody has it, then it was given up, then its time has run out.
	token := int64(0)
	for round := range 3 {
		leases := make([]eventstore.Lease, racers)
		wins := make([]int, racers)
		s.race(func(i int) error {
			lease, err := s.checkpoints().AcquireLease(ctx, name, fmt.Sprint("owner ", i), long)
			switch {
			case err == nil:
				wins[i], leases[i] = 1, lease
			case !errors.As(err, new(*eventstore.LeaseHeldError)):
				return fmt.Errorf("want an *eventstore.LeaseHeldError, got a %T: %w", err, err)
			}
			return nil
		})
		require.Equal(s, 1, sum(wins), "holders of a lease, round %d", round)
		for i, won := range wins {
			if won == 0 {
				continue
			}
			require.Greater(s, leases[i].Token, token)
			token = leases[i].Token
			saved := s.save(ctx, leases[i], eventstore.Position(round), brief)
			if round == 0 {
				require.NoError(s, s.checkpoints().ReleaseLease(ctx, saved))
			}
		}
	}
}

func leaseNames(s *scene) {
	ctx := s.ctx()
	prefix := s.unique()
	for i, name := range oddNames {
		s.save(ctx, s.acquire(ctx, prefix+name, name, long), eventstore.Position(i), long)
	}
	for i, name := range oddNames {
		l, found, err := s.checkpoints().LoadCheckpoint(ctx, prefix+name)
		require.NoError(s, err)
		require.True(s, found)
		require.EqualValues(s, i, l.Checkpoint)
		require.Equal(s, name, l.Owner)
	}
}
