package eventstoretest

import (
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var lookupTests = []subtest{
	{"events by their ids", lookupEvents},
	{"what was refused is not there", lookupRefused},
}

func lookupEvents(s *scene) {
	ctx, lookup := s.ctx(), s.Store.(eventstore.Lookup)
	a, b := s.stream(), s.stream()
	first := s.fill(ctx, a, 3)
	second := s.fill(ctx, b, 2)
	third := s.append(ctx, write(a, eventstore.Any, 1))[0].Events
	all := append(append(first, second...), third...)

	got, err := lookup.Lookup(ctx)
	require.NoError(s, err)
	require.Empty(s, got, "no ids")
	got, err = lookup.Lookup(ctx, uuid.New(), uuid.Nil, uuid.Max)
	require.NoError(s, err)
	require.Empty(s, got, "ids of nothing")

	// In the order of their positions, each once, whatever is asked for.
	got, err = lookup.Lookup(ctx, third[0].ID, uuid.New(), second[1].ID, first[2].ID, third[0].ID)
	require.NoError(s, err)
	s.same([]eventstore.Recorded{first[2], second[1], third[0]}, got)
	reversed := ids(all)
	for i := range len(all) / 2 {
		reversed[i], reversed[len(all)-1-i] = reversed[len(all)-1-i], reversed[i]
	}
	got, err = lookup.Lookup(ctx, reversed...)
	require.NoError(s, err)
	s.same(all, got)

	many := s.fill(ctx, s.stream(), 3_000)
	got, err = lookup.Lookup(ctx, ids(many)...)
	require.NoError(s, err)
	require.Equal(s, ids(many), ids(got))
}

func lookupRefused(s *scene) {
	ctx, lookup := s.ctx(), s.Store.(eventstore.Lookup)
	stream := s.stream()
	there := s.fill(ctx, stream, 2)
	w := write(stream, eventstore.None, 2)
	_, err := s.Store.Append(ctx, write(s.stream(), eventstore.Any, 1), w)
	require.ErrorAs(s, err, new(*eventstore.ConflictError))
	got, err := lookup.Lookup(ctx, w.Events[0].ID, there[1].ID, w.Events[1].ID)
	require.NoError(s, err)
	s.same(there[1:], got)
}
