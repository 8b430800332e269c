package eventstoretest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var claimTests = []subtest{
	{"is committed with its events", claimCommitted},
	{"a key that is taken", claimTaken},
	{"many keys that are taken", claimsTaken},
	{"a key whose time has run out", claimExpired},
	{"without events", claimAlone},
	{"goes with an append that is refused", claimRolledBack},
	{"duplicates, claims, conflicts: which is told", claimOrder},
	{"any hash and result", claimContents},
	{"expired ones are deleted", claimsDeleted},
}

// claim makes one that is taken for long.
func claim(key, result string) *eventstore.Claim {
	return &eventstore.Claim{
		Key: key, Hash: []byte("hash of " + result), Result: []byte(result),
		Until: time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond),
	}
}

func expired(c *eventstore.Claim) *eventstore.Claim {
	c.Until = c.Until.Add(-2 * time.Hour)
	return c
}

// loadClaim returns the claim, nil if there is none.
func (s *scene) loadClaim(ctx context.Context, key string) *eventstore.Claim {
	s.Helper()
	c, found, err := s.Store.(eventstore.Claims).LoadClaim(ctx, key)
	require.NoError(s, err)
	if !found {
		require.Equal(s, eventstore.Claim{}, c)
		return nil
	}
	return &c
}

// theClaim returns the claim, which must be there.
func (s *scene) theClaim(ctx context.Context, key string) *eventstore.Claim {
	s.Helper()
	c := s.loadClaim(ctx, key)
	require.NotNil(s, c, "claim %q", key)
	return c
}

func (s *scene) claimed(err error, want *eventstore.Claim, more ...*eventstore.Claim) {
	s.Helper()
	var claimed *eventstore.ClaimedError
	require.ErrorAs(s, err, &claimed)
	require.Equal(s, *want, claimed.Claim, "the claim that was first")
	require.Len(s, claimed.More, len(more), "claims that are taken besides")
	for i := range more {
		require.Equal(s, *more[i], claimed.More[i])
	}
	require.False(s, eventstore.Retryable(err))
}

func claimCommitted(s *scene) {
	ctx, stream, key := s.ctx(), s.stream(), s.unique()
	require.Nil(s, s.loadClaim(ctx, key))
	w := write(stream, eventstore.None, 2)
	w.Claim = claim(key, "first")
	done := s.append(ctx, w, write(s.stream(), eventstore.Any, 1))
	require.EqualValues(s, 2, done[0].Version)
	require.Equal(s, claim(key, "first").Result, s.theClaim(ctx, key).Result)
	require.Equal(s, w.Claim, s.loadClaim(ctx, key))
	require.Nil(s, s.loadClaim(ctx, key+" "))

	// What the caller and the reader change is theirs.
	want := *w.Claim
	want.Hash, want.Result = []byte("hash of first"), []byte("first")
	w.Claim.Result[0], w.Claim.Hash[0] = 'x', 'x'
	s.theClaim(ctx, key).Result[0] = 'y'
	require.Equal(s, &want, s.loadClaim(ctx, key))
}

func claimTaken(s *scene) {
	ctx, stream, key := s.ctx(), s.stream(), s.unique()
	w := write(stream, eventstore.None, 1)
	w.Claim = claim(key, "first")
	s.append(ctx, w)
	for _, stream := range []string{stream, s.stream()} {
		again := write(stream, eventstore.Any, 1)
		again.Claim = claim(key, "second")
		_, err := s.Store.Append(ctx, again)
		s.claimed(err, w.Claim)
		_, err = s.Store.Append(ctx, write(s.stream(), eventstore.Any, 1), again)
		s.claimed(err, w.Claim)
	}
	s.requireVersion(ctx, stream, 1)
	require.Equal(s, w.Claim, s.loadClaim(ctx, key))

	// Two claims in an append are two keys.
	a, b := write(s.stream(), eventstore.Any, 1), write(s.stream(), eventstore.Any, 1)
	a.Claim, b.Claim = claim(s.unique(), "a"), claim(s.unique(), "b")
	s.append(ctx, a, b)
	require.Equal(s, a.Claim, s.loadClaim(ctx, a.Claim.Key))
	require.Equal(s, b.Claim, s.loadClaim(ctx, b.Claim.Key))
	a, b = write(s.stream(), eventstore.Any, 1), write(s.stream(), eventstore.Any, 1)
	a.Claim, b.Claim = claim(s.unique(), "a"), claim(key, "b")
	_, err := s.Store.Append(ctx, a, b)
	s.claimed(err, w.Claim)
	require.Nil(s, s.loadClaim(ctx, a.Claim.Key), "all or nothing")
	b.Claim = claim(a.Claim.Key, "b")
	_, err = s.Store.Append(ctx, a, b)
	s.inputError(err, "the same key twice")
}

