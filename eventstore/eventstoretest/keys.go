package eventstoretest

import (
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var keyTests = []subtest{
	{"made once and kept", keyMade},
	{"deleted for good", keyDeleted},
	{"made by many", keyRace},
}

func keyMade(s *scene) {
	ctx, keys, subject := s.ctx(), s.Store.(eventstore.Keys), s.unique()
	_, err := keys.LoadKey(ctx, subject)
	require.ErrorIs(s, err, eventstore.ErrNoKey)
	key, err := keys.Key(ctx, subject)
	require.NoError(s, err)
	require.Len(s, key, 32)
	want := string(key)
	key[0]++ // it is the caller's own
	for range 2 {
		key, err = keys.Key(ctx, subject)
		require.NoError(s, err)
		require.Equal(s, want, string(key))
		key, err = keys.LoadKey(ctx, subject)
		require.NoError(s, err)
		require.Equal(s, want, string(key))
		key[1]++
	}
	seen := map[string]string{want: subject}
	for _, name := range oddNames {
		key, err := keys.Key(ctx, subject+name)
		require.NoError(s, err)
		require.Len(s, key, 32)
		require.NotContains(s, seen, string(key), "two subjects have the same key")
		seen[string(key)] = name
	}
}

func keyDeleted(s *scene) {
	ctx, keys, subject, other := s.ctx(), s.Store.(eventstore.Keys), s.unique(), s.unique()
	_, err := keys.Key(ctx, subject)
	require.NoError(s, err)
	want, err := keys.Key(ctx, other)
	require.NoError(s, err)
	never := s.unique()
	for _, gone := range []string{subject, subject, never} {
		require.NoError(s, keys.DeleteKey(ctx, gone))
		_, err = keys.LoadKey(ctx, gone)
		require.ErrorIs(s, err, eventstore.ErrErased)
		_, err = keys.Key(ctx, gone)
		require.ErrorIs(s, err, eventstore.ErrErased, "a key that was deleted is not made again")
		require.False(s, eventstore.Retryable(err))
	}
	got, err := keys.LoadKey(ctx, other)
	require.NoError(s, err)
	require.Equal(s, want, got)
}

func keyRace(s *scene) {
	ctx, keys, subject := s.ctx(), s.Store.(eventstore.Keys), s.unique()
	all := make([]string, racers)
	s.race(func(i int) error {
		key, err := keys.Key(ctx, subject)
		all[i] = string(key)
		return err
	})
	for _, key := range all {
		require.Len(s, key, 32)
		require.Equal(s, all[0], key, "many who ask at once are given one key")
	}
}
