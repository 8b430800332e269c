// Package eventlog measures appends to a log in PostgreSQL: rondo's event store
// beside a peer, and beside the bare INSERT that both are made of. It has nothing
// to import.
//
// # Sides
//
//   - insert: a prepared INSERT with pgx into a table with two of the indexes that
//     rondo's has, a transaction each. It has neither versions nor safe positions.
//   - rondo: eventstore/postgres with its default configuration.
//   - watermill: Watermill's publisher for PostgreSQL with its default schema. It
//     has no streams and expects no versions; its order is made safe by
//     transaction ids.
//
// One operation is one message or event of 200 bytes, on disk. All sides take turns
// on one server, which waits for the disk; in BenchmarkAppendUnsynced none waits
// (synchronous_commit off).
package eventlog