// claimsTaken has one append meet all that is taken at once: keys that are free, that
// have run out, and that are another tenant's or stream's stand between.
func claimsTaken(s *scene) {
	ctx := s.ctx()
	var writes []eventstore.Write
	var taken []*eventstore.Claim
	for i := range 40 {
		var w eventstore.Write
		if i%3 == 0 {
			w = write(s.stream(), eventstore.Any, 1)
		}
		key := s.unique()
		first := claim(key, fmt.Sprint(i))
		switch i % 4 {
		case 0:
			s.append(ctx, eventstore.Write{Claim: expired(first)})
		case 1, 2:
			s.append(ctx, eventstore.Write{Claim: first})
			taken = append(taken, first)
		}
		w.Claim = claim(key, "again")
		writes = append(writes, w)
	}
	slices.Reverse(writes)
	slices.Reverse(taken)
	_, err := s.Store.Append(ctx, writes...)
	s.claimed(err, taken[0], taken[1:]...)
	for i := range writes {
		if c := s.loadClaim(ctx, writes[i].Claim.Key); c != nil {
			require.NotEqual(s, "again", string(c.Result), "all or nothing")
		}
	}
}

func claimExpired(s *scene) {
	ctx, stream, key := s.ctx(), s.stream(), s.unique()
	for i := range 3 {
		w := write(stream, eventstore.Any, 1)
		w.Claim = expired(claim(key, fmt.Sprint(i)))
		s.append(ctx, w)
		require.Nil(s, s.loadClaim(ctx, key), "its time has run out")
	}
	w := write(stream, eventstore.Any, 1)
	w.Claim = claim(key, "valid")
	s.append(ctx, w)
	require.Equal(s, w.Claim, s.loadClaim(ctx, key))
	_, err := s.Store.Append(ctx, eventstore.Write{Claim: claim(key, "late")})
	s.claimed(err, w.Claim)
	s.requireVersion(ctx, stream, 4)
}

func claimAlone(s *scene) {
	ctx, key := s.ctx(), s.unique()
	head := headOf(ctx, s)
	c := claim(key, "a command that was rejected")
	done := s.append(ctx, eventstore.Write{Claim: c})
	require.Equal(s, eventstore.Appended{}, eventstore.Appended{Stream: done[0].Stream, Version: done[0].Version, Position: done[0].Position})
	require.Empty(s, done[0].Events)
	require.Equal(s, c, s.loadClaim(ctx, key))
	require.Empty(s, s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{})))
	_, err := s.Store.Append(ctx, eventstore.Write{Claim: claim(key, "again")})
	s.claimed(err, c)

	// Beside a write with events, in either order.
	stream := s.stream()
	done = s.append(ctx, eventstore.Write{Claim: claim(s.unique(), "a")}, write(stream, eventstore.Any, 1), eventstore.Write{Claim: claim(s.unique(), "b")})
	require.Zero(s, done[0].Version)
	require.EqualValues(s, 1, done[1].Version)
	require.Zero(s, done[2].Version)

	_, err = s.Store.Append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.Any, Claim: claim(s.unique(), "c")})
	s.inputError(err, "a claim without events for a stream")
	s.requireVersion(ctx, stream, 1)
}

