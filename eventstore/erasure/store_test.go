package erasure_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

func TestPayloadsAreEncrypted(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	s := around(t, db, db, erasure.Config{})
	w := about("customer-1", "ann", 2)
	w.Events = append(w.Events, eventstore.Event{Type: "counted", Data: []byte("nobody's")}, eventstore.Event{Type: "left", Meta: eventstore.Meta{Subject: "bob"}})
	given := slices.Clone(w.Events)
	got := appended(ctx, t, s, w)
	require.Equal(t, given, w.Events, "the caller's are not changed")
	require.Len(t, got, 4)
	for i, e := range got {
		require.Equal(t, string(given[i].Data), string(e.Data))
		require.Equal(t, given[i].Meta, e.Meta)
		require.False(t, e.Redacted)
	}
	require.Equal(t, got, withEmpty(collect(t, s.ReadStream(ctx, "customer-1", 1)), 3))
	require.Equal(t, got[2:], withEmpty(collect(t, s.ReadAll(ctx, 2, eventstore.Filter{})), 1))
	found, err := s.Lookup(ctx, got[1].ID, got[0].ID)
	require.NoError(t, err)
	require.Equal(t, got[:2], found)

	hidden(ctx, t, db)
	behind := collect(t, db.ReadAll(ctx, 0, eventstore.Filter{}))
	require.Equal(t, "nobody's", string(behind[2].Data), "what is about nobody passes")
	require.Len(t, behind[3].Data, 4+12+16, "nothing is encrypted too")
	require.NotEqual(t, behind[0].Data[:16], behind[1].Data[:16], "each has a nonce of its own")
	before := slices.Clone(behind[0].Data)
	collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))
	require.Equal(t, before, behind[0].Data, "what the home handed out is not changed")
}

// withEmpty makes the data of one event nil, if they are empty: that is the same.
func withEmpty(events []eventstore.Recorded, i int) []eventstore.Recorded {
	if len(events[i].Data) == 0 {
		events[i].Data = nil
	}
	return events
}

func TestErase(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	s := around(t, db, db, erasure.Config{})
	ann := appended(ctx, t, s, about("customer-1", "ann", 2))
	bob := appended(ctx, t, s, about("customer-2", "bob", 1))
	require.NoError(t, s.Erase(ctx, "ann"))
	require.NoError(t, s.Erase(ctx, "ann"), "twice is once")

	for name, s := range map[string]*erasure.Store{"the same": s, "another process, or a restart": around(t, db, db, erasure.Config{})} {
		require.Equal(t, []eventstore.Recorded{redacted(ann[0]), redacted(ann[1]), bob[0]}, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})), name)
		require.Equal(t, []eventstore.Recorded{redacted(ann[1])}, collect(t, s.ReadStream(ctx, "customer-1", 2)), name)
		found, err := s.Lookup(ctx, ann[0].ID)
		require.NoError(t, err)
		require.Equal(t, []eventstore.Recorded{redacted(ann[0])}, found, name)

		_, err = s.Append(ctx, about("customer-1", "ann", 1))
		require.ErrorIs(t, err, eventstore.ErrErased, name)
		require.ErrorContains(t, err, `append to "customer-1": key of subject "ann"`)
		require.False(t, eventstore.Retryable(err))
	}
	_, err := s.Append(ctx, about("customer-3", "bob", 1), about("customer-4", "ann", 1))
	require.ErrorIs(t, err, eventstore.ErrErased)
	require.Empty(t, collect(t, db.ReadStream(ctx, "customer-3", 1)), "all or nothing")

	require.NoError(t, s.Erase(ctx, "nobody"), "of whom nothing was written")
	_, err = s.Append(ctx, about("customer-5", "nobody", 1))
	require.ErrorIs(t, err, eventstore.ErrErased)

	var input *eventstore.InputError
	require.ErrorAs(t, s.Erase(ctx, ""), &input)
	require.ErrorIs(t, s.Erase(eventstore.AllTenants(ctx), "ann"), eventstore.ErrNoTenant)
}

