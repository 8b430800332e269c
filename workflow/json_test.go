package workflow_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/workflow"
)

func TestJSONForm(t *testing.T) {
	t.Parallel()
	short := func(ids ...string) flow {
		var w flow
		for _, id := range ids {
			_, err := w.Admit(id[:1], order{ID: id}, noon, minute)
			require.NoError(t, err)
		}
		return w
	}
	for _, row := range []struct {
		name string
		flow func() flow
		want string
	}{
		{"idle", func() flow { return flow{} },
			`{"phase":"idle"}`},
		{"loading", func() flow { return short("A1", "B1") },
			`{"phase":"loading","key":"A","pending":[{"key":"A","command":{"id":"A1"}},{"key":"B","command":{"id":"B1"}}]}`},
		{"loading for nobody", func() flow {
			w := short("A1")
			w.Remove(func(order) bool { return true })
			return w
		},
			`{"phase":"loading","key":"A"}`},
		{"invalidated", func() flow {
			w := short("A1")
			w.Invalidate("A")
			return w
		},
			`{"phase":"loading","key":"A","invalidated":true,"pending":[{"key":"A","command":{"id":"A1"}}]}`},
		{"ready", func() flow { return ready(t, "A", minute) },
			`{"phase":"ready","key":"A","loadedAt":"2026-03-01T12:00:00Z"}`},
		{"ready and handed out", func() flow {
			w := short("A1")
			w.Loaded("A", noon, minute)
			return w
		},
			`{"phase":"ready","key":"A","loadedAt":"2026-03-01T12:00:00Z","pending":[{"key":"A","command":{"id":"A1"},"released":true}]}`},
		{"idle and handed out", func() flow {
			w := short("A1", "B1")
			w.Failed("A")
			return w
		},
			`{"phase":"idle","pending":[{"key":"B","command":{"id":"B1"},"released":true}]}`},
		{"loading and handed out", func() flow {
			w := short("A1", "B1", "C1")
			w.Failed("A")
			_, err := w.Admit("B", order{ID: "B1"}, noon, minute)
			require.NoError(t, err)
			return w
		},
			`{"phase":"loading","key":"B","pending":[{"key":"B","command":{"id":"B1"}},{"key":"C","command":{"id":"C1"},"released":true}]}`},
	} {
		w := row.flow()
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(w)
			require.NoError(t, err)
			require.Equal(t, row.want, string(got))

			restored := ready(t, "Z", minute) // every field is replaced
			require.NoError(t, json.Unmarshal(got, &restored))
			require.Equal(t, w, restored)
		})
	}
}