func claimRolledBack(s *scene) {
	ctx, stream, key := s.ctx(), s.stream(), s.unique()
	there := s.fill(ctx, stream, 1)
	w := write(stream, eventstore.None, 1)
	w.Claim = claim(key, "first")
	_, err := s.Store.Append(ctx, w)
	require.ErrorAs(s, err, new(*eventstore.ConflictError))
	require.Nil(s, s.loadClaim(ctx, key))
	_, err = s.Store.Append(ctx, eventstore.Write{Claim: claim(key, "alone")}, write(stream, eventstore.None, 1))
	require.ErrorAs(s, err, new(*eventstore.ConflictError))
	require.Nil(s, s.loadClaim(ctx, key))
	w.Expected, w.Events[0].ID = eventstore.Any, there[0].ID
	_, err = s.Store.Append(ctx, w)
	require.ErrorAs(s, err, new(*eventstore.DuplicateEventError))
	require.Nil(s, s.loadClaim(ctx, key))
	w.Events[0] = event("held")
	s.append(ctx, w)
	require.Equal(s, w.Claim, s.loadClaim(ctx, key))
}

func claimOrder(s *scene) {
	ctx, stream, key := s.ctx(), s.stream(), s.unique()
	w := write(stream, eventstore.None, 1)
	w.Claim = claim(key, "first")
	s.append(ctx, w)
	// The whole append again: all three are true of it.
	_, err := s.Store.Append(ctx, w)
	require.ErrorAs(s, err, new(*eventstore.DuplicateEventError))
	// The request again, decided anew on what it saw before.
	again := write(stream, eventstore.None, 1)
	again.Claim = claim(key, "second")
	_, err = s.Store.Append(ctx, again)
	s.claimed(err, w.Claim)
	_, err = s.Store.Append(ctx, write(stream, eventstore.None, 1), eventstore.Write{Claim: again.Claim})
	s.claimed(err, w.Claim)
	s.requireVersion(ctx, stream, 1)
}

func claimContents(s *scene) {
	ctx := s.ctx()
	long := make([]byte, 64)
	for i := range long {
		long[i] = byte(255 - i)
	}
	for _, c := range []eventstore.Claim{
		{}, {Hash: []byte{}, Result: []byte{}}, {Hash: []byte{0}, Result: []byte{0}},
		{Hash: long, Result: make([]byte, 1<<20)}, {Result: []byte("\\x00 not JSON \xff")},
	} {
		c.Key, c.Until = s.unique(), time.Now().Add(time.Hour)
		s.append(ctx, eventstore.Write{Claim: &c})
		got := s.theClaim(ctx, c.Key)
		require.Equal(s, string(c.Hash), string(got.Hash))
		require.Equal(s, string(c.Result), string(got.Result))
		require.Equal(s, c.Until.UTC().Truncate(time.Microsecond), got.Until, "in UTC, to the microsecond")
	}
	for _, name := range oddNames {
		key := s.unique() + name
		s.append(ctx, eventstore.Write{Claim: claim(key, name)})
		require.Equal(s, name, string(s.theClaim(ctx, key).Result))
	}
	for what, c := range map[string]eventstore.Claim{
		"hash too long": {Key: s.unique(), Hash: append(long, 1), Until: time.Now().Add(time.Hour)},
		"no time":       {Key: s.unique()},
	} {
		_, err := s.Store.Append(ctx, eventstore.Write{Claim: &c})
		s.inputError(err, "%s", what)
		require.Nil(s, s.loadClaim(ctx, c.Key))
	}
}

func claimsDeleted(s *scene) {
	s = s.alone()
	ctx, claims := s.ctx(), s.Store.(eventstore.Claims)
	valid := claim(s.unique(), "valid")
	s.append(ctx, eventstore.Write{Claim: valid})
	for range 7 {
		s.append(ctx, eventstore.Write{Claim: expired(claim(s.unique(), "expired"))})
	}
	for _, want := range []int{3, 3, 1, 0} {
		n, err := claims.DeleteExpiredClaims(ctx, 3)
		require.NoError(s, err)
		require.Equal(s, want, n)
	}
	require.Equal(s, valid, s.loadClaim(ctx, valid.Key))
	for _, limit := range []int{0, -1} {
		_, err := claims.DeleteExpiredClaims(ctx, limit)
		s.inputError(err, "limit %d", limit)
	}
}
