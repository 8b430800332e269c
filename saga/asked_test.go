package saga

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// askedFor is the hash of what a reducer returns.
func askedFor(t *testing.T, e effect.Effect[program]) asked {
	t.Helper()
	def := Define("model", reducer.Func[struct{}, program](func(*struct{}, program, reducer.Env) effect.Effect[program] { return e }), modelTypes)
	d := decider{kind: def.kind, maxSize: 1 << 20, stuckAfter: 2}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	made := d.decide(&head{Record: Record{ID: ID{Type: "model", Key: "m"}}}, &input{Kind: startInput, Action: &named{Name: "program", Data: []byte("{}")}}, now)
	require.True(t, made.commit)
	require.NoError(t, made.answer)
	var kept struct{ Asked asked }
	require.NoError(t, json.Unmarshal(made.entry.Data, &kept))
	return kept.Asked
}

// Histories that were written stay to be compared with.
func TestWhatIsAskedForIsKeptAsItWas(t *testing.T) {
	t.Parallel()
	require.Equal(t, asked(1), askedFor(t, pfx.None()))
	require.Equal(t, asked(0x299976fef9aab9d0), askedFor(t, pfx.All(
		pfx.Do(work1{}, Undo(unwork{}), Key("k"), Timeout(time.Second), Retry(RetryPolicy{Attempts: 2, Jitter: -1})),
		pfx.After("t", time.Minute, program{}), pfx.Cancel("t"), pfx.Pivot(), pfx.Complete(),
	)))
	require.Equal(t, asked(0xfa41cb08ebfd692c), askedFor(t, pfx.Compensate("no")))
}

// Each option makes a difference, also those that are yet to come.
func TestEachOptionIsAskedFor(t *testing.T) {
	t.Parallel()
	seen := map[asked]string{}
	differs := func(name string, opts ...Option) {
		got := askedFor(t, pfx.Do(work1{}, opts...))
		require.Empty(t, seen[got], "%s is as", name)
		seen[got] = name
	}
	differs("nothing")
	differs("no policy", Retry(RetryPolicy{}))
	change := func(of reflect.Value) {
		switch of.Kind() {
		case reflect.Int, reflect.Int64:
			of.SetInt(7)
		case reflect.Float64:
			of.SetFloat(1)
		case reflect.String:
			of.SetString("7")
		case reflect.Pointer:
			of.Set(reflect.ValueOf(&RetryPolicy{Attempts: 9}))
		case reflect.Interface:
			of.Set(reflect.ValueOf(unwork{}))
		default:
			t.Fatalf("a %s", of.Type())
		}
	}
	for f := range reflect.TypeFor[RetryPolicy]().NumField() {
		var p RetryPolicy
		change(reflect.ValueOf(&p).Elem().Field(f))
		differs("Retry."+reflect.TypeFor[RetryPolicy]().Field(f).Name, Retry(p))
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Command]()) {
		if f.Name == "Request" || !f.IsExported() {
			continue
		}
		differs(f.Name, Option{func(c *Command) { change(reflect.ValueOf(c).Elem().FieldByIndex(f.Index)) }})
	}
	require.NotEqual(t, askedFor(t, pfx.After("t", time.Minute, program{})), askedFor(t, pfx.After("t", time.Minute, program{[]instr{{Op: "do"}}})), "a timer's data")
}
