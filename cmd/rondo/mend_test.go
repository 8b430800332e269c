package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// A dry run of each command that changes something changes nothing, and tells what
// the command does; that stands in the history with who did it, and why.
func TestEveryChange(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		args   string
		before string // a command that comes first
		dry    string // what a dry run tells
		record string // a command that tells who did it
	}{
		"retry":       {"order/waits order/waits/2/0", "", "order/waits: running → running: a dry run, nothing was done\n", "history order/waits"},
		"redrive":     {"order/poison", "", "order/poison: stuck → running: a dry run, nothing was done\n", "history order/poison"},
		"resume":      {"order/waits", "pause order/waits", "order/waits: paused → running: a dry run, nothing was done\n", "history order/waits"},
		"resolve":     {"order/waits order/waits/2/0 --value {}", "", "order/waits/2/0: its result would be {}, nothing was done\nwhether that is a result of the request was not checked: its type is not known here\n", "history order/waits"},
		"compensate":  {"order/waits", "", "order/waits: running → compensating: a dry run, nothing was done\n", "history order/waits"},
		"mark-undone": {"order/stuck order/stuck/1/0/undo", "", "order/stuck: stuck → compensated: a dry run, nothing was done\n", "history order/stuck"},
		"pause":       {"order/waits", "", "order/waits: running → paused: a dry run, nothing was done\n", "history order/waits"},
		"terminate":   {"order/waits", "", "order/waits: running → terminated: a dry run, nothing was done\nthis is left as it is:\n", "history order/waits"},
		"pause-type":  {"order", "", "pause-type order: it would be done\n", "pauses --type order"},
		"resume-type": {"order", "pause-type order", "resume-type order: it would be done\n", "pauses --type order"},
		"drain":       {"depot-1", "", "drain depot-1: it would be done\n", "pauses --worker depot-1"},
		"undrain":     {"depot-1", "drain depot-1", "undrain depot-1: it would be done\n", "pauses --worker depot-1"},
	}
	for _, c := range sagaCommands() {
		_, has := rows[c.name]
		require.Equal(t, c.changes, has, c.name)
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := filled(t)
				if row.before != "" {
					d.must(strings.Fields(row.before)...)
				}
				require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
				args := append([]string{name}, strings.Fields(row.args)...)
				dry := slices.Concat(args, []string{"--dry-run", "--actor", "eve", "--reason", "to see"})

				before := d.sees()
				require.True(t, strings.HasPrefix(d.does(dry...), row.dry), "got %q", d.does(dry...))
				var told struct{ Done *bool }
				require.NoError(t, json.Unmarshal([]byte(d.does(slices.Concat(dry, []string{"--json"})...)), &told))
				require.False(t, *told.Done)
				require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
				require.Equal(t, before, d.sees())

				d.does(append(args, "--actor", "ada", "--reason", "it is time")...)
				require.NotEqual(t, before, d.sees())
				require.Contains(t, d.does(strings.Fields(row.record)...), "by ada because it is time")
			})
		})
	}
}

// sees is all that there is to see: records, histories, what waits, who runs sagas
// and what was asked of the outside.
func (d *depot) sees() (all []string) {
	d.Helper()
	records, err := saga.NewOperator(d.home).List(d.Context(), saga.Query{AllTenants: true})
	require.NoError(d, err)
	for _, r := range records {
		for _, command := range []string{"show", "history"} {
			all = append(all, d.does(command, "--json", r.ID.String()))
		}
	}
	return append(all, d.does("workers", "--json"), d.does("pauses"), strings.Join(d.made(), "\n"))
}
