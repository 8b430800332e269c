package workflow_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/workflow"
)

// Not parallel: AllocsPerRun counts the allocations of the whole process.
func TestProcessAllocatesNothing(t *testing.T) { //nolint:paralleltest // see above
	w := ready(t, "A", minute)
	command := cmd("A1")
	allocs := testing.AllocsPerRun(1000, func() {
		if step, err := w.Admit("A", command, noon, minute); step != workflow.Process || err != nil {
			panic(fmt.Sprint(step, err))
		}
	})
	require.Zero(t, allocs)
}

// BenchmarkProcess admits a command whose data is here.
func BenchmarkProcess(b *testing.B) {
	command := cmd("A1")
	var w flow
	_, _ = w.Admit("A", command, noon, minute)
	w.Loaded("A", noon, minute)
	_, _ = w.Admit("A", command, noon, minute)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Admit("A", command, noon, minute)
	}
}

// BenchmarkLoad drives n commands that wait together from the first Admit until
// all are processed. An operation is one command.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1, 64, 1024} {
		for _, keys := range []int{1, 4} {
			if n == 1 && keys > 1 {
				continue
			}
			b.Run(fmt.Sprintf("commands-%d/keys-%d", n, keys), func(b *testing.B) {
				p := workflow.Policy{MaxWaiting: n}
				commands := make([]order, n)
				for i := range commands {
					key := string(rune('A' + i*keys/n))
					commands[i] = cmd(fmt.Sprintf("%s%d", key, i))
				}
				b.ReportAllocs()
				for done := 0; done < b.N; {
					var w flow
					line := commands
					for len(line) > 0 {
						var load string
						for _, c := range line {
							switch step, _ := w.Admit(c.ID[:1], c, noon, p); step {
							case workflow.Process:
								done++
							case workflow.Load:
								load = c.ID[:1]
							case workflow.Wait:
							}
						}
						line, _ = w.Loaded(load, noon, p)
					}
				}
			})
		}
	}
}
