package aggregate_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/reducer"
)

// A party has guests, who may ask to be forgotten.
type (
	party struct {
		Names map[string]string
		Count int
	}
	invite  struct{ Guest, Name string }
	invited struct{ Guest, Name string }
	parties struct{}
)

func (p *party) Subjects() (guests []string) {
	for guest := range p.Names {
		guests = append(guests, guest)
	}
	return guests
}

func (e invited) Subject() string { return e.Guest }

func (parties) Decide(_ *party, c invite, _ reducer.Env) ([]any, error) {
	return []any{invited(c)}, nil
}

func (parties) Evolve(p *party, e any) {
	p.Count++
	if e := e.(invited); e.Guest != "" { // redacted is zero
		if p.Names == nil {
			p.Names = map[string]string{}
		}
		p.Names[e.Guest] = e.Name
	}
}

// What is kept of a subject, snapshots included, is gone for the host with the key;
// and a host that reads without erasure says why it cannot.
func TestErasure(t *testing.T) {
	t.Parallel()
	db := must(memory.New(memory.Config{}))
	safe, err := erasure.New(db, db, erasure.Config{})
	require.NoError(t, err)
	registry, err := eventstore.NewRegistry(eventstore.TypeOf[invited]("invited", 1))
	require.NoError(t, err)
	host := func(log interface {
		eventstore.Store
		eventstore.Snapshots
	}) *aggregate.Host[party, invite, any] {
		h, err := aggregate.New("party", parties{}, registry, log, aggregate.Config[party]{Snapshots: log, SnapshotPolicy: eventstore.SnapshotEvery(2)})
		require.NoError(t, err)
		return h
	}
	end := func(h *aggregate.Host[party, invite, any]) {
		require.NoError(t, h.Shutdown(context.WithoutCancel(t.Context())))
	}
	h := host(safe)
	for guest, name := range map[string]string{"1": "Ann", "2": "Bob"} {
		_, err := h.Execute(t.Context(), "x", invite{guest, name})
		require.NoError(t, err)
	}
	end(h)
	s, found := snapshot(t, db, "party-x")
	require.True(t, found)
	require.NotContains(t, string(s.Data), "Ann")

	h = host(safe)
	got, err := h.Load(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, party{map[string]string{"1": "Ann", "2": "Bob"}, 2}, got.State)
	end(h)

	h = host(db)
	_, err = h.Load(t.Context(), "x")
	require.ErrorContains(t, err, "its data are encrypted: read it by a store of package eventstore/erasure")
	end(h)

	require.NoError(t, safe.Erase(t.Context(), "1"))
	h = host(safe)
	got, err = h.Load(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, party{map[string]string{"2": "Bob"}, 2}, got.State)
	end(h)
}
