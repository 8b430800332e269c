// Package sqlite is a home for sagas in one file: embedded, durable, with nothing to
// install. SQLite is compiled to Go (modernc.org/sqlite), so no C compiler is needed.
//
//	home, err := sqlite.Open(ctx, "shop.db", sqlite.Config{})
//	if err != nil {
//		return err
//	}
//	defer home.Close()
//	runner, err := saga.New(home, saga.Config{…}, Reservation)
//
// # Durability
//
// What Commit has returned survives the end of the process and, unless
// [Config].Durability says otherwise, the loss of power: each commit waits until the
// disk has it. This goes as far as the disk and its drivers tell the truth.
//
// # Group commit
//
// Waiting for the disk is what a decision costs. A [saga.Runner] commits decisions
// that wait together; calls of several runners, messages, heartbeats and
// transactions of [HandleTx] that come while something is being committed are then
// committed together too: one transaction, one wait, and for each its own verdict. A
// conflict of one is not noticed by its neighbours. Who is alone waits for nobody.
//
// # Effects in the same transaction
//
// The file may have tables of the application. [HandleTx] makes a handler of a
// function that changes them, and its effect happens exactly once: what it did, that
// it was done and what came of it are one commit.
//
//	sqlite.HandleTx(home, func(ctx context.Context, tx *sql.Tx, q HoldSeats) ([]string, error) {
//		_, err := tx.ExecContext(ctx, `UPDATE seats SET holder = ? WHERE …`, q.Customer)
//		…
//	})
//
// A decision and the effects that it begins are one commit, and so on with those that
// follow, if all are of handlers that were given this very home, without middleware:
// see [saga.Transactional].
//
// The file may also have an event store of package eventstore/sqlite, whose AppendTx
// appends in that transaction.
//
// # What is kept
//
// Names that begin with rondo_saga are the home's. Its tables, described in the
// migrations, may be read by anybody. What is due is found along an index, so that
// it takes no longer for the sagas that sleep. History, messages and what HandleTx
// has kept go with their saga when that is purged. A worker is forgotten when its
// lease has run out a day ago and it owns nothing.
//
// # Schema
//
// Open brings the schema up by plain SQL migrations, in one transaction, which is
// safe when several programs open a file at once. Which have been made is in the
// table rondo_saga_schema_version; a file of a newer program is a [*SchemaError].
//
// # Errors
//
// What SQLite or the disk refuses is an [*Error], with a sentinel for what can be
// told: [ErrFull], [ErrLocked], [ErrReadOnly] and others. Nothing was written, unless
// a disk failed while it was told to keep a commit: then nobody knows, and who needs
// to loads the record. The home works again when the cause is gone.
//
// # Handling the file
//
// Beside the file are, while it is open, two more with the suffixes -wal and -shm.
// They belong to it: copy it with the backup command of the sqlite3 shell or with
// VACUUM INTO. A network file system will not do. Do not open the file by other means
// in a process that has the home open: on most systems closing a file drops the locks
// that the process has on it, SQLite's too.
//
// # Concurrency
//
// All methods may be called from any goroutine, and several homes, in one process or
// several, may have the same file: their workers take over from each other.
//
// What is written is committed by one goroutine, or by the caller's own if nothing
// else is going on. A call that waits to be committed can be given up: if its context
// ends, nothing is written. While it is being committed its caller waits for what
// becomes of it. While another process writes, the committer asks for SQLite's lock
// until [Config].BusyTimeout has passed.
//
// Reads do not wait for writes, nor writes for reads. A context that ends interrupts
// a read.
//
// One goroutine looks every [Config].PollInterval whether another process has
// brought something, if anybody listens by Wake. What this home brings it tells at
// once. Close waits for both goroutines.
package sqlite
