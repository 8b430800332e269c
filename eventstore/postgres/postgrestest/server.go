package postgrestest

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

const (
	urlVariable     = "RONDO_TEST_DATABASE_URL"
	requireVariable = "RONDO_REQUIRE_POSTGRES"
)

// Config is what may be said about a server. The zero value is for tests.
type Config struct {
	// Durable has the server wait for the disk (fsync, full_page_writes), as a
	// real one does. The default is not to, which is quicker and survives a
	// crash of the server, but not one of the machine. Commits are synchronous in
	// both cases.
	Durable bool
	// Settings are those of postgresql.conf, by name: "max_connections": "50".
	// The default is 400 connections and 128 MB of buffers.
	Settings map[string]string
}

// Mode is how a server is stopped.
type Mode string

const (
	// Fast ends sessions, rolls their transactions back, and shuts down in order.
	Fast Mode = "fast"
	// Immediate ends everything at once, as a crash does: the next start
	// recovers from the log.
	Immediate Mode = "immediate"
)

// Server is a PostgreSQL server.
type Server struct {
	keeper   *keeper // nil if it is not ours
	admin    *url.URL
	bin      string
	disposed bool // its databases go with it
}

// Start starts a server for one test, which may do with it what it likes. It
// ends with the test. It needs the binaries, also where RONDO_TEST_DATABASE_URL
// is set.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	bin, found := Bin()
	if !found {
		skip(t, "a PostgreSQL server's binaries were not found")
	}
	s, err := start(bin, cfg)
	if err != nil {
		t.Fatalf("start a PostgreSQL server: %v", err)
	}
	s.disposed = true
	t.Cleanup(func() {
		if err := s.keeper.close(); err != nil {
			t.Errorf("end the PostgreSQL server: %v", err)
		}
	})
	return s
}

func start(bin string, cfg Config) (*Server, error) {
	k, err := startKeeper(bin)
	if err != nil {
		return nil, err
	}
	s := &Server{keeper: k, bin: bin, admin: &url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {k.dir}}.Encode(),
	}}
	if err := s.initialise(cfg); err != nil {
		k.close() //nolint:errcheck // the error that counts is the first
		return nil, err
	}
	return s, nil
}

func (s *Server) initialise(cfg Config) error {
	err := s.keeper.run(filepath.Join(s.bin, "initdb"), "-D", s.DataDir(), "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return err
	}
	settings := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": s.keeper.dir,
		"max_connections":         "400",
		"shared_buffers":          "128MB",
		"log_min_messages":        "warning",
		"jit":                     "off",
	}
	if !cfg.Durable {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
	}
	maps.Copy(settings, cfg.Settings)
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&lines, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	conf, err := os.OpenFile(filepath.Join(s.DataDir(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := conf.WriteString(lines.String()); err != nil {
		conf.Close() //nolint:errcheck // the error that counts is the first
		return err
	}
	if err := conf.Close(); err != nil {
		return err
	}
	return s.start()
}

func (s *Server) start() error {
	err := s.keeper.run(filepath.Join(s.bin, "pg_ctl"), "start", "-D", s.DataDir(), "-l", s.logFile(), "-w", "-t", "120")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, s.log())
	}
	return nil
}

// DataDir is the folder of the server's data, "" if the server is not ours.
func (s *Server) DataDir() string {
	if s.keeper == nil {
		return ""
	}
	return filepath.Join(s.keeper.dir, "data")
}

func (s *Server) logFile() string { return filepath.Join(s.keeper.dir, "log") }

func (s *Server) log() string {
	text, _ := os.ReadFile(s.logFile()) // it adds to an error
	return string(text)
}

// Log is what the server has logged, "" if the server is not ours.
func (s *Server) Log() string {
	if s.keeper == nil {
		return ""
	}
	return s.log()
}

// Bin is the path of one of the server's programs, such as pg_dump.
func (s *Server) Bin(program string) string { return filepath.Join(s.bin, program) }

// URL is where the server's superuser connects to, or, if the server is not
// ours, the role of RONDO_TEST_DATABASE_URL.
func (s *Server) URL() string { return s.admin.String() }

// Stop stops the server.
func (s *Server) Stop(t testing.TB, mode Mode) {
	t.Helper()
	s.control(t, func() error { return s.stop(mode) })
}

// Start starts a server that was stopped, and waits until it accepts connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.control(t, s.start)
}

// Restart stops the server, starts it again, and waits until it accepts
// connections.
func (s *Server) Restart(t testing.TB, mode Mode) {
	t.Helper()
	s.control(t, func() error {
		if err := s.stop(mode); err != nil {
			return err
		}
		return s.start()
	})
}

// KillBackend kills a server process without warning, as a crash of it would. The
// server ends all sessions and recovers by itself.
func (s *Server) KillBackend(t testing.TB, pid uint32) {
	t.Helper()
	s.control(t, func() error { return s.keeper.run("kill", "-9", strconv.FormatUint(uint64(pid), 10)) })
}

func (s *Server) stop(mode Mode) error {
	return s.keeper.run(filepath.Join(s.bin, "pg_ctl"), "stop", "-D", s.DataDir(), "-m", string(mode), "-w", "-t", "120")
}

func (s *Server) control(t testing.TB, do func() error) {
	t.Helper()
	if !s.disposed {
		t.Fatal("this server is shared with other tests: use postgrestest.Start to have one")
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
}

// shared is the server of New.
var shared = sync.OnceValues(func() (*Server, error) {
	if given := os.Getenv(urlVariable); given != "" {
		return external(given)
	}
	bin, found := Bin()
	if !found {
		return nil, nil
	}
	return start(bin, Config{})
})

func external(given string) (*Server, error) {
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("%s is not of the form postgres://user:password@host/database", urlVariable)
	}
	bin, _ := Bin()
	return &Server{admin: u, bin: bin}, nil
}

func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(requireVariable) == "1" {
		t.Fatalf("%s, and %s=1 asks for one", why, requireVariable)
	}
	t.Skipf("%s: install a PostgreSQL server, or set %s", why, urlVariable)
}

// exec runs statements as the superuser.
func (s *Server) exec(statements ...string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func randomName() string { return "rondo_test_" + strings.ToLower(rand.Text()[:12]) }
