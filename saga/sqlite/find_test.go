package sqlite_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// Whatever is looked for again and again is found by going along an index, from
// where to begin, in the order that is wanted: what is not wanted costs nothing.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	listing := func(q saga.Query) (string, []any) {
		q.Limit = 1
		text, args, err := sqlite.Listing(q)
		require.NoError(t, err)
		return text, args
	}
	const one = int64(1)
	shard := saga.Shard{Type: "order", Number: 7}
	readyText, readyArgs := sqlite.ReadyIn(saga.Query{AllTenants: true, Ready: true, After: saga.ID{Type: "order", Key: "a"}}, shard)
	stuckText, stuckArgs := listing(saga.Query{Statuses: []saga.Status{saga.Stuck}, After: saga.ID{Type: "order", Key: "a"}})
	dueText, dueArgs := listing(saga.Query{AllTenants: true, DueBefore: time.Now()})
	typeText, typeArgs := listing(saga.Query{Tenant: "acme", Type: "order"})
	for name, c := range map[string]struct {
		text   string
		args   []any
		want   string
		sorted bool // afterwards: what is found is what is wanted
	}{
		"due":    {sqlite.SelectDue, []any{"order", one, one, one, one, "", "a", one}, "rondo_sagas_due (type=? AND shard=? AND due>? AND due<?)", false},
		"inbox":  {sqlite.SelectInbox, []any{"order", one, one, one}, "rondo_saga_inbox_shard (type=? AND shard=? AND rowid<?)", false},
		"ended":  {sqlite.SelectEnded, []any{one, one}, "rondo_sagas_ended (ended<?)", false},
		"ready":  {readyText, readyArgs, "rondo_sagas_ready (type=? AND shard=? AND (tenant,key)>(?,?))", false},
		"halted": {stuckText, stuckArgs, "rondo_sagas_halted (tenant=?", false},
		"overdue": {
			dueText, dueArgs, "rondo_sagas_due (type=? AND shard=? AND due>? AND due<?)", true,
		},
		"type": {typeText, typeArgs, "rondo_sagas_id (tenant=? AND type=?)", false},
	} {
		steps, err := s.Plan(t.Context(), c.text, c.args...)
		require.NoError(t, err, name)
		plan := strings.Join(steps, "\n")
		require.Contains(t, plan, c.want, name)
		require.NotContains(t, plan, "SCAN rondo", name)
		require.NotContains(t, plan, "SCAN h", name)
		require.Equal(t, c.sorted, strings.Contains(plan, "USE TEMP B-TREE"), "%s: %s", name, plan)
	}
}

// Times are kept to the microsecond, and bounds may lie between.
func TestBoundsBetweenMicroseconds(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	c := change(Reservation.ID("a"), 1)
	c.Record.Status, c.Record.Due = saga.Completed, c.Record.Started
	_, err := s.Commit(t.Context(), []saga.Change{c})
	require.NoError(t, err)
	at := c.Record.Started
	for _, row := range []struct {
		before time.Time
		want   int
	}{{at, 0}, {at.Add(time.Nanosecond), 1}} {
		for _, q := range []saga.Query{{StartedBefore: row.before}, {DueBefore: row.before}} {
			found, err := s.List(t.Context(), q)
			require.NoError(t, err)
			require.Len(t, found, row.want, "%+v", q)
		}
		n, err := s.Purge(t.Context(), row.before, 10)
		require.NoError(t, err)
		require.Equal(t, row.want, n)
	}
}
