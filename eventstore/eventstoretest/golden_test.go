package eventstoretest_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/eventstoretest"
)

type heldV1 struct {
	Seat string `json:"seat"`
}

type held struct {
	Seats []string `json:"seats"`
}

type opened struct{}

// reports is a test that only remembers what failed.
type reports struct {
	testing.TB
	lines []string
}

func (r *reports) Helper() {}

func (r *reports) Errorf(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func heldType(opts ...eventstore.TypeOption) eventstore.Type {
	return eventstore.TypeOf[held]("seats/held", 2, append(opts, eventstore.Upcast(1, func(old heldV1) held { return held{[]string{old.Seat}} }))...)
}

var (
	heldSample = held{[]string{"A1", "A2"}}
	files      = map[string]string{
		"seats%2Fheld.v1.json": `{"seat": "A1"}`,
		"seats%2Fheld.v2.json": "{\n\t\"seats\":[\"A1\",\"A2\"]}", // white space is no matter
		"opened.v1.json":       "{}",
	}
)

func golden(t *testing.T, dir string, types []eventstore.Type, samples ...any) []string {
	t.Helper()
	r, err := eventstore.NewRegistry(types...)
	require.NoError(t, err)
	var got reports
	eventstoretest.Golden(&got, r, dir, samples...)
	return got.lines
}

func writeFiles(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, data := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600))
	}
	return dir
}

func TestGolden(t *testing.T) {
	t.Parallel()
	both := []eventstore.Type{heldType(), eventstore.TypeOf[opened]("opened", 1)}
	for _, c := range []struct {
		name    string
		change  func(map[string]string)
		types   []eventstore.Type
		samples []any
		want    []string // in the reports, of which there are as many
	}{
		{name: "all is as it was", types: both, samples: []any{heldSample, opened{}}},
		{
			name: "the form has changed", types: both, samples: []any{heldSample, opened{}},
			change: func(f map[string]string) { f["seats%2Fheld.v2.json"] = `{"seat":["A1","A2"]}` },
			want:   []string{`event type "seats/held": schema 2 is not what it was`, "no field is set: what was recorded is lost"},
		},
		{
			name: "a field was added", types: both, samples: []any{heldSample, opened{}},
			change: func(f map[string]string) { f["seats%2Fheld.v2.json"] = `{"seats":["A1","A2"],"by":"me"}` },
			want:   []string{`event type "seats/held": schema 2 is not what it was`},
		},
		{name: "no sample", types: both, samples: []any{opened{}}, want: []string{`event type "seats/held" has no sample`}},
		{name: "a sample that shows nothing", types: both, samples: []any{held{}, opened{}}, want: []string{"no field of the sample is set", "is not what it was"}},
		{name: "two samples", types: both, samples: []any{heldSample, opened{}, heldSample}, want: []string{`"seats/held" has two samples`}},
		{name: "a sample of no type", types: both, samples: []any{heldSample, opened{}, heldV1{}}, want: []string{"eventstoretest_test.heldV1 is not registered"}},
		{name: "a sample of nothing", types: both, samples: []any{heldSample, opened{}, nil}, want: []string{"event type <nil> is not registered"}},
		{
			name: "no file", types: both, samples: []any{heldSample, opened{}},
			change: func(f map[string]string) { delete(f, "opened.v1.json") },
			want:   []string{`event type "opened": schema 1 has no golden file: RONDO_UPDATE_GOLDEN=1 writes`},
		},
		{
			name: "no file of an older schema", types: both, samples: []any{heldSample, opened{}},
			change: func(f map[string]string) { delete(f, "seats%2Fheld.v1.json") },
			want:   []string{`schema 1 has no golden file: write seats%2Fheld.v1.json as it was recorded`},
		},
		{
			name: "an older schema that cannot be decoded", types: both, samples: []any{heldSample, opened{}},
			change: func(f map[string]string) { f["seats%2Fheld.v1.json"] = `{"seat":["A1"]}` },
			want:   []string{"seats%2Fheld.v1.json cannot be decoded any more"},
		},
		{
			name: "a broken file", types: both, samples: []any{heldSample, opened{}},
			change: func(f map[string]string) { f["opened.v1.json"] = `{` },
			want:   []string{"is not what it was", "opened.v1.json cannot be decoded any more"},
		},
		{
			name: "a newer schema", types: both, samples: []any{heldSample, opened{}},
			change: func(f map[string]string) { f["opened.v2.json"] = `{}` },
			want:   []string{"opened.v2.json cannot be decoded any more"},
		},
		{
			name: "a type that is not registered any more", types: both[:1], samples: []any{heldSample},
			want: []string{"opened.v1.json cannot be decoded any more, though it may have been recorded"},
		},
		{
			name: "a former name", types: []eventstore.Type{heldType(eventstore.FormerName("opened"))}, samples: []any{heldSample},
			change: func(f map[string]string) { f["opened.v1.json"] = `{"seat":"A7"}` },
		},
		{
			name: "other files", types: both, samples: []any{heldSample, opened{}},
			change: func(f map[string]string) {
				for _, name := range []string{"README.md", "opened.json", "opened.vx.json", "opened.v01.json", "seats%zz.v1.json"} {
					f[name] = "{}"
				}
			},
			want: []string{"README.md is not named", "opened.json is not named", "opened.vx.json is not", "opened.v01.json is not", "seats%zz.v1.json is not"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(files)
			if c.change != nil {
				c.change(files)
			}
			got := golden(t, writeFiles(t, files), c.types, c.samples...)
			require.Len(t, got, len(c.want), "%q", got)
			for _, want := range c.want {
				require.True(t, slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, want) }), "want %q in %q", want, got)
			}
		})
	}
}

// Not parallel: it sets the environment.
func TestGoldenUpdate(t *testing.T) {
	t.Setenv(eventstoretest.UpdateGolden, "1")
	both := []eventstore.Type{heldType(), eventstore.TypeOf[opened]("opened", 1)}
	dir := filepath.Join(t.TempDir(), "new")
	got := golden(t, dir, both, heldSample, opened{})
	require.Len(t, got, 1, "%q", got)
	require.Contains(t, got[0], "write seats%2Fheld.v1.json as it was recorded", "an older form is not made up")
	data, err := os.ReadFile(filepath.Join(dir, "seats%2Fheld.v2.json"))
	require.NoError(t, err)
	require.Equal(t, 6, strings.Count(string(data), "\n"), "for people to read: %s", data)
	require.JSONEq(t, `{"seats":["A1","A2"]}`, string(data))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "seats%2Fheld.v1.json"), []byte(`{"seat":"A1"}`), 0o600))

	require.Empty(t, golden(t, dir, both, held{[]string{"B1"}}, opened{}))
	data, err = os.ReadFile(filepath.Join(dir, "seats%2Fheld.v1.json"))
	require.NoError(t, err)
	require.JSONEq(t, `{"seat":"A1"}`, string(data), "nor written anew")
	t.Setenv(eventstoretest.UpdateGolden, "")
	require.Empty(t, golden(t, dir, both, held{[]string{"B1"}}, opened{}))
	require.Len(t, golden(t, dir, both, heldSample, opened{}), 1)
}
