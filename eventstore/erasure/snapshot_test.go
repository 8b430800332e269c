package erasure_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
)

func snapshotOf(subjects ...string) eventstore.Snapshot {
	return eventstore.Snapshot{Stream: "group-1", Type: "members", Schema: 3, Version: 2, Data: []byte(secret), Subjects: subjects}
}

// A snapshot that was made with somebody's data is not found when any of them was
// erased, so that the state begins with the events.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	for _, erased := range []string{"ann", "bob", "zoe"} {
		ctx, db := t.Context(), newInner(t)
		s := around(t, db, db, erasure.Config{})
		appended(ctx, t, s, about("group-1", "ann", 2))
		given := snapshotOf("zoe", "ann", "bob", "ann")
		require.NoError(t, s.SaveSnapshot(ctx, given))
		require.Equal(t, []byte(secret), given.Data, "the caller's is not changed")

		behind, _, err := db.LoadSnapshot(ctx, "group-1", "members")
		require.NoError(t, err)
		require.NotContains(t, string(behind.Data), secret)
		restarted := around(t, db, db, erasure.Config{})
		for _, s := range []*erasure.Store{s, restarted} {
			got, found, err := s.LoadSnapshot(ctx, "group-1", "members")
			require.NoError(t, err)
			require.True(t, found)
			got.At = given.At
			require.Equal(t, given, got)
		}

		require.NoError(t, s.Erase(ctx, "somebody else"))
		_, found, err := s.LoadSnapshot(ctx, "group-1", "members")
		require.NoError(t, err)
		require.True(t, found)
		require.NoError(t, s.Erase(ctx, erased))
		for _, s := range []*erasure.Store{s, around(t, db, db, erasure.Config{})} {
			got, found, err := s.LoadSnapshot(ctx, "group-1", "members")
			require.NoError(t, err)
			require.False(t, found)
			require.Zero(t, got)
			err = s.SaveSnapshot(ctx, given)
			require.ErrorIs(t, err, eventstore.ErrErased)
			require.ErrorContains(t, err, `save snapshot "members" of "group-1": key of subject "`+erased+`"`)
		}
		// The next one is made without them, and takes the place of the other.
		rest := slices.DeleteFunc([]string{"ann", "bob", "zoe"}, func(s string) bool { return s == erased })
		require.NoError(t, s.SaveSnapshot(ctx, snapshotOf(rest...)))
		_, found, err = s.LoadSnapshot(ctx, "group-1", "members")
		require.NoError(t, err)
		require.True(t, found)
		require.NoError(t, s.DeleteSnapshot(ctx, "group-1", "members"))
		_, found, err = db.LoadSnapshot(ctx, "group-1", "members")
		require.NoError(t, err)
		require.False(t, found)
	}
}

// Whoever lacks one of the keys cannot decrypt a snapshot, whichever it is, and
// whatever this package knows of erasures.
func TestSnapshotsNeedAllKeys(t *testing.T) {
	t.Parallel()
	ctx, db, keys := t.Context(), newInner(t), &service{}
	s := around(t, db, keys, erasure.Config{KeyTTL: -1})
	appended(ctx, t, s, about("group-1", "ann", 2))
	require.NoError(t, s.SaveSnapshot(ctx, snapshotOf("ann", "bob", "zoe")))
	for _, name := range []string{"ann", "bob", "zoe"} {
		right := keys.keys["/"+name]
		keys.keys["/"+name] = bytes.Repeat([]byte{99}, 32)
		_, found, err := s.LoadSnapshot(ctx, "group-1", "members")
		require.NoError(t, err)
		require.False(t, found, name)
		keys.keys["/"+name] = right
		_, found, err = s.LoadSnapshot(ctx, "group-1", "members")
		require.NoError(t, err)
		require.True(t, found)
	}
}

func TestSnapshotIsCheckedFirst(t *testing.T) {
	t.Parallel()
	ctx, db, keys := t.Context(), newInner(t), &service{}
	s := around(t, db, keys, erasure.Config{})
	wrong := snapshotOf("ann")
	wrong.Version = 0
	require.ErrorAs(t, s.SaveSnapshot(ctx, wrong), new(*eventstore.InputError))
	require.ErrorIs(t, s.SaveSnapshot(eventstore.AllTenants(ctx), snapshotOf("ann")), eventstore.ErrNoTenant)
	require.Zero(t, keys.count(), "no key was made")
}