func TestJSONIsPartOfTheState(t *testing.T) {
	t.Parallel()
	type seat struct {
		Row, Number int
	}
	type state struct {
		Load workflow.Workflow[seat, *order] `json:"load"`
		Name string                          `json:"name"`
	}
	was := state{Name: "hall"}
	_, err := was.Load.Admit(seat{3, 4}, &order{ID: "x"}, noon, minute)
	require.NoError(t, err)
	_, err = was.Load.Admit(seat{3, 5}, nil, noon, minute)
	require.NoError(t, err)

	data, err := json.Marshal(was)
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"hall","load":{"phase":"loading","key":{"Row":3,"Number":4},"pending":[
		{"key":{"Row":3,"Number":4},"command":{"id":"x"}},
		{"key":{"Row":3,"Number":5},"command":null}]}}`, string(data))
	var is state
	require.NoError(t, json.Unmarshal(data, &is))
	require.Equal(t, was, is)
}

func TestTimeOfLoadingIsReadInUTC(t *testing.T) {
	t.Parallel()
	var w flow
	require.NoError(t, json.Unmarshal([]byte(`{"phase":"ready","key":"A","loadedAt":"2026-03-01T13:00:00+01:00"}`), &w))
	require.Equal(t, ready(t, "A", minute), w)
}

func TestNullChangesNothing(t *testing.T) {
	t.Parallel()
	w := loading(t, minute, "A1")
	want := w.Clone()
	require.NoError(t, json.Unmarshal([]byte(" null "), &w))
	require.NoError(t, w.UnmarshalJSON([]byte(" null ")))
	require.Equal(t, want, w)
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, json, want string }{
		{"no object", `[1]`, `decode workflow: [1], want an object`},
		{"no JSON", `{"phase":`, `decode workflow: unexpected end of JSON input`},
		{"trailing data", `{"phase":"idle"} {}`, `decode workflow: invalid character '{' after top-level value`},
		{"no phase", `{}`, `decode workflow: phase: missing`},
		{"unknown phase", `{"phase":"lodaing","key":"A"}`, `decode workflow: phase: unknown "lodaing", want "idle", "loading" or "ready"`},
		{"phase of another type", `{"phase":1}`, `decode workflow: phase: 1: json: cannot unmarshal number into Go value of type string`},
		{"null phase", `{"phase":null}`, `decode workflow: phase: null, want a value`},
		{"unknown field", `{"phase":"idle","colour":"red"}`, `decode workflow: colour: unknown field with value "red", want one of phase, key, loadedAt, invalidated, pending`},
		{"field in capitals", `{"Phase":"idle"}`, `decode workflow: Phase: unknown field with value "idle", want one of phase, key, loadedAt, invalidated, pending`},
		{"field given twice", `{"phase":"idle","phase":"ready"}`, `decode workflow: phase: given twice, "idle" and "ready"`},

		{"loading without key", `{"phase":"loading"}`, `decode workflow: key: missing`},
		{"ready without key", `{"phase":"ready","loadedAt":"2026-03-01T12:00:00Z"}`, `decode workflow: key: missing`},
		{"idle with key", `{"phase":"idle","key":"A"}`, `decode workflow: key: "A" is out of place in phase "idle"`},
		{"key of another type", `{"phase":"loading","key":7}`, `decode workflow: key: 7: json: cannot unmarshal number into Go value of type string`},
		{"null key", `{"phase":"loading","key":null}`, `decode workflow: key: null, want a value`},

		{"ready without time", `{"phase":"ready","key":"A"}`, `decode workflow: loadedAt: missing`},
		{"loading with time", `{"phase":"loading","key":"A","loadedAt":"2026-03-01T12:00:00Z"}`, `decode workflow: loadedAt: "2026-03-01T12:00:00Z" is out of place in phase "loading"`},
		{"time that is none", `{"phase":"ready","key":"A","loadedAt":"noon"}`, `decode workflow: loadedAt: "noon": parsing time`},
		{"null time", `{"phase":"ready","key":"A","loadedAt":null}`, `decode workflow: loadedAt: null, want a value`},

		{"ready and invalidated", `{"phase":"ready","key":"A","loadedAt":"2026-03-01T12:00:00Z","invalidated":true}`, `decode workflow: invalidated: true is out of place in phase "ready"`},
		{"invalidated of another type", `{"phase":"loading","key":"A","invalidated":"yes"}`, `decode workflow: invalidated: "yes": json: cannot unmarshal string into Go value of type bool`},

		{"pending of another type", `{"phase":"loading","key":"A","pending":{}}`, `decode workflow: pending: {}: json: cannot unmarshal object`},
		{"pending is no object", `{"phase":"loading","key":"A","pending":["A1"]}`, `decode workflow: pending[0]: "A1", want an object`},
		{"pending when ready", `{"phase":"ready","key":"A","loadedAt":"2026-03-01T12:00:00Z","pending":[{"key":"A","command":{"id":"A1"}}]}`, `decode workflow: pending[0]: {"key":"A","command":{"id":"A1"}} waits in phase "ready", want it released or the phase "loading"`},
		{"pending when idle", `{"phase":"idle","pending":[{"key":"A","command":{"id":"A1"},"released":true},{"key":"A","command":{"id":"A2"}}]}`, `decode workflow: pending[1]: {"key":"A","command":{"id":"A2"}} waits in phase "idle", want it released or the phase "loading"`},
		{"pending without key", `{"phase":"loading","key":"A","pending":[{"command":{"id":"A1"}}]}`, `decode workflow: pending[0].key: missing`},
		{"pending without command", `{"phase":"loading","key":"A","pending":[{"key":"A"}]}`, `decode workflow: pending[0].command: missing`},
		{"pending with null command", `{"phase":"loading","key":"A","pending":[{"key":"A","command":null}]}`, `decode workflow: pending[0].command: null, want a value`},
		{"pending with a wrong command", `{"phase":"loading","key":"A","pending":[{"key":"A","command":{"id":1}}]}`, `decode workflow: pending[0].command: {"id":1}: json: cannot unmarshal number`},
		{"pending with an unknown field", `{"phase":"loading","key":"A","pending":[{"key":"A","command":{"id":"A1"},"n":1}]}`, `decode workflow: pending[0].n: unknown field with value 1, want one of key, command, released`},
		{"pending with a field given twice", `{"phase":"loading","key":"A","pending":[{"key":"A","key":"B","command":{"id":"A1"}}]}`, `decode workflow: pending[0].key: given twice, "A" and "B"`},

		{"a long value is cut", `{"phase":"idle","key":"` + strings.Repeat("x", 1000) + `"}`, `decode workflow: key: "` + strings.Repeat("x", 79) + `… is out of place in phase "idle"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := loading(t, minute, "A1", "B1")
			before := w.Clone()
			err := w.UnmarshalJSON([]byte(row.json))
			require.ErrorContains(t, err, row.want)
			require.Equal(t, before, w)
		})
	}
}

