package postgrestest_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

func TestNewGivesAnEmptyDatabaseToAnOrdinaryRole(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	pool := db.Pool(t)

	var name string
	var super, bypass, createRole bool
	err := pool.QueryRow(t.Context(), `SELECT current_database(), rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user`).
		Scan(&name, &super, &bypass, &createRole)
	require.NoError(t, err)
	require.Equal(t, db.Name, name)
	require.False(t, super || bypass || createRole)
	_, err = pool.Exec(t.Context(), `CREATE SCHEMA mine; CREATE TABLE mine.things (id int); CREATE TABLE things (id int)`)
	require.NoError(t, err, "the role owns its database")
}

func TestDatabasesAreSeparateAndDropped(t *testing.T) {
	t.Parallel()
	var first *postgrestest.Database
	other := postgrestest.New(t)
	t.Run("first", func(t *testing.T) { // the rest is about what it leaves behind
		first = postgrestest.New(t)
		require.NotEqual(t, first.Name, other.Name)
		_, err := first.Pool(t).Exec(t.Context(), `CREATE TABLE things (id int)`)
		require.NoError(t, err)
		_, err = other.Pool(t).Exec(t.Context(), `SELECT * FROM things`)
		require.ErrorContains(t, err, "does not exist")
	})

	_, err := pgx.Connect(t.Context(), first.AdminURL)
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "3D000", refused.Code, "the database is gone")
}

func TestEndSessions(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	conn, err := pgx.Connect(t.Context(), db.URL)
	require.NoError(t, err)
	db.EndSessions(t)
	err = conn.Ping(t.Context())
	require.Error(t, err)
	require.NoError(t, db.Pool(t).Ping(t.Context()), "new ones are let in")
}

func TestServerIsStoppedStartedAndCrashed(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{Durable: true, Settings: map[string]string{"max_connections": "17"}})
	db := server.NewDatabase(t)
	pool := db.Pool(t)
	ask := func(sql string) (answer string) {
		t.Helper()
		require.NoError(t, pool.QueryRow(t.Context(), sql).Scan(&answer))
		return answer
	}
	require.Equal(t, "on", ask(`SHOW fsync`))
	require.Equal(t, "17", ask(`SHOW max_connections`))
	_, err := pool.Exec(t.Context(), `CREATE TABLE things AS SELECT 'kept' AS name`)
	require.NoError(t, err)

	for _, mode := range []postgrestest.Mode{postgrestest.Fast, postgrestest.Immediate} {
		server.Stop(t, mode)
		pool.Reset()
		require.Error(t, pool.Ping(t.Context()))
		server.Start(t)
		require.Equal(t, "kept", ask(`SELECT name FROM things`))
	}
	server.Restart(t, postgrestest.Fast)
	pool.Reset()
	require.Equal(t, "kept", ask(`SELECT name FROM things`))

	conn, err := pgx.Connect(t.Context(), db.URL)
	require.NoError(t, err)
	server.KillBackend(t, conn.PgConn().PID())
	require.Error(t, conn.Ping(t.Context()))
	require.Eventually(t, func() bool {
		return strings.Contains(server.Log(), "was terminated by signal 9") && pool.Ping(t.Context()) == nil
	}, waitAtMost, pollEvery, "the server recovers by itself")

	dump := filepath.Join(t.TempDir(), "dump")
	out, err := exec.CommandContext(t.Context(), server.Bin("pg_dump"), "--file", dump, db.AdminURL).CombinedOutput()
	require.NoError(t, err, string(out))
	text, err := os.ReadFile(dump)
	require.NoError(t, err)
	require.Contains(t, string(text), "kept")
}

func TestServerOfATestGoesWithIt(t *testing.T) {
	t.Parallel()
	var dir string
	t.Run("one", func(t *testing.T) { // the rest is about what it leaves behind
		dir = postgrestest.Start(t, postgrestest.Config{}).DataDir()
		require.DirExists(t, dir)
	})
	require.NoDirExists(t, filepath.Dir(dir))
}

// TestVictim is run by the test below, in a process of its own that it ends.
func TestVictim(t *testing.T) { //nolint:paralleltest // another process
	if os.Getenv("POSTGRESTEST_VICTIM") == "" {
		t.Skip("run by other tests, in a process of its own")
	}
	db := postgrestest.New(t)
	_, err := os.Stdout.WriteString("\nvictim " + db.Server.DataDir() + "\n")
	require.NoError(t, err)
	if os.Getenv("POSTGRESTEST_VICTIM") == "waits" {
		select {}
	}
}

func TestNothingIsLeftWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	if os.Getenv("RONDO_TEST_DATABASE_URL") != "" {
		t.Skip("the server is not ours to leave")
	}
	if _, found := postgrestest.Bin(); !found {
		t.Skip("there is no PostgreSQL to start")
	}
	for name, end := range map[string]func(*exec.Cmd) error{
		"killed":      func(c *exec.Cmd) error { return c.Process.Kill() },
		"interrupted": func(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) },
		"ends":        nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$", "-test.v")
			victim.Env = append(os.Environ(), "POSTGRESTEST_VICTIM=ends")
			victim.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if end != nil {
				victim.Env = append(victim.Env, "POSTGRESTEST_VICTIM=waits")
			}
			out, err := victim.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, victim.Start())
			var data string
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				if dir, ok := strings.CutPrefix(lines.Text(), "victim "); ok {
					data = dir
					break
				}
			}
			require.NotEmpty(t, data)
			require.DirExists(t, data)
			server := postmaster(t, data)
			if end != nil {
				require.NoError(t, end(victim))
			}
			for lines.Scan() {
			}
			_ = victim.Wait() // it was killed

			require.Eventually(t, func() bool {
				_, err := os.Stat(filepath.Dir(data))
				return errors.Is(err, os.ErrNotExist) && errors.Is(syscall.Kill(server, 0), syscall.ESRCH)
			}, waitAtMost, pollEvery, "the folder and the server are gone")
		})
	}
}

func TestURLOfADatabaseIsGivenToOtherPrograms(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	for _, url := range []string{db.URL, db.AdminURL} {
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), url)
		require.NoError(t, err)
		require.Equal(t, db.Name, conn.Config().Database)
		require.NoError(t, conn.Close(t.Context()))
	}
}