// An append that has happened, and is done again because that is not known, is
// told that it has.
func TestAppendAgainAfterErasure(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	s := around(t, db, db, erasure.Config{})
	w := about("customer-1", "ann", 2)
	for i := range w.Events {
		w.Events[i].ID = uuid.New()
	}
	appended(ctx, t, s, w)
	_, err := s.Append(ctx, w)
	want := &eventstore.DuplicateEventError{Stream: "customer-1", ID: w.Events[0].ID}
	require.Equal(t, want, err)
	require.NoError(t, s.Erase(ctx, "ann"))
	_, err = s.Append(ctx, w)
	require.Equal(t, want, err)

	dark := around(t, &darkened{db}, db, erasure.Config{})
	_, err = dark.Append(ctx, w)
	require.ErrorIs(t, err, eventstore.ErrErased)
	require.ErrorIs(t, err, errDown, "nor whether it has happened")

	without := around(t, struct{ eventstore.Store }{db}, db, erasure.Config{})
	_, err = without.Append(ctx, w)
	require.ErrorIs(t, err, eventstore.ErrErased, "it cannot be known")
}

// darkened finds nothing.
type darkened struct{ inner }

func (*darkened) Lookup(context.Context, ...uuid.UUID) ([]eventstore.Recorded, error) {
	return nil, errDown
}

// keeping is a home that goes on using what it has returned.
type keeping struct {
	inner
	kept []eventstore.Appended
}

func (k *keeping) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	done, err := k.inner.Append(ctx, writes...)
	k.kept = slices.Clone(done)
	return done, err
}

func TestWhatTheHomeReturnsIsNotChanged(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), &keeping{inner: newInner(t)}
	s := around(t, db, db, erasure.Config{})
	got := appended(ctx, t, s, about("customer-1", "ann", 1))
	require.Contains(t, string(got[0].Data), secret)
	require.NotContains(t, string(db.kept[0].Events[0].Data), secret)
}

func TestTenantsDoNotShareSubjects(t *testing.T) {
	t.Parallel()
	db := newInner(t)
	s := around(t, db, db, erasure.Config{})
	red, blue := eventstore.WithTenant(t.Context(), "red"), eventstore.WithTenant(t.Context(), "blue")
	ofRed := appended(red, t, s, about("customer-1", "ann", 1))
	ofBlue := appended(blue, t, s, about("customer-1", "ann", 1))
	require.NoError(t, s.Erase(red, "ann"))
	all := eventstore.AllTenants(t.Context())
	require.Equal(t, []eventstore.Recorded{redacted(ofRed[0]), ofBlue[0]}, collect(t, s.ReadAll(all, 0, eventstore.Filter{})))
	require.Equal(t, ofBlue, collect(t, s.ReadStream(blue, "customer-1", 1)))
	again := around(t, db, db, erasure.Config{KeyTTL: -1})
	require.Equal(t, []eventstore.Recorded{redacted(ofRed[0]), ofBlue[0]}, collect(t, again.ReadAll(all, 0, eventstore.Filter{})), "with keys of the events' tenants")
	_, err := s.Append(all, about("customer-1", "ann", 1))
	require.ErrorIs(t, err, eventstore.ErrNoTenant)
}

// A subscription that is open when a subject is erased goes on with redacted
// events, even those that were committed before.
func TestSubscriptionDuringErasure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		db := newInner(t)
		s := around(t, db, db, erasure.Config{})
		ann := appended(ctx, t, s, about("customer-1", "ann", 3))
		var got []eventstore.Recorded
		first, erasedNow := make(chan struct{}), make(chan struct{})
		done := make(chan error, 1)
		go func() {
			for e, err := range s.Subscribe(ctx, 0, eventstore.Filter{}) {
				if err != nil {
					done <- err
					return
				}
				if got = append(got, e); len(got) == 1 {
					close(first)
					<-erasedNow
				}
			}
		}()
		<-first
		require.NoError(t, s.Erase(ctx, "ann"))
		close(erasedNow)
		bob := appended(ctx, t, s, about("customer-2", "bob", 1))
		synctest.Wait()
		require.Equal(t, []eventstore.Recorded{ann[0], redacted(ann[1]), redacted(ann[2]), bob[0]}, got)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// Another process goes on reading with the keys that it has, until their time is
