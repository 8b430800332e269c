package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/workflow"
)

func Example_timeToLive() {
	policy := workflow.Policy{Freshness: workflow.TTL(time.Minute)}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var w workflow.Workflow[string, string]

	step, _ := w.Admit("A", "r1", now, policy)
	fmt.Println("at once:", step)
	waiting, _ := w.Loaded("A", now, policy)
	for _, command := range waiting {
		step, _ = w.Admit("A", command, now, policy)
		fmt.Println("loaded:", step)
	}
	step, _ = w.Admit("A", "r2", now.Add(59*time.Second), policy)
	fmt.Println("after 59 s:", step)
	step, _ = w.Admit("A", "r3", now.Add(60*time.Second), policy)
	fmt.Println("after 60 s:", step)
	// Output:
	// at once: load
	// loaded: process
	// after 59 s: process
	// after 60 s: load
}

func Example_invalidate() {
	policy := workflow.Policy{Freshness: workflow.UntilInvalidated}
	var now time.Time
	var w workflow.Workflow[string, string]

	_, _ = w.Admit("A", "r1", now, policy)
	w.Invalidate("A") // prices changed while they were being read
	waiting, _ := w.Loaded("A", now, policy)
	step, _ := w.Admit("A", waiting[0], now, policy)
	fmt.Println(waiting[0], step, "again")

	waiting, _ = w.Loaded("A", now, policy)
	step, _ = w.Admit("A", waiting[0], now, policy)
	fmt.Println(waiting[0], step)

	step, _ = w.Admit("A", "r2", now, policy)
	fmt.Println("r2", step)
	w.Invalidate("A")
	step, _ = w.Admit("A", "r3", now, policy)
	fmt.Println("r3", step)
	// Output:
	// r1 load again
	// r1 process
	// r2 process
	// r3 load
}

func Example_loadFailed() {
	var now time.Time
	var w workflow.Workflow[string, string]

	_, _ = w.Admit("A", "r1", now, workflow.Policy{})
	_, _ = w.Admit("B", "r2", now, workflow.Policy{})
	_, _ = w.Admit("A", "r3", now, workflow.Policy{})

	failed, rest, _ := w.Failed("A")
	fmt.Println("failed:", failed)
	for _, command := range rest {
		step, _ := w.Admit("B", command, now, workflow.Policy{})
		fmt.Println(command, step)
	}
	// Output:
	// failed: [r1 r3]
	// r2 load
}

func Example_bound() {
	policy := workflow.Policy{MaxWaiting: 2}
	var now time.Time
	var w workflow.Workflow[string, string]

	_, _ = w.Admit("A", "r1", now, policy)
	_, _ = w.Admit("A", "r2", now, policy)
	_, err := w.Admit("B", "r3", now, policy)
	fmt.Println(errors.Is(err, workflow.ErrFull), err)
	// Output:
	// true admit command for key "B": 2 waiting, limit 2: too many commands wait
}

func Example_cancel() {
	var now time.Time
	var w workflow.Workflow[string, string]

	_, _ = w.Admit("A", "r1", now, workflow.Policy{})
	_, _ = w.Admit("A", "r2", now, workflow.Policy{})
	fmt.Println("removed:", w.Remove(func(command string) bool { return command == "r1" }))

	// The load that r1 started goes on, for r2.
	waiting, _ := w.Loaded("A", now, workflow.Policy{})
	fmt.Println("waiting:", waiting)
	// Output:
	// removed: [r1]
	// waiting: [r2]
}

func Example_restart() {
	var now time.Time
	var w workflow.Workflow[string, string]
	_, _ = w.Admit("A", "r1", now, workflow.Policy{})
	_, _ = w.Admit("B", "r2", now, workflow.Policy{})
	saved, _ := json.Marshal(w)
	fmt.Println(string(saved))

	// In a new process, where nothing is under way any more:
	var restored workflow.Workflow[string, string]
	if err := json.Unmarshal(saved, &restored); err != nil {
		fmt.Println(err)
		return
	}
	if key, ok := restored.Restart(); ok {
		fmt.Println("load", key)
	}
	waiting, _ := restored.Loaded("A", now, workflow.Policy{})
	fmt.Println("waiting:", waiting)
	// Output:
	// {"phase":"loading","key":"A","pending":[{"key":"A","command":"r1"},{"key":"B","command":"r2"}]}
	// load A
	// waiting: [r1 r2]
}
