package erasure_test

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
)

// tampered is a home whose table somebody has written to.
type tampered struct {
	eventstore.Store
	eventstore.Snapshots
	change         func(*eventstore.Recorded)
	changeSnapshot func(*eventstore.Snapshot)
}

func (s *tampered) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for e, err := range s.Store.ReadStream(ctx, stream, from) {
			e.Data = slices.Clone(e.Data)
			if s.change != nil && e.Version == 2 {
				s.change(&e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (s *tampered) LoadSnapshot(ctx context.Context, stream, snapshotType string) (eventstore.Snapshot, bool, error) {
	x, found, err := s.Snapshots.LoadSnapshot(ctx, stream, snapshotType)
	x.Data, x.Subjects = slices.Clone(x.Data), slices.Clone(x.Subjects)
	if s.changeSnapshot != nil {
		s.changeSnapshot(&x)
	}
	return x, found, err
}

// An event that was changed, or put in the place of another, is an error that
// names it, and what comes before it is read.
func TestTamperedEvents(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	home := &tampered{Store: db, Snapshots: db}
	s := around(t, home, db, erasure.Config{})
	appended(ctx, t, s, about("customer-1", "ann", 3))
	appended(ctx, t, s, about("customer-2", "bob", 1)) // he has a key too
	other := collect(t, db.ReadStream(ctx, "customer-1", 3))[0]
	for name, change := range map[string]func(*eventstore.Recorded){
		"a bit of the ciphertext":        func(e *eventstore.Recorded) { e.Data[20] ^= 1 },
		"the last bit":                   func(e *eventstore.Recorded) { e.Data[len(e.Data)-1] ^= 1 },
		"the nonce":                      func(e *eventstore.Recorded) { e.Data[5] ^= 1 },
		"the end is missing":             func(e *eventstore.Recorded) { e.Data = e.Data[:len(e.Data)-1] },
		"nothing but a header":           func(e *eventstore.Recorded) { e.Data = e.Data[:4] },
		"shorter than a header":          func(e *eventstore.Recorded) { e.Data = e.Data[:3] },
		"empty":                          func(e *eventstore.Recorded) { e.Data = nil },
		"a form that is not known":       func(e *eventstore.Recorded) { e.Data[3] = 2 },
		"plaintext":                      func(e *eventstore.Recorded) { e.Data = []byte(`{"a":1}`) },
		"that of another event":          func(e *eventstore.Recorded) { e.Data = other.Data },
		"another id":                     func(e *eventstore.Recorded) { e.ID = uuid.New() },
		"another type":                   func(e *eventstore.Recorded) { e.Type = "left" },
		"another schema":                 func(e *eventstore.Recorded) { e.Schema = 2 },
		"another stream":                 func(e *eventstore.Recorded) { e.Stream = "customer-2" },
		"another tenant":                 func(e *eventstore.Recorded) { e.Tenant = "red" },
		"another subject":                func(e *eventstore.Recorded) { e.Meta.Subject = "bob" },
		"a subject that never had a key": func(e *eventstore.Recorded) { e.Meta.Subject = "carl" },
	} {
		home.change = change
		n, err := lastError(s.ReadStream(ctx, "customer-1", 1))
		require.Equal(t, 1, n, name)
		var data *eventstore.DataError
		require.ErrorAs(t, err, &data, name)
		require.EqualValues(t, 2, data.Version, name)
		require.EqualValues(t, 2, data.Position, name)
		require.NotEmpty(t, data.Stream)
		require.NotContains(t, err.Error(), secret)
		if name == "a subject that never had a key" {
			require.ErrorIs(t, err, eventstore.ErrNoKey)
		}
	}

	// A payload of one who was erased may be anything: it may have been overwritten
	// to be rid of it altogether.
	appended(ctx, t, s, about("customer-3", "zoe", 2))
	require.NoError(t, s.Erase(ctx, "zoe"))
	for _, data := range [][]byte{nil, []byte("{}"), {0xff, 'c', 's', 9}} {
		home.change = func(e *eventstore.Recorded) { e.Data = data }
		require.True(t, collect(t, s.ReadStream(ctx, "customer-3", 2))[0].Redacted)
	}

	// What does not carry over a payload is not bound to it.
	home.change = func(e *eventstore.Recorded) {
		e.Version, e.Position, e.Meta.Actor, e.Meta.Labels = 7, 9, "somebody", map[string]string{"a": "b"}
	}
	_, err := lastError(s.ReadStream(ctx, "customer-1", 1))
	require.NoError(t, err)
}

// same is a key service that has one key for everybody.
type same struct{ eventstore.Keys }

func (same) Key(context.Context, string) ([]byte, error)     { return make([]byte, 32), nil }
func (same) LoadKey(context.Context, string) ([]byte, error) { return make([]byte, 32), nil }

// Payloads are bound to tenant and subject by more than the key.
func TestTamperedWithOneKey(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	home := &tampered{Store: db, Snapshots: db}
	s := around(t, home, same{db}, erasure.Config{})
	appended(ctx, t, s, about("customer-1", "ann", 3))
	for _, change := range []func(*eventstore.Recorded){
		func(e *eventstore.Recorded) { e.Tenant = "red" },
		func(e *eventstore.Recorded) { e.Meta.Subject = "bob" },
		func(e *eventstore.Recorded) { e.Type, e.Meta.Subject = e.Type+"a", "nn" },
	} {
		home.change = change
		_, err := lastError(s.ReadStream(ctx, "customer-1", 1))
		require.ErrorContains(t, err, "cannot be decrypted")
	}
	require.NoError(t, s.SaveSnapshot(ctx, eventstore.Snapshot{Stream: "customer-1", Type: "s", Version: 1, Subjects: []string{"ann", "bob"}}))
	red := eventstore.WithTenant(ctx, "red")
	for i, change := range []func(*eventstore.Snapshot){
		func(s *eventstore.Snapshot) { s.Subjects = []string{"ann", "zoe"} },
		func(s *eventstore.Snapshot) { s.Subjects = []string{"anna", "ob"} },
		func(s *eventstore.Snapshot) {},
	} {
		home.changeSnapshot = change
		at := ctx
		if i == 2 { // that of another tenant
			at = red
			appended(red, t, s, about("customer-1", "ann", 1))
			x, _, err := db.LoadSnapshot(ctx, "customer-1", "s")
			require.NoError(t, err)
			require.NoError(t, db.SaveSnapshot(red, x))
		}
		_, found, err := s.LoadSnapshot(at, "customer-1", "s")
		require.NoError(t, err)
		require.False(t, found, i)
	}
	home.changeSnapshot = nil
	_, found, err := s.LoadSnapshot(ctx, "customer-1", "s")
	require.NoError(t, err)
	require.True(t, found)
}

func TestKeysOfAnotherService(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	appended(ctx, t, around(t, db, &service{}, erasure.Config{}), about("customer-1", "ann", 1))
	_, err := lastError(around(t, db, &service{}, erasure.Config{}).ReadAll(ctx, 0, eventstore.Filter{}))
	var data *eventstore.DataError
	require.ErrorAs(t, err, &data)
	require.ErrorIs(t, err, eventstore.ErrNoKey)

	db2 := newInner(t)
	_, err = db2.Key(ctx, "ann")
	require.NoError(t, err)
	_, err = lastError(around(t, db, db2, erasure.Config{}).ReadAll(ctx, 0, eventstore.Filter{}))
	require.ErrorAs(t, err, &data)
	require.ErrorContains(t, err, "cannot be decrypted")
}

// Payloads from before encryption are read if that is wanted.
func TestPlaintextFromBefore(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	old := appended(ctx, t, db, about("customer-1", "ann", 1))
	_, err := lastError(around(t, db, db, erasure.Config{}).ReadAll(ctx, 0, eventstore.Filter{}))
	require.ErrorAs(t, err, new(*eventstore.DataError))
	require.ErrorContains(t, err, "the payload of a subject is not encrypted")

	s := around(t, db, db, erasure.Config{AcceptPlaintext: true})
	require.Equal(t, old, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})))
	young := appended(ctx, t, s, about("customer-1", "ann", 1))
	all := slices.Concat(old, young)
	require.Equal(t, all, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})))
	require.NoError(t, s.Erase(ctx, "ann"))
	require.Equal(t, []eventstore.Recorded{redacted(all[0]), redacted(all[1])}, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})))
}

