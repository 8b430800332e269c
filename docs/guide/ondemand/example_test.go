package ondemand

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
	"github.com/seed57833328/rondo/workflow"
)

// open makes a store for each section.
func open(db *Database, rt store.Runtime) *store.Keyed[string, State, Action] {
	sections, err := store.NewKeyed(
		func(string) State { return State{} }, // nothing is known at first
		reducer.Func[State, Action](Reduce),
		store.KeyedConfig[string, State]{
			Config: store.Config{
				Name:     "sections",
				Handlers: []effect.Handler{effect.Handle(db.LoadSection)},
				Runtime:  rt,
			},
			MaxLive:    10_000,
			IdleAfter:  10 * time.Minute,
			Passivated: db.Passivated,
		})
	if err != nil {
		panic(err)
	}
	return sections
}

func Example() {
	db := &Database{sections: map[string]Section{"stalls": {"stalls", 5}}}
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		sections := open(db, rt)
		var answers [3]Action
		for i := range answers {
			rt.Go(func() {
				command := Reserve{ID: fmt.Sprint("r", i), Section: "stalls", Seats: 2}
				answers[i], _ = store.AskKey(ctx, sections, "stalls", Action(command), AsAnswer)
			})
		}
		_ = store.Sleep(ctx, time.Second)
		for _, answer := range answers {
			fmt.Printf("%T%v\n", answer, answer)
		}
		fmt.Println("loads:", db.loads)
	})
	fmt.Println(err)
	// Output:
	// ondemand.Reserved{r0 3}
	// ondemand.Refused{r1 too few seats}
	// ondemand.Reserved{r2 1}
	// loads: 1
	// <nil>
}

func Example_failed() {
	db := &Database{sections: map[string]Section{}}
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		sections := open(db, rt)
		answer, err := store.AskKey(ctx, sections, "roof", Action(Reserve{"r1", "roof", 1}), AsAnswer)
		fmt.Println(answer, err)
	})
	fmt.Println(err)
	// Output:
	// {r1 no such section} <nil>
	// <nil>
}

func Example_passivated() {
	db := &Database{sections: map[string]Section{"stalls": {"stalls", 5}}}
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		sections := open(db, rt)
		for i := range 2 {
			command := Reserve{ID: fmt.Sprint("r", i), Section: "stalls", Seats: 1}
			answer, err := store.AskKey(ctx, sections, "stalls", Action(command), AsAnswer)
			fmt.Println(answer, err, "in memory:", sections.Len())
			_ = store.Sleep(ctx, time.Hour)
			fmt.Println("an hour later:", sections.Len(), "loads:", db.loads)
		}
	})
	fmt.Println(err)
	// Output:
	// {r0 4} <nil> in memory: 1
	// an hour later: 0 loads: 1
	// {r1 3} <nil> in memory: 1
	// an hour later: 0 loads: 2
	// <nil>
}

func Example_full() {
	var w workflow.Workflow[string, Reserve]
	small := workflow.Policy{MaxWaiting: 1}
	now := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)

	_, err := w.Admit("stalls", Reserve{"r1", "stalls", 2}, now, small)
	fmt.Println(err)
	_, err = w.Admit("stalls", Reserve{"r2", "stalls", 2}, now, small)
	fmt.Println(err)
	// Output:
	// <nil>
	// admit command for key "stalls": 1 waiting, limit 1: too many commands wait
}

func Example_restarted() {
	var s State
	env := reducer.NewEnv(&reducer.Fixed{})
	Reduce(&s, Reserve{"r1", "stalls", 2}, env)
	saved, _ := json.Marshal(s)
	fmt.Println(string(saved))

	var restored State // in a new process
	if err := json.Unmarshal(saved, &restored); err != nil {
		panic(err)
	}
	fmt.Println(effect.Describe(Reduce(&restored, Restarted{}, env)))
	// Output:
	// {"Load":{"phase":"loading","key":"stalls","pending":[{"key":"stalls","command":{"ID":"r1","Section":"stalls","Seats":2}}]},"Section":{"Name":"","Free":0}}
	// request ondemand.LoadSection{Section:stalls} timeout=5s attempts=3
}

func Example_gaveUp() {
	db := &Database{sections: map[string]Section{"stalls": {"stalls", 5}}}
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		sections := open(db, rt)
		rt.Go(func() {
			_ = store.Sleep(ctx, time.Millisecond)
			_ = sections.Send(ctx, "stalls", GaveUp{"r1"})
		})
		_, err := store.AskKey(ctx, sections, "stalls", Action(Reserve{"r1", "stalls", 2}), AsAnswer)
		fmt.Println(err)
	})
	fmt.Println(err)
	// Output:
	// ask ondemand.Reserve: no action answered
	// <nil>
}
