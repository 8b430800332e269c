package boxoffice

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The guide shows what failing tests print. These are the tests, and testdata
// is what they print.
func TestReports(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t testkit.T){
		"forgotten": forgotten,
		"impure":    impure,
		"captured":  captured,
		"simulated": simulated,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", name+".txt")
			got := report(test)
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got+"\n"), 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err, "run go test ./docs/guide/boxoffice -update")
			require.Equal(t, string(want), got+"\n")
		})
	}
}

// careless is Reduce, but for a Cancel that is missing.
func careless(s *State, a Action, env reducer.Env) effect.Effect[Action] {
	if pay, ok := a.(Pay); ok {
		delete(s.Held, pay.Customer)
		return charge(pay.Customer)
	}
	return Reduce(s, a, env)
}

func forgotten(t testkit.T) {
	ts := testkit.New(t, opened(1), reducer.Func[State, Action](careless))
	ts.Send(Hold{"ann"}, func(s *State) {
		s.Free = 0
		s.Held["ann"] = ts.Now().Add(5 * time.Minute)
	})
	ts.Receive(Kept{"ann"})
	ts.Send(Pay{"ann"}, func(s *State) { delete(s.Held, "ann") })
	testkit.Reply(ts, Charge{"ann", 4500}, "r1")
	ts.Receive(Sold{"ann", "r1"}, func(s *State) { s.Tickets["ann"] = "r1" })
}

func simulated(t testkit.T) {
	for seed := range uint64(2) {
		t.Errorf("seed %d: %v\n", seed, evening(seed, careless))
	}
}

func impure(t testkit.T) {
	today := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	clock := func() time.Time { // as time.Now, but a day that does not pass
		today = today.Add(time.Microsecond)
		return today
	}
	reduce := func(s *State, a Action, env reducer.Env) effect.Effect[Action] {
		if a, ok := a.(Hold); ok {
			s.Held[a.Customer] = clock().Add(holdFor)
		}
		return fx.None()
	}
	ts := testkit.New(t, opened(1), reducer.Func[State, Action](reduce))
	ts.Send(Hold{"ann"}, func(s *State) { s.Held["ann"] = ts.Now().Add(holdFor) })
}

// Bill is a request that does not say whom it is for.
type Bill struct{ Cents int }

func (Bill) Returns(string) {}

func captured(t testkit.T) {
	reduce := func(s *State, a Action, env reducer.Env) effect.Effect[Action] {
		if a, ok := a.(Pay); ok {
			return effect.Do(Bill{price}, func(r effect.Result[string]) Action {
				return Sold{a.Customer, r.Value} // whose customer?
			})
		}
		return fx.None()
	}
	ts := testkit.New(t, opened(1), reducer.Func[State, Action](reduce))
	ts.Send(Pay{"ann"})
	testkit.Reply(ts, Bill{4500}, "r1")
}

// report runs a test that fails and returns what it prints.
func report(test func(t testkit.T)) string {
	var r recorder
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range r.cleanups {
				f()
			}
		}()
		test(&r)
	}()
	<-done
	return r.text
}

// recorder is a testing.T that prints into a string.
type recorder struct {
	text     string
	cleanups []func()
}

func (*recorder) Helper()                          {}
func (*recorder) Name() string                     { return "recorder" }
func (*recorder) Logf(string, ...any)              {}
func (r *recorder) Errorf(format string, a ...any) { r.text += fmt.Sprintf(format, a...) }
func (r *recorder) Cleanup(f func())               { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fatalf(format string, a ...any) {
	r.Errorf(format, a...)
	runtime.Goexit()
}
