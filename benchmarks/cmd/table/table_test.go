package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
)

const sample = "testdata/sample.txt"

func TestTable(t *testing.T) {
	t.Parallel()
	for golden, args := range map[string][]string{
		"sample.table.txt": {sample},
		"sample.table.md":  {"-markdown", sample},
	} {
		t.Run(golden, func(t *testing.T) {
			t.Parallel()
			var out, warnings bytes.Buffer
			require.NoError(t, run(t.Context(), args, &out, &warnings), "a missed budget is no failure")
			want, err := os.ReadFile(filepath.Join("testdata", golden))
			require.NoError(t, err)
			require.Equal(t, string(want), out.String(), "write the new table with: go run ./cmd/table ARGS > FILE")
			require.Equal(t, "table: testdata/sample.txt:36: parsing iteration count: invalid syntax\n", warnings.String())
		})
	}
}

func TestStrict(t *testing.T) {
	t.Parallel()
	var out, warnings bytes.Buffer
	err := run(t.Context(), []string{"-strict", sample}, &out, &warnings)
	require.EqualError(t, err, `send, 8 senders: missed: 3.00×, 1 alloc (budget: ≤ 2.5× limit, 0 allocs)
request effect, 1 in flight: not measured (budget: ≤ 300 ns, ≤ 2 allocs)
request effect, 64 in flight: not measured (budget: ≤ 300 ns, ≤ 2 allocs)`)
	require.NotEmpty(t, out.String(), "the table comes first")
}

func TestMedians(t *testing.T) {
	t.Parallel()
	r, err := read(&benchfmt.Files{Paths: []string{sample}})
	require.NoError(t, err)

	v, ok := r.of("Send/senders=1", rondo)
	require.True(t, ok)
	require.Equal(t, value{ns: 33}, v, "of 30, 900 and 33")
	v, ok = r.of("Send/senders=8", "protoactor")
	require.True(t, ok)
	require.Equal(t, value{ns: 240, bytes: 57}, v)
	_, ok = r.of("store.Shutdown", rondo)
	require.True(t, ok, "what does not say whose it is, is rondo's")
	_, ok = r.of("Ask", "bubbletea")
	require.False(t, ok)
	require.Equal(t, 3, r.runs)
	require.Equal(t, "linux/amd64", r.platform)
	require.Equal(t, "2", r.procs)
}

func TestBudget(t *testing.T) {
	t.Parallel()
	r := &results{values: map[string]map[string]value{
		"a":    {rondo: {ns: 40, allocs: 2}, limit: {ns: 10}},
		"b":    {rondo: {ns: 60}},
		"zero": {rondo: {ns: 60}, limit: {}},
	}}
	for _, tt := range []struct {
		name   string
		budget budget
		row    string
		want   outcome
		how    string
	}{
		{"none", free, "a", unbound, ""},
		{"ratio at its bound", budget{ratio: 4, ofSide: limit, allocs: -1}, "a", met, "met"},
		{"ratio above", budget{ratio: 3.9, ofSide: limit, allocs: -1}, "a", missed, "missed: 4.00×"},
		{"ratio to another row", budget{ratio: 1.5, ofRow: "a", ofSide: rondo}, "b", met, "met"},
		{"time at its bound", budget{ns: 40, allocs: 2}, "a", met, "met"},
		{"time and allocations above", budget{ns: 39, allocs: 1}, "a", missed, "missed: 40 ns, 2 allocs"},
		{"no limit", budget{ratio: 4, ofSide: limit}, "b", unknown, "not measured"},
		{"limit of nothing", budget{ratio: 4, ofSide: limit}, "zero", unknown, "not measured"},
		{"no row", budget{ns: 40}, "c", unknown, "not measured"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, how := tt.budget.check(r, tt.row)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.how, how)
		})
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.txt")
	require.NoError(t, os.WriteFile(empty, []byte("PASS\n"), 0o600))
	for want, args := range map[string][]string{
		"-count is 0, must be at least 1":               {"-count", "0"},
		"there are no results":                          {empty},
		"open testdata/none: no such file or directory": {"testdata/none"},
		"flag provided but not defined: -bench-time":    {"-bench-time", "1s"},
	} {
		require.EqualError(t, run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}), want)
	}
}
