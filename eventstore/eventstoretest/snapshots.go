package eventstoretest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var snapshotTests = []subtest{
	{"saved and loaded", snapshotSaved},
	{"the greater version stays", snapshotGuarded},
	{"one of each type and stream", snapshotTypes},
	{"beyond its stream", snapshotBeyond},
	{"deleted", snapshotDeleted},
	{"any data", snapshotData},
	{"odd names", snapshotNames},
	{"saved by many", snapshotRace},
}

func snapshot(stream string, version int, data string) eventstore.Snapshot {
	return eventstore.Snapshot{Stream: stream, Type: "seats", Schema: 1, Version: eventstore.Version(version), Data: []byte(data)}
}

func (s *scene) saveSnapshot(ctx context.Context, snapshot eventstore.Snapshot) {
	s.Helper()
	require.NoError(s, s.Store.(eventstore.Snapshots).SaveSnapshot(ctx, snapshot))
}

// plainSnapshot leaves out At, and what may be nil or empty.
func plainSnapshot(s eventstore.Snapshot) eventstore.Snapshot {
	s.At = time.Time{}
	if len(s.Data) == 0 {
		s.Data = nil
	}
	if len(s.Subjects) == 0 {
		s.Subjects = nil
	}
	return s
}

// loadSnapshot returns the snapshot, nil if there is none. At is left out.
func (s *scene) loadSnapshot(ctx context.Context, stream, snapshotType string) *eventstore.Snapshot {
	s.Helper()
	got, found, err := s.Store.(eventstore.Snapshots).LoadSnapshot(ctx, stream, snapshotType)
	require.NoError(s, err)
	if !found {
		require.Equal(s, eventstore.Snapshot{}, got)
		return nil
	}
	require.False(s, got.At.IsZero())
	require.Equal(s, got.At.UTC().Truncate(time.Microsecond), got.At)
	got = plainSnapshot(got)
	return &got
}

// theSnapshot returns the snapshot, which must be there.
func (s *scene) theSnapshot(ctx context.Context, stream, snapshotType string) *eventstore.Snapshot {
	s.Helper()
	got := s.loadSnapshot(ctx, stream, snapshotType)
	require.NotNil(s, got, "snapshot %q of %q", snapshotType, stream)
	return got
}

func snapshotSaved(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	s.fill(ctx, stream, 5)
	require.Nil(s, s.loadSnapshot(ctx, stream, "seats"))
	want := eventstore.Snapshot{
		Stream: stream, Type: "seats", Schema: 3, Version: 4, Data: []byte{0, 1, 0xff},
		Subjects: []string{"customer-1", "'", "日本"},
	}
	given := want
	given.At = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // the store sets it
	given.Data, given.Subjects = bytes.Clone(want.Data), append([]string(nil), want.Subjects...)
	s.saveSnapshot(ctx, given)
	given.Data[0], given.Subjects[0] = 'x', "changed"
	require.Equal(s, &want, s.loadSnapshot(ctx, stream, "seats"))
	got, _, err := s.Store.(eventstore.Snapshots).LoadSnapshot(ctx, stream, "seats")
	require.NoError(s, err)
	require.NotEqual(s, 1999, got.At.Year())

	// The stream does not know of it.
	s.requireVersion(ctx, stream, 5)
	s.append(ctx, write(stream, eventstore.Exactly(5), 1))
}

func snapshotGuarded(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	s.fill(ctx, stream, 5)
	for _, c := range []struct {
		save int
		data string
		want string
	}{{2, "two", "two"}, {1, "one", "two"}, {2, "two again", "two again"}, {4, "four", "four"}, {3, "three", "four"}, {5, "five", "five"}} {
		s.saveSnapshot(ctx, snapshot(stream, c.save, c.data))
		require.Equal(s, c.want, string(s.theSnapshot(ctx, stream, "seats").Data), "after version %d was saved", c.save)
	}
}

func snapshotTypes(s *scene) {
	ctx, a, b := s.ctx(), s.stream(), s.stream()
	s.fill(ctx, a, 3)
	s.fill(ctx, b, 3)
	for version, stream := range []string{a, b} {
		for _, snapshotType := range []string{"seats", "Seats", "prices"} {
			x := snapshot(stream, version+1, stream+snapshotType)
			x.Type = snapshotType
			s.saveSnapshot(ctx, x)
		}
	}
	for version, stream := range []string{a, b} {
		for _, snapshotType := range []string{"seats", "Seats", "prices"} {
			got := s.theSnapshot(ctx, stream, snapshotType)
			require.Equal(s, stream+snapshotType, string(got.Data))
			require.EqualValues(s, version+1, got.Version)
		}
	}
}