// over.
func TestKeysOfOtherProcessesRunOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, db := t.Context(), newInner(t)
		s := around(t, db, db, erasure.Config{})
		other := around(t, db, db, erasure.Config{KeyTTL: 10 * time.Second})
		careful := around(t, db, db, erasure.Config{KeyTTL: -1})
		ann := appended(ctx, t, s, about("customer-1", "ann", 1))
		read := func(s *erasure.Store) eventstore.Recorded {
			return collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))[0]
		}
		require.Equal(t, ann[0], read(other))
		require.Equal(t, ann[0], read(careful))
		require.NoError(t, s.Erase(ctx, "ann"))
		require.Equal(t, redacted(ann[0]), read(s))
		require.Equal(t, redacted(ann[0]), read(careful))
		require.Equal(t, ann[0], read(other))
		late, err := other.Append(ctx, about("customer-1", "ann", 1))
		require.NoError(t, err)
		time.Sleep(9 * time.Second) //nolint:forbidigo // virtual time
		require.Equal(t, ann[0], read(other))
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		require.Equal(t, redacted(ann[0]), read(other))
		require.Equal(t, redacted(late[0].Events[0]), collect(t, s.ReadStream(ctx, "customer-1", 2))[0], "what was appended with a key that is gone")
	})
}

// Whoever reads what announces an erasure has no key any more.
func TestAnnouncement(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	cfg := erasure.Config{Announce: func(subject string) (eventstore.Write, error) {
		return eventstore.Write{Stream: "erasures-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "erased", Data: []byte(subject)}, {Type: "second"}}}, nil
	}}
	s, other := around(t, db, db, cfg), around(t, db, db, erasure.Config{})
	ann := appended(ctx, t, s, about("customer-1", "ann", 1))
	require.Equal(t, ann, collect(t, other.ReadAll(ctx, 0, eventstore.Filter{})))
	require.NoError(t, s.Erase(ctx, "ann"))
	require.NoError(t, s.Erase(ctx, "ann"))
	require.NoError(t, around(t, db, db, cfg).Erase(ctx, "ann"))

	told := collect(t, other.ReadStream(ctx, "erasures-1", 1))
	require.Len(t, told, 2, "once")
	require.Equal(t, "ann", string(told[0].Data))
	require.NotEqual(t, told[0].ID, told[1].ID)
	require.Equal(t, redacted(ann[0]), collect(t, other.ReadAll(ctx, 0, eventstore.Filter{}))[0], "within the time of its keys")

	require.NoError(t, s.Erase(ctx, "bob"))
	require.NoError(t, s.Erase(eventstore.WithTenant(ctx, "red"), "ann"))
	require.Len(t, collect(t, other.ReadAll(eventstore.AllTenants(ctx), told[1].Position, eventstore.Filter{})), 4, "others are others")
}

func TestAnnouncementThatFails(t *testing.T) {
	t.Parallel()
	errNo := errors.New("no")
	var write eventstore.Write
	var fails error
	setup := func(t *testing.T) (context.Context, inner, *erasure.Store, []eventstore.Recorded) {
		t.Helper()
		ctx, db := t.Context(), newInner(t)
		s := around(t, db, db, erasure.Config{Announce: func(string) (eventstore.Write, error) { return write, fails }})
		return ctx, db, s, appended(ctx, t, s, about("customer-1", "ann", 1))
	}
	for name, c := range map[string]struct {
		write eventstore.Write
		err   error
	}{
		"an error":          {eventstore.Write{}, errNo},
		"no write":          {eventstore.Write{}, nil},
		"about who is gone": {about("erasures-1", "ann", 1), nil},
	} {
		write, fails = c.write, c.err
		ctx, _, s, ann := setup(t)
		err := s.Erase(ctx, "ann")
		require.ErrorContains(t, err, `erase subject "ann": announcement: `, name)
		require.Equal(t, ann, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})), "%s: nothing was done", name)
	}

	// One that is refused when the key is gone can be made up for.
	write, fails = eventstore.Write{Stream: "erasures-1", Expected: eventstore.Exists, Events: []eventstore.Event{{Type: "erased"}}}, nil
	ctx, db, s, ann := setup(t)
	var conflict *eventstore.ConflictError
	err := s.Erase(ctx, "ann")
	require.ErrorAs(t, err, &conflict)
	require.ErrorContains(t, err, "its key is deleted")
	require.Equal(t, redacted(ann[0]), collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))[0])
	appended(ctx, t, db, eventstore.Write{Stream: "erasures-1", Expected: eventstore.None, Events: []eventstore.Event{{Type: "begun"}}})
	require.NoError(t, s.Erase(ctx, "ann"))
	require.Len(t, collect(t, s.ReadStream(ctx, "erasures-1", 1)), 2)
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	s := around(t, db, db, erasure.Config{})
	w := about("customer-1", "ann", 1)
	sealed, err := s.Seal(ctx, w)
	require.NoError(t, err)
	require.Equal(t, uuid.Nil, w.Events[0].ID, "the caller's are not changed")
	require.NotEqual(t, uuid.Nil, sealed[0].Events[0].ID)
	done, err := db.Append(ctx, sealed...) // as a home's AppendTx
	require.NoError(t, err)
	hidden(ctx, t, db)
	opened, err := s.Open(ctx, done[0].Events...)
	require.NoError(t, err)
	require.Equal(t, w.Events[0].Data, opened[0].Data)
	require.NotEqual(t, w.Events[0].Data, done[0].Events[0].Data, "what was given is not changed")
	require.Equal(t, opened, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})))

	plain := eventstore.Write{Stream: "a-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "t"}}}
	same, err := s.Seal(ctx, plain)
	require.NoError(t, err)
	require.Equal(t, []eventstore.Write{plain}, same)

	require.NoError(t, s.Erase(ctx, "ann"))
	_, err = s.Seal(ctx, w)
	require.ErrorIs(t, err, eventstore.ErrErased)
	opened, err = s.Open(ctx, done[0].Events...)
	require.NoError(t, err)
	require.True(t, opened[0].Redacted)
	again, err := s.Open(ctx, opened...)
	require.NoError(t, err)
	require.Equal(t, opened, again, "what is redacted stays so")
}

