package postgrestest_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

const (
	outcomeVariable = "POSTGRESTEST_OUTCOME"
	urlVariable     = "RONDO_TEST_DATABASE_URL"
	requireVariable = "RONDO_REQUIRE_POSTGRES"
	hasRun          = "it runs in a database"
)

// TestOutcome is run by the test below, in a process of its own, with whatever
// PostgreSQL that finds.
func TestOutcome(t *testing.T) { //nolint:paralleltest // another process
	switch os.Getenv(outcomeVariable) {
	case "":
		t.Skip("run by other tests, in a process of its own")
	case "hidden":
		postgrestest.HideInstalled()
	}
	require.NoError(t, postgrestest.New(t).Pool(t).Ping(t.Context()))
	t.Log(hasRun)
}

func TestOutcomesWithAndWithoutPostgreSQL(t *testing.T) {
	t.Parallel()
	const missing = "there is no PostgreSQL"
	_, found := postgrestest.Bin()
	for name, c := range map[string]struct {
		hidden      bool // neither on the PATH nor where it is installed
		environment []string
		external    bool // there is a server at urlVariable
		failed      bool
		verdict     string
		says        string
	}{
		"programs":               {verdict: "--- PASS: TestOutcome ", says: hasRun},
		"programs, and required": {environment: []string{requireVariable + "=1"}, verdict: "--- PASS: TestOutcome ", says: hasRun},
		"a server elsewhere":     {hidden: true, external: true, verdict: "--- PASS: TestOutcome ", says: hasRun},
		"neither": {
			hidden: true, verdict: "--- SKIP: TestOutcome ",
			says: missing + ": install a PostgreSQL server, or set " + urlVariable,
		},
		"neither, and not required": {
			hidden: true, environment: []string{requireVariable + "=0"}, verdict: "--- SKIP: TestOutcome ",
			says: missing + ": install a PostgreSQL server, or set " + urlVariable,
		},
		"neither, but required": {
			hidden: true, environment: []string{requireVariable + "=1"}, failed: true, verdict: "--- FAIL: TestOutcome ",
			says: missing + ", and " + requireVariable + "=1 asks for one",
		},
		"a bad URL": {
			hidden: true, environment: []string{urlVariable + "=mysql://localhost"}, failed: true, verdict: "--- FAIL: TestOutcome ",
			says: urlVariable + " is not of the form postgres://",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !c.hidden && !found {
				t.Skip("there are no programs to find")
			}
			self, err := os.Executable()
			require.NoError(t, err)
			child := exec.CommandContext(t.Context(), self, "-test.run=^TestOutcome$", "-test.v")
			child.Env = append(without(os.Environ(), urlVariable, requireVariable), outcomeVariable+"=found")
			if c.hidden {
				child.Env = append(child.Env, outcomeVariable+"=hidden", "PATH="+t.TempDir())
			}
			if c.external {
				child.Env = append(child.Env, urlVariable+"="+postgrestest.Start(t, postgrestest.Config{}).URL())
			}
			child.Env = append(child.Env, c.environment...)
			out, err := child.CombinedOutput()
			require.Equal(t, c.failed, child.ProcessState.ExitCode() == 1, "%v\n%s", err, out)
			require.Equal(t, !c.failed, child.ProcessState.Success(), "%v\n%s", err, out)
			require.Contains(t, string(out), c.verdict)
			require.Len(t, linesWith(string(out), c.says), 1, "%s", out)
			if c.says != hasRun {
				require.Len(t, linesWith(string(out), "PostgreSQL", urlVariable, requireVariable), 1, "one line says it:\n%s", out)
				require.NotContains(t, string(out), hasRun)
			}
		})
	}
}

// without is an environment without some of its variables.
func without(environment []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(names, name)
	})
}

// linesWith are the lines that have any of the texts.
func linesWith(text string, texts ...string) (found []string) {
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(line, t) }) {
			found = append(found, line)
		}
	}
	return found
}
