package eventstoretest

import (
	"io"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var durabilityTests = []subtest{
	{"events are there after reopening", eventsDurable},
	{"claims are there after reopening", claimsDurable},
	{"snapshots are there after reopening", snapshotsDurable},
	{"leases and checkpoints are there after reopening", checkpointsDurable},
	{"keys are there after reopening", keysDurable},
}

// durable returns the scene on a home of its own, and what closes that and opens
// its data again.
func (s *scene) durable() (*scene, func()) {
	s.Helper()
	if s.Reopen == nil {
		s.Skip("the home has no Reopen: what is promised beyond the life of a process is not tested")
	}
	s = s.alone()
	return s, func() {
		s.Helper()
		if c, ok := s.Store.(io.Closer); ok {
			require.NoError(s, c.Close())
		}
		s.Store = s.Reopen(s.T)
	}
}

func eventsDurable(s *scene) {
	s, reopen := s.durable()
	ctx := s.ctx()
	a, b := s.stream(), s.stream()
	full := write(b, eventstore.Exactly(3), 1)
	full.Events[0].Data = []byte{0, 0xff}
	full.Events[0].Meta = eventstore.Meta{CorrelationID: uuid.New(), Actor: "me", Subject: "you", Labels: map[string]string{"a": "b"}}
	var all []eventstore.Recorded
	for _, writes := range [][]eventstore.Write{
		{write(a, eventstore.None, 2), write(b, eventstore.None, 3)},
		{full},
		{write(a, eventstore.Exactly(2), 400)},
	} {
		for _, d := range s.append(ctx, writes...) {
			all = append(all, d.Events...)
		}
	}
	for range 2 {
		head := headOf(ctx, s)
		reopen()
		s.same(all, s.read(s.Store.ReadAll(ctx, 0, eventstore.Filter{})))
		s.same(all, s.take(s.Store.Subscribe(ctx, 0, eventstore.Filter{}), len(all)))
		last := all[len(all)-1]
		require.GreaterOrEqual(s, headOf(ctx, s), last.Position)
		s.same(all[:2], s.readStream(ctx, a)[:2])

		// It goes on where it was.
		_, err := s.Store.Append(ctx, full)
		require.ErrorAs(s, err, new(*eventstore.DuplicateEventError))
		_, err = s.Store.Append(ctx, write(b, eventstore.Exactly(3), 1))
		var conflict *eventstore.ConflictError
		require.ErrorAs(s, err, &conflict)
		version := conflict.Actual
		done := s.append(ctx, write(b, eventstore.Exactly(version), 1))[0]
		require.Equal(s, version+1, done.Version)
		require.Greater(s, done.Position, last.Position)
		require.Greater(s, done.Position, head, "what comes after a head is beyond it")
		s.same(done.Events, s.take(s.Store.Subscribe(ctx, head, eventstore.Filter{}), 1))
		all = append(all, done.Events...)
		if l, ok := s.Store.(eventstore.Lookup); ok {
			got, err := l.Lookup(ctx, last.ID, all[0].ID)
			require.NoError(s, err)
			s.same([]eventstore.Recorded{all[0], last}, got)
		}
	}
}

func claimsDurable(s *scene) {
	s, reopen := s.durable()
	if what := needs[eventstore.Claims]("eventstore.Claims")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	ctx := s.ctx()
	w := write(s.stream(), eventstore.Any, 1)
	w.Claim = claim(s.unique(), "first")
	out := expired(claim(s.unique(), "expired"))
	s.append(ctx, w, eventstore.Write{Claim: out})
	reopen()
	require.Equal(s, w.Claim, s.loadClaim(ctx, w.Claim.Key))
	require.Nil(s, s.loadClaim(ctx, out.Key))
	_, err := s.Store.Append(ctx, eventstore.Write{Claim: claim(w.Claim.Key, "second")})
	s.claimed(err, w.Claim)
	s.append(ctx, eventstore.Write{Claim: claim(out.Key, "again")})
}

func snapshotsDurable(s *scene) {
	s, reopen := s.durable()
	if what := needs[eventstore.Snapshots]("eventstore.Snapshots")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	ctx, stream := s.ctx(), s.stream()
	s.fill(ctx, stream, 3)
	want := snapshot(stream, 2, "two")
	want.Subjects = []string{"a", "b"}
	s.saveSnapshot(ctx, want)
	reopen()
	require.Equal(s, &want, s.loadSnapshot(ctx, stream, want.Type))
	s.saveSnapshot(ctx, snapshot(stream, 1, "one"))
	require.Equal(s, &want, s.loadSnapshot(ctx, stream, want.Type))
	require.NoError(s, s.Store.(eventstore.Snapshots).DeleteSnapshot(ctx, stream, want.Type))
	reopen()
	require.Nil(s, s.loadSnapshot(ctx, stream, want.Type))
}

func checkpointsDurable(s *scene) {
	s, reopen := s.durable()
	if what := needs[eventstore.Checkpoints]("eventstore.Checkpoints")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	ctx, held, gone := s.ctx(), s.unique(), s.unique()
	mine := s.save(ctx, s.acquire(ctx, held, "me", long), 11, long)
	idle := s.save(ctx, s.acquire(ctx, gone, "me", long), 22, brief)
	reopen()
	s.held(ctx, held, "you", mine)
	require.Equal(s, mine.Token, s.acquire(ctx, held, "me", long).Token)
	mine = s.save(ctx, mine, 12, brief)
	yours := s.acquire(ctx, gone, "you", long)
	require.Greater(s, yours.Token, idle.Token)
	require.EqualValues(s, 22, yours.Checkpoint)
	_, err := s.checkpoints().SaveCheckpoint(ctx, idle, 23, long)
	require.ErrorIs(s, err, eventstore.ErrFenced)
	reopen()
	again := s.acquire(ctx, held, "me", long)
	require.Greater(s, again.Token, mine.Token)
	require.EqualValues(s, 12, again.Checkpoint)
}

func keysDurable(s *scene) {
	s, reopen := s.durable()
	if what := needs[eventstore.Keys]("eventstore.Keys")(s.Store); what != "" {
		s.Skipf("%T has no %s: not tested", s.Store, what)
	}
	ctx, kept, deleted := s.ctx(), s.unique(), s.unique()
	keys := func() eventstore.Keys { return s.Store.(eventstore.Keys) }
	want, err := keys().Key(ctx, kept)
	require.NoError(s, err)
	_, err = keys().Key(ctx, deleted)
	require.NoError(s, err)
	require.NoError(s, keys().DeleteKey(ctx, deleted))
	reopen()
	got, err := keys().Key(ctx, kept)
	require.NoError(s, err)
	require.Equal(s, want, got)
	_, err = keys().Key(ctx, deleted)
	require.ErrorIs(s, err, eventstore.ErrErased)
	require.NoError(s, keys().DeleteKey(ctx, kept))
	reopen()
	_, err = keys().LoadKey(ctx, kept)
	require.ErrorIs(s, err, eventstore.ErrErased)
}
