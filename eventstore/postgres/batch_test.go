package postgres

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

func openInternal(t *testing.T) (*Store, *postgrestest.Database) {
	t.Helper()
	db := postgrestest.New(t)
	s, err := Open(t.Context(), db.URL, Config{AutoMigrate: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, db
}

func eventOf(eventType string) eventstore.Event {
	return eventstore.Event{ID: uuid.Must(uuid.NewV7()), Type: eventType, Data: []byte("{}")}
}

func writeOf(stream string, expected eventstore.Expected, events ...eventstore.Event) eventstore.Write {
	if len(events) == 0 {
		events = []eventstore.Event{eventOf("held")}
	}
	return eventstore.Write{Stream: stream, Expected: expected, Events: events}
}

// together commits appends in one transaction and returns what became of each.
func together(t *testing.T, s *Store, appends ...[]eventstore.Write) []error {
	t.Helper()
	var batch []*request
	for _, writes := range appends {
		r, err := s.request(t.Context(), writes)
		require.NoError(t, err)
		batch = append(batch, r)
	}
	s.commit(t.Context(), false, batch)
	var errs []error
	for _, r := range batch {
		errs = append(errs, r.err)
		if r.err == nil {
			require.Len(t, r.appended, len(r.writes))
		}
	}
	return errs
}

func versionOf(t *testing.T, s *Store, stream string) (n int) {
	t.Helper()
	for e, err := range s.ReadStream(t.Context(), stream, 0) {
		require.NoError(t, err)
		n++
		require.EqualValues(t, n, e.Version)
	}
	return n
}

// Each append of a batch is decided on what those before it leave, as if it were
// alone.
func TestVerdictsOfABatch(t *testing.T) {
	t.Parallel()
	s, _ := openInternal(t)
	w := func(ws ...eventstore.Write) []eventstore.Write { return ws }
	there := eventOf("held")
	claim := &eventstore.Claim{Key: "k", Until: time.Now().Add(time.Hour)}
	claimed := writeOf("c", eventstore.Any)
	claimed.Claim = claim
	for _, err := range together(t, s, w(writeOf("a", eventstore.None, there)), w(claimed)) {
		require.NoError(t, err)
	}
	only := eventstore.Write{Claim: &eventstore.Claim{Key: "k3", Until: time.Now().Add(time.Hour)}}
	takenAgain := writeOf("a", eventstore.Any)
	takenAgain.Claim = claim
	newClaim := writeOf("d", eventstore.Any)
	newClaim.Claim = &eventstore.Claim{Key: "k2", Until: time.Now().Add(time.Hour)}
	errs := together(t, s,
		w(writeOf("a", eventstore.Exactly(1))),                                // 0: to 2
		w(writeOf("a", eventstore.Exactly(1))),                                // 1: conflict, at 2
		w(writeOf("a", eventstore.Exactly(2), eventOf("x"), eventOf("y"))),    // 2: to 4
		w(writeOf("b", eventstore.None), writeOf("a", eventstore.Exactly(9))), // 3: conflict, nothing of it
		w(writeOf("b", eventstore.Exists)),                                    // 4: conflict, for there is nothing
		w(writeOf("b", eventstore.None), writeOf("a", eventstore.Any)),        // 5: b to 1, a to 5
		w(writeOf("b", eventstore.Exists)),                                    // 6: b to 2
		w(writeOf("a", eventstore.Exactly(1), there)),                         // 7: duplicate, told before the conflict
		w(takenAgain),     // 8: claimed
		w(newClaim, only), // 9
		w(writeOf("z", eventstore.Any), writeOf("a", eventstore.Exactly(5))),         // 10: a to 6
		w(writeOf("z", eventstore.Exactly(1)), writeOf("b", eventstore.Exactly(77))), // 11: conflict in its second write
	)
	var conflict *eventstore.ConflictError
	var duplicate *eventstore.DuplicateEventError
	var taken *takenError
	for i, want := range map[int]eventstore.ConflictError{
		1:  {Stream: "a", Expected: eventstore.Exactly(1), Actual: 2},
		3:  {Stream: "a", Expected: eventstore.Exactly(9), Actual: 4},
		4:  {Stream: "b", Expected: eventstore.Exists, Actual: 0},
		11: {Stream: "b", Expected: eventstore.Exactly(77), Actual: 2},
	} {
		require.ErrorAs(t, errs[i], &conflict, "append %d", i)
		require.Equal(t, want, *conflict, "append %d", i)
	}
	require.ErrorAs(t, errs[7], &duplicate)
	require.Equal(t, there.ID, duplicate.ID)
	require.ErrorAs(t, errs[8], &taken)
	require.Equal(t, "k", taken.key)
	for _, i := range []int{0, 2, 5, 6, 9, 10} {
		require.NoError(t, errs[i], "append %d", i)
	}
	for stream, n := range map[string]int{"a": 6, "b": 2, "c": 1, "d": 1, "z": 1} {
		require.Equal(t, n, versionOf(t, s, stream), "stream %s", stream)
	}
	for key, want := range map[string]bool{"k": true, "k2": true, "k3": true} {
		_, found, err := s.LoadClaim(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, want, found, key)
	}
}

// Positions of one append ascend in the order of its writes, whatever the order
// in which the rows are inserted, and across a batch in the order of its appends.
func TestPositionsOfABatch(t *testing.T) {
	t.Parallel()
	s, _ := openInternal(t)
	var batch []*request
	for i := range 20 {
		r, err := s.request(t.Context(), []eventstore.Write{
			writeOf(fmt.Sprintf("z-%d", 20-i), eventstore.None, eventOf("1"), eventOf("2")), writeOf(fmt.Sprintf("a-%d", i), eventstore.None, eventOf("3")),
		})
		require.NoError(t, err)
		batch = append(batch, r)
	}
	s.commit(t.Context(), false, batch)
	var want []uuid.UUID
	for _, r := range batch {
		require.NoError(t, r.err)
		for _, a := range r.appended {
			for _, e := range a.Events {
				want = append(want, e.ID)
			}
		}
	}
	var got []uuid.UUID
	var last eventstore.Position
	for e, err := range s.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		require.Greater(t, e.Position, last)
		last = e.Position
		got = append(got, e.ID)
	}
	require.Equal(t, want, got)
}

// The same event twice in a batch, in two appends: the second is a duplicate.
func TestDuplicatesWithinABatch(t *testing.T) {
	t.Parallel()
	s, _ := openInternal(t)
	same := eventOf("held")
	errs := together(t, s,
		[]eventstore.Write{writeOf("a", eventstore.Any, same)},
		[]eventstore.Write{writeOf("b", eventstore.Any)},
		[]eventstore.Write{writeOf("a", eventstore.Any, same)},
		[]eventstore.Write{writeOf("c", eventstore.Any, same)},
	)
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	require.ErrorAs(t, errs[2], new(*eventstore.DuplicateEventError))
	require.ErrorAs(t, errs[3], new(*eventstore.DuplicateEventError))
	require.Equal(t, 1, versionOf(t, s, "a"))
}

// What the database refuses for one does not hinder the others.
func TestPoisonInABatch(t *testing.T) {
	t.Parallel()
	s, db := openInternal(t)
	_, err := db.Pool(t).Exec(t.Context(), `ALTER TABLE rondo.events ADD CHECK (type <> 'poison')`)
	require.NoError(t, err)
	errs := together(t, s,
		[]eventstore.Write{writeOf("a", eventstore.None)},
		[]eventstore.Write{writeOf("b", eventstore.None, eventOf("poison"))},
		[]eventstore.Write{writeOf("c", eventstore.None)},
	)
	require.NoError(t, errs[0])
	var refused *Error
	require.ErrorAs(t, errs[1], &refused)
	require.Equal(t, "23514", refused.Code)
	require.False(t, refused.Retryable())
	require.NoError(t, errs[2])
	require.Equal(t, 1, versionOf(t, s, "a"))
	require.Equal(t, 1, versionOf(t, s, "c"))
	require.Zero(t, versionOf(t, s, "b"))
}

// Batches of two stores that write to the same streams in different orders.
func TestBatchesThatCollide(t *testing.T) {
	t.Parallel()
	s, db := openInternal(t)
	other, err := Open(t.Context(), db.URL, Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	const rounds, streams = 30, 8
	results := make(chan error, 2)
	for i, store := range []*Store{s, other} {
		go func() {
			var problems []error
			for range rounds {
				var batch []*request
				for j := range streams {
					if i == 1 {
						j = streams - 1 - j
					}
					r, err := store.request(t.Context(), []eventstore.Write{writeOf(fmt.Sprint("s-", j), eventstore.Any)})
					problems = append(problems, err)
					batch = append(batch, r)
				}
				store.commit(t.Context(), false, batch)
				for _, r := range batch {
					problems = append(problems, r.err)
				}
			}
			results <- errors.Join(problems...)
		}()
	}
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	for j := range streams {
		require.Equal(t, 2*rounds, versionOf(t, s, fmt.Sprint("s-", j)))
	}
	var deadlocks int
	require.NoError(t, db.Pool(t).QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks))
	require.Zero(t, deadlocks, "all lock in the same order")
}