func TestACommandThatLostAFieldIsRestored(t *testing.T) {
	t.Parallel()
	var w flow
	require.NoError(t, json.Unmarshal([]byte(`{"phase":"loading","key":"A","pending":[{"key":"A","command":{"id":"A1","coupon":"gone"}}]}`), &w))
	waiting, ok := w.Loaded("A", noon, minute)
	require.True(t, ok)
	require.Equal(t, []order{{ID: "A1"}}, waiting)
}

func TestMarshalNamesWhatItCannotEncode(t *testing.T) {
	t.Parallel()
	var byCommand workflow.Workflow[string, func()]
	_, err := byCommand.Admit("A", nil, noon, minute)
	require.NoError(t, err)
	_, err = json.Marshal(byCommand)
	require.ErrorContains(t, err, "encode workflow: pending[0].command: json: unsupported type: func()")

	var byKey workflow.Workflow[complex64, string]
	_, err = byKey.Admit(1i, "x", noon, minute)
	require.NoError(t, err)
	_, err = json.Marshal(byKey)
	require.ErrorContains(t, err, "encode workflow: key: json: unsupported type: complex64")

	byTime := loading(t, minute, "A1")
	_, ok := byTime.Loaded("A", time.Unix(math.MaxInt32*1000, 0), minute)
	require.True(t, ok)
	_, err = json.Marshal(byTime)
	require.ErrorContains(t, err, "encode workflow: loadedAt: ")
}

func FuzzUnmarshalJSON(f *testing.F) {
	for _, seed := range []string{
		`{"phase":"idle"}`,
		`{"phase":"loading","key":"A","invalidated":true,"pending":[{"key":"A","command":{"id":"A1","seats":["1"]}},{"key":"B","command":{"id":"B1"},"released":true}]}`,
		`{"phase":"ready","key":"A","loadedAt":"2026-03-01T12:00:00.5+01:00","pending":[{"key":"A","command":{"id":"A1"},"released":true}]}`,
		`{"phase":"loading","key":"A"}`,
		`{"phase":"lodaing"}`, `{"phase":"idle","pending":null}`, `null`, `[]`, `{"phase":"idle"`, `{"PHASE":"idle"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var w flow
		_, err := w.Admit("Z", order{ID: "before"}, noon, forever)
		require.NoError(t, err)
		before := w.Clone()
		if err := w.UnmarshalJSON(data); err != nil {
			require.Equal(t, before, w, "an error changes nothing")
			return
		}
		if w.Phase() != workflow.Loading {
			require.Zero(t, w.Waiting(), "only a load is waited for")
		}
		encoded, err := json.Marshal(w)
		require.NoError(t, err)
		var again flow
		require.NoError(t, json.Unmarshal(encoded, &again), "%s", encoded)
		require.Equal(t, jsonOf(t, w), jsonOf(t, again))

		requireAllProcessed(t, w)
	})
}

// requireAllProcessed restarts w and drives it until every command it holds has
// been processed, in order.
func requireAllProcessed(t *testing.T, w flow) {
	t.Helper()
	places := w.Waiting() + w.Released()
	key, load := w.Restart()
	require.Equal(t, places > 0, load)
	if !load {
		return
	}
	line, ok := w.Loaded(key, noon, forever)
	require.True(t, ok)
	keys := keysOf(t, w)
	require.Len(t, keys, len(line))
	for i, c := range line {
		step, err := w.Admit(keys[i], c, noon, forever)
		require.NoError(t, err)
		if step == workflow.Load {
			// Those behind are still handed out: Admit again when the load ends.
			waiting, ok := w.Loaded(keys[i], noon, forever)
			require.True(t, ok)
			require.Equal(t, []order{c}, waiting)
			step, err = w.Admit(keys[i], c, noon, forever)
			require.NoError(t, err)
		}
		require.Equal(t, workflow.Process, step)
	}
	require.Zero(t, w.Waiting()+w.Released())
}

func keysOf(t *testing.T, w flow) []string {
	t.Helper()
	var doc struct {
		Pending []struct {
			Key string `json:"key"`
		} `json:"pending"`
	}
	require.NoError(t, json.Unmarshal([]byte(jsonOf(t, w)), &doc))
	var keys []string
	for _, p := range doc.Pending {
		keys = append(keys, p.Key)
	}
	return keys
}

func jsonOf(t require.TestingT, w flow) string {
	data, err := json.Marshal(w)
	require.NoError(t, err)
	return string(data)
}