func TestSnapshotWithoutSubjects(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	s := around(t, db, &service{down: true}, erasure.Config{})
	appended(ctx, t, db, about("group-1", "ann", 2))
	require.NoError(t, s.SaveSnapshot(ctx, snapshotOf()))
	behind, _, err := db.LoadSnapshot(ctx, "group-1", "members")
	require.NoError(t, err)
	require.Equal(t, secret, string(behind.Data))
	got, found, err := s.LoadSnapshot(ctx, "group-1", "members")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, behind, got)
}

// A snapshot that was changed, or put in the place of another, is thrown away:
// what it was made of is there.
func TestTamperedSnapshots(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	home := &tampered{Store: db, Snapshots: db}
	var told []*eventstore.DataError
	s := around(t, home, db, erasure.Config{Hooks: erasure.Hooks{SnapshotUnreadable: func(err *eventstore.DataError) { told = append(told, err) }}})
	appended(ctx, t, s, about("group-1", "ann", 2), about("group-2", "bob", 2))
	require.NoError(t, s.SaveSnapshot(ctx, snapshotOf("ann", "bob")))
	for name, change := range map[string]func(*eventstore.Snapshot){
		"a bit of the ciphertext":  func(s *eventstore.Snapshot) { s.Data[70] ^= 1 },
		"the salt":                 func(s *eventstore.Snapshot) { s.Data[10] ^= 1 },
		"shorter than the salt":    func(s *eventstore.Snapshot) { s.Data = s.Data[:30] },
		"plaintext":                func(s *eventstore.Snapshot) { s.Data = []byte("{}") },
		"a form that is not known": func(s *eventstore.Snapshot) { s.Data[3] = 9 },
		"another stream":           func(s *eventstore.Snapshot) { s.Stream = "group-2" },
		"another type":             func(s *eventstore.Snapshot) { s.Type = "seats" },
		"another schema":           func(s *eventstore.Snapshot) { s.Schema = 1 },
		"another version":          func(s *eventstore.Snapshot) { s.Version = 1 },
		"a subject less":           func(s *eventstore.Snapshot) { s.Subjects = s.Subjects[:1] },
		"a subject without a key":  func(s *eventstore.Snapshot) { s.Subjects = append(s.Subjects, "carl") },
	} {
		told, home.changeSnapshot = nil, change
		_, found, err := s.LoadSnapshot(ctx, "group-1", "members")
		require.NoError(t, err, name)
		require.False(t, found, name)
		require.Len(t, told, 1, name)
		require.ErrorContains(t, told[0], "snapshot: ", name)
		require.NotEmpty(t, told[0].Stream)
		require.Equal(t, name == "a subject without a key", errors.Is(told[0], eventstore.ErrNoKey), name)
	}
	told, home.changeSnapshot = nil, func(s *eventstore.Snapshot) { slices.Reverse(s.Subjects) }
	_, found, err := s.LoadSnapshot(ctx, "group-1", "members")
	require.NoError(t, err)
	require.True(t, found)

	// Of one who was erased nobody is told.
	require.NoError(t, s.Erase(ctx, "bob"))
	home.changeSnapshot = func(s *eventstore.Snapshot) { s.Subjects = append([]string{"another without a key"}, s.Subjects...) }
	_, found, err = s.LoadSnapshot(ctx, "group-1", "members")
	require.NoError(t, err)
	require.False(t, found)
	require.Empty(t, told)
}

func TestSnapshotFromBefore(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	appended(ctx, t, db, about("group-1", "ann", 2))
	require.NoError(t, db.SaveSnapshot(ctx, snapshotOf("ann", "bob")))
	s := around(t, db, db, erasure.Config{AcceptPlaintext: true})
	got, found, err := s.LoadSnapshot(ctx, "group-1", "members")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, secret, string(got.Data))
	require.NoError(t, s.Erase(ctx, "bob"))
	_, found, err = s.LoadSnapshot(ctx, "group-1", "members")
	require.NoError(t, err)
	require.False(t, found)
}
