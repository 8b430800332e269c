// Package postgrestest gives tests a PostgreSQL of their own.
//
//	func TestOrders(t *testing.T) {
//		db := postgrestest.New(t)       // an empty database
//		pool := db.Pool(t)              // or db.URL, for whatever connects itself
//		…
//	}
//
// [New] makes a database on a server that all tests of the process share. The
// server is started for the first of them, with data in a temporary folder,
// reached by a socket in it and by nobody else. The database belongs to a role
// that has no rights beyond it, as an application's should, and is dropped when
// the test ends.
//
// [Start] gives a server to one test or benchmark, which may stop, restart and
// crash it, and which can have it write to the disk as a real one does.
//
// # Where it comes from
//
// If RONDO_TEST_DATABASE_URL is set, databases are made on that server. It must
// be a postgres:// URL of a role that may create databases and roles. Otherwise
// a server is started from the binaries of an installation: those beside the
// postgres on the PATH, those that pg_config names, or the newest below
// /usr/lib/postgresql and similar folders. PostgreSQL refuses to run as root:
// tests that do run it as the user postgres or nobody.
//
// Where there is neither, the test is skipped, with a line that says so. With
// RONDO_REQUIRE_POSTGRES=1 it fails, so that a build server cannot pass by
// skipping.
//
// # What stays behind
//
// Nothing, however the process ends. A small shell process keeps the server. It
// waits on a pipe from the test process; when that closes, because the process
// has ended, was interrupted or was killed, it stops the server and removes the
// folder. Databases on the server of RONDO_TEST_DATABASE_URL are dropped by the
// tests themselves; after a kill those named rondo_test_… are left.
//
// # Concurrency
//
// Everything may be called from any goroutine that may call the methods of its
// testing.TB. Each test process has a server of its own, so packages may be
// tested at the same time.
package postgrestest
