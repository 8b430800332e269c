// Package logbook is the program of the guide's page on events: the log of a
// section of a hall.
package logbook

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
	"github.com/seed57833328/rondo/eventstore/publish"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// The events of a section. They are facts, in the past tense.
type (
	SeatsHeld struct {
		Order string   `json:"order"`
		Seats []string `json:"seats"`
	}
	SeatsFreed struct {
		Order string `json:"order"`
	}
)

var registry, errRegistry = eventstore.NewRegistry(
	eventstore.TypeOf[SeatsHeld]("section.seats-held", 2, eventstore.Upcast(1, oneSeat)),
	eventstore.TypeOf[SeatsFreed]("section.seats-freed", 1),
)

// seatHeld is what SeatsHeld was when an order had one seat.
type seatHeld struct {
	Order string `json:"order"`
	Seat  string `json:"seat"`
}

func oneSeat(old seatHeld) SeatsHeld { return SeatsHeld{old.Order, []string{old.Seat}} }

func open(t *testing.T, file string) *sqlite.Store {
	t.Helper()
	require.NoError(t, errRegistry)
	log, err := sqlite.Open(t.Context(), file, sqlite.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return log
}

// hold appends what was decided on a version.
func hold(ctx context.Context, log eventstore.Store, order string, on eventstore.Version) (eventstore.Version, error) {
	held, err := registry.Encode(SeatsHeld{order, []string{"A1"}})
	if err != nil {
		return 0, err
	}
	held.Meta.Subject = order
	done, err := log.Append(ctx, eventstore.Write{
		Stream:   "section-A",
		Expected: eventstore.Exactly(on),
		Events:   []eventstore.Event{held},
	})
	if err != nil {
		return 0, err
	}
	return done[0].Version, nil
}

func TestAppendOnAVersion(t *testing.T) {
	t.Parallel()
	ctx, log := t.Context(), open(t, filepath.Join(t.TempDir(), "hall.db"))
	version, err := hold(ctx, log, "ann", 0)
	require.NoError(t, err)
	require.Equal(t, eventstore.Version(1), version)

	_, err = hold(ctx, log, "bob", 0) // decided before ann's was there
	var conflict *eventstore.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, eventstore.Version(1), conflict.Actual)
	require.EqualError(t, err, `append to "section-A": expected no events, the stream is at version 1`)
}

func TestReadAStream(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "hall.db")
	ctx, log := t.Context(), open(t, file)
	_, err := log.Append(ctx, eventstore.Write{Stream: "section-A", Expected: eventstore.None, Events: []eventstore.Event{
		{Type: "section.seats-held", Schema: 1, Data: []byte(`{"order":"ann","seat":"A1"}`)},
		{Type: "section.seats-freed", Schema: 1, Data: []byte(`{"order":"ann"}`)},
	}})
	require.NoError(t, err)

	var got []any
	for e, err := range eventstore.Decode[any](registry, log.ReadStream(ctx, "section-A", 1), eventstore.FailUnknown) {
		require.NoError(t, err)
		got = append(got, e.Event)
	}
	require.Equal(t, []any{SeatsHeld{"ann", []string{"A1"}}, SeatsFreed{"ann"}}, got)
}

func TestAClaim(t *testing.T) {
	t.Parallel()
	ctx, log := t.Context(), open(t, filepath.Join(t.TempDir(), "hall.db"))
	write := eventstore.Write{
		Stream: "section-A", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "section.seats-freed", Data: []byte(`{}`)}},
		Claim: &eventstore.Claim{Key: "request-7", Result: []byte("freed"), Until: time.Now().Add(time.Hour)},
	}
	_, err := log.Append(ctx, write)
	require.NoError(t, err)

	_, err = log.Append(ctx, write) // the client did not hear the answer
	var claimed *eventstore.ClaimedError
	require.ErrorAs(t, err, &claimed)
	require.Equal(t, "freed", string(claimed.Claim.Result))
}

// mail is somebody else's system.
type mail struct{ sent []string }

func (m *mail) send(_ context.Context, b publish.Batch) error {
	for _, e := range b.Events {
		m.sent = append(m.sent, fmt.Sprintf("%d %s", e.Version, e.Type))
	}
	return nil
}

func TestPublish(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	log := open(t, filepath.Join(t.TempDir(), "hall.db"))
	_, err := hold(ctx, log, "ann", 0)
	require.NoError(t, err)

	sink := &mail{}
	publisher, err := publish.New(log, log, "mail", sink.send, publish.Config{
		Filter: eventstore.Filter{Categories: []string{"section"}},
		Hooks:  publish.Hooks{Published: func(publish.Batch) { cancel() }},
	})
	require.NoError(t, err)
	require.ErrorIs(t, publisher.Run(ctx), context.Canceled)
	require.Equal(t, []string{"1 section.seats-held"}, sink.sent)
}

func TestErase(t *testing.T) {
	t.Parallel()
	ctx, home := t.Context(), open(t, filepath.Join(t.TempDir(), "hall.db"))
	log, err := erasure.New(home, home, erasure.Config{})
	require.NoError(t, err)
	_, err = hold(ctx, log, "ann", 0)
	require.NoError(t, err)

	require.NoError(t, log.Erase(ctx, "ann"))
	for e, err := range log.ReadStream(ctx, "section-A", 1) {
		require.NoError(t, err)
		require.True(t, e.Redacted)
		require.Nil(t, e.Data)
	}
	_, err = hold(ctx, log, "ann", 1)
	require.ErrorIs(t, err, eventstore.ErrErased)
}