// Whatever stands in a table, reading it ends in an error or in what was written.
func FuzzOpen(f *testing.F) {
	ctx := context.Background()
	db := newInner(f)
	home := &tampered{Store: db, Snapshots: db}
	s := around(f, home, db, erasure.Config{})
	appended(ctx, f, s, about("customer-1", "ann", 2))
	require.NoError(f, s.SaveSnapshot(ctx, eventstore.Snapshot{Stream: "customer-1", Type: "s", Version: 1, Data: []byte(secret), Subjects: []string{"ann", "bob"}}))
	event := collect(f, db.ReadStream(ctx, "customer-1", 2))[0]
	snapshot, _, err := db.LoadSnapshot(ctx, "customer-1", "s")
	require.NoError(f, err)
	f.Add(event.Data)
	f.Add(snapshot.Data)
	f.Add([]byte{0xff, 'c', 's', 1})
	f.Add(append([]byte{0xff, 'c', 's', 1}, make([]byte, 60)...))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		home.change = func(e *eventstore.Recorded) { e.Data = data }
		home.changeSnapshot = func(s *eventstore.Snapshot) { s.Data = data }
		_, err := lastError(s.ReadStream(t.Context(), "customer-1", 2))
		require.Equal(t, bytes.Equal(data, event.Data), err == nil, "%v", err)
		_, found, err := s.LoadSnapshot(t.Context(), "customer-1", "s")
		require.NoError(t, err)
		require.Equal(t, bytes.Equal(data, snapshot.Data), found)
	})
}