func snapshotBeyond(s *scene) {
	ctx, stream, snapshots := s.ctx(), s.stream(), s.Store.(eventstore.Snapshots)
	s.inputError(snapshots.SaveSnapshot(ctx, snapshot(stream, 1, "of no stream")), "a stream without events")
	s.fill(ctx, stream, 2)
	s.inputError(snapshots.SaveSnapshot(ctx, snapshot(stream, 3, "too far")), "beyond the stream")
	for _, version := range []int{0, -1} {
		s.inputError(snapshots.SaveSnapshot(ctx, snapshot(stream, version, "")), "version %d", version)
	}
	for _, schema := range []int{-1, 32_768} {
		x := snapshot(stream, 1, "")
		x.Schema = schema
		s.inputError(snapshots.SaveSnapshot(ctx, x), "schema %d", schema)
	}
	require.Nil(s, s.loadSnapshot(ctx, stream, "seats"))
	s.saveSnapshot(ctx, snapshot(stream, 2, "two"))
	s.inputError(snapshots.SaveSnapshot(ctx, snapshot(stream, 3, "too far")), "beyond the stream")
	require.Equal(s, "two", string(s.theSnapshot(ctx, stream, "seats").Data))
}

func snapshotDeleted(s *scene) {
	ctx, stream, snapshots := s.ctx(), s.stream(), s.Store.(eventstore.Snapshots)
	s.fill(ctx, stream, 5)
	require.NoError(s, snapshots.DeleteSnapshot(ctx, stream, "seats"), "there is none")
	require.NoError(s, snapshots.DeleteSnapshot(ctx, s.stream(), "seats"), "there is no stream")
	s.saveSnapshot(ctx, snapshot(stream, 5, "five"))
	prices := snapshot(stream, 5, "prices")
	prices.Type = "prices"
	s.saveSnapshot(ctx, prices)
	require.NoError(s, snapshots.DeleteSnapshot(ctx, stream, "seats"))
	require.Nil(s, s.loadSnapshot(ctx, stream, "seats"))
	require.NotNil(s, s.loadSnapshot(ctx, stream, "prices"))
	s.saveSnapshot(ctx, snapshot(stream, 1, "one"))
	require.Equal(s, "one", string(s.theSnapshot(ctx, stream, "seats").Data), "the greater one was forgotten")
}

func snapshotData(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	s.fill(ctx, stream, 1)
	for _, data := range [][]byte{nil, {}, {0}, []byte("not JSON \xff"), bytes.Repeat([]byte{0, 0xff}, 1<<19)} {
		x := snapshot(stream, 1, "")
		x.Data, x.Schema = data, 0
		s.saveSnapshot(ctx, x)
		got := s.theSnapshot(ctx, stream, "seats")
		require.True(s, bytes.Equal(data, got.Data), "%d bytes", len(data))
		require.Equal(s, 1, got.Schema, "schema 0 is 1")
		require.Empty(s, got.Subjects)
	}
	x := snapshot(stream, 1, "")
	x.Subjects = []string{"a", ""}
	s.inputError(s.Store.(eventstore.Snapshots).SaveSnapshot(ctx, x), "a subject without a name")
}

func snapshotNames(s *scene) {
	s = s.alone()
	ctx := s.ctx()
	names := append([]string{longName(eventstore.MaxName)}, oddNames...)
	for _, name := range names {
		s.fill(ctx, name, 1)
		x := snapshot(name, 1, name)
		x.Type, x.Subjects = name, []string{name}
		s.saveSnapshot(ctx, x)
	}
	for _, name := range names {
		got := s.theSnapshot(ctx, name, name)
		require.Equal(s, name, string(got.Data))
		require.Equal(s, []string{name}, got.Subjects)
	}
}

func snapshotRace(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	const last = 20
	s.fill(ctx, stream, last)
	s.race(func(i int) error {
		for _, v := range rand.New(rand.NewPCG(2, uint64(i))).Perm(last) {
			x := snapshot(stream, v+1, "")
			x.Data = []byte{byte(v + 1)}
			if err := s.Store.(eventstore.Snapshots).SaveSnapshot(ctx, x); err != nil {
				return err
			}
		}
		return nil
	})
	got := s.theSnapshot(ctx, stream, "seats")
	require.EqualValues(s, last, got.Version)
	require.Equal(s, []byte{last}, got.Data)
}