// With a home's own append in a transaction.
func TestSealInTransaction(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "events.db"), sqlite.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := around(t, db, db, erasure.Config{})
	sealed, err := s.Seal(ctx, about("customer-1", "ann", 2))
	require.NoError(t, err)
	var done []eventstore.Appended
	require.NoError(t, db.InTx(ctx, func(tx *sql.Tx) error {
		done, err = db.AppendTx(ctx, tx, sealed...)
		return err
	}))
	hidden(ctx, t, db)
	opened, err := s.Open(ctx, done[0].Events...)
	require.NoError(t, err)
	require.Equal(t, collect(t, s.ReadAll(ctx, 0, eventstore.Filter{})), opened)
	require.Contains(t, string(opened[1].Data), secret)
	require.NoError(t, s.Erase(ctx, "ann"))
	require.Equal(t, redacted(opened[1]), collect(t, s.ReadAll(ctx, 0, eventstore.Filter{}))[1])
}

func TestWhatTheInnerStoreLacks(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), newInner(t)
	s := around(t, struct{ eventstore.Store }{db}, db, erasure.Config{})
	_, err := s.Lookup(ctx, uuid.New())
	errs := map[string]error{"Lookup": err}
	_, _, errs["Claims"] = s.LoadClaim(ctx, "k")
	for name, f := range map[string]func() error{
		"Claims ":       func() error { _, err := s.DeleteExpiredClaims(ctx, 1); return err },
		"Snapshots":     func() error { return s.SaveSnapshot(ctx, eventstore.Snapshot{}) },
		"Snapshots ":    func() error { _, _, err := s.LoadSnapshot(ctx, "a-1", "s"); return err },
		"Snapshots  ":   func() error { return s.DeleteSnapshot(ctx, "a-1", "s") },
		"Checkpoints":   func() error { _, err := s.AcquireLease(ctx, "s", "o", 1); return err },
		"Checkpoints ":  func() error { _, err := s.SaveCheckpoint(ctx, eventstore.Lease{}, 1, 1); return err },
		"Checkpoints  ": func() error { return s.ReleaseLease(ctx, eventstore.Lease{}) },
		"Checkpoints 1": func() error { _, _, err := s.LoadCheckpoint(ctx, "s"); return err },
		"Checkpoints 2": func() error { return s.ResetCheckpoint(ctx, "s", 1) },
	} {
		errs[name] = f()
	}
	for name, err := range errs {
		require.ErrorIs(t, err, errors.ErrUnsupported, name)
	}
	require.EqualError(t, errs["Lookup"], `struct { eventstore.Store } has no eventstore.Lookup: unsupported operation`)
}

func TestNewChecks(t *testing.T) {
	t.Parallel()
	db := newInner(t)
	field := func(_ *erasure.Store, err error) string {
		var input *eventstore.InputError
		require.ErrorAs(t, err, &input)
		return input.Field
	}
	require.Equal(t, "inner", field(erasure.New(nil, db, erasure.Config{})))
	require.Equal(t, "keys", field(erasure.New(db, nil, erasure.Config{})))
	require.Equal(t, "Config.CachedKeys", field(erasure.New(db, db, erasure.Config{CachedKeys: -1})))
}
