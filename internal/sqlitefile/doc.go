// Package sqlitefile is what stores in an SQLite file have in common: a file with
// one connection that writes and some beside it that read, statements that stay
// prepared, group commit, and a schema brought up by migrations. Each store says in
// its own package documentation what of this its users may count on.
//
// # Concurrency
//
// All methods of a [File] may be called from any goroutine. Jobs are done by one
// goroutine at a time, in a transaction that is committed for all that waited: that
// of the file, which ends in Close, or the caller's own if nothing else is going
// on. Reads do not wait for jobs, nor jobs for reads.
//
// Nothing interrupts a statement on the connection that writes: SQLite would roll
// back the whole transaction, which is not the interrupted one's alone. So a job is
// given no context that can end.
package sqlitefile
