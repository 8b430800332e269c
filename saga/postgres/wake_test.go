package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
)

// A home hears what another one in another process is told, also when its
// connection was lost in between.
func TestWakeFromElsewhere(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	here, there := open(t, db.URL), open(t, db.URL)
	id := Reservation.ID("a")
	_, err := here.Commit(t.Context(), []saga.Change{change(id, 1)})
	require.NoError(t, err)
	wake := here.Wake(t.Context())
	woken := func() {
		t.Helper()
		select {
		case _, ok := <-wake:
			require.True(t, ok)
		case <-time.After(waitAtMost):
			t.Fatal("no wake came")
		}
	}
	woken() // it listens
	for i := range 3 {
		require.Eventually(t, func() bool { // sessions that were ended turn out to be, one by one
			return there.Post(t.Context(), saga.Message{To: id, ID: fmt.Sprint(i), Kind: saga.SignalMessage}) == nil
		}, waitAtMost, pollEvery)
		woken()
		db.EndSessions(t)
		woken() // it listens again
	}
}

// A page is whole and in order also where all of it is in one shard.
func TestPagesOfOneShard(t *testing.T) {
	t.Parallel()
	const sagas = 150
	s := open(t, postgrestest.New(t).URL)
	where := Reservation.ID("0").Shard()
	var ids []saga.ID
	for n := 0; len(ids) < sagas; n++ {
		if id := Reservation.ID(fmt.Sprintf("%05d", n)); id.Shard() == where || len(ids)%50 == 49 {
			c := change(id, 1)
			c.Record.Ready, c.Record.Due = true, c.Record.Started.Add(time.Duration(n)*time.Second)
			_, err := s.Commit(t.Context(), []saga.Change{c})
			require.NoError(t, err)
			ids = append(ids, id)
		}
	}
	for _, limit := range []int{1, 7, 64, sagas, 2 * sagas} {
		var due, ready []saga.ID
		for after := (saga.Due{}); len(due) < sagas; {
			page, err := s.Due(t.Context(), allShards(), after, limit)
			require.NoError(t, err)
			require.Len(t, page, min(limit, sagas-len(due)))
			for _, d := range page {
				due, after = append(due, d.ID), d
			}
		}
		for after := (saga.ID{}); len(ready) < sagas; {
			page, err := s.List(t.Context(), saga.Query{AllTenants: true, Shards: allShards(), Ready: true, After: after, Limit: limit})
			require.NoError(t, err)
			require.Len(t, page, min(limit, sagas-len(ready)))
			for i := range page {
				ready, after = append(ready, page[i].ID), page[i].ID
			}
		}
		require.Equal(t, ids, due)
		require.Equal(t, ids, ready)
	}
}
