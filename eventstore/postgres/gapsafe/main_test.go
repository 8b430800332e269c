package gapsafe

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// taskVariable is set for the processes that a test starts of its own binary.
const taskVariable = "RONDO_GAPSAFE_TASK"

// task is what such a process does.
type task struct {
	Kind string // writer or reader
	URL  string

	// Of a writer.
	Seed         uint64
	Events       int // to write, at least, and until the input ends
	Goroutines   int
	Sleep        float64 // seconds at most, in a transaction
	OutlierEvery int     // transactions sleep 0.9 s once in so many

	// Of a reader: subscribe, poll or naive.
	How string
}

func TestMain(m *testing.M) {
	text, is := os.LookupEnv(taskVariable)
	if !is {
		os.Exit(m.Run())
	}
	var job task
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		fail(err)
	}
	out := bufio.NewWriter(os.Stdout)
	var err error
	switch job.Kind {
	case "writer":
		err = write(context.Background(), job, os.Stdin, out)
	case "reader":
		err = read(context.Background(), job, os.Stdin, out)
	default:
		err = fmt.Errorf("unknown task %q", job.Kind)
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gapsafe:", err)
	os.Exit(1)
}

// process makes a command that does a task in a process of its own.
func process(t *testing.T, job task) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(job)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

// fromEnvironment is the number that a variable says, or the default.
func fromEnvironment(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text, is := os.LookupEnv(name)
	if !is {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}
