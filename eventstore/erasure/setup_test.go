package erasure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
	"github.com/seed57833328/rondo/eventstore/memory"
)

var errDown = errors.New("key service is down")

// secret is in every payload about a subject, and must be nowhere else.
const secret = "her address"

// inner is a home that is looked at from behind, too.
type inner interface {
	eventstore.Store
	eventstore.Lookup
	eventstore.Snapshots
	eventstore.Keys
}

func newInner(t testing.TB) *memory.Store {
	t.Helper()
	db, err := memory.New(memory.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func around(t testing.TB, db eventstore.Store, keys eventstore.Keys, cfg erasure.Config) *erasure.Store {
	t.Helper()
	s, err := erasure.New(db, keys, cfg)
	require.NoError(t, err)
	return s
}

// about are events about a subject, of one type.
func about(stream, subject string, n int) eventstore.Write {
	w := eventstore.Write{Stream: stream, Expected: eventstore.Any}
	for i := range n {
		w.Events = append(w.Events, eventstore.Event{
			Type: "moved", Data: fmt.Appendf(nil, "%d: %s of %s", i, secret, subject),
			Meta: eventstore.Meta{Subject: subject, Actor: "clerk"},
		})
	}
	return w
}

func appended(ctx context.Context, t testing.TB, s eventstore.Store, writes ...eventstore.Write) []eventstore.Recorded {
	t.Helper()
	done, err := s.Append(ctx, writes...)
	require.NoError(t, err)
	var all []eventstore.Recorded
	for _, a := range done {
		all = append(all, a.Events...)
	}
	return all
}

func collect(t testing.TB, events iter.Seq2[eventstore.Recorded, error]) []eventstore.Recorded {
	t.Helper()
	var all []eventstore.Recorded
	for e, err := range events {
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}

func lastError(events iter.Seq2[eventstore.Recorded, error]) (n int, err error) {
	for _, e := range events {
		if e != nil {
			err = e
			continue
		}
		n++
	}
	return n, err
}

// redacted is what is left of an event.
func redacted(e eventstore.Recorded) eventstore.Recorded {
	e.Data, e.Redacted = nil, true
	return e
}

// hidden holds that the secret is nowhere in what the home keeps.
func hidden(ctx context.Context, t testing.TB, db inner) {
	t.Helper()
	for e, err := range db.ReadAll(ctx, 0, eventstore.Filter{}) {
		require.NoError(t, err)
		require.NotContains(t, string(e.Data), secret, "event %d", e.Position)
		require.NotContains(t, strings.ToLower(string(e.Data)), "address")
	}
}

// service is a key service of one's own.
type service struct {
	mu      sync.Mutex
	keys    map[string][]byte // by tenant and subject; nil if it was deleted
	calls   int
	down    bool
	loading func() // called after a key was loaded, before it is returned
}

func (s *service) name(ctx context.Context, subject string) string {
	tenant, _ := eventstore.TenantFrom(ctx)
	return tenant + "/" + subject
}

func (s *service) get(ctx context.Context, subject string, create bool) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.down {
		return nil, errDown
	}
	key, found := s.keys[s.name(ctx, subject)]
	switch {
	case !found && !create:
		return nil, eventstore.ErrNoKey
	case !found:
		key = bytes.Repeat([]byte{byte(len(s.keys) + 1)}, 32)
		if s.keys == nil {
			s.keys = map[string][]byte{}
		}
		s.keys[s.name(ctx, subject)] = key
	case key == nil:
		return nil, eventstore.ErrErased
	}
	if s.loading != nil {
		loading := s.loading
		s.mu.Unlock()
		loading()
		s.mu.Lock()
	}
	return key, nil
}

func (s *service) Key(ctx context.Context, subject string) ([]byte, error) {
	return s.get(ctx, subject, true)
}

func (s *service) LoadKey(ctx context.Context, subject string) ([]byte, error) {
	return s.get(ctx, subject, false)
}

func (s *service) DeleteKey(ctx context.Context, subject string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	if s.keys == nil {
		s.keys = map[string][]byte{}
	}
	s.keys[s.name(ctx, subject)] = nil
	return nil
}

func (s *service) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}
